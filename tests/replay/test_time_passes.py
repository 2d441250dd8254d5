"""Time that passes in replays under load: what moves by itself meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.replay.load_replay import LoadReplay
from sim.replay.trace_format import read_trace

if TYPE_CHECKING:
    from pathlib import Path


def test_a_shrink_that_stopped_short_goes_on_when_the_load_is_gone(shared_dir: Path) -> None:
    """Nobody asks again: the driver tries after 50 s, then 100 s later, and gets what has become free."""
    path = shared_dir / "kernel-traces-2" / "guest-load" / "f2l-a-retry-timer-612.json"
    replay = LoadReplay(read_trace(path))
    plugged = [row.plugged_mib["vmem0"] for row in replay.follow()]
    assert [recorded for _, recorded in plugged[3:]] == [372, 372, 72, 72, 18]
    for simulated, recorded in plugged[3:]:
        assert simulated == pytest.approx(recorded, abs=12)
    assert plugged[3][0] == plugged[4][0] > plugged[5][0] == plugged[6][0] > plugged[7][0]
