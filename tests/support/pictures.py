"""Machines as ``lsmem`` sees them: random ones, and the recorded maps of the shared folder."""

from __future__ import annotations

import csv
from itertools import groupby
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sim.readers.facts import BlockView
from sim.snapshot.picture import Picture
from sim.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

_STATES = ("online", "online", "online", "offline", "going-offline")
_ZONES = st.sampled_from(
    [
        "none",
        "DMA",
        "DMA32",
        "Normal",
        "Movable",
        "Movable/Normal",
        "Normal/Movable",
        "HighMem",
        "Device",
        "Foreign",
        "",
    ]
)


@st.composite
def pictures(draw: st.DrawFn, *, known: bool = False) -> Picture:
    """Machines with holes, several nodes, blocks without a node or zones, or kernels that tell neither.

    States that no kernel has are among them, unless ``known``.
    """
    has_zones, has_nodes = draw(st.booleans()) or draw(st.booleans()), draw(st.booleans())
    blocks: list[BlockView] = []
    first = draw(st.sampled_from([0, 0, 0, 1, 8192]))
    for _ in range(draw(st.integers(1, 6))):
        first += draw(st.sampled_from([0, 0, 0, 1, 90]))
        view = BlockView(
            block=first,
            state=draw(st.sampled_from(_STATES if known else (*_STATES, "strange"))),
            zones=draw(_ZONES | st.none()) if has_zones else None,
            node=draw(st.sampled_from([0, 0, 1, 12, None])) if has_nodes else None,
            removable=draw(st.booleans()),
            phys_device=draw(st.sampled_from([None, 0, 32])),
        )
        count = draw(st.sampled_from([1, 1, 2, 3]))
        blocks += [view._replace(block=first + step) for step in range(count)]
        first += count
    return Picture(draw(st.sampled_from([64 * KIB, 128 * MIB, 256 * MIB, 2 * GIB, 1 << 48])), tuple(blocks))


def recorded_maps(shared: Path) -> dict[str, Picture]:
    """Return the machines of ``data/memory-block-maps`` by name."""
    with (shared / "data" / "memory-block-maps" / "blocks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    machines = {}
    for name, of_machine in groupby(rows, key=lambda row: row["machine"]):
        lines = list(of_machine)
        machines[name] = Picture(
            int(lines[0]["size_bytes"]),
            tuple(
                BlockView(
                    int(row["block"]),
                    row["state"],
                    row["valid_zones"].replace(" ", "/") or None,
                    int(row["node"]) if row["node"] else None,
                    removable=row["removable"] == "1",
                )
                for row in lines
            ),
        )
    return machines
