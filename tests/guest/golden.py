"""What the guest model makes of each recording, in whole numbers: held in tests/data/guest-amounts.json.

The recordings themselves only say what is close. These figures say what changed: whoever changes the model on purpose
runs ``python -m tests.guest.golden``, reads the difference, and checks that the tolerances still hold.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sim.devices.virtio_mem import VirtioMem
from sim.memory.zones import ZONE_LABELS
from sim.replay.load_replay import LoadReplay
from sim.replay.trace_format import read_trace
from tests.support.places import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.replay.load_comparison import StepComparison

LOADED = tuple(sorted((DATA / "guest-load").glob("*.json")))
"""Recordings of guests under load."""
IDLE = tuple(sorted((DATA / "kernel-traces").glob("*.json")))
"""Recordings of idle guests."""
AMOUNTS = DATA / "guest-amounts.json"

Row = dict[str, object]


def follow(replay: LoadReplay) -> Iterator[tuple[StepComparison, Row]]:
    """Replay a recording under load; yield how each step compares, and the step's amounts in pages."""
    for compared in replay.follow():
        model = replay.model
        row: Row = {"step": f"{compared.step} {replay.trace.steps[compared.step].op}"}
        for use in model.meminfo.uses():
            zone = model.zones[use.node, use.zone]
            held = zone.pageblocks.nr_held if zone.pageblocks is not None else 0
            row[f"{use.node}/{ZONE_LABELS[use.zone]}"] = {
                "managed": use.managed,
                "free": use.free,
                "pcp": use.pcp,
                "user": use.user,
                "cache": zone.cache,
                "kernel": use.kernel,
                "slab": zone.slab,
                "memmap": use.memmap,
                "held": held,
            }
        row["headroom"] = model.meminfo.kernel_headroom()
        row["headroom_free"] = model.meminfo.kernel_headroom_free()
        row["available"] = model.meminfo.available()
        row["dirty"] = sum(load.dirty for load in model.loads.values())
        row["devices"] = {name: d.plugged if isinstance(d, VirtioMem) else "in" for name, d in replay.devices.items()}
        row["kills"] = [
            [event.kind.name, event.victim, round(event.done_share * 1_000_000), event.mem_available]
            for event in replay.events[compared.step]
        ]
        free = compared.mem_free_mib
        row["compared"] = compared.to_json() | {
            "mem_free": free and [round(value, 1) for value in free],
            "returned": compared.returned and list(compared.returned),
            "load_gone": compared.load_gone,
        }
        yield compared, row


def idle(replay: LoadReplay) -> Iterator[tuple[StepComparison, list[int]]]:
    """Replay a recording of an idle guest; yield how each step compares, and pages in four sums.

    Free as in MemFree, free on CPU lists, kernel pages, memmap. MemFree of the comparison must be the same.
    """
    for compared in replay.follow():
        uses = replay.model.meminfo.uses()
        listed = sum(use.pcp for use in uses)
        free, kernel, memmap = (sum(getattr(use, name) for use in uses) for name in ("free", "kernel", "memmap"))
        if compared.mem_free_mib is not None:
            assert compared.mem_free_mib[0] == (free - listed) / 256
        yield compared, [free - listed, listed, kernel, memmap]


def main() -> None:
    """Write the amounts of all recordings, one line for each step of a loaded guest and for each idle guest."""
    lines = []
    for path in LOADED:
        rows = ",\n".join(f"   {json.dumps(row)}" for _, row in follow(LoadReplay(read_trace(path))))
        lines.append(f'  "{path.stem}": [\n{rows}\n  ]')
    idle_lines = [
        f'  "{path.stem}": {json.dumps([row for _, row in idle(LoadReplay(read_trace(path)))])}' for path in IDLE
    ]
    loaded, idles = ",\n".join(lines), ",\n".join(idle_lines)
    AMOUNTS.write_text(f'{{\n "loaded": {{\n{loaded}\n }},\n "idle": {{\n{idles}\n }}\n}}\n', "utf-8")


if __name__ == "__main__":
    main()
