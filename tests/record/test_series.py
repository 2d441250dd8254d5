from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.record.blockmap import BlockState, zone_map
from sim.record.recorder import EventKind
from sim.record.series import SERIES_COLUMNS, device_series, run_series
from tests.plain.instants import instants
from tests.support.made_by_hand import made_by_hand
from tests.support.plain_run import plain_run
from tests.support.reach import Reach
from tests.support.synthetic import SEEDS, seeded_run

if TYPE_CHECKING:
    from sim.record.run_result import RunResult

ANY_RUN = pytest.mark.parametrize("seed", SEEDS)


@ANY_RUN
def test_series_are_those_of_the_plain_recomputation(seed: int) -> None:
    run = seeded_run(seed)
    looks = instants(plain_run(run))
    series = run_series(run)
    assert series.t_us.tolist() == [look.t for look in looks]
    assert series.dt_us.tolist() == [look.dt for look in looks]
    names = {"auto_movable": "MV", "auto_kernel": "KE"}
    for column in SERIES_COLUMNS[1:]:
        expected = [getattr(look, names.get(column.name, column.name)) for look in looks]
        assert getattr(series, column.name).tolist() == expected, column.name


def test_the_made_up_runs_reach_every_kind_of_event() -> None:
    """And what they do to the devices: asked for less than they have, again, and gone with a wish unfulfilled."""
    reach = Reach({kind.name: 100 for kind in EventKind} | {"DEATH": 20} | dict.fromkeys(WISHES, 20))
    for seed in SEEDS:
        run = seeded_run(seed)
        plugged, asked = Counter[int](), dict[int, int]()
        for _, number, device, _, count, _, pages in run.events.tolist():
            kind = EventKind(number)
            reach(kind.name)
            reach("a run of blocks", count > 1)
            if kind == EventKind.REQUEST:
                reach("asked for less than is there", pages < plugged[device])
                reach("asked for more than is there", pages > plugged[device])
                reach("asked for the same again", asked.get(device) == pages)
                asked[device] = pages
            elif kind == EventKind.DEVICE and count == 0:
                reach("gone while asked for less", asked.get(device, plugged[device]) < plugged[device])
            plugged[device] += {**dict.fromkeys(PLUGS, 1), **dict.fromkeys(UNPLUGS, -1)}.get(kind, 0) * pages
        reach("boot memory goes offline", any(row[1:3] == [EventKind.OFFLINE, -1] for row in run.events.tolist()))
        times = run.events[:, 0].tolist()
        reach("several events of one instant", len(set(times)) < len(times))
        reach("a guest", bool(run.guest))
        reach("no guest", not run.guest)
    reach.check()


WISHES = (
    "a run of blocks",
    "asked for less than is there",
    "asked for more than is there",
    "asked for the same again",
    "gone while asked for less",
    "boot memory goes offline",
    "several events of one instant",
    "a guest",
    "no guest",
)

PLUGS = (EventKind.PLUG, EventKind.ADD, EventKind.SUBPLUG)
UNPLUGS = (EventKind.UNPLUG, EventKind.REMOVE, EventKind.SUBUNPLUG)


def device_steps(run: RunResult, device: int) -> list[list[int]]:
    """Return the steps (time, plugged, requested, not given) of one device, row by row, one for each instant."""
    plugged, asked, steps = 0, None, {0: [0, 0, 0, 0]}
    for t, kind, which, _, count, _, pages in run.events.tolist():
        if which != device:
            continue
        if kind in PLUGS:
            plugged += pages
        elif kind in UNPLUGS:
            plugged -= pages
        elif kind == EventKind.REQUEST:
            asked = pages
        elif kind == EventKind.DEVICE and count == 0:
            asked = 0
        steps[t] = [t, plugged, asked or 0, 0 if asked is None else max(0, plugged - asked)]
    return list(steps.values())


@ANY_RUN
def test_the_series_of_each_device_are_those_of_a_walk_over_its_rows(seed: int) -> None:
    run = seeded_run(seed)
    for device in range(len(run.device_names)):
        found = device_series(run, device)
        columns = (found.t_us, found.plugged, found.requested, found.not_given)
        assert [list(step) for step in zip(*(column.tolist() for column in columns), strict=True)] == device_steps(
            run, device
        )


