"""Random traffic: groups, plugging and unplugging."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sim.devices.dimm import Dimm
from sim.memory.errors import HotplugError
from sim.units import PAGE_SIZE
from tests.decisions.side_by_side import SideBySide
from tests.plain import decide, dimm, linux
from tests.plain.machine import MOVABLE, LinuxError

SOME = st.integers(0, 10**6)
UNITS = st.sampled_from((0, 0, 1, 2, 3))
GROWTH = st.integers(1, 16)


class Plugging(SideBySide):
    """Groups come and go, with their memory or without."""

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

    @rule(pick=SOME, count=st.integers(1, 5), from_above=st.booleans())
    def take_boot_memory_away(self, pick: int, count: int, *, from_above: bool) -> None:
        """Boot blocks at an edge of a zone go offline and are removed: the span shrinks, devices find room below it."""
        homes = sorted(home for home, span in self.plain.spans.items() if span != (0, 0))
        node, zone = homes[pick % len(homes)] if homes else (0, MOVABLE)
        mine = sorted((b.number for b in self.plain.blocks_in(node, zone) if b.early), reverse=from_above)
        for number in mine[:count]:
            if number not in self.pinned:
                self.write_state(number, "offline")
            if not self.plain.blocks[number].online:
                linux.remove(self.plain, number * self.plan.block_pages, self.plan.block_pages)
                self.fast.core.remove(-1, number, 1)

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
