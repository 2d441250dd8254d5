"""Random traffic: blocks go online and offline, knobs are turned."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.decisions.reached import REACH
from tests.decisions.side_by_side import SOME, SideBySide
from tests.plain import linux
from tests.plain.machine import MOVABLE, Block

WORDS = st.sampled_from(linux.ONLINE_WORDS)
AUTO_ONLINE = st.sampled_from(("online", "online", "online", *linux.ALL_WORDS))
RATIOS = st.one_of(
    st.sampled_from((0, 50, 100, 100, 200, 300, 301, 301, 400)),  # round ones meet limits exactly
    st.integers(30, 700),
    st.sampled_from((0, 1, 99, 101, 1000, 2**31 - 1, 2**31, 2**32 - 1)),
)


def is_online(block: Block) -> bool:
    return block.online


def is_offline(block: Block) -> bool:
    return not block.online


class Onlining(SideBySide):
    """What user space does."""

    def can_go(self, block: Block) -> bool:
        """Whether it holds no CMA area, and is online."""
        return block.online and block.number not in self.pinned

    # Onlining and offlining

    @precondition(lambda self: self.some(is_offline))
    @rule(pick=SOME, length=st.integers(1, 8), word=WORDS, downwards=st.booleans())
    def online(self, pick: int, length: int, word: str, *, downwards: bool) -> None:
        run = self.run_of(pick, length, is_offline)
        for number in reversed(run) if downwards else run:
            self.write_state(number, word)

    @precondition(lambda self: self.some(self.can_go))
    @rule(
        pick=SOME,
        length=st.integers(1, 6),
        which=st.sampled_from(("early", "movable", "any")),
        stuck=st.sampled_from((False, False, True)),
    )
    def offline(self, pick: int, length: int, which: str, *, stuck: bool) -> None:
        mine = sorted(number for number, block in self.plain.blocks.items() if self.can_go(block))
        blocks = self.plain.blocks
        wanted = [n for n in mine if (blocks[n].early if which == "early" else blocks[n].zone == MOVABLE)]
        mine = mine if which == "any" else wanted or mine
        for number in mine[pick % len(mine) :][:length]:
            self.fast.guest.refusing = {number} if stuck else set()
            self.both(
                "write_state offline",
                partial(linux.write_state, self.plain, number, "offline", refuse=stuck),
                partial(self.fast.write_state, number, "offline"),
            )

    @rule(pick=SOME, word=st.sampled_from(linux.ALL_WORDS))
    def write_any_state(self, pick: int, word: str) -> None:
        for number in self.run_of(pick, 1, lambda block: word != "offline" or block.number not in self.pinned):
            self.write_state(number, word)

    @precondition(lambda self: self.some(self.can_go))
    @rule(pick=SOME, vain=WORDS, word=st.sampled_from((None, None, *linux.ONLINE_WORDS)))
    def flap(self, pick: int, vain: str, word: str | None) -> None:
        """A word in vain for an online block, which then goes offline and comes back."""
        for number in self.run_of(pick, 1, self.can_go):
            self.write_state(number, vain)
            self.write_state(number, "offline")
            if not self.plain.blocks[number].online:
                if word is None:
                    self.online_with_no_word_at(number)
                else:
                    self.write_state(number, word)

    @precondition(lambda self: self.some(is_offline))
    @rule(pick=SOME)
    def online_with_no_word(self, pick: int) -> None:
        """What ACPI does to put a block back: a word left over from a refused write decides, else plain online."""
        for number in self.run_of(pick, 1, is_offline):
            self.online_with_no_word_at(number)

    @precondition(lambda self: self.some(self.can_go))
    @rule(pick=SOME, length=st.integers(2, 8))
    def offline_at_once(self, pick: int, length: int) -> None:
        """INV-18: adjacent blocks of one zone and group leave in one go, the same as one after the other."""
        run = self.run_of(pick, length, lambda block: self.can_go(block) and not block.has_holes and bool(block.zone))
        blocks = [self.plain.blocks[number] for number in run]
        homes = [(b.zone, b.node, b.group, b.early, b.memmap_pages) for b in blocks]
        run = [number for number, home in zip(run, homes, strict=True) if home == homes[0]]
        if not run or run[-1] - run[0] != len(run) - 1:
            return
        REACH("several offline at once" if len(run) > 1 else "one offline at once")
        spans = dict(self.plain.spans)
        for number in run:
            linux.write_state(self.plain, number, "offline")
        self.fast.memory.offline(run[0], len(run))
        self.count_spans(spans)

    @precondition(lambda self: self.some(self.can_go))
    @rule(pick=SOME, only_devices=st.booleans(), downwards=st.booleans())
    def empty_a_zone(self, pick: int, *, only_devices: bool, downwards: bool) -> None:
        """All that can goes offline, one by one: the span shrinks to nothing, or to what boot left in odd blocks."""
        mine = [block for block in self.plain.blocks.values() if self.can_go(block) and block.zone is not None]
        devices = [block for block in mine if not block.early] if only_devices else []
        homes = sorted({(block.node, block.zone or "") for block in devices or mine})
        home = homes[pick % max(1, len(homes)) :][:1]
        numbers = sorted(block.number for block in devices or mine if [(block.node, block.zone)] == home)
        for number in reversed(numbers) if downwards else numbers:
            self.write_state(number, "offline")

    # Knobs

    @rule(ratio=RATIOS)
    def set_ratio(self, ratio: int) -> None:
        self.plain.knobs.ratio = ratio
        self.fast.turn(self.plain.knobs)

    @rule(policy=st.sampled_from(("auto-movable", "auto-movable", "contig-zones")), stage=st.sampled_from("CCAB"))
    def set_policy(self, policy: str, stage: str) -> None:
        self.plain.knobs.policy, self.plain.knobs.stage = policy, stage
        self.fast.turn(self.plain.knobs)

    @rule(numa_aware=st.booleans(), word=AUTO_ONLINE)
    def set_others(self, *, numa_aware: bool, word: str) -> None:
        self.plain.knobs.numa_aware, self.plain.knobs.auto_online = numa_aware, word
        self.fast.turn(self.plain.knobs)
