"""The state of each memory block of a virtio-mem device in sub-block mode, and which of its sub-blocks are plugged.

Follows ``enum virtio_mem_sbm_mb_state`` and ``sbm.sb_states`` of ``drivers/virtio/virtio_mem.c``.
"""

from __future__ import annotations

from typing import Final

# Plain integers, not an enumeration: they are bytes of an array that is searched by ``bytearray.find``. Above
# SBM_OFFLINE_PARTIAL a block is online.
SBM_NEVER_USED: Final = 0
SBM_UNUSED: Final = 1
"""Was added once and has been removed since."""
SBM_OFFLINE: Final = 2
SBM_OFFLINE_PARTIAL: Final = 3
SBM_KERNEL: Final = 4
SBM_KERNEL_PARTIAL: Final = 5
SBM_MOVABLE: Final = 6
SBM_MOVABLE_PARTIAL: Final = 7
_NR_STATES: Final = 8

PARTIAL_OF: Final = {SBM_OFFLINE: SBM_OFFLINE_PARTIAL, SBM_KERNEL: SBM_KERNEL_PARTIAL, SBM_MOVABLE: SBM_MOVABLE_PARTIAL}
_LONGEST: Final = 1024
"""Blocks that are looked at at once."""
FULL_OF: Final = {partial: full for full, partial in PARTIAL_OF.items()}


class SubBlockStates:
    """States of a device's memory blocks by offset from its first usable block.

    ``of_block`` has one byte a block, so that the next block of a state is a byte search; ``counts`` says how many
    blocks are in each state, of those that were ever used. ``masks`` has a bit for each plugged sub-block, for those
    blocks only that are there and not fully plugged.
    """

    __slots__ = ("_highest", "_unused_from", "counts", "masks", "of_block")

    def __init__(self, blocks: int) -> None:
        self.of_block = bytearray(blocks)
        self.counts = [0] * _NR_STATES
        # No block of a state lies above its bound, so that looking for the highest one does not start at the device's
        # end.
        self._highest = [-1] * _NR_STATES
        self._unused_from = 0
        """No block that was removed lies below, so that looking for the lowest one does not start at 0."""
        self.masks: dict[int, int] = {}

    def is_online(self, at: int) -> bool:
        """Whether the block is online."""
        return self.of_block[at] > SBM_OFFLINE_PARTIAL

    def set(self, at: int, state: int) -> None:
        """Move a block to ``state``."""
        counts, of_block = self.counts, self.of_block
        counts[of_block[at]] -= 1
        counts[state] += 1
        of_block[at] = state
        if at > self._highest[state]:  # noqa: PLR1730 - max() costs a call
            self._highest[state] = at
        if state == SBM_UNUSED and at < self._unused_from:
            self._unused_from = at

    def set_run(self, at: int, states: bytes) -> None:
        """Move adjacent blocks, all of one state until now, to ``states``."""
        counts, of_block, end = self.counts, self.of_block, at + len(states)
        counts[of_block[at]] -= len(states)
        of_block[at:end] = states
        for state in set(states):
            counts[state] += states.count(state)
            self._highest[state] = max(self._highest[state], at + states.rfind(state))

    def remove_all(self, pieces: list[tuple[int, int]]) -> None:
        """Note that adjacent blocks, (first, blocks), have been removed: all of one state, the highest first."""
        for first, count in pieces:
            self.counts[self.of_block[first]] -= count
            self.counts[SBM_UNUSED] += count
            self.of_block[first : first + count] = bytes((SBM_UNUSED,)) * count
            self._highest[SBM_UNUSED] = max(self._highest[SBM_UNUSED], first + count - 1)
            self._unused_from = min(self._unused_from, first)

    def down_from(self, at: int, most: int) -> list[tuple[int, int]]:
        """Return up to ``most`` blocks in the state of ``at``, from there down: adjacent ones as (first, blocks)."""
        of_block = self.of_block
        state = of_block[at]
        pieces = []
        while at >= 0 and most:
            chunk = of_block[max(0, at + 1 - min(most, _LONGEST)) : at + 1]
            count = len(chunk) - len(chunk.rstrip(bytes((state,))))
            at -= count
            most -= count
            pieces.append((at + 1, count))
            at = of_block.rfind(state, 0, at + 1)
        return pieces

    def same(self, at: int, most: int) -> int:
        """Return how many of ``most`` blocks from ``at`` on are in the state of the first."""
        states = bytes(self.of_block[at : at + most])
        return len(states) - len(states.lstrip(states[:1]))

    def unused(self, start: int) -> int:
        """Return the lowest block from offset ``start`` on that was removed, -1 where there is none."""
        if not self.counts[SBM_UNUSED]:
            return -1
        if start > self._unused_from:
            return self.of_block.find(SBM_UNUSED, start)
        at = self._unused_from = self.of_block.find(SBM_UNUSED, self._unused_from)
        return at

    def lowest(self, state: int, start: int = 0) -> int:
        """Return the lowest block of ``state`` from offset ``start`` on, -1 where there is none."""
        return self.of_block.find(state, start) if self.counts[state] else -1

    def highest(self, state: int, below: int) -> int:
        """Return the highest block of ``state`` below offset ``below``, -1 where there is none."""
        if not self.counts[state]:
            return -1
        highest = self._highest
        bound = highest[state] + 1
        if below < bound:
            return self.of_block.rfind(state, 0, below)
        at = self.of_block.rfind(state, 0, bound)
        highest[state] = at
        return at

    def remove(self, at: int) -> None:
        """Note that the block has been removed."""
        self.masks.pop(at, None)
        self.set(at, SBM_UNUSED)

    def make_partial(self, at: int, mask: int) -> None:
        """Note that only the sub-blocks in ``mask`` of a block are plugged."""
        self.masks[at] = mask
        state = self.of_block[at]
        if state in PARTIAL_OF:
            self.set(at, PARTIAL_OF[state])

    def make_full(self, at: int) -> None:
        """Note that all sub-blocks of a block that was partly plugged are plugged now."""
        del self.masks[at]
        self.set(at, FULL_OF[self.of_block[at]])
