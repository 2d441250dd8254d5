"""The policy that says what a kernel's command line says: words for new blocks, and another policy's decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.kernel import Kernel
from policies.testkit.machines import RandomMachine, seeded
from sim.devices.specs import DimmSpec
from sim.memory.zones import OnlineType, ZoneType
from sim.plugins.parameters import ParameterError
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.support.cells import Script, rows, run

if TYPE_CHECKING:
    from policies.contract import Policy

CASES: list[tuple[Kernel, Policy]] = [
    (Kernel(default_state="online"), ContigZones()),
    (Kernel(), ContigZones()),
    (Kernel(online_policy="auto-movable"), AutoMovable()),
    (
        Kernel(online_policy="auto-movable", auto_movable_ratio=401, auto_movable_numa_aware=False),
        AutoMovable(ratio=401, numa_aware=False),
    ),
]


class Asking(RandomMachine):
    """Asks the kernel and the policy that it was told to use about every block and run that goes online."""

    def __init__(self, seed: int, kernel: Policy, policy: Policy) -> None:
        super().__init__(seeded(seed, 0))
        self._kernel, self._policy = kernel, policy
        self.zones: list[int] = []
        self.runs = 0

    def _decide(self, block: int) -> int:
        said = self._kernel.explain(self._question(block), self._view)
        assert said == self._policy.explain(self._question(block), self._view)
        self.zones.append(said.zone)
        return said.zone

    def _decide_run(self, first: int, count: int) -> None:
        runs = self._kernel.zones_for_run(self._question(first), count, self._view)
        assert runs == self._policy.zones_for_run(self._question(first), count, self._view)
        self.runs += runs is not None
        for block in range(first, first + count):
            self._memory.online(block, self._decide(block))

    def _tell_offline(self, node: int, zone: int, pages: int) -> None:
        pass

    def _tell_pressure(self, node: int, kernel_headroom: int) -> None:
        pass


@pytest.mark.parametrize(("kernel", "policy"), CASES)
def test_a_plain_online_is_decided_and_explained_by_the_online_policy(kernel: Kernel, policy: Policy) -> None:
    zones, runs = set(), 0
    for seed in range(6):
        asking = Asking(seed, kernel, policy)
        asking.play(20)
        zones |= set(asking.zones)
        runs += asking.runs
    assert {ZoneType.NORMAL, ZoneType.MOVABLE} <= zones
    assert runs > 20


@pytest.mark.parametrize("word", [each.word for each in OnlineType])
@pytest.mark.parametrize("online_policy", ["contig-zones", "auto-movable"])
def test_new_blocks_get_the_word_of_the_command_line_whoever_decides_a_plain_one(word: str, online_policy: str) -> None:
    kernel = Kernel(default_state=word, online_policy=online_policy)
    result = run(kernel, Script(DimmSpec("d", GIB)))
    zones = {
        "offline": {-1},
        "online_kernel": {ZoneType.NORMAL},
        "online_movable": {ZoneType.MOVABLE},
        "online": {ZoneType.MOVABLE if online_policy == "auto-movable" else ZoneType.NORMAL},
    }
    assert {row[5] for row in rows(result, EventKind.PLUG, EventKind.ADD)} == zones[word]


def test_a_ratio_is_aimed_at_only_where_somebody_asks_it() -> None:
    def ratio(word: str, online_policy: str = "auto-movable") -> int | None:
        return Kernel(default_state=word, online_policy=online_policy, auto_movable_ratio=77).configured_ratio

    assert ratio("online") == ratio("offline") == 77
    assert ratio("online_kernel") is ratio("online_movable") is ratio("online", "contig-zones") is None


def test_the_defaults_are_those_of_the_source() -> None:
    assert Kernel().auto_online is OnlineType.OFFLINE
    assert Kernel(default_state="online", online_policy="auto-movable").configured_ratio == 301
    with pytest.raises(ParameterError) as wrong:
        Kernel(default_state="movable", online_policy="auto", auto_movable_ratio=-1)
    assert [fault.partition(":")[0] for fault in wrong.value.faults] == [
        "default_state",
        "online_policy",
        "auto_movable_ratio",
    ]
