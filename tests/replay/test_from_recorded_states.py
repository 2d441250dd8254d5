"""Every state of every recorded kernel as a start: what is asked for from then on leads to the recorded zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.replay.kernel_replay import Replay
from sim.replay.trace_format import read_trace
from tests.replay.recorded_states import Hidden, ReplayFrom, recorded_state
from tests.support.places import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from sim.replay.trace_format import Trace

HIDDEN = {
    # A word that user space wrote to an online block, and that the block keeps for the next time.
    "dimm-refused-mixed",
    "f2-a-refused-leftover",
    # Which sub-blocks of a virtio-mem device are plugged.
    "vmem-partial-fill-km",
    "vmem-partial-plug",
    "vmem-partial-unplug",
    # How far a region may be used after a larger request.
    "vmem-usable-grows",
}
"""Recordings in which what nothing shows decides some later block."""


def follow(trace: Trace, starts: set[int], *, knowing: bool) -> None:
    """Start from each of ``starts``, ``knowing`` what is hidden or not, and compare all that follows."""
    run = Replay(trace)
    for at in run.steps():
        state = recorded_state(trace, at) if at in starts else None
        if state is None:
            continue
        report = ReplayFrom(trace, at, state, Hidden.of(run) if knowing else None).run()
        assert report.mismatches == [], f"from step {at}"
        assert report.steps == sum(step.after is not None for step in trace.steps[at + 1 :])


def test_what_follows_a_recorded_state_is_what_was_recorded(our_recording: Path) -> None:
    trace = read_trace(our_recording)
    last = len(trace.steps) - 1
    if not trace.load:  # what a guest under load holds is no part of a state
        follow(trace, {0, last // 2, last}, knowing=trace.name in HIDDEN)


@pytest.mark.slow
def test_every_step_of_every_recording_is_a_start(recording: Path) -> None:
    trace = read_trace(recording)
    if not trace.load:
        follow(trace, set(range(len(trace.steps))), knowing=True)


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_what_is_hidden_is_needed_where_it_is_said_to_be(name: str) -> None:
    """Without it, some start of each of these recordings leads elsewhere: the list has none that could be left out."""
    (path,) = DATA.glob(f"kernel-traces*/{name}.json")
    trace = read_trace(path)
    states = [(at, state) for at in range(len(trace.steps)) if (state := recorded_state(trace, at)) is not None]
    assert any(ReplayFrom(trace, at, state).run().mismatches for at, state in states)
