"""A policy named as a command names it, checked in processes of its own: one verdict a check."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from policies.testkit.check import BREACHES, DESCRIPTION, RAISES, Breaches, PolicyReport, audit_policy
from policies.testkit.speed import SLOWEST, Speed, measured
from sim.plugins.apart import Question, ask_apart
from sim.plugins.lookup import POLICY
from sim.plugins.made import made, or_refused, raise_refused
from sim.plugins.parameter_checks import TRIED, check_parameters
from sim.plugins.verdicts import FAILED, LIMIT_S, NOT_TRIED, PASSED, Verdict, never_ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.plugins.made import Made

MACHINES: Final = 40
CHANGES: Final = 40

_ENDS: Final = "all of this within the time limit, and without ending its process"
_FAST: Final = f"an answer takes at most {SLOWEST} times as long as one of auto-movable"
_SETS: Final = "another process, in which sets have another order, gets the same zones"
_AGAIN_IN_ANOTHER: Final = 8
"""Machines that are played in another process once more."""

_SHARE: Final = 0.6
"""Of the time limit, in which machines are begun."""

_SLOW_S: Final = 2.0
"""The same in seconds of a policy that is too slow: the rest is tried as far as that goes."""

_HOPELESS_S: Final = 0.01
"""Seconds an answer with which nothing else is tried."""


def policy_verdicts(
    name: str,
    values: Mapping[str, Any],
    folder: Path | None = None,
    *,
    seed: int = 0,
    machines: int = MACHINES,
    only: int | None = None,
    limit: float = LIMIT_S,
) -> list[Verdict]:
    """Check the policy ``name`` with the parameters ``values``; paths are relative to ``folder``, or where this runs.

    ``only`` goes back to one of the machines. ``limit`` is in seconds. Raises PluginError where there is no such
    policy, and InputError where it does not take the parameters.
    """
    numbers = list(range(machines)) if only is None else [only]
    asked = {
        "name": name,
        "values": dict(values),
        "folder": str((folder or Path()).resolve()),
        "seed": seed,
        "numbers": numbers,
        "limit": limit,
    }
    again = {**asked, "numbers": numbers[:_AGAIN_IN_ANOTHER], "history": True}
    blame = Path(name.rpartition(":")[0] or name).name
    first, other = ask_apart(__package__, [Question(asked, 0), Question(again, 1)], limit, blame)
    if first.value is None:
        return never_ended({"ends": _ENDS, **_ALL}, first.why)
    raise_refused(first.value)
    verdicts = [Verdict(**each) for each in first.value["verdicts"]]
    return [
        Verdict("ends", _ENDS, PASSED, first.value["said"]),
        *verdicts,
        _same_in_another(first.value, other.value or {}, seed),
    ]


def _same_in_another(here: Mapping[str, Any], there: Mapping[str, Any], seed: int) -> Verdict:
    """Compare the decisions on the machines that were played in both processes."""
    if not here["decisions"] or not there.get("history"):
        return Verdict("other process", _SETS, NOT_TRIED, "the processes did not come so far")
    for number, (one, other) in enumerate(zip(here["history"], there["history"], strict=False)):
        if one != other:
            what = "the zones hang on the order of a set, on hash(), or on something else of the process"
            return Verdict("other process", _SETS, FAILED, what, f"--seed {seed} --machines {number + 1}")
    return Verdict("other process", _SETS)


def handle(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer in a process of its own what :func:`policy_verdicts` asks."""
    return or_refused(_history if asked.get("history") else _audited, asked)


def _history(asked: Mapping[str, Any]) -> dict[str, Any]:
    it = made(POLICY, asked)
    report = _walked(it, asked, measured(it.make, asked["seed"]), Breaches(go_on=True))
    return {"history": [_digest(each) for each in report.history]}


def _walked(it: Made, asked: Mapping[str, Any], speed: Speed, breaches: Breaches) -> PolicyReport:
    """Play the machines for which there is time."""
    if speed.seconds > _HOPELESS_S:
        return PolicyReport()
    seconds = _SLOW_S if speed.times > SLOWEST else _SHARE * asked["limit"]
    return audit_policy(
        it.make, breaches, seed=asked["seed"], numbers=asked["numbers"], changes=CHANGES, seconds=seconds
    )


def _audited(asked: Mapping[str, Any]) -> dict[str, Any]:
    it = made(POLICY, asked)
    seed = asked["seed"]
    speed = measured(it.make, seed)
    breaches = Breaches(go_on=True)
    report = _walked(it, asked, speed, breaches)
    verdicts = [check_parameters(it.plugin, it.arguments)]
    for kind, tried in BREACHES.items():
        error = breaches.found.get(kind)
        if error is not None:
            again = "" if error.machine is None else f"--seed {seed} --only {error.machine}"
            verdicts.append(Verdict(kind, tried, FAILED, error.what, again))
        elif report.whole or (report.machines and kind in (DESCRIPTION, RAISES)):
            verdicts.append(Verdict(kind, tried))
        elif not report.machines:
            verdicts.append(Verdict(kind, tried, NOT_TRIED, "it is too slow for that"))
        else:
            verdicts.append(Verdict(kind, tried, NOT_TRIED, "no machine came to its end: mend what failed first"))
    if speed.times > SLOWEST:
        what = (
            f"an answer takes {speed.seconds * 1e6:.0f} microseconds, {speed.times:.0f} times as long as"
            f" one of auto-movable ({speed.questions} questions, both asked in turn)"
        )
        verdicts.append(Verdict("speed", _FAST, FAILED, what))
    elif speed.questions:
        verdicts.append(Verdict("speed", _FAST, PASSED, f"{speed.times:.1f} times as long"))
    else:
        verdicts.append(Verdict("speed", _FAST, NOT_TRIED, "no question was answered"))
    said = f"{report.machines} machines, {report.decisions} decisions, {report.runs} runs decided at once"
    left_out = len(asked["numbers"]) - report.machines
    if left_out > 0:
        said += f"; {left_out} machines were left out, for lack of time"
    return {
        "verdicts": [asdict(each) for each in verdicts],
        "said": said,
        "decisions": report.decisions,
        "history": [_digest(each) for each in report.history],
    }


def _digest(decisions: Sequence[tuple[int, int]]) -> str:
    return hashlib.sha256(repr([(block, int(zone)) for block, zone in decisions]).encode()).hexdigest()


_ALL: Final = {"parameters": TRIED, **BREACHES, "speed": _FAST, "other process": _SETS}
