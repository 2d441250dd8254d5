"""How far a simulated guest is from a recorded one, and what counts as close: on made-up steps."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from sim.replay.load_comparison import (
    IDLE_FREE,
    STUCK_AFTER_LOAD,
    STUCK_UNDER_LOAD,
    ZONE_FREE,
    Deviation,
    Kind,
    StepComparison,
    Tolerance,
    TraceComparison,
)
from sim.replay.load_summary import FITTED, every_second_of_a_kind, summary, total, worst_first

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("simulated", "recorded", "excess"),
    [
        (100.0, 100.0, 0.0),
        (116.0, 100.0, 1.0),  # 16 MiB
        (84.0, 100.0, 1.0),
        (1050.0, 1000.0, 0.5),  # 10 % of 1,000 is more than 16
        (1000.0, 1050.0, 50 / 105),
        (0.0, 0.0, 0.0),
        (8.0, 0.0, 0.5),
    ],
)
def test_a_difference_is_a_share_of_the_recorded_value_or_mib(simulated: float, recorded: float, excess: float) -> None:
    assert Tolerance(0.10, 16.0).excess((simulated, recorded)) == excess


def test_what_is_tolerated() -> None:
    """As docs/guest-model.md says it."""
    assert Tolerance(0.01, 16.0) == IDLE_FREE
    assert Tolerance(0.10, 32.0) == ZONE_FREE
    assert Tolerance(0.15, 8.0) == STUCK_UNDER_LOAD
    assert Tolerance(0.35, 16.0) == STUCK_AFTER_LOAD


def test_a_step_is_compared_by_zone_device_and_return() -> None:
    step = StepComparison(
        3,
        "shrink",
        free_mib={"0/Normal": (132.0, 100.0), "0/DMA": (1.0, 1.0)},
        plugged_mib={"v": (12.0, 16.0)},
        kernel_mib=(900.0, 1.0),  # told, not judged
        mem_free_mib=(900.0, 1.0),
        returned=(True, True),
    )
    assert step.deviations() == [
        Deviation(3, Kind.FREE, "free 0/Normal", 132.0, 100.0, 1.0),
        Deviation(3, Kind.FREE, "free 0/DMA", 1.0, 1.0, 0.0),
        Deviation(3, Kind.PLUGGED, "plugged v", 12.0, 16.0, 0.5),
        Deviation(3, Kind.PLUGGED, "DIMM returned", 1, 1, 0.0),
    ]
    step.load_gone, step.returned = True, (False, True)
    assert step.deviations()[2:] == [
        Deviation(3, Kind.PLUGGED, "plugged v", 12.0, 16.0, 0.25),
        Deviation(3, Kind.PLUGGED, "DIMM returned", 0, 1, inf),
    ]


def step(number: int, difference: float, oom: tuple[int, int] = (0, 0), *, tie: bool = False) -> StepComparison:
    return StepComparison(number, free_mib={"0/DMA32": (100.0 + difference, 100.0)}, oom=oom, tie=tie)


def in_order(trace: TraceComparison) -> list[Deviation]:
    return sorted(trace.deviations(), key=lambda d: (d.step, d.what))


def test_whether_memory_ran_out_is_compared_in_each_step_and_all_figures_after_it() -> None:
    for oom, excess in (((1, 3), 0.0), ((0, 1), inf), ((2, 0), inf)):
        trace = TraceComparison("r", "6.1", [step(0, 16.0), step(1, 32.0, oom), step(2, 64.0)])
        assert trace.compared_steps == 3
        assert in_order(trace) == [
            Deviation(0, Kind.FREE, "free 0/DMA32", 116.0, 100.0, 0.5),
            Deviation(1, Kind.FREE, "free 0/DMA32", 132.0, 100.0, 1.0),
            Deviation(1, Kind.OOM, "out of memory", *oom, excess),
            Deviation(2, Kind.FREE, "free 0/DMA32", 164.0, 100.0, 2.0),
        ]


def test_of_a_tie_only_the_kill_itself_is_compared_and_nothing_after_it() -> None:
    steps = [step(0, 16.0), step(1, 999.0, (1, 0), tie=True), step(2, 999.0), step(3, 0.0, (0, 9))]
    trace = TraceComparison("r", "6.1", steps, recorded_steps=6)
    assert (trace.compared_steps, trace.steps_after_tie) == (2, 4)
    assert in_order(trace) == [
        Deviation(0, Kind.FREE, "free 0/DMA32", 116.0, 100.0, 0.5),
        Deviation(1, Kind.OOM, "out of memory", 1, 0, inf),
    ]


def test_a_guest_that_dies_too_early_is_off_in_all_steps_that_it_does_not_see() -> None:
    died = StepComparison(1, oom=(1, 0), died=(True, False))
    trace = TraceComparison("r", "6.1", [step(0, 0.0), died], recorded_steps=4)
    found = summary(trace)
    assert trace.compared_steps == 4
    assert found.off == found.off_by_kind[Kind.OOM] == {1, 2, 3}
    assert found.off_by_kind[Kind.FREE] == set()
    both = TraceComparison("r", "6.1", [step(0, 0.0), StepComparison(1, oom=(1, 1), died=(True, True))], 2)
    assert summary(both).off == set()
    survives = TraceComparison("r", "6.1", [step(0, 0.0), StepComparison(1, oom=(1, 1), died=(False, True))], 2)
    assert summary(survives).off_by_kind == {Kind.FREE: set(), Kind.PLUGGED: set(), Kind.OOM: {1}}


def test_the_worst_comes_first_then_the_earliest() -> None:
    trace = TraceComparison("r", "6.1", [step(0, 16.0), step(1, -48.0), step(2, 16.0), step(3, 64.0)])
    assert [(d.step, d.excess) for d in trace.deviations()] == [(3, 2.0), (1, 1.5), (0, 0.5), (2, 0.5)]
    assert trace.worst() == Deviation(3, Kind.FREE, "free 0/DMA32", 164.0, 100.0, 2.0)
    assert TraceComparison("r", "6.1", []).worst() is None


def test_the_table_has_the_worst_recording_first() -> None:
    traces = [
        TraceComparison("good", "6.1", [step(0, 32.0), step(1, 16.0)]),
        TraceComparison("none", "6.1", []),
        TraceComparison("bad", "6.1", [step(0, 32.1), step(1, 64.0), step(2, 0.0)]),
        TraceComparison("also good", "6.1", [step(0, 32.0)]),
        TraceComparison("exact", "6.1", [step(0, 0.0)]),
    ]
    assert [
        (row.trace.name, row.worst and row.worst.excess, row.compared, set(row.off)) for row in worst_first(traces)
    ] == [
        ("bad", 2.0, 3, {0, 1}),
        ("also good", 1.0, 1, set()),
        ("good", 1.0, 2, set()),
        ("exact", 0.0, 1, set()),
        ("none", None, 0, set()),
    ]


def test_a_step_is_off_once_however_many_of_its_figures_are() -> None:
    off = StepComparison(1, free_mib={"0/DMA32": (0.0, 100.0), "0/Normal": (0.0, 100.0)}, plugged_mib={"v": (0.0, 9.0)})
    found = total(
        map(
            summary,
            (TraceComparison("r", "6.1", [step(0, 0.0), off, step(2, 33.0)]), TraceComparison("s", "6.1", [off])),
        )
    )
    assert (found.recordings, found.compared, found.off) == (2, 4, 3)
    assert found.off_by_kind == {Kind.FREE: 3, Kind.PLUGGED: 2, Kind.OOM: 0}


@pytest.mark.parametrize(
    ("free", "plugged", "oom", "accepted"),
    [(2, 1, 1, True), (3, 0, 0, False), (0, 2, 0, False), (0, 0, 2, False)],
)
def test_of_a_hundred_steps_two_may_be_off_in_free_memory_and_one_in_each_of_the_others(
    free: int, plugged: int, oom: int, *, accepted: bool
) -> None:
    steps = [
        StepComparison(
            number,
            free_mib={"0/DMA32": (0.0, 99.0 * (number < free))},
            plugged_mib={"v": (0.0, 99.0 * (number < plugged))},
            oom=(0, int(number < oom)),
        )
        for number in range(100)
    ]
    assert total([summary(TraceComparison("r", "6.1", steps))]).accepted is accepted


def test_every_second_recording_of_a_kind_is_fitted(shared_dir: Path) -> None:
    assert every_second_of_a_kind(["b-2", "a-9", "b-10", "a", "b-1-x", "a-1"]) == {"a", "a-9", "b-1-x", "b-2"}
    given = [*shared_dir.glob("kernel-traces*/guest-load/*.json")]
    assert every_second_of_a_kind(path.stem for path in given) == FITTED


def test_a_step_as_json() -> None:
    found = StepComparison(
        7,
        free_mib={"0/DMA": (1.26, 2.04)},
        plugged_mib={"v": (3.0, 4.0)},
        kernel_mib=(5.55, 6.0),
        moved_mib=(0.0, 7.77),
        oom=(1, 2),
        tie=True,
    ).to_json()
    assert found == {
        "step": 7,
        "free_mib": {"0/DMA": [1.3, 2.0]},
        "plugged_mib": {"v": [3.0, 4.0]},
        "kernel_mib": [5.5, 6.0],
        "moved_mib": [0.0, 7.8],
        "oom": [1, 2],
        "tie": True,
    }
    assert StepComparison(8).to_json() == {
        "step": 8,
        "free_mib": {},
        "plugged_mib": {},
        "kernel_mib": None,
        "moved_mib": None,
        "oom": [0, 0],
        "tie": False,
    }
