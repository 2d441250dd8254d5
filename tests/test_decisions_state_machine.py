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

from policies.contract import ZoneRequest
from sim.devices.dimm import Dimm
from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS, OnlineType
from sim.units import PAGE_SIZE
from tests.fast_machine import FastMachine
from tests.invariants import CHECKS, COMPARED, Subject, check_all
from tests.plain import decide, dimm, linux
from tests.plain.machine import MOVABLE, ZONES, LinuxError
from tests.random_machines import FOUR_GIB, MachinePlan, NodeRange, machine_plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plain.machine import Machine

ROOT = Path(__file__).resolve().parent.parent

SOME = st.integers(0, 10**6)
WORDS = st.sampled_from(linux.ONLINE_WORDS)
RATIOS = st.one_of(
    st.sampled_from((50, 100, 100, 200, 300, 301, 301, 400)),  # round ones meet limits exactly
    st.integers(30, 700),
    st.sampled_from((0, 1, 99, 101, 1000, 2**31 - 1, 2**31, 2**32 - 1)),
)
AUTO_ONLINE = st.sampled_from(("online", "online", "online", *linux.ALL_WORDS))

UNITS = st.sampled_from((0, 0, 1, 2, 3))
GROWTH = st.integers(1, 16)

#: Places asked about after every step, beside the blocks that are offline.
PROBES = 12


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
    asked: int

    @initialize(
        plan=machine_plans(),
        ratio=RATIOS,
        numa_aware=st.booleans(),
        word=AUTO_ONLINE,
        stage=st.sampled_from("CCCCAB"),
        devices=st.lists(st.tuples(SOME, st.integers(0, 2), UNITS, GROWTH), min_size=1, max_size=3),
    )
    def switch_on(
        self,
        plan: MachinePlan,
        ratio: int,
        *,
        numa_aware: bool,
        word: str,
        stage: str,
        devices: list[tuple[int, int, int, int]],
    ) -> None:
        self.plan = plan
        self.plain = plan.plain()
        knobs = self.plain.knobs
        knobs.policy, knobs.ratio, knobs.numa_aware = "auto-movable", ratio, numa_aware
        knobs.auto_online, knobs.stage = word, stage
        self.fast = FastMachine(plan.fast(), knobs)
        self.subject = Subject.at_boot(self.fast.memory, self.fast.core.view)
        self.pinned = plan.pinned()
        self.dimms = []
        self.asked = 0
        for place, node, exponent, growth in devices:
            self.grow_dynamic(
                pick=0, place=place, node=node, exponent=exponent, new=0, growth=growth, aligned=1, word=None
            )

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

    @rule(
        pick=SOME,
        place=SOME,
        node=st.integers(0, 2),
        exponent=UNITS,
        new=st.integers(0, 3),
        growth=GROWTH,
        aligned=st.integers(0, 4),
        word=st.sampled_from((None, None, "online_movable", "online_kernel", "offline")),
    )
    def grow_dynamic(
        self, pick: int, place: int, node: int, exponent: int, new: int, growth: int, aligned: int, word: str | None
    ) -> None:
        """A virtio-mem device: about ``growth`` blocks, unit by unit, at times with a word of its own."""
        number = self.group(pick, dynamic=True)
        if number is None or new == 0:
            unit = self.plan.block_pages << exponent
            registered = self.both(
                lambda: linux.register_dynamic(self.plain, node, unit),
                lambda: self.fast.memory.groups.register_dynamic(node, unit),
            )
            if not isinstance(registered, int):
                return
            number = registered
        unit_pages = self.plain.groups[number].unit_pages
        assert unit_pages is not None
        blocks = unit_pages // self.plan.block_pages
        before = self.plain.knobs.auto_online
        self.plain.knobs.auto_online = word or before
        self.fast.turn(self.plain.knobs)
        for _ in range(-(-growth // blocks)):
            first = self.free_place(place, blocks, blocks if aligned else 1)
            if any(n in self.plain.blocks for n in range(first, first + blocks)):
                break
            self.add(first, blocks, 0, number)
        self.plain.knobs.auto_online = before
        self.fast.turn(self.plain.knobs)

    @rule(pick=SOME, node=st.integers(0, 2), by=st.integers(-1, 1), scope=st.booleans(), count=st.integers(1, 4))
    def plug_static_at_the_limit(self, pick: int, node: int, by: int, *, scope: bool, count: int) -> None:
        """A DIMM that announces exactly as many pages as still fit, or one more or less."""
        plain = self.plain
        if node not in plain.possible_nodes or plain.knobs.ratio == 0:
            return
        most = decide.room(plain, node if scope else None, None) or 0
        if most + by <= 0:
            return
        number = linux.register_static(plain, node, most + by)
        assert self.fast.memory.groups.register_static(node, most + by) == number
        self.add(self.free_place(pick, count, 1), count, node, number)

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
        mine = sorted(n for n, b in self.plain.blocks.items() if not b.early)  # a driver removes only what it added
        run = mine[pick % len(mine) :][:length] if mine else []
        if not run or run[-1] - run[0] != len(run) - 1:
            return
        refusing = set(run[stuck % (2 * len(run)) :][:1])
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
        refusing.update(numbers[stuck % (2 * len(numbers) + 1) :][:1])
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

    @rule(pick=SOME, vain=WORDS, word=st.sampled_from((None, *linux.ONLINE_WORDS)))
    def flap(self, pick: int, vain: str, word: str | None) -> None:
        """A word in vain for an online block, which then goes offline and comes back."""
        for number in self.run_of(pick, 1, online=True):
            self.write_state(number, vain)
            if number not in self.pinned:
                self.write_state(number, "offline")
            if not self.plain.blocks[number].online:
                if word is None:
                    self.online_with_no_word_at(number)
                else:
                    self.write_state(number, word)

    @rule(pick=SOME)
    def online_with_no_word(self, pick: int) -> None:
        """What ACPI does to put a block back: a word left over from a refused write decides, else plain online."""
        for number in self.run_of(pick, 1, online=False):
            self.online_with_no_word_at(number)

    def online_with_no_word_at(self, number: int) -> None:
        self.both(partial(linux.write_online, self.plain, number, value=True), partial(self.put_back, number))

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

    @rule(numa_aware=st.booleans(), word=AUTO_ONLINE)
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
    def agree_about_what_could_be(self) -> None:
        """INV-12 for places where no block is: any group, any node, all over the address space in turn."""
        plain, core = self.plain, self.fast.core
        askers: list[tuple[int | None, int]] = [(None, node) for node in sorted(plain.possible_nodes)]
        askers += [(group.number, group.node) for group in plain.groups.values()]
        pages = self.plan.block_pages
        places = [n for n in self.plan.device_blocks if n not in plain.blocks or not plain.blocks[n].online]
        low = [n for n in places if n * pages < FOUR_GIB] or places
        if not places:
            return
        for _ in range(PROBES):
            self.asked += 1
            number, node = askers[self.asked % len(askers)]
            ask_about = low if self.asked % 3 == 0 else places
            first = ask_about[self.asked * 31 // len(askers) % len(ask_about)] * pages
            group = None if number is None else plain.groups[number]
            expected = decide.choose(plain, "online", node, group, first, pages)
            mine = None if number is None else self.fast.memory.groups.find(number)
            found = core.policy.zone_for(ZoneRequest(node, first, pages, mine), core.view)
            assert ZONE_LABELS[found] == expected, f"INV-12, group {number}, node {node}, pages from {first}"
            Tally.compared += 1

    @precondition(lambda self: hasattr(self, "plan"))
    @invariant()
    def agree_at_the_limit(self) -> None:
        """INV-12 for a block without a group of just as many pages as fit, and of one more."""
        plain, core = self.plain, self.fast.core
        self.asked += 1
        node = self.asked % len(plain.possible_nodes)
        if plain.knobs.policy != "auto-movable" or plain.knobs.ratio == 0:
            return
        most = decide.room(plain, node if self.asked % 3 == 0 else None, None) or 0
        first = self.plan.device_blocks[self.asked % len(self.plan.device_blocks)] * self.plan.block_pages
        for pages in (most, most + 1):
            if pages > 0:
                expected = decide.choose(plain, "online", node, None, first, pages)
                found = core.policy.zone_for(ZoneRequest(node, first, pages, None), core.view)
                assert ZONE_LABELS[found] == expected, f"INV-12, {pages} pages from {first} on node {node}"
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
    compared = compare(examples=1500, steps=50)
    record_property("decisions_compared", compared)
    with capsys.disabled():
        print(f"\n{compared} decisions compared")  # noqa: T201 - the count is the point of this run
    assert compared >= 200_000


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
    group = fast.memory.groups.register_dynamic(0, block_pages)
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
