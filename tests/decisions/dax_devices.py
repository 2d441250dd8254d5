"""Random traffic: dax devices off the grid, of several ranges, bound, given a state as a whole, and unbound."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sim.devices.dax import Dax
from tests.decisions.reached import REACH
from tests.decisions.side_by_side import NODES, SOME, SideBySide
from tests.plain import dax as plain_dax
from tests.plain.machine import LinuxError

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = ("unplugged", "unplugged", "unplugged", "online", "online_kernel", "online_movable", "nonsense")


class DaxDevices(SideBySide):
    """What user space does to whole devices, with the simulator's own driver."""

    @precondition(lambda self: hasattr(self, "plan"))
    @rule(
        pick=SOME,
        node=NODES,
        sizes=st.lists(st.integers(1, 3), min_size=1, max_size=2),
        off=st.integers(0, 3),
    )
    def bind_new(self, pick: int, node: int, sizes: list[int], off: int) -> None:
        """A device whose ranges begin and end between blocks at times: whole blocks inside are what kmem takes."""
        self.bind_new_at(pick, node, sizes, off)

    def bind_new_at(self, pick: int, node: int, sizes: list[int], off: int) -> None:
        place = self.free_place(pick, sum(sizes) + 2 * len(sizes), 1)
        home = node % len(self.plain.possible_nodes)
        pages, page = self.plan.block_pages, self.plan.page_size
        ranges, inside = [], []
        for size in sizes:
            begin = place * pages + off * pages // 4
            ranges.append((begin * page, (size * pages + (pages // 2 if off else 0)) * page))
            first = -(-begin // pages) * pages
            end = (begin + ranges[-1][1] // page) // pages * pages
            if end > first:
                inside.append((first, end - first))
            place += size + 2
        mine = plain_dax.Dax(home, inside)
        theirs = Dax(self.fast.context, f"dax{place}", home, ranges)
        REACH("a dax device off the grid", off > 0)
        if not inside:
            return
        if self.on_both("bind", theirs, theirs.plug, partial(plain_dax.bind, self.plain, mine)):
            self.daxes.append((mine, theirs))

    @precondition(lambda self: hasattr(self, "plan") and self.plan.recent)
    @rule(pick=SOME, words=st.lists(st.sampled_from(STATES), min_size=1, max_size=3), stuck=st.integers(0, 4))
    def write_dax_state(self, pick: int, words: list[str], stuck: int) -> None:
        """Words for a device, one after the other; at times a block refuses to go. One is bound if there is none."""
        if not self.chosen(pick):
            self.bind_new_at(pick, pick % 3, [2, 1], 0)
        for mine, theirs in self.chosen(pick):
            for word in words:
                refusing = set(mine.blocks(self.plain)[stuck:][:1])
                self.fast.guest.refusing = refusing
                self.on_both(
                    f"dax state {word.partition('_')[0]}",
                    theirs,
                    partial(theirs.write_state, word),
                    partial(plain_dax.write_state, self.plain, mine, word, refusing),
                )
                self.fast.guest.refusing = set()
                assert theirs.state == mine.state

    @precondition(lambda self: hasattr(self, "plan"))
    @rule(pick=SOME, again=st.booleans(), emptied=st.booleans())
    def unbind(self, pick: int, *, again: bool, emptied: bool) -> None:
        """At times after all of its blocks were taken offline, as a careful operator does."""
        for mine, theirs in self.chosen(pick):
            for number in mine.blocks(self.plain) if emptied else ():
                self.write_state(number, "offline")
            self.on_both("unbind", theirs, theirs.unbind, partial(plain_dax.unbind, self.plain, mine))
            assert theirs.lost == mine.lost
            if again:
                self.on_both("bind again", theirs, theirs.plug, partial(plain_dax.bind, self.plain, mine))

    def chosen(self, pick: int) -> list[tuple[plain_dax.Dax, Dax]]:
        """One of the devices of which other rules have taken no block away."""
        self.daxes = [
            (mine, theirs)
            for mine, theirs in self.daxes
            if all(
                number in self.plain.blocks and self.plain.blocks[number].group == mine.group
                for number in mine.blocks(self.plain)
            )
        ]
        known = [entry for entry in self.daxes if self.plan.recent]  # the attribute came with 7.3
        return known[pick % max(1, len(known)) :][:1]

    def on_both(self, what: str, device: Dax, fast: Callable[[], None], plain: Callable[[], None]) -> bool:
        spans = dict(self.plain.spans)
        try:
            plain()
            expected = ""
        except LinuxError as refused:
            expected = refused.name
        fast()
        assert (device.error.name if device.error else "") == expected, what
        REACH(f"{what}: {expected or 'done'}")
        self.count_spans(spans)
        return not expected
