"""How far a simulated guest is from a recorded one, and what counts as close: on made-up steps."""

from __future__ import annotations

from math import inf

import pytest

from sim.replay.load_comparison import (
    IDLE_FREE,
    STUCK_AFTER_LOAD,
    STUCK_UNDER_LOAD,
    ZONE_FREE,
    Deviation,
    StepComparison,
    Tolerance,
    TraceComparison,
    worst_first,
)


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
        Deviation(3, "free 0/Normal", 132.0, 100.0, 1.0),
        Deviation(3, "free 0/DMA", 1.0, 1.0, 0.0),
        Deviation(3, "plugged v", 12.0, 16.0, 0.5),
        Deviation(3, "DIMM returned", 1, 1, 0.0),
    ]
    step.load_gone, step.returned = True, (False, True)
    assert step.deviations()[2:] == [
        Deviation(3, "plugged v", 12.0, 16.0, 0.25),
        Deviation(3, "DIMM returned", 0, 1, inf),
    ]


def step(number: int, difference: float, oom: tuple[int, int] = (0, 0)) -> StepComparison:
    return StepComparison(number, free_mib={"0/DMA32": (100.0 + difference, 100.0)}, oom=oom)


def test_nothing_is_compared_from_the_first_out_of_memory_on_but_that_it_comes_in_the_same_step() -> None:
    for oom, excess in (((1, 3), 0.0), ((0, 1), inf), ((2, 0), inf)):
        trace = TraceComparison("r", "6.1", [step(0, 16.0), step(1, 999.0, oom), step(2, 999.0)])
        found = sorted(trace.deviations(), key=lambda d: d.step)
        assert found == [
            Deviation(0, "free 0/DMA32", 116.0, 100.0, 0.5),
            Deviation(1, "out of memory", *oom, excess),
        ]


def test_the_worst_comes_first_then_the_earliest() -> None:
    trace = TraceComparison("r", "6.1", [step(0, 16.0), step(1, -48.0), step(2, 16.0), step(3, 64.0)])
    assert [(d.step, d.excess) for d in trace.deviations()] == [(3, 2.0), (1, 1.5), (0, 0.5), (2, 0.5)]
    assert trace.worst() == Deviation(3, "free 0/DMA32", 164.0, 100.0, 2.0)
    assert TraceComparison("r", "6.1", []).worst() is None


def test_the_table_has_the_worst_recording_first() -> None:
    traces = [
        TraceComparison("good", "6.1", [step(0, 32.0), step(1, 16.0)]),
        TraceComparison("none", "6.1", []),
        TraceComparison("bad", "6.1", [step(0, 32.1), step(1, 64.0), step(2, 0.0)]),
        TraceComparison("also good", "6.1", [step(0, 32.0)]),
        TraceComparison("exact", "6.1", [step(0, 0.0)]),
    ]
    assert [(t.name, w and w.excess, n, outside) for t, w, n, outside in worst_first(traces)] == [
        ("bad", 2.0, 3, 2),
        ("also good", 1.0, 1, 0),
        ("good", 1.0, 2, 0),
        ("exact", 0.0, 1, 0),
        ("none", None, 0, 0),
    ]


def test_a_step_as_json() -> None:
    found = StepComparison(
        7, free_mib={"0/DMA": (1.26, 2.04)}, plugged_mib={"v": (3.0, 4.0)}, kernel_mib=(5.55, 6.0), oom=(1, 2)
    ).to_json()
    assert found == {
        "step": 7,
        "free_mib": {"0/DMA": [1.3, 2.0]},
        "plugged_mib": {"v": [3.0, 4.0]},
        "kernel_mib": [5.5, 6.0],
        "oom": [1, 2],
    }
    assert StepComparison(8).to_json() == {
        "step": 8,
        "free_mib": {},
        "plugged_mib": {},
        "kernel_mib": None,
        "oom": [0, 0],
    }
