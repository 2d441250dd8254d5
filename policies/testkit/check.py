"""Checks for authors of policies: whatever the machine, does a policy keep to its contract?

In a test of your own, with any test runner::

    from memhp_sim import check_policy

    def test_my_policy():
        check_policy(MyPolicy)

The checks plug, put online, take offline and remove memory on random machines (seeded, so the same on every run) and
hold every answer of the policy against :class:`policies.contract.Policy`: answers are zones, the same question gets the
same answer, :meth:`explain` names the zone chosen, :meth:`zones_for_run` gives what block-by-block decisions give, and
memory is only looked at, and so is no clock. Nothing beyond the simulator's own libraries is needed.

:func:`audit_policy` is the same walk, which goes on after a breach and tells the first of each kind: what the command
``memhp-sim check-policy`` shows.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from policies.contract import Explanation, Policy, ZoneRequest
from policies.testkit.machines import MachineOver, RandomMachine, seeded
from sim.faults import MemhpSimError, let_pass, text_of
from sim.kernel.policy_answers import PolicyError, checked_explanation, checked_runs, checked_zone, flaws_of
from sim.memory.zones import NoZone, ZoneType, zone_or_none
from sim.plugins.stray import Stray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


DESCRIPTION: Final = "description"
RAISES: Final = "raises"
ZONES: Final = "zones"
SAME_ANSWER: Final = "same answer"
SAME_PAST: Final = "same history"
RUNS: Final = "whole runs"
REASONS: Final = "reasons"
ONLY_LOOKS: Final = "only looks"
NO_CLOCK: Final = "no clock, no dice"

BREACHES: Final = {
    DESCRIPTION: "name, summary, auto_online, user_space and configured_ratio are what they should be",
    RAISES: "nothing is raised, whatever is asked and told",
    ZONES: "every answer is a zone, and one that Linux has at that block",
    SAME_ANSWER: "the same question twice gets the same zone",
    REASONS: "explain names the zone chosen, in one line",
    RUNS: "zones_for_run says what is said block by block",
    ONLY_LOOKS: "memory, groups and the question are as they were after each call",
    NO_CLOCK: "no clock is looked at, and no random number drawn",
    SAME_PAST: "everything done a second time, by a second policy, gets the same zones",
}
"""The kinds of breaches by name: what is tried of each."""


class PolicyCheckError(MemhpSimError, AssertionError):
    """A policy breaks its contract. The message says how, where, and how to see it again.

    ``kind`` is one of :data:`BREACHES`, ``what`` the message without the policy's name and the way back, ``machine``
    the machine's number, None where it is not about one.
    """

    kind = ""
    what = ""
    machine: int | None = None

    @classmethod
    def of(cls, kind: str, what: str, machine: int | None = None, text: str = "") -> PolicyCheckError:
        """Return the error of a breach, with ``text`` as its whole message where that is more than ``what``."""
        error = cls(text or what)
        error.kind, error.what, error.machine = kind, what, machine
        return error


class Breaches:
    """Takes breaches: raises the first, or with ``go_on`` keeps the first of each kind."""

    def __init__(self, *, go_on: bool) -> None:
        self._go_on = go_on
        self.found: dict[str, PolicyCheckError] = {}

    def add(self, error: PolicyCheckError, *, ends: bool) -> None:
        """Take a breach, after which the machine's walk ``ends`` or not. Raises what ends it."""
        if not self._go_on:
            raise error
        self.found.setdefault(error.kind, error)
        if ends:
            raise MachineOver


@dataclass(slots=True)
class PolicyReport:
    """What was checked: ``decisions`` of one block, ``runs`` decided at once, and blocks decided by zone number.

    Of the ``machines``, ``whole`` were played to their end. ``history`` are all decisions of each: (block, zone).
    """

    machines: int = 0
    whole: int = 0
    decisions: int = 0
    runs: int = 0
    zones: Counter[int] = field(default_factory=Counter)
    history: list[list[tuple[int, int]]] = field(default_factory=list, repr=False)


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
    numbers = range(machines) if only is None else (only,)
    return audit_policy(policy, Breaches(go_on=False), seed=seed, numbers=numbers, changes=changes)


def audit_policy(
    policy: Policy | Callable[[], Policy],
    breaches: Breaches,
    *,
    seed: int,
    numbers: Iterable[int],
    changes: int,
    seconds: float = float("inf"),
) -> PolicyReport:
    """Check ``policy`` as :func:`check_policy` does on the machines with these ``numbers``; ``breaches`` takes all.

    No further machine is begun after so many ``seconds``.
    """
    make = _maker(policy)
    _check_description(make(), breaches)
    report, until = PolicyReport(), time.monotonic() + seconds
    for number in numbers:
        if report.machines and time.monotonic() > until:
            break
        first = _Trial(make(), seed, number, report, breaches)
        stray = Stray()
        with stray:
            other = make()
        second = _Trial(other, seed, number, PolicyReport(), breaches, stray=stray)
        ends = [_played(trial, changes) for trial in (first, second)]
        if stray.found:
            error = first.breach(NO_CLOCK, f"it looked at {'; '.join(stray.found)}: results would not come back")
            breaches.add(error, ends=False)
        decisions, again = first.decisions, second.decisions
        if all(ends) and decisions != again:
            at = next(at for at, pair in enumerate(zip(decisions, again, strict=False)) if pair[0] != pair[1])
            what = (
                f"{_name(make())}: on machine {number} of seed {seed}, decision {at} was {decisions[at]} (block, zone)"
                f" and {again[at]} when everything was done a second time: it depends on chance or on the past"
            )
            breaches.add(PolicyCheckError.of(SAME_PAST, what, number), ends=False)
        report.machines += 1
        report.whole += all(ends)
        report.history.append(decisions)
    return report


