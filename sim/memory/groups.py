"""Memory groups: which blocks belong to one memory device, static (a DIMM) or dynamic (virtio-mem), and their registry.

Follows ``drivers/base/memory.c`` (``memory_group_register_static`` and neighbours, v5.15) and, for the charges,
``auto_movable_stats_account_group`` of ``mm/memory_hotplug.c``.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, Protocol, cast

from sim.memory.errors import EBUSY, EINVAL, ENOMEM, HotplugError
from sim.memory.read_only import ReadOnly

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

NO_GROUP: Final = -1
"""What drivers keep where there is no group: 0 is a valid id."""

_MAX_ID: Final = 2**31 - 1
_MAX_RATIO_IN_CHARGE: Final = 2**31 - 1


class GroupView(Protocol):
    """What a policy may see of a group.

    Pages; ``max_pages`` is 0 for dynamic groups and ``unit_pages`` 0 for static ones.
    """

    @property
    def id(self) -> int:
        """The group's id."""

    @property
    def node(self) -> int:
        """The node that the group was registered for."""

    @property
    def is_dynamic(self) -> bool:
        """Whether the device grows and shrinks by units."""

    @property
    def max_pages(self) -> int:
        """Pages that a static device will have at most."""

    @property
    def unit_pages(self) -> int:
        """Pages of a dynamic device's unit."""

    @property
    def kernel(self) -> int:
        """Present pages of the group's blocks in kernel zones."""

    @property
    def movable(self) -> int:
        """Present pages of the group's blocks in ZONE_MOVABLE."""


class MemoryGroup:
    """A registered group.

    ``kernel`` and ``movable`` are changed by the accounting primitive only; ``blocks`` counts members. ``view`` is what
    policies get of it.
    """

    __slots__ = ("__dict__", "blocks", "view")

    id: int
    node: int
    is_dynamic: bool
    max_pages: int
    unit_pages: int
    kernel: int
    movable: int

    def __init__(self, group_id: int, node: int, *, max_pages: int = 0, unit_pages: int = 0) -> None:
        # A literal, not assignments: see ReadOnly.
        self.__dict__ = {
            "id": group_id,
            "node": node,
            "is_dynamic": unit_pages > 0,
            "max_pages": max_pages,
            "unit_pages": unit_pages,
            "kernel": 0,
            "movable": 0,
        }
        self.blocks = 0
        self.view = cast("GroupView", ReadOnly(self))

    def __repr__(self) -> str:
        kind = f"dynamic, unit {self.unit_pages}" if self.is_dynamic else f"static, max {self.max_pages}"
        return f"MemoryGroup({self.id}: node {self.node}, {kind}, K {self.kernel}, M {self.movable} pages)"


