"""Kernel demand against plugging: programs in the background, DIMMs all at once or in turn with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.replay.load_replay import LoadReplay
from sim.replay.trace_format import read_trace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "deaths"), [("f3l-race-301-once-612", 0), ("f3l-race-1500-once-612", 14), ("f3l-turns-700-1-612", 0)]
)
def test_as_many_die_as_recorded_and_the_same_dimms_come_back(name: str, deaths: int, shared_dir: Path) -> None:
    trace = read_trace(shared_dir / "kernel-traces-2" / "guest-load" / f"{name}.json")
    recorded = sum(step.oom_count or 0 for step in trace.steps)
    replay = LoadReplay(trace)
    rows = list(replay.follow())
    assert recorded == deaths
    assert abs(sum(row.oom[0] for row in rows) - deaths) <= 2
    assert not replay.model.killer.guest_died
    assert len(rows) == len(trace.steps)
    asked = [row.returned for row in rows if row.returned is not None]
    assert len(asked) > 15
    assert all(mine == theirs for mine, theirs in asked)
