"""The guest model against recorded kernels: idle, and under load.

Two kinds of tests: what is close enough to the recording, and what the model makes of it to the page
(:mod:`tests.guest.golden` writes these figures anew).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sim.replay.kernel_replay import replay as replay_zones
from sim.replay.load_comparison import IDLE_FREE, TraceComparison
from sim.replay.load_replay import LoadReplay, replay_with_load
from sim.replay.load_summary import total, worst_first
from sim.replay.trace_format import read_trace
from sim.units import MIB
from tests.guest.golden import AMOUNTS, LOADED, follow, idle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.guest.report import GuestReport
    from sim.replay.trace_format import Snapshot


Amounts = dict[str, dict[str, list[object]]]


@pytest.fixture(scope="module")
def amounts() -> Amounts:
    found: Amounts = json.loads(AMOUNTS.read_text("utf-8"))
    return found


def compare(path: Path) -> TraceComparison:
    """Replay with the guest model; its books must be in order at the end."""
    replay = LoadReplay(read_trace(path))
    found = replay.compare()
    replay.model.check()
    return found


DEMAND_AT_FAILURE = {
    # Recording: step, MiB of page tables (slab for files) when the kernel ran out of memory, tolerated share.
    "koom-pt-1g": (5, 765.8, 0.03),
    "koom-pt-1g-again": (5, 765.8, 0.03),
    "koom-pt-1g-612": (5, 744.2, 0.08),
    "koom-pt-auto301": (5, 1488.5, 0.03),
    "koom-stranded": (7, 402.3, 0.03),
    "koom-stranded-again": (7, 402.3, 0.03),
    "koom-files-512m": (4, 273.5, 0.03),
}
"""The slab of the idle guest, 17 MiB, is taken off for files."""


def test_free_memory_of_an_idle_guest(
    kernel_trace: Path, record_property: Callable[[str, object], None], amounts: Amounts
) -> None:
    replay = LoadReplay(read_trace(kernel_trace))
    steps, rows = zip(*idle(replay), strict=True)
    replay.model.check()
    pairs = [(s.step, s.mem_free_mib) for s in steps if s.mem_free_mib]
    worst, number, pair = max((IDLE_FREE.excess(pair), number, pair) for number, pair in pairs)
    record_property("worst", worst)
    assert worst <= 1.0, f"step {number}: MemFree {pair} (simulated, recorded) MiB"
    assert list(rows) == amounts["idle"][kernel_trace.stem]


REPORTED = {
    # A guest's figure: its parts in /proc/meminfo, and by how many MiB it may be off where a tenth is less. Files and
    # their inodes are as loose as what reclaim drops of them, and free memory is what the amounts are about.
    "total": (("MemTotal",), 16.0),
    "available": (("MemAvailable",), 16.0),
    "cached": (("Cached", "Buffers"), 40.0),
    "anonymous": (("AnonPages",), 1.0),
    "slab_reclaimable": (("SReclaimable",), 30.0),
    "slab_unreclaimable": (("SUnreclaim",), 4.0),
    "page_tables": (("PageTables",), 1.0),
    "kernel_stacks": (("KernelStack",), 0.5),
}


def off(report: GuestReport, snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    """Return the figures that a recorded guest did not report so, with both in MiB."""
    recorded = {**(snapshot.meminfo or {}), "MemTotal": snapshot.mem_total or 0}
    found = {}
    for name, (parts, mib) in REPORTED.items():
        pair = getattr(report, name) / MIB, sum(recorded[part] for part in parts) / MIB
        if abs(pair[0] - pair[1]) > max(mib, pair[1] / 10):
            found[name] = pair
    return found


@pytest.mark.parametrize("path", LOADED, ids=lambda path: path.stem)
def test_amounts_of_a_guest_under_load(path: Path, amounts: Amounts) -> None:
    """Close to the recording, what it reports too, and to the page what the model made of it before."""
    replay = LoadReplay(read_trace(path))
    steps, rows = [], []
    for step, row in follow(replay):
        steps.append(step)
        rows.append(row)
        after = replay.trace.steps[step.step].after
        if after is not None and not any(step.tie for step in steps) and not replay.model.killer.guest_died:
            assert off(replay.model.figures.report(), after) == {}
    replay.model.check()
    for row, expected in zip(rows, amounts["loaded"][path.stem], strict=True):
        assert row == expected
    outside = [d for d in TraceComparison(path.stem, "", steps).deviations() if d.excess > 1.0]
    assert outside == []


REFUSED_UNDER_LOAD = {
    "comeback-aged-kernel": {3: 6, 4: 9, 6: 9, 8: 9, 9: 9, 11: 9},
    "comeback-subblock": {5: 1, 6: 3, 8: 3, 10: 3, 12: 3, 14: 3, 16: 3},
    "grown-under-load": {14: 1},
    "short-vmem-movable": {6: 2},
}
"""Blocks that refused to go in replays of the zone choice, by recording and step, read off the recordings; the last in
MOVABLE. In step 9 of the first nobody asks but the driver itself, whose timer runs out while a minute passes."""


@pytest.mark.parametrize("path", LOADED, ids=lambda path: path.stem)
def test_zone_choices_under_load_are_those_of_the_recorded_kernel(path: Path) -> None:
    report = replay_zones(path)
    assert report.identical
    assert report.blocks_compared > 100
    assert report.refused == REFUSED_UNDER_LOAD.get(path.stem, {})


def test_a_replay_compares_the_guest_where_there_was_a_load(kernel_traces: tuple[Path, ...]) -> None:
    report, compared = replay_with_load(next(path for path in LOADED if path.stem == "koom-stranded"))
    assert (report.trace, report.identical) == ("koom-stranded", True)
    assert compared is not None
    assert (compared.name, compared.kernel.split(".")[0]) == ("koom-stranded", "6")
    assert [step.label for step in compared.steps[:3]] == ["dimm0", "load anon a 1900 small", "load anon b 500 small"]
    report, nothing = replay_with_load(kernel_traces[0])
    assert report.identical
    assert nothing is None


@pytest.mark.parametrize(("recorded", "tie"), [(1, True), (0, False)])
def test_a_kill_that_was_not_recorded_is_no_chance(recorded: int, tie: bool) -> None:  # noqa: FBT001
    """Else one wrong kill among equals would excuse all that follows."""
    trace = read_trace(next(path for path in LOADED if path.stem == "short-vmem-movable"))
    assert trace.steps[4].oom_count == 1
    trace.steps[4] = trace.steps[4].model_copy(update={"oom_count": recorded})
    compared = LoadReplay(trace).compare()
    assert compared.steps[4].tie is tie
    assert any(d.step == 4 and d.kind == "oom" and d.excess > 1 for d in compared.deviations()) is not tie
    assert compared.compared_steps == (5 if tie else 7)  # in step 6 the device gave up


def test_every_recording_has_its_amounts(kernel_traces: tuple[Path, ...], amounts: Amounts) -> None:
    assert set(amounts["loaded"]) == {path.stem for path in LOADED}
    assert set(amounts["idle"]) == {path.stem for path in kernel_traces}


def test_which_blocks_refuse_follows_from_the_guest(kernel_trace: Path) -> None:
    """No refusal is read off the recording here: every block, zone and plugged size is the model's own."""
    replay = LoadReplay(read_trace(kernel_trace))
    report = replay.run()
    assert report.identical, report.mismatches[:3]
    assert replay.core.guest is replay.model


