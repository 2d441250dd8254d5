"""Which zone a block goes to when it is put online, and why: asks the policy and looks closely at its answers.

Follows ``zone_for_pfn_range`` of ``mm/memory_hotplug.c`` and ``valid_zones_show`` of ``drivers/base/memory.c``. This
module changes no memory: :class:`sim.kernel.hotplug_core.HotplugCore` acts on the choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.contract import Explanation, Policy, ZoneRequest
from sim.kernel.policy_answers import checked_explanation, checked_runs, checked_zone, contradicts, failed
from sim.memory.zones import (
    LEAVE_OFFLINE,
    MMOP_ONLINE,
    MMOP_ONLINE_KERNEL,
    MMOP_ONLINE_MOVABLE,
    NR_ZONES,
    ZONE_MOVABLE,
    ZONE_NORMAL,
    OnlineType,
    ZoneType,
)

if TYPE_CHECKING:
    from sim.kernel.listener import CoreListener
    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory
    from sim.memory.view import MemoryView
    from sim.memory.zones import Zone


class ZoneChoice:
    """Chooses and explains zones of blocks, as the policy says or the online type itself does.

    ``policy`` is changed by :meth:`set_policy` only. ``decisions`` counts what the policy decided for blocks that were
    to go online. ``tell_offline`` tells the policy that a block has left a zone, and is None where it does not want to
    know. ``request`` is the one object in which the policy is told of a block.
    """

    __slots__ = ("_memory", "_tell_reason", "decisions", "policy", "request", "tell_offline", "view", "wants_reasons")

    def __init__(self, memory: Memory, view: MemoryView, policy: Policy, listener: CoreListener) -> None:
        self._memory = memory
        self.view = view
        self.request = ZoneRequest(0, 0, memory.block_pages, None)
        self.decisions = 0
        self.wants_reasons = listener.wants_reasons
        self._tell_reason = listener.decided
        self.set_policy(policy)

    def set_policy(self, policy: Policy) -> None:
        """Use another policy from now on. Blocks never move."""
        self.policy = policy
        # The hook that most policies leave alone is not called on their behalf.
        self.tell_offline = None if type(policy).on_offline is Policy.on_offline else self._offline_hook

    def _offline_hook(self, block: int, zone: Zone) -> None:
        try:
            self.policy.on_offline(zone.node, zone.type, self._memory.block_pages)
        except BaseException as error:
            raise failed(self.policy, error, block, " in on_offline") from error

    def _ask(self, block: int) -> ZoneRequest:
        memory = self._memory
        request = self.request
        group_id = memory.blocks.group[block]
        request.node = memory.blocks.node[block]
        request.first_page = block * memory.block_pages
        request.group = self.view.group(group_id) if group_id >= 0 else None
        return request

    def choose(self, online_type: int, block: int) -> int:
        """Return the zone type that ``block`` goes to when it is put online with ``online_type`` now. No side effect.

        LEAVE_OFFLINE's number where the policy will not have it online. Raises PolicyError where the policy fails.
        """
        if online_type == MMOP_ONLINE_MOVABLE:
            return ZONE_MOVABLE
        memory = self._memory
        if online_type == MMOP_ONLINE_KERNEL:
            first = block * memory.block_pages
            return memory.nodes[memory.blocks.node[block]].default_kernel_zone(first, memory.block_pages)
        try:
            zone_type = self.policy.zone_for(request := self._ask(block), self.view)
        except BaseException as error:
            raise failed(self.policy, error, block) from error
        # One comparison on the hot path settles the common answers; all else is looked at closely.
        if zone_type.__class__ is int and ZONE_NORMAL <= zone_type < NR_ZONES:
            return zone_type
        return checked_zone(self.policy, zone_type, block, request, self.view)

    def decide(self, online_type: int, block: int) -> int:
        """Choose, count and give the reason: for a block that is put online now."""
        zone_type = self.choose(online_type, block)
        if online_type == MMOP_ONLINE:
            self.decisions += 1
        if self.wants_reasons:
            explanation = self.explain(online_type, block)
            if explanation.zone != zone_type:
                raise contradicts(self.policy, zone_type, explanation, block)
            self._tell_reason(online_type, block, explanation)
        return zone_type

    def decide_run(self, first: int, count: int, online_type: int) -> list[tuple[int, int]]:
        """Return runs of (blocks, zone) that cover all ``count`` blocks, or none where each has to be decided alone."""
        if self.wants_reasons:
            return []  # somebody wants to read every single decision
        runs = self._runs(self._ask(first), first, count, online_type)
        if runs:
            self.count_run(count, online_type)
        return runs

    def runs_of_new(self, first: int, count: int, online_type: int, group: MemoryGroup) -> list[tuple[int, int]]:
        """Return the same for blocks of ``group`` that have yet to be added. Not counted."""
        request = self.request
        request.node = group.node
        request.first_page = first * request.pages
        request.group = group.view
        return self._runs(request, first, count, online_type)

    def count_run(self, count: int, online_type: int) -> None:
        """Count the decisions of a run that goes online."""
        if online_type == MMOP_ONLINE:
            self.decisions += count

    def _runs(self, request: ZoneRequest, first: int, count: int, online_type: int) -> list[tuple[int, int]]:
        if online_type == MMOP_ONLINE_MOVABLE:
            return [(count, ZONE_MOVABLE)]
        if online_type == MMOP_ONLINE_KERNEL:
            above = request.first_page >= self.view.low_end(request.node)
            return [(count, ZONE_NORMAL)] if above else []
        try:
            runs = self.policy.zones_for_run(request, count, self.view)
        except BaseException as error:
            raise failed(self.policy, error, first, " in zones_for_run") from error
        if runs is None:
            return []
        return checked_runs(self.policy, runs, first, count, request, self.view)

    def explain(self, online_type: int, block: int) -> Explanation:
        """Return what :meth:`choose` would return, with the reason."""
        if online_type == MMOP_ONLINE:
            try:
                explanation = self.policy.explain(self._ask(block), self.view)
            except BaseException as error:
                raise failed(self.policy, error, block, " in explain") from error
            return checked_explanation(self.policy, explanation, block)
        zone = ZoneType(self.choose(online_type, block))
        return Explanation(zone, f"{OnlineType(online_type).word}: {zone.label}", {})

    def valid_zones(self, block: int) -> list[int]:
        """Return what ``valid_zones`` of an offline block lists: the choice of ``online``, the kernel's, MOVABLE."""
        chosen = self.choose(MMOP_ONLINE, block)
        zones = [] if chosen == LEAVE_OFFLINE else [chosen]
        for online_type in (MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE):
            zone_type = self.choose(online_type, block)
            if zone_type not in zones:
                zones.append(zone_type)
        return zones