def _played(trial: _Trial, changes: int) -> bool:
    """Play a trial; False where a breach ended it."""
    try:
        trial.play(changes)
    except MachineOver:
        return False
    return True


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


def _check_description(policy: Policy, breaches: Breaches) -> None:
    """Check what listings and the engine read before any block is decided."""
    for attribute in ("name", "summary"):
        text = getattr(policy, attribute, None)
        if not isinstance(text, str) or not text.strip() or "\n" in text:
            what = f"{_name(policy)}: {attribute} must be one line of text, but is {text!r}"
            breaches.add(PolicyCheckError.of(DESCRIPTION, what), ends=False)
    for flaw in flaws_of(policy):
        breaches.add(PolicyCheckError.of(DESCRIPTION, f"{_name(policy)}: {flaw}"), ends=False)


class _Trial(RandomMachine):
    """One machine that asks one policy, and looks at every answer.

    ``stray`` where the same has been looked at before: whether memory stays as it was is then not looked at, but what
    else the policy looks at.
    """

    def __init__(
        self,
        policy: Policy,
        seed: int,
        number: int,
        report: PolicyReport,
        breaches: Breaches,
        *,
        stray: Stray | None = None,
    ) -> None:
        super().__init__(seeded(seed, number))
        self._number = number
        self._where = f"machine {number} of seed {seed}: {self._where}"
        self._stray = stray
        self._breaches = breaches
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
            runs = self._checked(ZONES, checked_runs, answer, first, count, request, view)
            expected = [zone for length, zone in runs for _ in range(length)]
            self._report.runs += 1
        decided = []
        for block in range(first, first + count):
            decided.append(self._decide(block))
            self._put(block, decided[-1])
        if expected is not None and expected != decided:
            at = next(at for at, pair in enumerate(zip(expected, decided, strict=True)) if pair[0] != pair[1])
            self._fail(
                RUNS,
                f"zones_for_run put block {first + at}, number {at + 1} of {count}, in {_label(expected[at])};"
                f" asked block by block the policy puts it in {_label(decided[at])}",
            )

    def _decide(self, block: int) -> int:
        policy, view = self._policy, self._view
        request, asked = self._request(block)

        def ask() -> int:
            answer = self._call("zone_for", lambda: policy.zone_for(request, view), asked)
            return int(self._checked(ZONES, checked_zone, answer, block, request, view))

        zone, again = ask(), ask()
        if again != zone:
            self._fail(SAME_ANSWER, f"zone_for said {_label(zone)} and then {_label(again)} of the same block {block}")
        explanation: Explanation = self._checked(
            REASONS, checked_explanation, self._call("explain", lambda: policy.explain(request, view), asked), block
        )
        if explanation.zone != zone or not isinstance(explanation.zone, (ZoneType, NoZone)):
            self._fail(REASONS, f"zone_for chose {_label(zone)} for block {block} and explain {explanation.zone!r}")
        reason: object = explanation.reason
        if not isinstance(reason, str) or not reason.strip() or "\n" in reason:
            self._fail(REASONS, f"the reason for block {block} must be one line of text, but is {reason!r}")
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
        before = None if self._stray is not None else self._fingerprint()
        try:
            if self._stray is None:
                answer = ask()
            else:
                with self._stray:
                    answer = ask()
        except BaseException as error:  # noqa: BLE001  whatever it does
            let_pass(error)
            self._fail(RAISES, f"{verb} raised {type(error).__name__}: {text_of(error)}", error, ends=True)
        if before is not None and self._fingerprint() != before:
            self._fail(ONLY_LOOKS, f"{verb} changed memory: a policy may only look at it", ends=True)
        if asked and _fields(asked[0]) != asked[1:]:
            self._fail(ONLY_LOOKS, f"{verb} changed its request: another caller reads it next", ends=True)
        return answer

    def _checked(self, kind: str, check: Callable[..., Any], answer: object, *rest: object) -> Any:  # noqa: ANN401
        try:
            return check(self._policy, answer, *rest)
        except PolicyError as error:
            self._fail(kind, str(error), ends=True)

    def _fail(self, kind: str, what: str, cause: BaseException | None = None, *, ends: bool = False) -> None:
        error = self.breach(kind, what)
        error.__cause__ = cause
        self._breaches.add(error, ends=ends)

    def breach(self, kind: str, what: str) -> PolicyCheckError:
        """Return the error for what was found on this machine."""
        told = f"{what} ({self._where}; step {self._step}"
        text = f"{_name(self._policy)}: {told}; {self._again})"
        return PolicyCheckError.of(kind, f"{told})", self._number, text)

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
