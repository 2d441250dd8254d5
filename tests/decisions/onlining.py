"""Random traffic: blocks go online and offline, knobs are turned."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.decisions.side_by_side import SideBySide
from tests.plain import linux
from tests.plain.machine import MOVABLE

SOME = st.integers(0, 10**6)
WORDS = st.sampled_from(linux.ONLINE_WORDS)
AUTO_ONLINE = st.sampled_from(("online", "online", "online", *linux.ALL_WORDS))
RATIOS = st.one_of(
    st.sampled_from((50, 100, 100, 200, 300, 301, 301, 400)),  # round ones meet limits exactly
    st.integers(30, 700),
    st.sampled_from((0, 1, 99, 101, 1000, 2**31 - 1, 2**31, 2**32 - 1)),
)


class Onlining(SideBySide):
    """What user space does."""

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
