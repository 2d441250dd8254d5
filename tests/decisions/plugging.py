"""Random traffic: groups, memory that is added and removed, DIMMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sim.devices.dimm import Dimm
from sim.memory.errors import HotplugError
from tests.decisions.reached import REACH
from tests.decisions.side_by_side import NODES, SOME, SideBySide
from tests.plain import decide, dimm, linux
from tests.plain.machine import Block, LinuxError

if TYPE_CHECKING:
    from collections.abc import Iterable

UNITS = st.sampled_from((0, 0, 1, 2, 3))
GROWTH = st.integers(1, 16)


def is_device_memory(block: Block) -> bool:
    return not block.early


class OnceRefusing(set[int]):
    """Blocks that refuse to go offline when they are asked for the first time, and go at the second."""

    def __init__(self, blocks: Iterable[int]) -> None:
        super().__init__(blocks)

    def __contains__(self, block: object) -> bool:
        refuses = super().__contains__(block)
        self -= {block}
        return refuses


class Plugging(SideBySide):
    """Groups come and go, with their memory or without."""

    # Groups

    @rule(node=NODES, pages=st.one_of(st.just(0), st.integers(1, 40 * 524288), st.integers(1, 40 * 524288)))
    def register_static(self, node: int, pages: int) -> None:
        self.both(
            "register_static",
            lambda: linux.register_static(self.plain, self.node(node), pages),
            lambda: self.fast.memory.groups.register_static(self.node(node), pages).id,
        )

    @rule(node=NODES, blocks=st.sampled_from((0, 1, 1, 1, 2, 2, 4, 4, 8, 16, 3)), odd=st.integers(0, 9))
    def register_dynamic(self, node: int, blocks: int, odd: int) -> None:
        self.register_units(self.node(node), blocks * self.plan.block_pages // (2 if odd == 0 else 1))

    def register_units(self, node: int, unit: int) -> object:
        return self.both(
            "register_dynamic",
            lambda: linux.register_dynamic(self.plain, node, unit),
            lambda: self.fast.memory.groups.register_dynamic(node, unit).id,
        )

    @rule(pick=SOME, empty=st.booleans(), wrong=st.sampled_from((None, None, None, None, -1, 77)))
    def unregister(self, pick: int, wrong: int | None, *, empty: bool) -> None:
        known = self.group(pick, empty=empty)
        number = wrong if wrong is not None else -1 if known is None else known
        self.both(
            "unregister",
            lambda: linux.unregister(self.plain, number),
            lambda: self.fast.memory.groups.unregister(number),
        )

    # Adding and removing

    @rule(pick=SOME, count=st.integers(1, 12), node=NODES, slack=st.sampled_from((0, 0, 0, -1, 1, 5)))
    def plug_static(self, pick: int, count: int, node: int, slack: int) -> None:
        """A DIMM: a group and all its blocks at once. Some announce less or more than they add."""
        pages = count * self.plan.block_pages + slack * self.plan.block_pages // 2
        home = node % len(self.plain.possible_nodes)
        number = linux.register_static(self.plain, home, pages)
        assert self.fast.memory.groups.register_static(home, pages).id == number
        self.add(self.free_place(pick, count, 1), count, home, number, "plug_static")

    @rule(
        pick=SOME,
        place=SOME,
        node=NODES,
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
            registered = self.register_units(node % len(self.plain.possible_nodes), self.plan.block_pages << exponent)
            assert isinstance(registered, int)
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
            self.add(first, blocks, 0, number, "grow_dynamic")
        self.plain.knobs.auto_online = before
        self.fast.turn(self.plain.knobs)

    @precondition(lambda self: hasattr(self, "plan") and self.plain.knobs.ratio > 0)
    @rule(pick=SOME, node=NODES, by=st.integers(-1, 1), scope=st.booleans(), count=st.integers(1, 4))
    def plug_static_at_the_limit(self, pick: int, node: int, by: int, *, scope: bool, count: int) -> None:
        """A DIMM that announces exactly as many pages as still fit, or one more or less."""
        plain = self.plain
        home = node % len(plain.possible_nodes)
        most = (decide.room(plain, home if scope else None, None) or 0) + by
        if most <= 0:
            REACH("a DIMM at the limit: nothing fits")
            return
        number = linux.register_static(plain, home, most)
        assert self.fast.memory.groups.register_static(home, most).id == number
        self.add(self.free_place(pick, count, 1), count, home, number, "a DIMM at the limit")

    @rule(pick=SOME, place=SOME, count=st.integers(1, 3), wrong=st.sampled_from((None, None, None, 99)))
    def add_to_group(self, pick: int, place: int, count: int, wrong: int | None) -> None:
        number = wrong if wrong is not None else self.group(pick)
        taken = self.run_of(place, 1, is_device_memory) if place % 5 == 0 else []
        self.add(taken[0] if taken else self.free_place(place, count, 1), count, 0, number, "add_to_group")

    @rule(place=SOME, count=st.integers(1, 6), node=NODES, hosted=st.booleans())
    def add_without_group(self, place: int, count: int, node: int, *, hosted: bool) -> None:
        self.add(self.free_place(place, count, 1), count, self.node(node), None, "add_without_group", hosted=hosted)

    @precondition(lambda self: hasattr(self, "plan") and self.plain.knobs.ratio > 0)
    @rule(place=SOME, more=st.integers(-1, 3), node=NODES)
    def add_across_the_limit(self, place: int, more: int, node: int) -> None:
        """As many blocks as may go to MOVABLE and some more, at once, by auto-movable."""
        knobs, home = self.plain.knobs, node % len(self.plain.possible_nodes)
        before = knobs.policy, knobs.auto_online
        knobs.policy, knobs.auto_online = "auto-movable", "online"
        self.fast.turn(knobs)
        rooms = [decide.room(self.plain, scope, None) or 0 for scope in (None, home)[: 1 + knobs.numa_aware]]
        count = min(rooms) // self.plan.block_pages + more
        if 0 < count < 30:
            self.add(self.free_place(3 * place + 1, count, 1), count, home, None, "add_across_the_limit")
        knobs.policy, knobs.auto_online = before
        self.fast.turn(knobs)

    @rule(
        place=SOME,
        count=st.integers(0, 6),
        odd=st.sampled_from((0, 0, 512, 1)),
        short=st.sampled_from((0, 0, 512)),
        far=st.integers(0, 4),
    )
    def add_anywhere(self, place: int, count: int, odd: int, short: int, far: int) -> None:
        """Nothing, ranges that are not whole blocks, over others or beyond what can be addressed."""
        pages = self.plan.block_pages
        numbers = self.plan.device_blocks
        number = numbers[place % len(numbers)] if place % 2 else self.free_place(place, count, 1)
        first = number * pages + (odd if count else 0)
        if far == 0:
            first = self.plan.addressable_pages - pages * count + (odd or pages)
        self.add_pages(first, max(0, count * pages - short), 0, None, "add_anywhere")

    @precondition(lambda self: self.some(lambda block: not block.online))
    @rule(pick=SOME, length=st.integers(1, 8), anyhow=st.integers(0, 5))
    def remove(self, pick: int, length: int, anyhow: int) -> None:
        """Blocks that are offline; at times some that are not, or that are not all there."""
        run = self.run_of(pick, length, lambda block: not block.online)
        if anyhow in {0, 3}:
            run = self.run_of(pick, length, lambda _block: True)
        first, count = run[0], len(run)
        if anyhow == 1:
            first = max(self.plain.blocks) + 1 + pick % 5000
        elif anyhow == 2:
            count += 1
        pages = self.plan.block_pages
        self.both(
            "remove",
            lambda: linux.remove(self.plain, first * pages, count * pages),
            lambda: self.fast.core.remove(-1, first, count),
        )

    @precondition(lambda self: self.some(self.may_leave))
    @rule(pick=SOME, count=st.integers(1, 5), from_above=st.booleans())
    def take_boot_memory_away(self, pick: int, count: int, *, from_above: bool) -> None:
        """Boot blocks at an edge of a zone go offline and are removed: the span shrinks, devices find room below it."""
        mine = [block for block in self.plain.blocks.values() if self.may_leave(block)]
        homes = sorted({(block.node, block.zone or "") for block in mine})
        home = homes[pick % len(homes)]
        numbers = sorted((b.number for b in mine if (b.node, b.zone) == home), reverse=from_above)
        for number in numbers[:count]:
            self.write_state(number, "offline", "take_boot_memory_away")
            linux.remove(self.plain, number * self.plan.block_pages, self.plan.block_pages)
            self.fast.core.remove(-1, number, 1)

    def may_leave(self, block: Block) -> bool:
        """Whether it is boot memory of one zone, without holes or CMA."""
        return block.early and block.zone is not None and not block.has_holes and block.number not in self.pinned

    @precondition(lambda self: self.some(is_device_memory))
    @rule(pick=SOME, length=st.integers(1, 6), stuck=st.integers(0, 12))
    def offline_and_remove(self, pick: int, length: int, stuck: int) -> None:
        run = self.run_of(pick, length, is_device_memory)  # a driver removes only what it added
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
        REACH(f"offline_and_remove of {'one' if len(run) == 1 else 'several'}: {expected or 'done'}")

    # DIMMs, with the simulator's own driver

    @rule(
        pick=SOME,
        node=NODES,
        sizes=st.lists(st.integers(0, 4), min_size=1, max_size=3),
        odd=st.sampled_from((0, 0, 0, 256, 512)),
        at_boot=st.integers(0, 3),
    )
    def plug_dimm(self, pick: int, node: int, sizes: list[int], odd: int, at_boot: int) -> None:
        """Ranges one above the other, some empty or not aligned; at times a range that was memory at boot."""
        early = self.run_of(pick, 2, lambda block: block.early) if at_boot == 0 else []
        self.new_dimm(self.free_place(pick, sum(sizes) + 1, 1), self.node(node), sizes, odd, early)

    def new_dimm(self, place: int, node: int, sizes: list[int], odd: int, early: list[int]) -> None:
        pages = self.plan.block_pages
        if any(number in self.plain.blocks for number in range(place, place + sum(sizes) + 1)):
            REACH("plug_dimm: no room")
            return
        first = place * pages
        ranges = []
        for size in sizes:
            ranges.append((first + odd, size * pages))
            first += size * pages
            odd = 0
        if early:
            ranges.append((early[0] * pages, len(early) * pages))
        mine = dimm.Dimm(node, list(ranges))
        size = self.plan.page_size
        theirs = Dimm(self.fast.context, f"dimm{place}", node, [(at * size, n * size) for at, n in ranges])
        try:
            dimm.plug(self.plain, mine, self.memmap(pages), long_too=self.plan.recent)
            expected = ""
        except LinuxError as refused:
            expected = refused.name
        theirs.plug()
        assert (theirs.error.name if theirs.error else "") == expected
        assert theirs.blocks() == mine.bound_blocks(self.plain)
        assert expected or theirs.failed == sum(n > 0 for _, n in ranges) - len(mine.enabled)
        REACH(f"plug_dimm: {expected or 'done'}")
        if not expected:
            REACH("a DIMM of which a range is left out", theirs.failed > 0)
            REACH("a DIMM over boot memory", bool(early))
            self.dimms.append((mine, theirs))

    @precondition(lambda self: hasattr(self, "plan"))
    @rule(pick=SOME, stuck=st.integers(0, 9), once=st.booleans())
    def eject_dimm(self, pick: int, stuck: int, *, once: bool) -> None:
        """All of it goes, or nothing; there are two tries. Where there is no DIMM, one is plugged first."""
        if not self.dimms:
            self.new_dimm(self.free_place(pick, 6, 1), pick % len(self.plain.possible_nodes), [1, 3], 0, [])
        whole = [
            (mine, theirs)
            for mine, theirs in self.dimms
            if all(number in self.plain.blocks for number in mine.bound_blocks(self.plain))
        ]
        self.dimms = whole  # other rules have taken blocks from under the rest
        if not whole:
            return
        mine, theirs = whole[pick % len(whole)]
        numbers = mine.bound_blocks(self.plain)
        stays = {number for number in numbers if number in self.pinned}
        some = numbers[stuck % (2 * len(numbers) + 1) :][:1]
        refuses = OnceRefusing if once and not stays else set
        self.fast.guest.refusing = refuses([*stays, *some])
        try:
            dimm.eject(self.plain, mine, refuses([*stays, *some]))
            expected = True
        except LinuxError:
            expected = False
        theirs.eject()
        assert theirs.gone is expected
        self.fast.guest.refusing = set()
        if expected:
            self.dimms.remove((mine, theirs))
        REACH(f"a DIMM {'goes' if expected else 'stays'}{' at the second try' if expected and some and once else ''}")