class Charges:
    """Early kernel pages that dynamic groups need for their MOVABLE memory at one ratio, summed without a walk.

    A group is charged ``max(0, floor(100 * movable / ratio) - kernel)`` pages. ``total`` and ``by_node`` are sums of
    the values in ``charged`` (by group id), which may lag behind for the group that changed last: see
    :meth:`GroupRegistry.settle`.
    """

    __slots__ = ("by_node", "charged", "ratio", "total")

    def __init__(self, ratio: int) -> None:
        self.ratio = ratio
        self.total = 0
        self.by_node: dict[int, int] = {}
        self.charged: dict[int, int] = {}

    def update(self, group: MemoryGroup) -> None:
        """Bring the sums up to date with ``group``'s counters."""
        charge = 0
        # The kernel reads the unsigned ratio as a signed int here, so that larger values charge nothing.
        if self.ratio <= _MAX_RATIO_IN_CHARGE:
            charge = max(0, 100 * group.movable // self.ratio - group.kernel)
        change = charge - self.charged.get(group.id, 0)
        if change:
            self.charged[group.id] = charge
            self.total += change
            self.by_node[group.node] = self.by_node.get(group.node, 0) + change

    def forget(self, group: MemoryGroup) -> None:
        """Drop a group that is being unregistered (it holds no blocks any more)."""
        self.charged.pop(group.id, None)


class GroupRegistry:
    """All memory groups of a machine, by id. Ids are given lowest-free-first from 0.

    ``touched`` is the dynamic group whose counters changed last and whose charges are not settled yet. The deciding
    group is left out of every sum, so that a run of decisions about one device never needs to settle. ``kept`` are the
    charges by ratio; ``changes`` counts groups that came and went. ``resized`` are those, and those that got or lost
    blocks otherwise than one by one, as dynamic ones do: for one who looks, and empties it.
    """

    __slots__ = (
        "_block_pages", "_free_ids", "_groups", "_next_id", "_possible_nodes", "changes", "find", "kept", "resized",
        "touched",
    )  # fmt: skip

    def __init__(self, block_pages: int, possible_nodes: Container[int]) -> None:
        self._block_pages = block_pages
        self._possible_nodes = possible_nodes
        self._groups: dict[int, MemoryGroup] = {}
        self._free_ids: list[int] = []
        self._next_id = 0
        self.changes = 0
        self.resized: set[int] = set()
        self.kept: dict[int, Charges] = {}
        self.touched: MemoryGroup | None = None
        self.find: Callable[[int], MemoryGroup | None] = self._groups.get
        """Return the group with this id, or None. The dictionary's own method: asked at every change."""

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[MemoryGroup]:
        return iter(self._groups.values())

    def register_static(self, node: int, max_pages: int) -> MemoryGroup:
        """Register a device that is added and removed in one go, and return its group.

        Raises EINVAL where ``max_pages`` is 0 or the node is impossible, ENOMEM where ids have run out.
        """
        if max_pages <= 0:
            raise HotplugError(EINVAL, "a static memory group needs max_pages above 0")
        return self._register(node, max_pages=max_pages)

    def register_dynamic(self, node: int, unit_pages: int) -> MemoryGroup:
        """Register a device that grows and shrinks by ``unit_pages``, and return its group.

        Raises EINVAL where the unit is 0, no power of two or smaller than a memory block, or the node is impossible.
        """
        if unit_pages <= 0 or unit_pages & (unit_pages - 1) or unit_pages < self._block_pages:
            raise HotplugError(
                EINVAL,
                f"a unit of {unit_pages} pages is not a power of two of at least a memory block ({self._block_pages})",
            )
        return self._register(node, unit_pages=unit_pages)

    def _register(self, node: int, *, max_pages: int = 0, unit_pages: int = 0) -> MemoryGroup:
        if node not in self._possible_nodes:
            raise HotplugError(EINVAL, f"node {node} is not possible on this machine")
        if self._free_ids:
            group_id = heapq.heappop(self._free_ids)
        elif self._next_id <= _MAX_ID:
            group_id = self._next_id
            self._next_id += 1
        else:
            raise HotplugError(ENOMEM, "no memory group id is left")
        self.changes += 1
        self.resized.add(group_id)
        group = self._groups[group_id] = MemoryGroup(group_id, node, max_pages=max_pages, unit_pages=unit_pages)
        return group

    def unregister(self, group_id: int) -> None:
        """Forget a group. Raises EINVAL for a negative or unknown id, EBUSY while blocks belong to it."""
        group = self._groups.get(group_id) if group_id >= 0 else None
        if group is None:
            raise HotplugError(EINVAL, f"there is no memory group {group_id}")
        if group.blocks:
            raise HotplugError(EBUSY, f"memory group {group_id} still has {group.blocks} memory blocks")
        self.settle()
        for charges in self.kept.values():
            charges.forget(group)
        self.changes += 1
        self.resized.add(group_id)
        del self._groups[group_id]
        heapq.heappush(self._free_ids, group_id)

    def walk_dynamic(
        self, visit: Callable[[MemoryGroup], int], node: int | None = None, excluded: MemoryGroup | None = None
    ) -> int:
        """Call ``visit`` for every dynamic group but ``excluded`` (of ``node``, or of any where None).

        Goes by ascending id. Stops at the first result that is not 0 and returns it; 0 after a full walk
        (``walk_dynamic_memory_groups``).
        """
        for group_id in sorted(self._groups):
            group = self._groups[group_id]
            if not group.is_dynamic or group is excluded or (node is not None and group.node != node):
                continue
            result = visit(group)
            if result:
                return result
        return 0

    def settle(self) -> None:
        """Bring all charges up to date with the group that changed last."""
        group = self.touched
        if group is not None:
            self.touched = None
            for charges in self.kept.values():
                charges.update(group)

    def charges(self, ratio: int) -> Charges:
        """Return the charges at ``ratio`` percent (above 0), kept from now on. The first call walks the groups once."""
        charges = self.kept.get(ratio)
        if charges is None:
            self.settle()
            charges = Charges(ratio)
            for group in self._groups.values():
                if group.is_dynamic:
                    charges.update(group)
            if len(self.kept) >= _KEPT_RATIOS:
                del self.kept[next(iter(self.kept))]
            self.kept[ratio] = charges
        return charges


_KEPT_RATIOS: Final = 8
"""Ratios whose charges are kept: one that changes at run time again and again must not slow every later change."""
