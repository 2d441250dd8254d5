"""Random traffic on random machines: the simulator and the plain implementation agree after every step.

After each step both have the same blocks, zones, spans, counters and groups, and choose the same zone for every
offline block; the numbered invariants (docs/invariants.md) hold.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from tests.decisions.agreement import Agreement
from tests.decisions.dax_devices import DaxDevices
from tests.decisions.onlining import AUTO_ONLINE, RATIOS, Onlining
from tests.decisions.plugging import GROWTH, UNITS, Plugging
from tests.decisions.reached import COMPARED as DECISIONS
from tests.decisions.reached import REACH, kinds_of
from tests.decisions.side_by_side import SOME
from tests.plain import decide, linux
from tests.support.booted_layouts import BootedPlan, booted_plans
from tests.support.fast_machine import FastMachine
from tests.support.invariants import CHECKS, COMPARED, Subject, check_all
from tests.support.places import ROOT
from tests.support.random_layouts import MachinePlan, NodeRange, machine_plans
from tests.support.reach import FRESH, seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Decisions(Plugging, Onlining, DaxDevices, Agreement):
    """A random machine with one to three virtio-mem devices, and then anything."""

    @initialize(
        plan=st.one_of(machine_plans(), machine_plans(), booted_plans()),
        ratio=RATIOS,
        numa_aware=st.booleans(),
        word=AUTO_ONLINE,
        policy=st.sampled_from(("auto-movable", "auto-movable", "contig-zones")),
        stage=st.sampled_from("CCAB"),
        devices=st.lists(st.tuples(SOME, st.integers(0, 2), UNITS, GROWTH), min_size=1, max_size=3),
    )
    def switch_on(
        self,
        plan: MachinePlan | BootedPlan,
        ratio: int,
        *,
        numa_aware: bool,
        word: str,
        policy: str,
        stage: str,
        devices: list[tuple[int, int, int, int]],
    ) -> None:
        self.plan = plan
        self.plain = plan.plain()
        knobs = self.plain.knobs
        knobs.policy, knobs.ratio, knobs.numa_aware = policy, ratio, numa_aware
        knobs.auto_online, knobs.stage = word, stage
        self.fast = FastMachine(
            plan.fast(),
            knobs,
            series=(7, 3) if plan.recent else (6, 1),
            memmap_on_memory="force" if plan.forced else plan.self_hosting,
        )
        self.managed = {
            (zone.node, zone.zone): zone.present - self.plain.managed_by_hotplug(zone.node, zone.zone)
            for zone in plan.zones()
        }
        for kind, found in kinds_of(plan).items():
            REACH(f"a machine {kind}", found)
        self.subject = Subject.at_boot(self.fast.memory, self.fast.core.view)
        self.pinned = plan.pinned()
        self.dimms = []
        self.daxes = []
        self.asked = 0
        for place, node, exponent, growth in devices:
            self.grow_dynamic(
                pick=0, place=place, node=node, exponent=exponent, new=0, growth=growth, aligned=1, word=None
            )


def compare(numbers: Iterable[int], examples: int, steps: int) -> int:
    """Run the machine from each seed, and return how many decisions were compared."""
    REACH.counts.clear()
    for number in numbers:
        run_state_machine_as_test(
            seed(number)(Decisions), settings=settings(max_examples=examples, stateful_step_count=steps)
        )
    REACH.check()
    return sum(REACH.counts[kind] for kind in DECISIONS)


def test_decisions(record_property: Callable[[str, object], None]) -> None:
    compared = compare(seeds(108), FRESH, steps=30)
    record_property("decisions_compared", compared)
    assert compared > 20_000


@pytest.mark.slow
def test_many_decisions(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> None:
    compared = compare([secrets.randbits(64)], 1500, steps=50)
    record_property("decisions_compared", compared)
    with capsys.disabled():
        print(f"\n{compared} decisions compared")  # noqa: T201 - the count is the point of this run
    assert compared >= 200_000


@pytest.mark.parametrize(
    ("asker", "block", "zone"),
    [
        ("none", 3, "Normal"),  # its own range, 3 up to 4, is all that is asked about
        ("static", 2, "Normal"),  # 2 up to 6: the length is what the DIMM still wants
        ("static", 3, "DMA32"),  # 3 up to 7
        ("static with kernel memory", 3, "Normal"),  # its own range again
        ("static with 6 MOVABLE blocks", 2, "Normal"),  # 2 more than it announced: 2 up to 0
        ("static with 7 MOVABLE blocks", 2, "DMA32"),  # 2 up to -1, which is far up where numbers have no sign
        ("unit", 2, "Normal"),  # from the unit's end with what it wants: 4 up to 6
        ("unit", 4, "DMA32"),  # 6 up to 8
        ("unit", 5, "DMA32"),
        ("unit", 9, "DMA32"),  # the unit's kernel section, 8 up to 9
    ],
)
def test_default_kernel_zone_of_a_range_not_its_own(asker: str, block: int, zone: str) -> None:
    """Near a low zone auto-movable asks about the range that its tests left over; here nothing fits the ratio.

    Node 1 has DMA32 in blocks 2 to 9; of these 2 to 5 and 9 are taken away, so that the span is 6 up to 9.
    """
    block_pages = 32768
    ranges = [
        NodeRange(node=node, start=start, end=end, hole=(end, end), movable_start=end, missing=0, cma_share=0)
        for node, start, end in ((0, 1, 2 * block_pages), (1, 2 * block_pages, 10 * block_pages))
    ]
    plan = MachinePlan(block_pages, block_pages, 2, tuple(ranges), movable_node=False)
    plain = plan.plain()
    plain.knobs.policy, plain.knobs.ratio = "auto-movable", 1
    fast = FastMachine(plan.fast(), plain.knobs)
    for number in (2, 3, 4, 5, 9):
        linux.write_state(plain, number, "offline")
        fast.write_state(number, "offline")
        linux.remove(plain, number * block_pages, block_pages)
        fast.core.remove(-1, number, 1)
    group = None
    if asker.startswith("static"):
        group = linux.register_static(plain, 1, 4 * block_pages)
        assert fast.memory.groups.register_static(1, 4 * block_pages).id == group
    elif asker == "unit":
        group = linux.register_dynamic(plain, 1, 2 * block_pages)
        assert fast.memory.groups.register_dynamic(1, 2 * block_pages).id == group
    held = {"static with kernel memory": (1, "online_kernel")}
    held |= {f"static with {n} MOVABLE blocks": (n, "online_movable") for n in (6, 7)}
    blocks, word = held.get(asker, (0, ""))
    for number in range(100, 100 + blocks):
        linux.add(plain, number * block_pages, block_pages, group=group)
        linux.write_state(plain, number, word)
        fast.memory.add(number, 1, node=1, group_id=0)
        fast.write_state(number, word)
    linux.add(plain, block * block_pages, block_pages, node=1, group=group)
    fast.memory.add(block, 1, node=1, group_id=-1 if group is None else group)
    assert linux.valid_zones(plain, block)[0] == zone
    assert fast.valid_zones(block)[0] == zone


def test_ratio_beyond_a_signed_number() -> None:
    """So much MOVABLE memory that a ratio of 2^31, were it read unsigned, would charge a page."""
    block_pages = 524288
    size = 4 * block_pages
    boot = NodeRange(node=0, start=1, end=size, hole=(size, size), movable_start=size, missing=0, cma_share=0)
    plan = MachinePlan(block_pages, block_pages, 1, (boot,), movable_node=False)
    plain = plan.plain()
    plain.knobs.auto_online = "online_movable"
    fast = FastMachine(plan.fast(), plain.knobs)
    subject = Subject.at_boot(fast.memory, fast.core.view)
    group = fast.memory.groups.register_dynamic(0, block_pages).id
    assert linux.register_dynamic(plain, 0, block_pages) == group
    linux.add(plain, 8 * block_pages, 48 * block_pages, group=group)
    fast.core.add_memory(-1, 8 * block_pages, 48 * block_pages, group_id=group)
    assert 100 * plain.group_movable(group) // 2**31 == 1
    for ratio, charge in ((2**31 - 1, 1), (2**31, 0)):
        plain.knobs.ratio = ratio
        assert decide.reserved_early_pages(plain, plain.groups[group]) == charge
        assert fast.core.view.others_charge(ratio, None) == charge
    check_all(subject)


def test_invariants_are_documented() -> None:
    documented = re.findall(
        r"^\| INV-(\d+) \|", (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [int(number) for number in documented] == [*CHECKS, *COMPARED]
