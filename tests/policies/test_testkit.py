"""The test kit for policies: every policy that is installed passes it, and each breach of the contract is found."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch2, AutoMovablePatch8
from policies.contig_zones import ContigZones
from policies.contract import Explanation, Policy, UserSpaceRule, UserSpaceRules
from policies.fixed import OnlineKernel, OnlineMovable
from policies.testkit import PolicyCheckError, check_policy
from policies.udev import Udev
from sim.memory.zones import LEAVE_OFFLINE, ZONE_MOVABLE, ZONE_NORMAL, OnlineType, ZoneType
from sim.plugins.lookup import POLICY, find, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView


class LeavesSome(AutoMovable):
    """Leaves every third block offline, and decides the others as auto-movable does."""

    name = "leaves-some"

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        if request.first_page // request.pages % 3 == 0:
            if request.why is not None:
                request.why("every third block")
            return LEAVE_OFFLINE
        return super().zone_for(request, memory)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return None


class LeavesSomeInRuns(Policy):
    """Leaves every third block offline, the others go to ZONE_MOVABLE; says so for whole runs."""

    name = "leaves-some-in-runs"
    summary = "every third block stays offline"

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return LEAVE_OFFLINE if request.first_page // request.pages % 3 == 0 else ZONE_MOVABLE

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        first = request.first_page // request.pages
        return [(1, LEAVE_OFFLINE if block % 3 == 0 else ZONE_MOVABLE) for block in range(first, first + count)]


class ForgetsInRuns(LeavesSomeInRuns):
    """Forgets in runs what it says of single blocks."""

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return [(count, ZONE_MOVABLE)]


VARIANTS: dict[str, Callable[[], Policy]] = {
    "auto-movable, ratio 0": lambda: AutoMovable(ratio=0),
    "auto-movable, ratio 1": lambda: AutoMovable(ratio=1),
    "auto-movable, ratio 100": lambda: AutoMovable(ratio=100),
    "auto-movable, ratio 1000, not numa-aware": lambda: AutoMovable(ratio=1000, numa_aware=False),
    "auto-movable, a ratio beyond 31 bits": lambda: AutoMovable(ratio=2**32 - 1),
    "patch 2, ratio 100, not numa-aware": lambda: AutoMovablePatch2(ratio=100, numa_aware=False),
    "patch 8, ratio 100, not numa-aware": lambda: AutoMovablePatch8(ratio=100, numa_aware=False),
    "contig-zones with movable_node": lambda: ContigZones(movable_node=True),
    "leaves some blocks offline": LeavesSome,
    "leaves some blocks offline, in runs": LeavesSomeInRuns,
    "udev, online_movable": lambda: Udev(state="online_movable"),
    "udev, online_kernel": lambda: Udev(state="online_kernel"),
}


def is_ready_made(name: str) -> bool:
    """Whether the policy needs no parameter."""
    try:
        find(POLICY, name).cls()
    except TypeError:
        return False
    return True


READY_MADE = [name for name in names(POLICY) if is_ready_made(name)]
MACHINES = 10
"""For each policy, from a seed of its own: what all machines together reach, ``test_testkit_machines`` says."""


@pytest.mark.parametrize(("seed", "name"), list(enumerate(READY_MADE)), ids=READY_MADE)
def test_every_installed_policy_keeps_its_contract(seed: int, name: str) -> None:
    report = check_policy(find(POLICY, name).cls, seed=seed, machines=MACHINES)
    assert report.machines == MACHINES
    assert report.decisions > 1_500


@pytest.mark.parametrize(("seed", "variant"), list(enumerate(VARIANTS, start=100)), ids=list(VARIANTS))
def test_policies_with_other_parameters_keep_it_too(seed: int, variant: str) -> None:
    report = check_policy(VARIANTS[variant], seed=seed, machines=MACHINES)
    assert report.decisions > 1_500


def test_the_machines_show_both_kinds_of_zone_and_whole_runs() -> None:
    report = check_policy(AutoMovable)
    assert report.machines == 40
    assert report.decisions > 5_000
    assert report.runs > 500
    assert report.zones[ZONE_MOVABLE] > 1_000
    assert report.zones[ZONE_NORMAL] > 1_000
    low = check_policy(OnlineKernel, machines=MACHINES).zones[1]
    assert low > 10, "blocks in the hole below 4 GiB, and boot blocks that come back, become DMA32"


def test_a_policy_that_leaves_blocks_offline_is_asked_on_and_held_to_it() -> None:
    report = check_policy(LeavesSome, machines=MACHINES)
    assert report.zones[LEAVE_OFFLINE] > 500
    assert min(report.zones[ZONE_MOVABLE], report.zones[ZONE_NORMAL]) > 100
    assert check_policy(LeavesSomeInRuns, machines=MACHINES).runs > 100
    with pytest.raises(PolicyCheckError, match="in Movable; asked block by block the policy puts it in offline"):
        check_policy(ForgetsInRuns)


def test_one_machine_alone_and_an_instance_left_alone() -> None:
    policy = AutoMovable(ratio=150)
    report = check_policy(policy, only=7, changes=10)
    assert (report.machines, policy.ratio) == (1, 150)
    assert check_policy(policy, only=7, changes=10) == report


@pytest.mark.parametrize("thing", [None, 7, "auto-movable", dict, list], ids=str)
def test_what_is_no_policy(thing: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"is no Policy|neither a Policy nor something"):
        check_policy(thing)


# Breaches ----


class Good(OnlineMovable):
    """A policy without fault; the breaches below change one thing each."""

    name = "mine"
    summary = "a policy of somebody else"
    auto_online = OnlineType.ONLINE


class ForgetsToReturn(Good):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        memory.default_kernel_zone(request.node, request.first_page, request.pages)
        return None  # type: ignore[return-value]


class AnswersWithNumPy(Good):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return np.int64(3)  # type: ignore[return-value]


class Raises(Good):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return 3 // len([zone for zone in memory.zones_present(request.node) if zone > 10**9])


class Throws(Good):
    """Throws dice."""

    def __init__(self) -> None:
        self.dice = random.Random()  # noqa: S311

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return self.dice.choice((2, 3))


class Alternates(Good):
    def __init__(self) -> None:
        self.last = 2

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        self.last = 5 - self.last
        return self.last


MADE: list[int] = []


class RemembersOtherRuns(Good):
    """Every second one that is made prefers the kernel zone."""

    def __init__(self) -> None:
        MADE.append(1)
        self.zone = 2 + len(MADE) % 2

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return self.zone

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return None

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return Explanation(ZoneType(self.zone), "as I was made", {})


class ExplainsAnotherZone(Good):
    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return Explanation(ZoneType.NORMAL, "for no reason", {})


class ExplainsNothing(Good):
    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return ZoneType.MOVABLE  # type: ignore[return-value]


class ExplainsAtLength(Good):
    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return Explanation(ZoneType.MOVABLE, "first\nsecond", {})


class ExplainsWithANumber(Good):
    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return Explanation(3, "a number is no ZoneType", {})  # type: ignore[arg-type]


class DecidesTooMuchAtOnce(AutoMovable):
    """Takes the first block's zone for a whole run, also where every block counts by itself."""

    name = "mine"

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return [(count, self.zone_for(request, memory))]


