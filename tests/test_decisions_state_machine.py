"""Random traffic on random machines: the simulator and the plain implementation agree after every step.

After each step both have the same blocks, zones, spans, counters and groups, and choose the same zone for every
offline block; the numbered invariants (docs/invariants.md) hold.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sim.devices.dimm import Dimm
from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS, OnlineType
from sim.units import PAGE_SIZE
from tests.fast_machine import FastMachine
from tests.invariants import CHECKS, COMPARED, Subject, check_all
from tests.plain import decide, dimm, linux
from tests.plain.machine import MOVABLE, ZONES, LinuxError
from tests.random_machines import MachinePlan, machine_plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plain.machine import Machine

ROOT = Path(__file__).resolve().parent.parent

SOME = st.integers(0, 10**6)
WORDS = st.sampled_from(linux.ONLINE_WORDS)
RATIOS = st.one_of(
    st.sampled_from((0, 1, 50, 99, 100, 101, 200, 300, 301, 302, 400, 1000)),
    st.sampled_from((2**31 - 1, 2**31, 2**32 - 1)),
    st.integers(0, 2000),
)


class Tally:
    """Decisions compared since the program started."""

    compared: ClassVar[int] = 0


class Decisions(RuleBasedStateMachine):
    """Both machines side by side."""

    plan: MachinePlan
    plain: Machine
    fast: FastMachine
    subject: Subject
    pinned: set[int]
    dimms: list[tuple[dimm.Dimm, Dimm]]

    @initialize(
        plan=machine_plans(), ratio=RATIOS, word=st.sampled_from(linux.ALL_WORDS), stage=st.sampled_from("CCAB")
    )
    def switch_on(self, plan: MachinePlan, ratio: int, word: str, stage: str) -> None:
        self.plan = plan
        self.plain = plan.plain()
        knobs = self.plain.knobs
        knobs.policy, knobs.ratio, knobs.auto_online, knobs.stage = "auto-movable", ratio, word, stage
        self.fast = FastMachine(plan.fast(), knobs)
        self.subject = Subject.at_boot(self.fast.memory, self.fast.core.view)
        self.pinned = plan.pinned()
        self.dimms = []

    def both(self, plain: Callable[[], object], fast: Callable[[], object]) -> object:
        """Do the same on both; they succeed alike or fail with the same error, and then nothing has changed."""
        before = self.fingerprint()
        try:
            expected, error = plain(), ""
        except LinuxError as refused:
            expected, error = None, refused.name
        try:
            found, problem = fast(), ""
        except HotplugError as refused:
            found, problem = None, refused.name
        assert (found, problem) == (expected, error)
        if error:
            assert self.fingerprint() == before, "INV-13"
        return expected

    def fingerprint(self) -> object:
        memory = self.fast.memory
        return (
            bytes(memory.blocks.where).rstrip(b"\0"),
            [(g.id, g.node, g.kernel, g.movable, g.blocks) for g in memory.groups],
            [
                (z.node, z.type, z.start, z.end, z.present, z.present_early, z.managed)
                for node in memory.nodes.values()
                for z in node.zones
                if z is not None and z.end
            ],
        )

    # What to pick

    def run_of(self, pick: int, length: int, *, online: bool | None) -> list[int]:
        """Adjacent existing blocks in the given state, starting at any of them."""
        mine = sorted(n for n, b in self.plain.blocks.items() if online is None or b.online is online)
        if not mine:
            return []
        at = pick % len(mine)
        run = [mine[at]]
        while len(run) < length and at + 1 < len(mine) and mine[at + 1] == run[-1] + 1:
            at += 1
            run.append(mine[at])
        return run

    def free_place(self, pick: int, count: int, align: int) -> int:
        """A place where ``count`` blocks are free; any place where there is none."""
        places = [n for n in self.plan.device_blocks if n % align == 0] or [0]
        free = [n for n in places if not any(b in self.plain.blocks for b in range(n, n + count))]
        return (free or places)[pick % len(free or places)]

    def group(self, pick: int, *, dynamic: bool | None = None) -> int | None:
        ids = sorted(g.number for g in self.plain.groups.values() if dynamic in (None, g.dynamic))
        return ids[pick % len(ids)] if ids else None

    # Groups

    @rule(node=st.integers(-1, 3), pages=st.one_of(st.just(0), st.integers(1, 40 * 524288)))
    def register_static(self, node: int, pages: int) -> None:
        self.both(
            lambda: linux.register_static(self.plain, node, pages),
            lambda: self.fast.memory.groups.register_static(node, pages),
        )

    @rule(node=st.integers(0, 3), blocks=st.sampled_from((0, 1, 1, 1, 2, 2, 4, 4, 8, 16, 3)), odd=st.integers(0, 9))
    def register_dynamic(self, node: int, blocks: int, odd: int) -> None:
        unit = blocks * self.plan.block_pages // (2 if odd == 0 else 1)
        self.both(
            lambda: linux.register_dynamic(self.plain, node, unit),
            lambda: self.fast.memory.groups.register_dynamic(node, unit),
        )

    @rule(pick=SOME, wrong=st.sampled_from((None, None, None, -1, 77)))
    def unregister(self, pick: int, wrong: int | None) -> None:
        known = self.group(pick)
        number = wrong if wrong is not None or known is None else known
        if number is None:
            return
        self.both(lambda: linux.unregister(self.plain, number), lambda: self.fast.memory.groups.unregister(number))

    # Adding and removing

    def add(self, first: int, count: int, node: int, group: int | None) -> None:
        pages = self.plan.block_pages
        self.both(
            lambda: linux.add(self.plain, first * pages, count * pages, node=node, group=group),
            lambda: self.fast.core.add_memory(
                -1, first * pages, count * pages, node=node, group_id=-1 if group is None else group
            ),
        )

    @rule(pick=SOME, count=st.integers(1, 12), node=st.integers(0, 2), slack=st.sampled_from((0, 0, 0, -1, 1, 5)))
    def plug_static(self, pick: int, count: int, node: int, slack: int) -> None:
        """A DIMM: a group and all its blocks at once. Some announce less or more than they add."""
        pages = count * self.plan.block_pages + slack * self.plan.block_pages // 2
        number = self.both(
            lambda: linux.register_static(self.plain, node, pages),
            lambda: self.fast.memory.groups.register_static(node, pages),
        )
        if isinstance(number, int):
            self.add(self.free_place(pick, count, 1), count, node, number)

    @rule(pick=SOME, place=SOME, units=st.integers(1, 3), aligned=st.booleans())
    def grow_dynamic(self, pick: int, place: int, units: int, *, aligned: bool) -> None:
        number = self.group(pick, dynamic=True)
        if number is None:
            return
        unit = self.plain.groups[number].unit_pages
        assert unit is not None
        blocks = unit // self.plan.block_pages
        for _ in range(units):
            first = self.free_place(place, blocks, blocks if aligned else 1)
            self.add(first, blocks, 0, number)

    @rule(pick=SOME, place=SOME, count=st.integers(1, 3), wrong=st.sampled_from((None, None, None, 99)))
    def add_to_group(self, pick: int, place: int, count: int, wrong: int | None) -> None:
        number = wrong if wrong is not None else self.group(pick)
        self.add(self.free_place(place, count, 1), count, 0, number)

    @rule(place=SOME, count=st.integers(1, 6), node=st.integers(0, 3))
    def add_without_group(self, place: int, count: int, node: int) -> None:
        self.add(self.free_place(place, count, 1), count, node, None)

    @rule(place=SOME, count=st.integers(0, 6))
    def add_anywhere(self, place: int, count: int) -> None:
        numbers = self.plan.device_blocks
        self.add(numbers[place % len(numbers)], count, 0, None)

    @rule(pick=SOME, length=st.integers(1, 8), anyhow=st.integers(0, 9))
    def remove(self, pick: int, length: int, anyhow: int) -> None:
        run = self.run_of(pick, length, online=None if anyhow == 0 else False)
        if anyhow == 1:
            run = [max(self.plain.blocks) + 1 + pick % 5000]
        if not run:
            return
        pages = self.plan.block_pages
        self.both(
            lambda: linux.remove(self.plain, run[0] * pages, len(run) * pages),
            lambda: self.fast.core.remove(-1, run[0], len(run)),
        )

    @rule(pick=SOME, length=st.integers(1, 6), stuck=st.integers(0, 12))
    def offline_and_remove(self, pick: int, length: int, stuck: int) -> None:
        run = self.run_of(pick, length, online=None)
        if not run or any(self.plain.blocks[n].early for n in run):  # a driver removes only what it added
            return
        refusing = {run[stuck]} if stuck < len(run) else set()
        pages = self.plan.block_pages
        self.fast.guest.refusing = refusing
        try:
            linux.offline_and_remove(self.plain, run[0] * pages, len(run) * pages, refusing)
            expected = ""
        except LinuxError as refused:
            expected = refused.name
        try:
            self.fast.core.offline_and_remove(-1, run[0], len(run), plugged=len(run) * pages)
            found = ""
        except HotplugError as problem:
            found = problem.name
        assert found == expected

    # DIMMs, with the simulator's own driver

    @rule(
        pick=SOME,
        node=st.integers(0, 3),
        sizes=st.lists(st.integers(0, 5), min_size=1, max_size=3),
        odd=st.sampled_from((0, 0, 0, 0, 256, 512)),
        at_boot=st.integers(0, 7),
    )
    def plug_dimm(self, pick: int, node: int, sizes: list[int], odd: int, at_boot: int) -> None:
        """Ranges one above the other, some empty or not aligned; at times a range that was memory at boot."""
        pages = self.plan.block_pages
        place = self.free_place(pick, sum(sizes) + 1, 1)
        if any(number in self.plain.blocks for number in range(place, place + sum(sizes) + 1)):
            return
        first = place * pages
        ranges = []
        for size in sizes:
            ranges.append((first + odd, size * pages))
            first += size * pages
            odd = 0
        early = self.run_of(pick, 2, online=None)
        if at_boot == 0 and early and all(self.plain.blocks[n].early for n in early):
            ranges.append((early[0] * pages, len(early) * pages))
        mine = dimm.Dimm(node, list(ranges))
        theirs = Dimm(self.fast.context, f"dimm{pick}", node, [(at * PAGE_SIZE, n * PAGE_SIZE) for at, n in ranges])
        try:
            dimm.plug(self.plain, mine)
            expected = ""
        except LinuxError as refused:
            expected = refused.name
        theirs.plug()
        assert (theirs.error.name if theirs.error else "") == expected
        assert theirs.blocks() == mine.bound_blocks(self.plain)
        if not expected:
            self.dimms.append((mine, theirs))

    @precondition(lambda self: bool(getattr(self, "dimms", [])))
    @rule(pick=SOME, stuck=st.integers(0, 20))
    def eject_dimm(self, pick: int, stuck: int) -> None:
        mine, theirs = self.dimms[pick % len(self.dimms)]
        numbers = mine.bound_blocks(self.plain)
        if any(number not in self.plain.blocks for number in numbers):
            self.dimms.remove((mine, theirs))  # another rule has taken blocks from under it
            return
        refusing = {number for number in numbers if number in self.pinned}
        refusing.update(numbers[stuck : stuck + 2])
        self.fast.guest.refusing = refusing
        try:
            dimm.eject(self.plain, mine, refusing)
            expected = True
        except LinuxError:
            expected = False
        theirs.eject()
        assert theirs.gone is expected
        if expected:
            self.dimms.remove((mine, theirs))

    # Onlining and offlining

    @rule(pick=SOME, length=st.integers(1, 8), word=WORDS, downwards=st.booleans())
    def online(self, pick: int, length: int, word: str, *, downwards: bool) -> None:
        run = self.run_of(pick, length, online=False)
        for number in reversed(run) if downwards else run:
            self.write_state(number, word)

    @rule(pick=SOME, length=st.integers(1, 6), which=st.sampled_from(("early", "movable", "any")), stuck=st.booleans())
    def offline(self, pick: int, length: int, which: str, *, stuck: bool) -> None:
        mine = sorted(
            number
            for number, block in self.plain.blocks.items()
            if block.online
            and number not in self.pinned
            and (which == "any" or (block.early if which == "early" else block.zone == MOVABLE))
        )
        for number in mine[pick % len(mine) :][:length] if mine else []:
            self.fast.guest.refusing = {number} if stuck else set()
            self.both(
                partial(linux.write_state, self.plain, number, "offline", refuse=stuck),
                partial(self.fast.write_state, number, "offline"),
            )

    @rule(pick=SOME, word=st.sampled_from(linux.ALL_WORDS))
    def write_any_state(self, pick: int, word: str) -> None:
        run = self.run_of(pick, 1, online=None)
        if run and not (word == "offline" and run[0] in self.pinned):
            self.write_state(run[0], word)

    def write_state(self, number: int, word: str) -> None:
        self.fast.guest.refusing = set()
        self.both(lambda: linux.write_state(self.plain, number, word), lambda: self.fast.write_state(number, word))

    @rule(pick=SOME)
    def online_with_no_word(self, pick: int) -> None:
        """What ACPI does to put a block back: a word left over from a refused write decides, else plain online."""
        for number in self.run_of(pick, 1, online=False):
            self.both(
                partial(linux.write_online, self.plain, number, value=True),
                partial(self.put_back, number),
            )

    def put_back(self, number: int) -> None:
        self.fast.core.put_back(-1, number)

    @rule(pick=SOME, length=st.integers(2, 8))
    def offline_at_once(self, pick: int, length: int) -> None:
        """INV-18: adjacent blocks of one zone and group leave in one go, the same as one after the other."""
        run = [n for n in self.run_of(pick, length, online=True) if n not in self.pinned]
        blocks = [self.plain.blocks[n] for n in run]
        if not run or run[-1] - run[0] != len(run) - 1:
            return
        homes = {(b.zone, b.node, b.group, b.early, b.has_holes) for b in blocks}
        if len(homes) > 1 or blocks[0].zone is None or blocks[0].has_holes:
            return
        for number in run:
            linux.write_state(self.plain, number, "offline")
        self.fast.memory.offline(run[0], len(run))

    # Knobs

    @rule(ratio=RATIOS)
    def set_ratio(self, ratio: int) -> None:
        self.plain.knobs.ratio = ratio
        self.fast.turn(self.plain.knobs)

    @rule(policy=st.sampled_from(("auto-movable", "auto-movable", "contig-zones")), stage=st.sampled_from("CCCAB"))
    def set_policy(self, policy: str, stage: str) -> None:
        self.plain.knobs.policy, self.plain.knobs.stage = policy, stage
        self.fast.turn(self.plain.knobs)

    @rule(numa_aware=st.booleans(), word=st.sampled_from(linux.ALL_WORDS))
    def set_others(self, *, numa_aware: bool, word: str) -> None:
        self.plain.knobs.numa_aware, self.plain.knobs.auto_online = numa_aware, word
        self.fast.turn(self.plain.knobs)

    # What must hold

    @precondition(lambda self: hasattr(self, "plan"))
    @invariant()
    def agree_about_memory(self) -> None:
        """INV-11."""
        plain, memory = self.plain, self.fast.memory
        blocks = memory.blocks
        assert {
            number: (blocks.is_online(number), memory.zone_label(number), blocks.node[number], blocks.group[number])
            for number in blocks.ids()
        } == {
            b.number: (
                b.online,
                (b.zone or "none") if b.online else None,
                b.node,
                -1 if b.group is None else b.group,
            )
            for b in plain.blocks.values()
        }
        assert blocks.left_over == {
            b.number: OnlineType[b.left_over_word.upper()] for b in plain.blocks.values() if b.left_over_word
        }
        for node in sorted(plain.possible_nodes):
            for zone in ZONES:
                mine = memory.nodes[node].zones[ZONE_BY_LABEL[zone]]
                found = (0, 0, 0, 0) if mine is None else (mine.present, mine.present_early, mine.start, mine.end)
                assert found == (
                    plain.present(node, zone),
                    plain.present_early(node, zone),
                    *plain.spans[node, zone],
                ), (node, zone)
            assert memory.nodes[node].present == plain.node_present(node)
            assert memory.nodes[node].span == plain.node_span(node)
        assert {g.id: (g.node, g.is_dynamic, g.kernel, g.movable) for g in memory.groups} == {
            g.number: (g.node, g.dynamic, plain.group_kernel(g.number), plain.group_movable(g.number))
            for g in plain.groups.values()
        }
        for scope, totals in [(None, memory.system), *((n, memory.nodes[n].totals) for n in plain.possible_nodes)]:
            assert totals.movable == decide.movable_pages(plain, scope)
            assert totals.early_kernel == decide.kernel_early_pages(plain, scope)

    @precondition(lambda self: hasattr(self, "plan"))
    @invariant()
    def agree_about_decisions(self) -> None:
        """INV-12, and INV-14 to INV-16: the same zone for every offline block, and a reason for that zone."""
        for number, block in self.plain.blocks.items():
            if block.online:
                continue
            expected = linux.valid_zones(self.plain, number)
            assert self.fast.valid_zones(number) == expected, f"INV-12, block {number}"
            explained = self.fast.core.explain(OnlineType.ONLINE, number)
            assert ZONE_LABELS[explained.zone] == expected[0], "INV-14"
            knobs = self.plain.knobs
            if knobs.policy == "auto-movable" and expected[0] == MOVABLE:
                assert knobs.ratio > 0, "INV-15"
                by_node = knobs.numa_aware and knobs.stage == "C"
                assert not by_node or decide.kernel_early_pages(self.plain, block.node) > 0, "INV-16"
            Tally.compared += 1

    @precondition(lambda self: hasattr(self, "plan"))
    @invariant()
    def invariants_hold(self) -> None:
        check_all(self.subject)


def compare(examples: int, steps: int) -> int:
    """Run the machine, and return how many decisions were compared."""
    before = Tally.compared
    run_state_machine_as_test(
        Decisions,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
    return Tally.compared - before


def test_decisions(record_property: Callable[[str, object], None]) -> None:
    compared = compare(examples=100, steps=30)
    record_property("decisions_compared", compared)
    assert compared > 2000


@pytest.mark.slow
def test_many_decisions(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> None:
    compared = compare(examples=4000, steps=60)
    record_property("decisions_compared", compared)
    with capsys.disabled():
        print(f"\n{compared} decisions compared")  # noqa: T201 - the count is the point of this run
    assert compared >= 200_000


def test_invariants_are_documented() -> None:
    documented = re.findall(
        r"^\| INV-(\d+) \|", (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [int(number) for number in documented] == [*CHECKS, *COMPARED]
