"""A map says of every block at every time what the run's own zone map says, and why as the policy said it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sim.experiment.again import check_same, notes_of
from sim.faults import InputError
from sim.kernel.diary import Decided
from sim.memory.zones import OnlineType
from sim.record.blockmap import BlockState, zone_map
from sim.record.recorder import EventKind
from sim.record.series import run_series
from sim.report.memory_map.changes import MOST_MARKS, STAYS
from sim.report.memory_map.encoding import encoded
from sim.results.store import ResultStore
from tests.report.memory_map.decoding import changes_of, states_at, summed, unpacked
from tests.support.made_by_hand import made_by_hand
from tests.support.real_runs import random_experiment, simulated

if TYPE_CHECKING:
    from pathlib import Path

    from sim.record.run_result import RunResult

PLENTY = 10_000_000


def map_of(result: RunResult, notes: Any = (), most: int = PLENTY) -> dict[str, Any]:  # noqa: ANN401  a list of notes
    made = encoded(result, notes, most)
    assert made is not None
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def expected(result: RunResult, t_us: int) -> dict[int, int]:
    zones = zone_map(result, [t_us])
    states = zip(zones.blocks.tolist(), zones.states[0].tolist(), strict=True)
    return {block: state for block, state in states if state != BlockState.ABSENT}


def check_states(result: RunResult, data: dict[str, Any]) -> None:
    ticks = sorted({0, data["end"], *summed(unpacked(data["t"]))})
    for tick in ticks[:: max(1, len(ticks) // 25)]:
        assert states_at(data, tick) == expected(result, (tick + 1) * data["tick"] - 1), tick


def test_a_run_made_by_hand() -> None:
    result = made_by_hand()
    check_states(result, map_of(result))


@pytest.mark.parametrize("seed", range(3))
def test_random_runs(seed: int, tmp_path: Path) -> None:
    store = ResultStore(simulated(random_experiment(seed), tmp_path))
    for labels in store.labels()[:3]:
        result = store.result(labels["cell"])
        notes = notes_of(store, labels["cell"], result)
        data = map_of(result, notes)
        check_states(result, data)
        coarse = encoded(result, notes, len(json.dumps(data)) * 9 // 10)
        if coarse is not None:
            assert coarse["tick"] > data["tick"]
            check_states(result, coarse)
        told = [(block, reason) for _, block, state, _, reason in changes_of(data) if reason and state != STAYS]
        assert bool(told) == any(isinstance(note, Decided) for _, note in notes)
        decisions = {
            (note.block, f"{note.why.reason}") for _, note in notes if isinstance(note, Decided) and not note.put_back
        }
        words = {word.word for word in OnlineType}
        for block, reason in told:
            stripped = reason.partition(": ")[2] if reason.partition(": ")[0] in words else reason
            assert (block, stripped) in decisions or (block, reason) in decisions or "put back" in reason
        refused = result.events[result.events[:, 1] == EventKind.REFUSED][:, 4].sum()
        assert sum(state == STAYS for _, _, state, _, _ in changes_of(data)) == refused
        # What the page adds up to for the ratio is what the series says.
        series, kernel, movable = run_series(result), data["kernel"], data["movable"]
        states = {first + place: zone for first, count, zone, _ in data["boot"] for place in range(count)}
        for _, block, to, _, _ in changes_of(data):
            before, after = states.get(block, -2), (to - 8 if 8 <= to < STAYS else to)
            if to == STAYS:
                continue
            for zone, sign in ((before, -1), (after, 1)):
                if zone == 3:
                    movable += sign * data["block"]
                elif -1 <= zone < 3:
                    kernel += sign * data["block"]
            states[block] = after
        assert (movable, kernel) == (
            int(series.movable[-1]) * result.page_size,
            int(series.kernel[-1]) * result.page_size,
        )


def test_of_very_many_requests_some_are_left_out_and_nothing_grave() -> None:
    rows = tuple((1000 * step, int(EventKind.REQUEST), 0, -1, 0, -1, step) for step in range(5000))
    result = made_by_hand((*rows, (5_000_000, int(EventKind.DEATH), -1, -1, 0, 0, 0)))
    data = map_of(result)
    assert len(unpacked(data["marks"]["why"])) <= MOST_MARKS + 1
    assert unpacked(data["marks"]["grave"])[-1] == 1
    assert data["texts"][unpacked(data["marks"]["why"])[-1]] == "the guest dies"


def test_a_run_that_does_not_fit_has_no_map() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.permutation(4000)
    rows = [(1000 * step, int(EventKind.PLUG), 0, int(block) * 2 + 500, 1, step % 4, 32768)
            for step, block in enumerate(blocks)]  # fmt: skip
    assert encoded(made_by_hand(tuple(rows)), (), 2000) is None


def test_a_run_that_comes_out_otherwise_is_refused(tmp_path: Path) -> None:
    store = ResultStore(simulated(random_experiment(0), tmp_path))
    key = store.labels()[0]["cell"]
    result = store.result(key)
    result.events[-1, 0] += 1
    with pytest.raises(InputError, match="the run is another"):
        notes_of(store, key, result)


def test_blocks_that_are_recorded_one_by_one_are_the_same_run() -> None:
    one = made_by_hand(
        ((5, int(EventKind.PLUG), 0, 100, 3, 2, 3 * 32768), (9, int(EventKind.UNPLUG), 0, 100, 1, 2, 32768))
    )
    apart = made_by_hand(
        (
            *((5, int(EventKind.PLUG), 0, block, 1, 2, 32768) for block in (100, 101, 102)),
            (9, int(EventKind.UNPLUG), 0, 100, 1, 2, 32768),
        )
    )
    check_same(ResultStore("x"), one, apart)
    other = made_by_hand((*((5, int(EventKind.PLUG), 0, block, 1, 3, 32768) for block in (100, 101, 102)),))
    with pytest.raises(InputError):
        check_same(ResultStore("x"), one, other)


def test_a_cell_that_is_not_there_is_not_run_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        notes_of(ResultStore(tmp_path), "no such cell", made_by_hand())
