"""MOVABLE memory added until its memmap no longer fits: how much goes in, and that the guest dies of the next piece.

The memory at boot is the recording's; which add fails, and what of, is the model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.replay.load_replay import LoadReplay
from sim.replay.trace_format import read_trace
from sim.units import GIB, MIB
from tests.support.places import DATA

if TYPE_CHECKING:
    from pathlib import Path

SHARED = {
    "walls/f3-wall-512m": 42,
    "walls/f3-wall-512m-612": 43,
    "walls/f3-wall-512m-noforce-612": 51,
    "walls/f3-wall-256m-73": 21,
    "f3-order-pve-late-contig": 64,
}
"""DIMMs that went in."""


def follow(path: Path) -> tuple[LoadReplay, int]:
    """Replay to the end; return the replay and the DIMMs of which all arrived."""
    replay = LoadReplay(read_trace(path))
    rows = list(replay.follow())
    assert [row.died for row in rows[:-1]] == [(False, False)] * (len(rows) - 1)
    assert len(rows) == len(replay.trace.steps)
    replay.model.check()
    return replay, sum(bool(device.plugged_pages) for device in replay.devices.values())


def test_dimms_go_in_as_recorded_and_the_next_one_kills() -> None:
    replay, arrived = follow(DATA / "walls" / "f3-wall-256m-73.json")
    assert arrived == 21
    assert [event.victim for event in replay.model.killer.events] == [None]


def test_a_virtio_mem_device_grows_as_recorded_and_kills_on_its_way_on() -> None:
    replay, _ = follow(DATA / "walls" / "f2l-wall-vmem-512m.json")
    assert 20 * GIB <= replay.devices["vmem0"].plugged_pages * 4096 < 21 * GIB
    assert [event.victim for event in replay.model.killer.events] == [None]


@pytest.mark.parametrize("name", SHARED)
def test_all_walls(name: str, shared_dir: Path) -> None:
    replay, arrived = follow(shared_dir / "kernel-traces-2" / f"{name}.json")
    assert arrived == SHARED[name]
    assert replay.model.killer.guest_died


def test_a_program_dies_before_the_guest_does() -> None:
    replay = LoadReplay(read_trace(DATA / "walls" / "f3-wall-256m-73.json"))
    replay.model.demands.anonymous("program", 2 * MIB // 4096)
    for _ in replay.follow():
        pass
    assert replay.model.killer.events[0].victim == "program"