def test_a_device_that_is_not_there_is_named() -> None:
    for device in (5, 9, -1):
        with pytest.raises(IndexError, match=f"there is no device {device}: the run has 5"):
            device_series(made_by_hand(), device)
    assert device_series(made_by_hand(), 4).requested.tolist() == [0, 2000, 2000, 0]


@ANY_RUN
def test_the_zone_map_is_the_plain_one_at_every_instant(seed: int) -> None:
    run = seeded_run(seed)
    looks = instants(plain_run(run))
    times = sorted({look.t for look in looks} | {look.t + 1 for look in looks})
    found = zone_map(run, times)
    assert found.states.shape == (len(times), len(found.blocks))
    assert (np.diff(found.blocks) > 0).all()
    for time, row in zip(times, found.states.tolist(), strict=True):
        look = [look for look in looks if look.t <= time][-1]
        absent, offline = BlockState.ABSENT, BlockState.OFFLINE
        shown = {block: state for block, state in zip(found.blocks.tolist(), row, strict=True) if state != absent}
        assert shown == {block: offline if state == "offline" else state for block, state in look.zones.items()}


def test_a_zone_map_shows_every_block_as_it_is_after_the_events_of_a_time() -> None:
    """A letter a block: kernel zones by number, ``?`` of several, M MOVABLE, ``-`` offline, ``.`` not there."""
    seconds = (0, 9, 10, 20, 40, 69, 70, 75, 79, 80, 100)
    found = zone_map(made_by_hand(), [second * 1_000_000 for second in seconds])
    blocks = [*range(12), 14, 15, *range(20, 28), *range(30, 34), *range(40, 45), 46, 48, 49, 52, 53, 60, 61, 62]
    assert found.blocks.tolist() == blocks
    letters = {BlockState.ABSENT: ".", BlockState.SEVERAL_ZONES: "?", BlockState.OFFLINE: "-", 1: "1", 2: "2", 3: "M"}
    shown = ["".join(letters[state] for state in row) for row in found.states.tolist()]
    assert shown == [row.replace(" ", "") for row in (
        # 0 to 11    14 20 to 27 30   40    46 48 52 60
        "?11111112222 MM ........ .... ..... . .. .. ...",
        "?11111112222 MM ........ .... ..... . .. .. ...",
        "?1111111---2 MM MMMM---- .... ..... . .. .. ...",
        "?1111111---2 MM MMMM22-- .... ..... . .. .. ...",
        "?111111122-2 MM MMMM22-- 222M MMM22 M M2 .. MM2",
        "?111111122-2 MM MMMM22-- 222M ...22 M .. .. M..",
        "?111111122M2 MM --MM22-- 222M ...22 M .. .. M..",
        "?111111122-2 MM ....22-- 222M ...22 M .. .. M..",
        "?111111122-2 MM ....22-- 222M ...22 M .. .. M..",
        "?111111122-2 MM ....22-- 222. ...22 M .. .. M..",
        "?111111122-2 MM ....22-- 222. ...22 M .. .. M..",
    )]  # fmt: skip


def test_a_zone_map_samples_the_whole_run_in_even_steps_by_default() -> None:
    assert zone_map(made_by_hand(), samples=5).t_us.tolist() == [0, 25_000_000, 50_000_000, 75_000_000, 100_000_000]
    assert len(zone_map(made_by_hand()).t_us) == 400
    run = seeded_run(3)
    assert zone_map(run).t_us[[0, -1]].tolist() == [0, run.duration_us]
    assert BlockState.SEVERAL_ZONES in zone_map(run).states


def test_a_large_dimm_is_one_segment_and_shows_all_its_blocks() -> None:
    run = seeded_run(3, steps=0)
    rows = [(t, kind, 0, 1 << 20, 8192, 3, 0) for t in range(0, 400, 2) for kind in (EventKind.PLUG, EventKind.UNPLUG)]
    events = np.array(rows, dtype=np.int64)
    events[1::2, 0] += 1
    big = replace(run, events=events, duration_us=400)
    found = zone_map(big, [0, 1, 398, 399])
    dimm = found.states[:, found.blocks >= 1 << 20]
    assert [int((row == 3).sum()) for row in dimm] == [8192, 0, 8192, 0]
