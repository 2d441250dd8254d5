"""The guest of a free run: the model decides, and where it is told that a step was chance, the recording does.

Which pageblocks an idle kernel has its few pages in is chance: the same guest, recorded twice, keeps another block. In
such a step this guest answers as :class:`sim.replay.recorded_guest.RecordedGuest` does, and the model follows: what
lies in a block that goes lies elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import OfflineOutcome, SubblockOutcome

if TYPE_CHECKING:
    from sim.guest import GuestModel
    from sim.replay.recorded_guest import RecordedGuest


class FollowingGuest:
    """Implements :class:`sim.guest.contract.Guest`. It follows ``recorded`` while ``following`` is set.

    ``kept`` are the blocks of which the model has kept something that was asked for, since this was emptied last.
    """

    at_once = None

    def __init__(self, model: GuestModel, recorded: RecordedGuest) -> None:
        self.recorded = recorded
        self.following = False
        self.kept: set[int] = set()
        self._model = model
        self.add_memory = model.add_memory
        self.remove_memory = model.remove_memory
        self.online = model.online
        self.take_subblocks = model.take_subblocks

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        """Say whether the block would go offline."""
        if self.following:
            return self.recorded.can_offline(zone, node, block)
        return self._model.can_offline(zone, node, block)

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        """Take a run of blocks out of their zone, all that go."""
        model = self._model
        if not self.following:
            outcome = model.offline(zone, node, first_block, nr_blocks, pages_per_block, drop_cache=drop_cache)
            self.kept.update(outcome.refused)
            return outcome
        refused = set(self.recorded.offline(zone, node, first_block, nr_blocks, pages_per_block).refused)
        moved = 0
        for block in range(first_block, first_block + nr_blocks):
            if block not in refused:
                model.vacate(zone, node, block)
                moved += model.offline(zone, node, block, 1, pages_per_block, drop_cache=drop_cache).moved
        return OfflineOutcome(tuple(sorted(refused)), moved)

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give up at most ``most`` sub-blocks of an online block."""
        model = self._model
        if not self.following:
            outcome = model.give_subblocks(zone, node, block, plugged_mask, sub_pages, most)
            if outcome.mask.bit_count() < min(most, plugged_mask.bit_count()):
                self.kept.add(block)
            return outcome
        mask = self.recorded.give_subblocks(zone, node, block, plugged_mask, sub_pages, most).mask
        if not mask:
            return SubblockOutcome(0)
        model.vacate(zone, node, block, sub_blocks=mask, sub_pages=sub_pages)
        return model.give_subblocks(zone, node, block, mask, sub_pages, mask.bit_count())
