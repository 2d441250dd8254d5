"""What must hold after every step, by number (docs/invariants.md)."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis.stateful import invariant, precondition

from policies.contract import Explanation, ZoneRequest
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS, OnlineType
from tests.decisions.reached import REACH
from tests.decisions.side_by_side import SideBySide
from tests.plain import decide, linux
from tests.plain.machine import MOVABLE, ZONES
from tests.support.fast_machine import policy_for
from tests.support.invariants import check_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.contract import Policy
    from tests.plain.machine import Group

NUMBER = re.compile(r"-?\b[0-9]+\b")
KERNEL_ZONE = re.compile(r"\b(DMA|DMA32|Normal)\b")

#: Policies, at their stages, and ratios that are asked about beside the one that is set.
POLICIES = (("auto-movable", "A"), ("auto-movable", "B"), ("auto-movable", "C"), ("contig-zones", "C"))
RATIOS_TO_ASK = (0, 100, 301, 2**31, 30, 700, 1)

#: Places asked about after every step, beside the blocks that are offline.
PROBES = 12


class Agreement(SideBySide):
    """The two machines agree, and the simulator's own invariants hold."""

    @precondition(lambda self: hasattr(self, "plan"))
    @invariant()
    def agree(self) -> None:
        with self.plain.at_rest():
            self.agree_about_memory()
            self.agree_about_decisions()
            self.agree_about_what_could_be()
            self.agree_at_the_limit()
        check_all(self.subject)

    def agree_about_memory(self) -> None:
        """INV-11."""
        plain, memory = self.plain, self.fast.memory
        blocks = memory.blocks
        assert {
            number: (blocks.is_online(number), memory.zone_label(number), blocks.node[number], blocks.group[number])
            for number in blocks.ids()
        } == {
            b.number: (
                b.online,
                (b.zone or "none") if b.online else None,
                b.node,
                -1 if b.group is None else b.group,
            )
            for b in plain.blocks.values()
        }
        assert blocks.left_over == {
            b.number: OnlineType[b.left_over_word.upper()] for b in plain.blocks.values() if b.left_over_word
        }
        for node in sorted(plain.possible_nodes):
            for zone in ZONES:
                mine = memory.nodes[node].zones[ZONE_BY_LABEL[zone]]
                found = (0, 0, 0, 0) if mine is None else (mine.present, mine.present_early, mine.start, mine.end)
                assert found == (
                    plain.present(node, zone),
                    plain.present_early(node, zone),
                    *plain.spans[node, zone],
                ), (node, zone)
                managed = self.managed.get((node, zone), 0) + plain.managed_by_hotplug(node, zone)
                assert (0 if mine is None else mine.managed) == managed, (node, zone)
            assert memory.nodes[node].present == plain.node_present(node)
            assert memory.nodes[node].span == plain.node_span(node)
        assert {g.id: (g.node, g.is_dynamic, g.kernel, g.movable) for g in memory.groups} == {
            g.number: (g.node, g.dynamic, plain.group_kernel(g.number), plain.group_movable(g.number))
            for g in plain.groups.values()
        }
        for scope, totals in [(None, memory.system), *((n, memory.nodes[n].totals) for n in plain.possible_nodes)]:
            assert totals.movable == decide.movable_pages(plain, scope)
            assert totals.early_kernel == decide.kernel_early_pages(plain, scope)

    def agree_about_decisions(self) -> None:
        """INV-12, and INV-14 to INV-16: the same zone for every offline block, and a reason for that zone."""
        for number, block in self.plain.blocks.items():
            if block.online:
                continue
            expected = linux.valid_zones(self.plain, number)
            assert self.fast.valid_zones(number) == expected, f"INV-12, block {number}"
            explained = self.fast.core.zone_choice.explain(OnlineType.ONLINE, number)
            group = None if block.group is None else self.plain.groups[block.group]
            self.agree_about_the_reason(self.fast.core.zone_choice.policy, explained, expected[0], block.node, group)
            knobs = self.plain.knobs
            if knobs.policy == "auto-movable" and expected[0] == MOVABLE:
                assert knobs.ratio > 0, "INV-15"
                by_node = knobs.numa_aware and knobs.stage == "C"
                assert not by_node or decide.kernel_early_pages(self.plain, block.node) > 0, "INV-16"
            REACH("a decision about a block")

    def agree_about_the_reason(
        self, policy: Policy, explained: Explanation, zone: str, node: int, group: Group | None
    ) -> None:
        """INV-14, and that the figures of auto-movable are those that decide: MOVABLE may grow by what is left."""
        assert ZONE_LABELS[explained.zone] == zone, "INV-14"
        numbers = explained.numbers
        reason = NUMBER.sub("n", explained.reason)
        REACH(f"{policy.name}: {KERNEL_ZONE.sub('kernel', reason) if policy.name == 'contig-zones' else reason}")
        if "limit" in numbers:
            room = decide.room(self.plain, node if "node" in numbers else None, group)
            if room is None:
                assert numbers["early_kernel"] <= numbers["required_by_others"]
            else:
                assert numbers["limit"] - numbers["movable"] == room
                assert (numbers["want"] <= room) == (zone == MOVABLE)

    def agree_about_what_could_be(self) -> None:
        """INV-12 for places where no block is: any group, any node, all over the address space in turn."""
        plain, core = self.plain, self.fast.core
        askers: list[tuple[int | None, int]] = [(None, node) for node in sorted(plain.possible_nodes)]
        askers += [(group.number, group.node) for group in plain.groups.values()]
        pages = self.plan.block_pages
        places = [n for n in self.plan.device_blocks if n not in plain.blocks or not plain.blocks[n].online]
        low = [n for n in places if n * pages < self.plan.four_gib] or places
        if not places:
            return
        for _ in range(PROBES):
            self.asked += 1
            number, node = askers[self.asked % len(askers)]
            ask_about = low if self.asked % 3 == 0 else places
            first = ask_about[self.asked * 31 // len(askers) % len(ask_about)] * pages
            group = None if number is None else plain.groups[number]
            mine = None if number is None else core.view.group(number)
            request = ZoneRequest(node, first, pages, mine)
            with self.other_knobs():
                expected = decide.choose(plain, "online", node, group, first, pages)
                policy = policy_for(plain.knobs)
                assert ZONE_LABELS[policy.zone_for(request, core.view)] == expected, (
                    f"INV-12, group {number}, node {node}, pages from {first}, {plain.knobs}"
                )
                self.agree_about_the_reason(policy, policy.explain(request, core.view), expected, node, group)
            REACH(f"a decision about what could be: {expected}")

    @contextmanager
    def other_knobs(self) -> Iterator[None]:
        """Every second time, have the plain machine decide by another policy or ratio than the one that is set."""
        knobs = self.plain.knobs
        if self.asked % 2:
            turn = self.asked // 2
            policy, stage = POLICIES[turn % len(POLICIES)]
            ratio = (RATIOS_TO_ASK[turn // len(POLICIES) % len(RATIOS_TO_ASK)], knobs.ratio)[turn % 3 > 0]
            self.plain.knobs = replace(knobs, policy=policy, stage=stage, ratio=ratio, numa_aware=turn % 4 > 0)
        try:
            yield
        finally:
            self.plain.knobs = knobs

    def agree_at_the_limit(self) -> None:
        """INV-12 for a block without a group of just as many pages as fit, and of one more."""
        plain, core = self.plain, self.fast.core
        self.asked += 1
        node = self.asked % len(plain.possible_nodes)
        if plain.knobs.policy != "auto-movable" or plain.knobs.ratio == 0:
            return
        most = decide.room(plain, node if self.asked % 3 == 0 else None, None) or 0
        first = self.plan.device_blocks[self.asked % len(self.plan.device_blocks)] * self.plan.block_pages
        for pages in (most, most + 1):
            if pages > 0:
                expected = decide.choose(plain, "online", node, None, first, pages)
                request = ZoneRequest(node, first, pages, None)
                found = core.zone_choice.policy.zone_for(request, core.view)
                assert ZONE_LABELS[found] == expected, f"INV-12, {pages} pages from {first} on node {node}"
                self.agree_about_the_reason(
                    core.zone_choice.policy, core.zone_choice.policy.explain(request, core.view), expected, node, None
                )
                just = "as many pages as fit" if pages == most else "a page too many"
                REACH(f"a decision at the limit: {just}")
