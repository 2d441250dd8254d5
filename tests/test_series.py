from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.blockmap import ABSENT, MIXED, OFFLINE, zone_map
from sim.observe import EventKind
from sim.series import SERIES_COLUMNS, device_series, run_series
from tests.plain.scores import instants
from tests.synthetic import random_run, seeded_run

if TYPE_CHECKING:
    import random

ANY_RUN = st.randoms(use_true_random=False)


@given(ANY_RUN)
def test_series_are_those_of_the_plain_recomputation(rng: random.Random) -> None:
    run = random_run(rng)
    looks = instants(run)
    series = run_series(run)
    assert series.t_us.tolist() == [look.t for look in looks]
    assert series.dt_us.tolist() == [look.dt for look in looks]
    names = {"auto_movable": "MV", "auto_kernel": "KE"}
    for column in SERIES_COLUMNS[1:]:
        expected = [getattr(look, names.get(column.name, column.name)) for look in looks]
        assert getattr(series, column.name).tolist() == expected, column.name


@given(ANY_RUN)
def test_devices_add_up_to_the_whole(rng: random.Random) -> None:
    run = random_run(rng)
    whole = run_series(run)
    for name in ("plugged", "requested", "not_given"):
        parts = np.zeros(len(whole.t_us), dtype=np.int64)
        for device in range(len(run.device_names)):
            part = device_series(run, device)
            at = np.searchsorted(part.t_us, whole.t_us, side="right") - 1
            parts += getattr(part, name)[at]
        assert parts.tolist() == getattr(whole, name).tolist()


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(IndexError, match="there is no device 9: the run has"):
        device_series(seeded_run(1), 9)


@given(ANY_RUN)
def test_the_zone_map_is_the_plain_one_at_every_instant(rng: random.Random) -> None:
    run = random_run(rng)
    looks = instants(run)
    times = sorted({look.t for look in looks} | {look.t + 1 for look in looks})
    found = zone_map(run, times)
    assert found.states.shape == (len(times), len(found.blocks))
    assert (np.diff(found.blocks) > 0).all()
    for time, row in zip(times, found.states.tolist(), strict=True):
        look = [look for look in looks if look.t <= time][-1]
        shown = {block: state for block, state in zip(found.blocks.tolist(), row, strict=True) if state != ABSENT}
        assert shown == {block: OFFLINE if state == "offline" else state for block, state in look.zones.items()}


def test_a_zone_map_samples_the_whole_run_by_default() -> None:
    run = seeded_run(3)
    found = zone_map(run, samples=50)
    assert found.t_us[0] == 0
    assert found.t_us[-1] == run.duration_us
    assert len(found.t_us) == 50
    assert MIXED in found.states


def test_a_large_dimm_is_one_segment_and_shows_all_its_blocks() -> None:
    run = seeded_run(3, steps=0)
    rows = [(t, kind, 0, 1 << 20, 8192, 3, 0) for t in range(0, 400, 2) for kind in (EventKind.PLUG, EventKind.UNPLUG)]
    events = np.array(rows, dtype=np.int64)
    events[1::2, 0] += 1
    big = replace(run, events=events, duration_us=400)
    found = zone_map(big, [0, 1, 398, 399])
    dimm = found.states[:, found.blocks >= 1 << 20]
    assert [int((row == 3).sum()) for row in dimm] == [8192, 0, 8192, 0]
