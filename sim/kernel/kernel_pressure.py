"""Tells a policy when the kernel zones of a node run short: what :meth:`policies.contract.Policy.on_pressure` promises.

Only policies that override the hook are watched for, so that it costs the others nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.contract import Policy
from sim.guest.contract import OomKind
from sim.kernel.policy_answers import failed_under_pressure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest import GuestModel
    from sim.guest.at_once import AtOnce
    from sim.guest.contract import OfflineOutcome, OomEvent, SubblockOutcome


def wants_to_know(policy: Policy) -> bool:
    """Whether ``policy`` overrides the hook."""
    return type(policy).on_pressure is not Policy.on_pressure


class KernelPressure:
    """Watches ``model`` on behalf of ``policy``: each node is told of once, and again after it had room in between."""

    def __init__(self, policy: Policy, model: GuestModel) -> None:
        self._policy = policy
        self._model = model
        self._told: set[int] = set()

    def look(self) -> None:
        """Tell of the nodes that have run short since the last look, lowest first. Raises PolicyError."""
        short = self._model.meminfo.nodes_short_of_kernel_memory()
        self._told.intersection_update(short)
        for node in short:
            self._tell(node, self._model.meminfo.kernel_headroom(node))

    def look_back(self, ooms: Iterable[OomEvent]) -> None:
        """Tell of kernel requests that failed.

        No node had a page left when they failed. A look cannot see that: the killer may have made room since.
        """
        if any(oom.kind is OomKind.KERNEL for oom in ooms):
            for node in self._model.meminfo.kernel_nodes():
                self._tell(node, 0)

    def _tell(self, node: int, kernel_headroom: int) -> None:
        if node in self._told or self._model.killer.guest_died:
            return
        self._told.add(node)
        try:
            self._policy.on_pressure(node, kernel_headroom)
        except BaseException as error:
            raise failed_under_pressure(self._policy, error, node) from error


class WatchedGuest:
    """The hotplug side of a guest, looked at after everything that can take pages from kernel zones or add to them.

    Implements :class:`sim.guest.contract.Guest`.
    """

    at_once: AtOnce | None = None
    """No block comes or goes without a look."""

    def __init__(self, model: GuestModel, pressure: KernelPressure) -> None:
        self._model = model
        self._look = pressure.look
        self.can_offline = model.can_offline

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """Take memmap, and look: a policy hears of it before it is asked for the zone of what is being added."""
        enough = self._model.add_memory(node, first_block, nr_blocks, altmap)
        self._look()
        return enough

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Give back memmap, and look."""
        self._model.remove_memory(first_block, nr_blocks)
        self._look()

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Hand pages to a zone, and look: all watermarks move with it."""
        self._model.online(zone, node, first_block, nr_blocks, pages_per_block)
        self._look()

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        """Take blocks out of a zone, and look: their user pages may have gone to kernel zones."""
        outcome = self._model.offline(zone, node, first_block, nr_blocks, pages_per_block, drop_cache=drop_cache)
        self._look()
        return outcome

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give up sub-blocks, and look."""
        outcome = self._model.give_subblocks(zone, node, block, plugged_mask, sub_pages, most)
        self._look()
        return outcome

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Take sub-blocks into use, and look."""
        self._model.take_subblocks(zone, node, block, mask, sub_pages)
        self._look()
