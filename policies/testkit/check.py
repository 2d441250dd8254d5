"""Checks for authors of policies: whatever the machine, does a policy keep to its contract?

In a test of your own, with any test runner::

    from memhp_sim import check_policy

    def test_my_policy():
        check_policy(MyPolicy)

The checks plug, put online, take offline and remove memory on random machines (seeded, so the same on every run) and
hold every answer of the policy against :class:`policies.contract.Policy`: answers are zones, the same question gets the
same answer, :meth:`explain` names the zone chosen, :meth:`zones_for_run` gives what block-by-block decisions give, and
memory is only looked at. Nothing beyond the simulator's own libraries is needed.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn

from policies.contract import Explanation, Policy, ZoneRequest
from policies.testkit.machines import RandomMachine, seeded
from sim.faults import MemhpSimError, let_pass, text_of
from sim.kernel.policy_answers import PolicyError, checked_explanation, checked_runs, checked_zone, flaws_of
from sim.memory.zones import NoZone, ZoneType, zone_or_none

if TYPE_CHECKING:
    from collections.abc import Callable


class PolicyCheckError(MemhpSimError, AssertionError):
    """A policy breaks its contract. The message says how, where, and how to see it again."""


@dataclass(slots=True)
class PolicyReport:
    """What was checked: ``decisions`` of one block, ``runs`` decided at once, and blocks decided by zone number."""

    machines: int = 0
    decisions: int = 0
    runs: int = 0
    zones: Counter[int] = field(default_factory=Counter)


def check_policy(
    policy: Policy | Callable[[], Policy],
    *,
    seed: int = 0,
    machines: int = 40,
    changes: int = 40,
    only: int | None = None,
) -> PolicyReport:
    """Check ``policy``: a class, a function that makes one, or an instance (which is copied, and left alone).

    ``machines`` random machines undergo ``changes`` changes each; ``only`` repeats a single one of them. Raises
    PolicyCheckError at the first breach, and TypeError for what is no policy.
    """
    make = _maker(policy)
    _check_description(make())
    report = PolicyReport()
    for number in range(machines) if only is None else (only,):
        first = _Trial(make(), seed, number, report)
        second = _Trial(make(), seed, number, PolicyReport(), only_ask=True)
        first.play(changes)
        second.play(changes)
        decisions, again = first.decisions, second.decisions
        if decisions != again:
            at = next(at for at, pair in enumerate(zip(decisions, again, strict=False)) if pair[0] != pair[1])
            raise PolicyCheckError(
                f"{_name(make())}: on machine {number} of seed {seed}, decision {at} was {decisions[at]} (block, zone)"
                f" and {again[at]} when everything was done a second time: it depends on chance or on the past"
            )
        report.machines += 1
    return report


def _maker(policy: Policy | Callable[[], Policy]) -> Callable[[], Policy]:
    def make() -> Policy:
        made: object = copy.deepcopy(policy) if isinstance(policy, Policy) else policy()
        if not isinstance(made, Policy):
            raise TypeError(f"{made!r} is no Policy")
        return made

    if not isinstance(policy, Policy) and not callable(policy):
        raise TypeError(f"{policy!r} is neither a Policy nor something that makes one")
    return make


def _name(policy: Policy) -> str:
    return f"policy {getattr(policy, 'name', type(policy).__name__)!r}"


def _check_description(policy: Policy) -> None:
    """Check what listings and the engine read before any block is decided."""
    for attribute in ("name", "summary"):
        text = getattr(policy, attribute, None)
        if not isinstance(text, str) or not text.strip() or "\n" in text:
            raise PolicyCheckError(f"{_name(policy)}: {attribute} must be one line of text, but is {text!r}")
    for flaw in flaws_of(policy):
        raise PolicyCheckError(f"{_name(policy)}: {flaw}")


class _Trial(RandomMachine):
    """One machine that asks one policy, and looks at every answer.

    ``only_ask`` where the same has been looked at before: whether memory stays as it was is then not looked at.
    """

    def __init__(self, policy: Policy, seed: int, number: int, report: PolicyReport, *, only_ask: bool = False) -> None:
        super().__init__(seeded(seed, number))
        self._where = f"machine {number} of seed {seed}: {self._where}"
        self._only_ask = only_ask
        self._policy = policy
        self._report = report
        self.decisions: list[tuple[int, int]] = []
        self._again = f"see it again with check_policy(..., seed={seed}, only={number})"

    def _decide_run(self, first: int, count: int) -> None:
        """Ask about a run at once, then block by block while they go online, and compare."""
        policy, view = self._policy, self._view
        request, asked = self._request(first)
        answer = self._call("zones_for_run", lambda: policy.zones_for_run(request, count, view), asked)
        expected: list[int] | None = None
        if answer is not None:
            runs = self._checked(checked_runs, answer, first, count, request, view)
            expected = [zone for length, zone in runs for _ in range(length)]
            self._report.runs += 1
        decided = []
        for block in range(first, first + count):
            decided.append(self._decide(block))
            self._put(block, decided[-1])
        if expected is not None and expected != decided:
            at = next(at for at, pair in enumerate(zip(expected, decided, strict=True)) if pair[0] != pair[1])
            self._fail(
                f"zones_for_run put block {first + at}, number {at + 1} of {count}, in {_label(expected[at])};"
                f" asked block by block the policy puts it in {_label(decided[at])}"
            )

    def _decide(self, block: int) -> int:
        policy, view = self._policy, self._view
        request, asked = self._request(block)

        def ask() -> int:
            answer = self._call("zone_for", lambda: policy.zone_for(request, view), asked)
            return int(self._checked(checked_zone, answer, block, request, view))

        zone, again = ask(), ask()
        if again != zone:
            self._fail(f"zone_for said {_label(zone)} and then {_label(again)} of the same block {block}")
        explanation: Explanation = self._checked(
            checked_explanation, self._call("explain", lambda: policy.explain(request, view), asked), block
        )
        if explanation.zone != zone or not isinstance(explanation.zone, (ZoneType, NoZone)):
            self._fail(f"zone_for chose {_label(zone)} for block {block} and explain {explanation.zone!r}")
        reason: object = explanation.reason
        if not isinstance(reason, str) or not reason.strip() or "\n" in reason:
            self._fail(f"the reason for block {block} must be one line of text, but is {reason!r}")
        self._report.decisions += 1
        self._report.zones[zone] += 1
        self.decisions.append((block, zone))
        return zone

    def _request(self, block: int) -> tuple[ZoneRequest, tuple[object, ...]]:
        """Return the question about ``block``, and a copy of what is in it."""
        request = self._question(block)
        return request, (request, *_fields(request))

    def _tell_offline(self, node: int, zone: int, pages: int) -> None:
        self._call("on_offline", lambda: self._policy.on_offline(node, zone, pages))

    def _tell_pressure(self, node: int, kernel_headroom: int) -> None:
        self._call("on_pressure", lambda: self._policy.on_pressure(node, kernel_headroom))

    def _call(self, verb: str, ask: Callable[[], object], asked: tuple[object, ...] = ()) -> Any:  # noqa: ANN401
        """Ask the policy, and see that neither memory nor the request has changed."""
        before = None if self._only_ask else self._fingerprint()
        try:
            answer = ask()
        except BaseException as error:
            let_pass(error)
            raise self._breach(f"{verb} raised {type(error).__name__}: {text_of(error)}") from error
        if before is not None and self._fingerprint() != before:
            self._fail(f"{verb} changed memory: a policy may only look at it")
        if asked and _fields(asked[0]) != asked[1:]:
            self._fail(f"{verb} changed its request: another caller reads it next")
        return answer

    def _checked(self, check: Callable[..., Any], answer: object, *rest: object) -> Any:  # noqa: ANN401
        try:
            return check(self._policy, answer, *rest)
        except PolicyError as error:
            self._fail(str(error))

    def _fail(self, what: str) -> NoReturn:
        raise self._breach(what)

    def _breach(self, what: str) -> PolicyCheckError:
        return PolicyCheckError(f"{_name(self._policy)}: {what} ({self._where}; step {self._step}; {self._again})")

    def _fingerprint(self) -> tuple[object, ...]:
        """Everything about memory that a policy could have changed."""
        memory, blocks = self._memory, self._memory.blocks
        zones = tuple(map(_ZONE, filter(None, memory.zone_by_code)))
        totals = _TOTALS(memory.system), *(_TOTALS(node.totals) for node in memory.nodes.values())
        groups = tuple(map(_GROUP, memory.groups))
        table = (bytes(blocks.where), bytes(blocks.flags), blocks.node.tobytes(), blocks.group.tobytes())
        view = (self._view.movable_node, self._view.block_pages, self._view.several_nodes, len(blocks.left_over))
        return zones, totals, groups, table, view


_ZONE: Final = attrgetter("present", "present_early", "managed", "cma", "start", "end")
_TOTALS: Final = attrgetter("movable", "early_kernel", "kernel", "dynamic_movable")
_GROUP: Final = attrgetter("id", "node", "max_pages", "unit_pages", "kernel", "movable", "blocks")
_REQUEST: Final = attrgetter(*ZoneRequest.__slots__)


def _label(zone: int) -> str:
    return zone_or_none(zone).label


def _fields(request: object) -> tuple[object, ...]:
    fields: tuple[object, ...] = _REQUEST(request)
    return fields