@pytest.fixture(scope="module")
def loaded(shared_dir: Path) -> dict[str, TraceComparison]:
    return {path.stem: compare(path) for path in sorted((shared_dir / "kernel-traces" / "guest-load").glob("*.json"))}


def test_all_guests_under_load(loaded: dict[str, TraceComparison]) -> None:
    """Of all steps no more are off than is accepted, whether parameters were fitted to a recording or not."""
    rows = worst_first(loaded.values())
    listing = "\n".join(f"{row.trace.name}: {sorted(row.off)}: {row.worst}" for row in rows if row.off)
    for half in ([row for row in rows if row.fitted], [row for row in rows if not row.fitted]):
        assert total(half).accepted, listing


def test_nothing_stays_where_all_is_movable(loaded: dict[str, TraceComparison]) -> None:
    steps = loaded["comeback-vmem-movable"].steps
    assert all(mine == theirs for step in steps for mine, theirs in step.plugged_mib.values())


def test_kernel_memory_is_accounted_for(loaded: dict[str, TraceComparison]) -> None:
    """Slab, page tables, memmap and the rest together, while a load is there."""
    for name in ("comeback-vmem-movable", "kdemand-units", "grown-under-load", "koom-pt-1g"):
        for step in loaded[name].steps[: loaded[name].compared_steps]:
            if step.kernel_mib and not step.load_gone and not step.oom[1]:
                mine, theirs = step.kernel_mib
                assert mine == pytest.approx(theirs, rel=0.1, abs=48), f"{name} step {step.step}"


@pytest.mark.parametrize("name", sorted(DEMAND_AT_FAILURE))
def test_demand_at_kernel_oom(name: str, shared_dir: Path) -> None:
    step, recorded, tolerated = DEMAND_AT_FAILURE[name]
    replay = LoadReplay(read_trace(shared_dir / "kernel-traces" / "guest-load" / f"{name}.json"))
    replay.compare()
    first = min(number for number, events in replay.events.items() if events)
    assert first == step
    event = replay.events[first][0]
    demand = sum(zone.kernel for zone in event.zones) / 256
    assert demand == pytest.approx(recorded, rel=tolerated)
