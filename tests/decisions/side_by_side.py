"""One machine of the simulator and one plain machine, side by side, to which the same is done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from sim.memory.errors import HotplugError
from tests.decisions.reached import REACH
from tests.plain import linux
from tests.plain.machine import LinuxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.devices.dax import Dax
    from sim.devices.dimm import Dimm
    from tests.plain import dax, dimm
    from tests.plain.machine import Block, Machine
    from tests.support.booted_layouts import BootedPlan
    from tests.support.fast_machine import FastMachine
    from tests.support.invariants import Subject
    from tests.support.random_layouts import MachinePlan

SOME = st.integers(0, 10**6)
NODES = st.integers(0, 11)


class SideBySide(RuleBasedStateMachine):
    """Both machines, and what to do to them."""

    plan: MachinePlan | BootedPlan
    plain: Machine
    fast: FastMachine
    subject: Subject
    pinned: set[int]
    dimms: list[tuple[dimm.Dimm, Dimm]]
    daxes: list[tuple[dax.Dax, Dax]]
    asked: int
    managed: dict[tuple[int, str], int]
    """Pages of each zone at boot that its allocator got beside its whole blocks."""

    def both(self, what: str, plain: Callable[[], object], fast: Callable[[], object]) -> object:
        """Do the same on both; they succeed alike or fail with the same error, and then nothing has changed."""
        before = self.fingerprint()
        spans = dict(self.plain.spans)
        try:
            expected, error = plain(), ""
        except LinuxError as refused:
            expected, error = None, refused.name
        try:
            found, problem = fast(), ""
        except HotplugError as refused:
            found, problem = None, refused.name
        assert (found, problem) == (expected, error)
        REACH(f"{what}: {error or 'done'}")
        if error:
            assert self.fingerprint() == before, "INV-13"
        self.count_spans(spans)
        return expected

    def count_spans(self, before: dict[tuple[int, str], tuple[int, int]]) -> None:
        for home, (start, end) in self.plain.spans.items():
            old_start, old_end = before[home]
            if old_end and not end:
                REACH("a span vanishes")
            elif end and not old_end:
                REACH("a span appears")
            elif start > old_start:
                REACH("a span shrinks from below")
                REACH("a span begins inside a block", start % self.plan.block_pages > 0)
            elif end < old_end:
                REACH("a span shrinks from above")
                REACH("a span ends inside a block", end % self.plan.block_pages > 0)
            elif end and (start, end) != (old_start, old_end):
                REACH("a span grows downwards" if start < old_start else "a span grows upwards")

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

    def some(self, fits: Callable[[Block], bool]) -> bool:
        """Whether there is such a block: a rule that would find none to work on is not chosen."""
        return hasattr(self, "plan") and any(map(fits, self.plain.blocks.values()))

    def node(self, pick: int) -> int:
        """A possible node; one beyond them or -1 at times."""
        possible = len(self.plain.possible_nodes)
        return {10: possible, 11: -1}.get(pick, pick % possible)

    def run_of(self, pick: int, length: int, fits: Callable[[Block], bool]) -> list[int]:
        """Adjacent existing blocks of that kind, starting at any of them."""
        mine = sorted(number for number, block in self.plain.blocks.items() if fits(block))
        at = pick % max(1, len(mine))
        run = mine[at : at + 1]
        while len(run) < length and at + 1 < len(mine) and mine[at + 1] == run[-1] + 1:
            at += 1
            run.append(mine[at])
        return run

    def free_place(self, pick: int, count: int, align: int) -> int:
        """A place where ``count`` blocks are free, every third time below 4 GiB; any place where there is none."""
        blocks = self.plain.blocks
        places = [n for n in self.plan.device_blocks if n % align == 0] or [0]
        free = [n for n in places if not any(b in blocks for b in range(n, n + count))]
        low = [n for n in free if n * self.plan.block_pages < self.plan.four_gib]
        mine = (low if pick % 3 == 0 else free) or free or places
        return mine[pick // 3 % len(mine)]

    def group(self, pick: int, *, dynamic: bool | None = None, empty: bool = False) -> int | None:
        ids = sorted(g.number for g in self.plain.groups.values() if dynamic in (None, g.dynamic))
        ids = [
            number
            for number in ids
            if number not in {mine.group for mine, _ in self.dimms} | {mine.group for mine, _ in self.daxes}
        ]  # their drivers' own
        if empty:
            ids = [number for number in ids if not self.plain.blocks_of(number)] or ids
        return ids[pick % len(ids)] if ids else None

    # What is done in several rules

    def add(self, first: int, count: int, node: int, group: int | None, what: str, *, hosted: bool = False) -> None:
        pages = self.plan.block_pages
        self.add_pages(first * pages, count * pages, node, group, what, hosted=hosted)

    def add_pages(
        self, first: int, pages: int, node: int, group: int | None, what: str, *, hosted: bool = False
    ) -> None:
        before = set(self.plain.blocks)
        self.both(
            what,
            lambda: linux.add(
                self.plain, first, pages, node=node, group=group, memmap_pages=self.memmap(pages) if hosted else 0
            ),
            lambda: self.fast.core.add_memory(
                -1, first, pages, node=node, group_id=-1 if group is None else group, self_host=hosted
            ),
        )
        new = [self.plain.blocks[number] for number in set(self.plain.blocks) - before]
        if len(new) > 1 and new[0].online:
            REACH("a run goes to one zone" if len({block.zone for block in new}) == 1 else "a run goes to two zones")

    def memmap(self, pages: int) -> int:
        """Pages of its own memmap that each block of a range holds if asked to: a struct page of 64 bytes for each.

        None where that is not whole pageblocks, as with large pages, unless ``force`` rounds it up; nor all of a block.
        """
        plan = self.plan
        memmap = plan.block_pages * 64 // plan.page_size
        if plan.forced:
            memmap = -(-memmap // plan.pageblock_pages) * plan.pageblock_pages
        one_block = pages == plan.block_pages
        fits = memmap % plan.pageblock_pages == 0 and memmap < plan.block_pages
        return memmap if fits and plan.self_hosting and (one_block or plan.recent) else 0

    def write_state(self, number: int, word: str, what: str = "write_state") -> None:
        self.fast.guest.refusing = set()
        self.both(
            f"{what} {word.partition('_')[0]}",
            lambda: linux.write_state(self.plain, number, word),
            lambda: self.fast.write_state(number, word),
        )

    def online_with_no_word_at(self, number: int) -> None:
        left_over = self.plain.blocks[number].left_over_word is not None
        self.both(
            "put back with a word left over" if left_over else "put back with no word",
            partial(linux.write_online, self.plain, number, value=True),
            partial(self.put_back, number),
        )

    def put_back(self, number: int) -> None:
        self.fast.core.put_back(-1, number)
