from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.clairvoyant import Clairvoyant
from policies.fixed import OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.testkit import check_policy
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE
from sim.record.device_group import GroupKind
from sim.record.recorder import EventKind
from sim.record.series import run_series
from sim.scores.measured import integral
from sim.scores.registry import compute_scores
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.policies.scripted import BLOCK, Script, Told, play, plugged_zones
from workloads.guest_load import GuestLoad
from workloads.parts.together import Together
from workloads.reactive_growth import ReactiveGrowth

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.record.run_result import RunResult


def worth(result: RunResult) -> tuple[bool, int]:
    """Whether the kernel never lacked memory, and the page-microseconds of hotplugged MOVABLE memory."""
    scores = compute_scores(result)
    series = run_series(result)
    held = scores["kernel_ooms"] == 0 and scores["failed_adds"] == 0
    return held, integral(series.hotplugged_movable, series.dt_us)


def wholes(result: RunResult) -> list[set[int]]:
    """The blocks that are decided together: those of a DIMM, and each one of virtio-mem."""
    found: list[set[int]] = []
    for _, kind, device, block, count, _, _ in result.events.tolist():
        if kind == EventKind.PLUG and device >= 0:
            blocks = range(block, block + count)
            static = result.device_groups[device].kind is GroupKind.STATIC
            found += [set(blocks)] if static else [{one} for one in blocks]
    return found


def check_against_all_assignments(script: Script) -> None:
    clairvoyant = worth(play(Clairvoyant(), script))
    parts = wholes(play(OnlineKernel(), script))
    assert len(parts) <= 8
    best = -1
    for kinds in itertools.product((False, True), repeat=len(parts)):
        kernel = set().union(*(part for part, is_kernel in zip(parts, kinds, strict=True) if is_kernel))
        held, movable = worth(play(Told(kernel), script))
        if held:
            best = max(best, movable)
    if best >= 0:
        assert clairvoyant == (True, best)


VIRTIO = [(0.0, "virtio-mem", "v", GIB), *((5.0 + 10 * n, "resize", "v", (n + 1) * BLOCK) for n in range(8))]


@settings(max_examples=8, deadline=None)
@given(
    blocks=st.integers(3, 6),
    demands=st.lists(st.tuples(st.integers(1, 75), st.integers(1, 14)), min_size=1, max_size=4),
    goes=st.booleans(),
)
@example(blocks=8, demands=[(59, 6), (64, 8), (15, 1)], goes=False)  # something else happens in a sample's instant
def test_no_zones_of_a_growing_device_are_better(
    blocks: int, demands: list[tuple[int, int]], goes: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """The device grows by ``blocks``, kernel memory by up to four pieces; perhaps the first one goes again."""
    loads = [(float(t) + 0.5, "page-tables", f"l{n}", size * 100 * MIB) for n, (t, size) in enumerate(demands)]
    gone = [(96.0, "page-tables", "l0", 0)] if goes else []
    check_against_all_assignments(Script([*VIRTIO[: 1 + blocks], *loads, *gone]))


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 45), st.integers(1, 4)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(5, 90), st.integers(1, 14)), min_size=1, max_size=3),
)
def test_no_zones_of_dimms_that_come_and_go_are_better(
    dimms: list[tuple[int, int, int]], demands: list[tuple[int, int]]
) -> None:
    steps = []
    for n, (begin, length, blocks) in enumerate(dimms):
        steps.append((float(begin), "dimm", f"d{n}", blocks * BLOCK))
        # Nothing is asked back while kernel memory lies in it: what could not go would stay and change the question.
        steps.append((95.0 + length / 100, "unplug", f"d{n}", 0))
    for n, (t, size) in enumerate(demands):
        steps.append((t + 0.5, "page-tables", f"l{n}", size * 100 * MIB))
        steps.append((94.0, "page-tables", f"l{n}", 0))
    check_against_all_assignments(Script(steps))


def test_it_keeps_kernel_memory_only_for_what_is_to_come() -> None:
    script = Script([*VIRTIO, (50.0, "page-tables", "tables", 1000 * MIB)])
    movable = compute_scores(play(OnlineMovable(), script))
    kernel = compute_scores(play(OnlineKernel(), script))
    scores = compute_scores(play(Clairvoyant(), script))
    assert movable["kernel_ooms"] == 1
    assert kernel["kernel_ooms"] == scores["kernel_ooms"] == 0
    assert scores["movable_share_mean"] > 70 > kernel["movable_share_mean"] == 0
    assert scores["headroom_min"] < BLOCK < kernel["headroom_min"]


def test_it_keeps_to_the_contract_of_policies() -> None:
    assert check_policy(Clairvoyant, machines=10).decisions > 1_000


def test_without_a_guest_everything_is_movable() -> None:
    result = play(Clairvoyant(), Script([(1.0, "dimm", "d", GIB)]), guest=False)
    assert set(plugged_zones(result)) == {ZONE_MOVABLE}


def test_the_same_run_gives_the_same_bytes() -> None:
    script = Script([*VIRTIO, (50.0, "page-tables", "tables", 1000 * MIB)])
    first, second = play(Clairvoyant(), script), play(Clairvoyant(), script)
    assert np.array_equal(first.events, second.events)


def test_where_no_zones_suffice_it_fails_no_more_often_than_all_kernel_memory() -> None:
    script = Script([(0.0, "dimm", "d", 2 * BLOCK), (5.0, "page-tables", "tables", 3 * GIB)])
    assert compute_scores(play(Clairvoyant(), script))["kernel_ooms"] == 1


def test_where_what_comes_depends_on_the_zones_it_is_still_no_worse_than_simple_policies() -> None:
    """A host that reacts to MemAvailable asks for other sizes at other times under every policy."""

    def outcome(policy: Policy) -> tuple[bool, float]:
        memory = ReactiveGrowth(threshold=512 * MIB, step=256 * MIB, maximum=8 * GIB, duration=600.0)
        load = GuestLoad(shape="bursts", size=4 * GIB, rate=100 * MIB, kernel_share=0.25, burst_gap=40.0, tick=1.0)
        both = Together(parts=[memory, load], names=["memory", "load"])
        result = simulate(MachineSpec((NodeSpec(GIB),)), policy, both, Streams(3, 0), guest=GuestSpec())
        scores = compute_scores(result)
        return scores["kernel_ooms"] + scores["failed_adds"] == 0, scores["movable_share_mean"]

    clairvoyant = outcome(Clairvoyant())
    assert clairvoyant[0]
    assert clairvoyant >= max(outcome(Headroom()), outcome(OnlineKernel()))


def test_it_needs_some_rehearsals() -> None:
    with pytest.raises(ValueError, match=r"^rehearsals: must be at least 10, but is 9$"):
        Clairvoyant(rehearsals=9)
