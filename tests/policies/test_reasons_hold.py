"""Reasons say what decided: on random machines every number in them is true, and so is every comparison.

Each is taken apart into its numbers and words, and held against memory counted anew (:mod:`tests.policies.counted`).
Where what is compared can be moved just over the limit, it is, and decision and reason have to follow.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from hypothesis import given
from hypothesis import strategies as st

from policies.as_shipped import AsShipped
from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch2
from policies.clairvoyant.policy import Clairvoyant
from policies.contig_zones import ContigZones
from policies.contract import ZoneRequest
from policies.headroom import Headroom
from policies.kernel import Kernel
from policies.testkit.machines import RandomMachine, seeded
from policies.udev import Udev
from policies.user_space import UserSpace
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE, ZoneType
from sim.plugins import lookup
from sim.units import GIB
from tests.policies.branches import FORESEEN, REACH, Planned, policies
from tests.policies.counted import Counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Explanation, Policy
    from sim.memory.view import MemoryView

ALL_ZONES = "(DMA|DMA32|Normal|Movable)"
SCOPE = r"(all nodes|node \d+)"
NUMBER: Final = re.compile(r"-?\d+")
SETTLED = (
    r"(group|unit of group) (\d+)(?: \(static\))? already has (\d+) pages in (a kernel zone|ZONE_MOVABLE): all of it"
)


class Told:
    """A question to a policy, the zone that it decided on and the reason, both held against each other."""

    def __init__(self, policy: Policy, request: ZoneRequest, view: MemoryView, counted: Counted) -> None:
        self.policy, self.request, self.view, self.counted = policy, request, view, counted
        self.group = None if request.group is None else request.group.id
        explained: Explanation = policy.explain(request, view)
        self.zone, self.reason, self.numbers = explained.zone, explained.reason, explained.numbers
        assert policy.zone_for(request, view) == self.zone
        assert isinstance(self.zone, ZoneType)
        self.kernel_zone = view.default_kernel_zone(request.node, request.first_page, request.pages)
        said = re.search(rf": {ALL_ZONES}$", self.reason)
        assert said is None or said[1] == ZONE_LABELS[self.zone], "the zone named last is the one decided on"

    def again(self, policy: Policy | None = None, *, pages: int | None = None, alone: bool = False) -> Told:
        """Ask about the same place, with another policy, other pages or as of no group."""
        asked = self.request
        group = None if alone else asked.group
        request = ZoneRequest(asked.node, asked.first_page, asked.pages if pages is None else pages, group)
        return Told(policy or self.policy, request, self.view, self.counted)

    def scope(self, words: str) -> int | None:
        node = None if words == "all nodes" else int(words.removeprefix("node "))
        assert node in (None, self.request.node)
        return node

    @property
    def shape(self) -> str:
        """The reason without its numbers, and with K for the kernel zone: which branch it comes from."""
        words = NUMBER.sub("n", self.reason.replace("DMA32", "DMA"))
        return re.sub(r"\b(DMA|Normal)\b", "K", words)


def ratio_is_0(told: Told, _: re.Match[str]) -> None:
    assert isinstance(told.policy, AutoMovable)
    assert told.policy.ratio == 0
    assert told.zone == told.kernel_zone
    assert told.again(type(told.policy)(ratio=100)).reason != told.reason


def kernel_memory_in_a_device(told: Told, match: re.Match[str]) -> None:
    """Auto-movable: pages of a static group, or sections of a unit."""
    whole, group, number, what = match.groups()
    assert int(group) == told.group
    if what == "pages":
        assert whole == "group"
        assert int(number) == told.counted.of_group[int(group)][0] > 0
    else:
        assert told.request.group is not None
        unit = told.request.group.unit_pages
        assert int(number) == told.counted.sections(unit, told.request.first_page)[0] > 0
    assert told.zone != ZONE_MOVABLE
    assert "already has" not in told.again(alone=True).reason


def too_little_early_memory(told: Told, match: re.Match[str]) -> None:
    assert type(told.policy) is AutoMovable
    node, early, required = told.scope(match[1]), int(match[2]), int(match[3])
    assert early == told.counted.early_kernel(node) == told.numbers["early_kernel"]
    assert required == told.counted.required(node, told.group, told.policy.ratio) == told.numbers["required_by_others"]
    assert early <= required
    assert told.zone == told.kernel_zone or told.group is not None
    assert told.zone != ZONE_MOVABLE
    if early > 0:  # at a ratio so large nothing is required
        other = told.again(AutoMovable(ratio=2**31, numa_aware=told.policy.numa_aware))
        assert not other.reason.startswith(f"{match[1]}: early kernel memory")
        REACH("nothing is required any more")


def no_early_memory_on_the_node(told: Told, match: re.Match[str]) -> None:
    policy = told.policy
    assert type(policy) is AutoMovable
    assert policy.numa_aware
    assert int(match[1]) == told.request.node
    assert told.counted.early_kernel(told.request.node) == told.numbers["early_kernel"] == 0
    assert told.zone == told.kernel_zone
    # Over all nodes it had fitted: the node is not looked at before that.
    assert told.again(AutoMovable(ratio=policy.ratio, numa_aware=False)).zone == ZONE_MOVABLE


def ratio_is_kept_or_not(told: Told, match: re.Match[str]) -> None:
    policy, counted, request = told.policy, told.counted, told.request
    assert isinstance(policy, AutoMovable)
    words, movable, what, want, relation, limit, ratio = match.groups()
    node = (request.node if policy.numa_aware else None) if words == "fits" else told.scope(words)
    assert told.numbers.get("node") == node
    group = request.group if type(policy) is not AutoMovablePatch2 else None
    early, own_kernel, required = counted.early_kernel(node), 0, 0
    expected = counted.movable(node)
    if type(policy) is AutoMovable:
        required = counted.required(node, told.group, policy.ratio)
        assert early > required, "or that would be the reason"
        expected -= counted.movable_of_dynamic(node)
        if group is not None and group.is_dynamic:
            own_kernel, own_movable = counted.of_group[group.id]
            expected += own_movable  # on random machines, a block is on its group's node
    assert int(movable) == expected == told.numbers["movable"]
    assert int(limit) == policy.ratio * (early - required + own_kernel) // 100 == told.numbers["limit"]
    assert int(ratio) == policy.ratio
    sections = (0, 0)
    if group is not None and group.is_dynamic and group.unit_pages > request.pages:
        sections = counted.sections(group.unit_pages, request.first_page)
        asked_about = ("rest of a unit of group", group.unit_pages - sections[1] * told.view.section_pages)
    elif group is not None and not group.is_dynamic:
        asked_about = ("rest of static group", group.max_pages - counted.of_group[group.id][1])
    else:
        asked_about = ("block", request.pages)
    assert sections[0] == 0, "or that would be the reason"
    assert (what.rstrip("0123456789 "), int(want)) == asked_about
    assert what == "block" or what.endswith(f" {told.group}")
    assert (int(movable) + int(want) <= int(limit)) == (relation == "<=") == (told.zone == ZONE_MOVABLE)
    room = int(limit) - int(movable)
    if what == "block" and room > 0:
        last, one_more = told.again(pages=room), told.again(pages=room + 1)
        assert one_more.zone != ZONE_MOVABLE
        assert " > limit " in one_more.reason
        if relation == "<=":
            assert (last.zone == ZONE_MOVABLE) == (" <= limit " in last.reason)
        else:
            assert not last.reason.startswith(f"{words}: MOVABLE {movable} + block {room} >"), "there it fits"
        REACH("moved over the limit")


def device_is_settled(told: Told, match: re.Match[str]) -> None:
    """Headroom and plans: a static group or a unit follows what it has online."""
    whole, group, pages, where = match.groups()
    assert told.request.group is not None
    assert int(group) == told.group
    kernel, movable = told.counted.of_group[int(group)]
    if whole == "unit of group":
        sections = told.counted.sections(told.request.group.unit_pages, told.request.first_page)
        kernel, movable = (number * told.view.section_pages for number in sections)
    assert (int(pages), where) == ((kernel, "a kernel zone") if kernel else (movable, "ZONE_MOVABLE"))
    assert int(pages) > 0
    assert told.zone == (told.kernel_zone if kernel else ZONE_MOVABLE)
    assert "already has" not in told.again(alone=True).reason


def reserve_is_free_or_not(told: Told, match: re.Match[str]) -> None:
    policy, counted = told.policy, told.counted
    assert isinstance(policy, Headroom)
    words, free, source, relation, reserve, growth, _ = match.groups()
    node, page_size = told.scope(words), told.view.page_size
    asked, use = told.view.kernel_headroom, told.view.use
    assert (source == "left to the kernel") == (asked is not None) == (growth is not None)
    all_pages = counted.kernel(node) + counted.movable(node)
    expected = counted.kernel(node) - all_pages * 64 // page_size if asked is None else asked(node)
    assert int(free) == expected == told.numbers["free"]
    required = max(-(-policy.reserve // page_size), all_pages * policy.share // 100)
    assert int(reserve) == required == told.numbers["reserve"]
    foreseen = 0
    if use is not None:
        used, group = use(node), told.request.group
        coming = max(told.request.pages, *((group.max_pages, group.unit_pages) if group is not None else (0, 0)))
        part = Fraction(used.kernel, max(used.kernel + used.user, GIB // page_size))
        foreseen = math.floor((used.free + coming) * min(max(part, Fraction(1, 5)), Fraction(1, 2)))
        assert int(growth) == foreseen == told.numbers["growth"]
    assert (int(free) >= int(reserve) + foreseen) == (relation == ">=") == (told.zone == ZONE_MOVABLE)
    room = int(free) - foreseen
    if room > 0 and node is None:
        just, more = (told.again(Headroom(reserve=(room + page) * page_size)) for page in (0, 1))
        assert f"{free} pages {source} >= reserve of {room}" in just.reason
        assert f"{free} pages {source} < reserve of {room + 1}" in more.reason
        assert (just.zone, more.zone) == (ZONE_MOVABLE, told.kernel_zone)
        REACH("a reserve of a page more than there is")


def spans_are_met_or_not(told: Told, match: re.Match[str]) -> None:
    policy, request = told.policy, told.request
    assert isinstance(policy, ContigZones)
    words, prefers, _ = match.groups()
    in_kernel = told.counted.meets(request.node, told.kernel_zone, request.first_page, request.pages)
    in_movable = told.counted.meets(request.node, ZONE_MOVABLE, request.first_page, request.pages)
    label = ZONE_LABELS[told.kernel_zone]
    assert words == {
        (True, True): f"both the {label} and the Movable span", (True, False): f"the {label} span only",
        (False, True): "the Movable span only", (False, False): f"neither the {label} nor the Movable span",
    }[in_kernel, in_movable]  # fmt: skip
    movable_node = policy.movable_node or told.view.movable_node
    assert bool(prefers) == (movable_node and in_kernel == in_movable)
    assert told.zone == (ZONE_MOVABLE if prefers or (in_movable and not in_kernel) else told.kernel_zone)
    if in_kernel == in_movable and not told.view.movable_node:
        other = told.again(ContigZones(movable_node=not policy.movable_node))
        assert ("movable_node is set" in other.reason) != ("movable_node is set" in told.reason)
        assert (other.zone == ZONE_MOVABLE) != (told.zone == ZONE_MOVABLE)


def word_decides(told: Told, match: re.Match[str]) -> None:
    word = match[1]
    if isinstance(told.policy, Udev):
        assert told.policy.user_space is not None
        assert told.policy.user_space.rules[0].online_type.word == word
    else:
        assert told.policy.auto_online.word == word
    assert told.zone == (ZONE_MOVABLE if word == "online_movable" else told.kernel_zone)


def plan_decides(told: Told, match: re.Match[str]) -> None:
    block = told.request.first_page // told.request.pages
    known = isinstance(told.policy, Planned) and block < FORESEEN
    kernel = known and block % 3 == 0
    foreseen = f"the kernel will {'' if kernel else 'not '}need it"
    assert match[1] == (foreseen if known else "not foreseen")
    assert told.zone == (told.kernel_zone if kernel else ZONE_MOVABLE)


READERS: Final[dict[str, Callable[[Told, re.Match[str]], None]]] = {
    "the ratio is 0: never MOVABLE": ratio_is_0,
    r"(group|unit of group) (\d+)(?: \(static\))? already has (\d+) (pages|sections) in a kernel zone: all of it"
    " goes there": kernel_memory_in_a_device,
    r"node (\d+): no early kernel memory \(numa_aware = false would ask all nodes only\)": no_early_memory_on_the_node,
    rf"{SCOPE}: early kernel memory (-?\d+) <= (\d+) required by other dynamic groups": too_little_early_memory,
    r"(fits|all nodes|node \d+): MOVABLE (-?\d+) \+ (block|rest of static group \d+|rest of a unit of group \d+)"
    r" (-?\d+) (<=|>) limit (-?\d+) \(ratio (\d+) %\)": ratio_is_kept_or_not,
    rf"{SCOPE}: (-?\d+) pages (left to the kernel|of kernel zones beside the memmap) (<|>=) reserve of (\d+)"
    r"(?: and (\d+) for its growth)?: " + ALL_ZONES: reserve_is_free_or_not,
    rf"inside (.* span(?: only)?)(, and movable_node is set)?: {ALL_ZONES}": spans_are_met_or_not,
    rf"(?:user space writes )?(online_kernel|online_movable): {ALL_ZONES}": word_decides,
    rf"(not foreseen|the kernel will (?:not )?need it): {ALL_ZONES}": plan_decides,
}
SETTLING = (Headroom, Clairvoyant, Planned)


class Asking(RandomMachine):
    """Asks all policies about the blocks that go online, and has one of them decide."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        super().__init__(draw)
        self._policies = policies()
        self._decider = self._policies[self._draw(len(self._policies))]

    def _decide(self, block: int) -> int:
        self._ask(block)
        return self._decider.zone_for(self._question(block), self._view)

    def _decide_run(self, first: int, count: int) -> None:
        for block in range(first, first + count):
            if block in (first, first + 1, first + count - 1):
                self._ask(block)
            self._memory.online(block, self._decider.zone_for(self._question(block), self._view))

    def _tell_offline(self, node: int, zone: int, pages: int) -> None:
        pass

    def _tell_pressure(self, node: int, kernel_headroom: int) -> None:
        pass

    def _ask(self, block: int) -> None:
        counted = Counted(self._memory)
        for policy in self._policies:
            told = Told(policy, self._question(block), self._view, counted)
            if isinstance(policy, SETTLING) and (match := re.match(SETTLED, told.reason)):
                device_is_settled(told, match)
            else:
                read(told)
            REACH(f"{policy.name}: {told.shape}")


def read(told: Told) -> None:
    """Hold a reason against memory: every one has words that are known, and exactly one reader."""
    matches = ((reader, re.fullmatch(words, told.reason)) for words, reader in READERS.items())
    readers = [(reader, match) for reader, match in matches if match is not None]
    assert len(readers) == 1, f"nobody reads, or several do: {told.reason}"
    reader, match = readers[0]
    reader(told, match)


@REACH.test(examples=54, long=400)
@given(st.integers(0, 2**32))
def test_every_reason_is_true_of_what_decided(seed: int) -> None:
    Asking(seeded(seed, 0)).play(14)


def test_every_shipped_policy_is_among_those_asked() -> None:
    told_by_others = {Kernel.name, UserSpace.name, AsShipped.name}
    assert {policy.name for policy in policies()} == {*lookup.names(lookup.POLICY), Planned.name} - told_by_others