class DecidesTooFew(Good):
    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return [(count // 2, 3)]


class SetsMemory(Good):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        memory.system.movable += 1  # type: ignore[misc]
        return 3


class ChangesMemory(Good):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        vars(memory.system)["movable"] += 1
        return 3


class ChangesAGroup(Good):
    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        if request.group is not None:
            vars(request.group).update(kernel=0, movable=-1)
        return super().explain(request, memory)


class ChangesItsRequest(Good):
    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        request.first_page += request.pages
        return None


class FailsInAHook(Good):
    def on_offline(self, node: int, zone: int, pages: int) -> None:
        raise KeyError(node)


class FailsUnderPressure(Good):
    def on_pressure(self, node: int, kernel_headroom: int) -> None:
        raise ValueError(f"{kernel_headroom} is little")


class CountsOnAGuest(Good):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return 3 if memory.kernel_headroom(None) > 0 else 2  # type: ignore[misc]


class HasNoSummary(Good):
    summary = ""


class HasAWordOfItsOwn(Good):
    auto_online = "online"  # type: ignore[assignment]


class HasAnOddRule(Good):
    user_space = UserSpaceRules((UserSpaceRule(OnlineType.ONLINE, -5),))


class HasAnOddRatio(Good):
    @property
    def configured_ratio(self) -> int | None:
        return 3.01  # type: ignore[return-value]


BREACHES: dict[type[Policy], str] = {
    ForgetsToReturn: "answered None for block",
    AnswersWithNumPy: r"answered np.int64\(3\) for block",
    Raises: "zone_for raised ZeroDivisionError",
    # Dice contradict themselves or the explanation, whichever comes first.
    Throws: r"zone_for (said \w+ and then \w+ of the same|chose \w+ for) block",
    Alternates: "zone_for said Movable and then Normal of the same block",
    RemembersOtherRuns: "when everything was done a second time",
    ExplainsAnotherZone: "zone_for chose Movable for block .* and explain <ZoneType.NORMAL: 2>",
    ExplainsNothing: "explained block .* by <ZoneType.MOVABLE: 3>, which is no Explanation",
    ExplainsAtLength: "the reason for block .* must be one line of text",
    ExplainsWithANumber: "zone_for chose Movable for block .* and explain 3",
    DecidesTooMuchAtOnce: "zones_for_run put block .* in Movable; asked block by block the policy puts it in Normal",
    DecidesTooFew: "runs of .blocks, zone. that cover them",
    SetsMemory: "zone_for raised AttributeError: movable may be looked at, and not set",
    ChangesMemory: "zone_for changed memory",
    ChangesAGroup: "explain changed memory",
    ChangesItsRequest: "zones_for_run changed its request",
    FailsInAHook: "on_offline raised KeyError",
    FailsUnderPressure: "on_pressure raised ValueError: .* is little",
    CountsOnAGuest: "zone_for raised TypeError: 'NoneType' object is not callable",
    HasNoSummary: "summary must be one line of text, but is ''",
    HasAWordOfItsOwn: "auto_online must be an OnlineType, but is 'online'",
    HasAnOddRule: "user_space must be None or UserSpaceRules",
    HasAnOddRatio: "configured_ratio must be None or a percentage, but is 3.01",
}


def test_the_policy_that_the_breaches_start_from_is_good() -> None:
    assert check_policy(Good, machines=MACHINES).zones.keys() == {ZONE_MOVABLE}


@pytest.mark.parametrize("policy", BREACHES, ids=lambda policy: policy.__name__)
def test_each_breach_is_found(policy: type[Policy]) -> None:
    with pytest.raises(PolicyCheckError, match=f"^policy 'mine'.*: .*{BREACHES[policy]}"):
        check_policy(policy)


def test_a_breach_comes_back_on_the_machine_that_it_names() -> None:
    with pytest.raises(PolicyCheckError) as first:
        check_policy(DecidesTooMuchAtOnce, seed=3)
    text = str(first.value)
    number = int(text.split("only=")[1].split(")", maxsplit=1)[0])
    assert f"see it again with check_policy(..., seed=3, only={number})" in text
    with pytest.raises(PolicyCheckError) as second:
        check_policy(DecidesTooMuchAtOnce, seed=3, only=number)
    assert str(second.value) == text
