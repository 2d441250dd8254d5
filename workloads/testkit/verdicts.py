"""A workload named as a command names it, run in processes of its own: one verdict a check."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from policies.fixed import OnlineKernel, OnlineMovable
from sim.faults import Faults, let_pass, text_of
from sim.plugins.apart import Question, ask_apart
from sim.plugins.lookup import WORKLOAD, configure, create
from sim.plugins.made import made, or_refused, raise_refused
from sim.plugins.parameter_checks import TRIED, check_parameters
from sim.plugins.stray import Stray
from sim.plugins.verdicts import FAILED, LIMIT_S, NOT_TRIED, PASSED, Verdict, never_ended
from sim.units import MICROSECONDS
from workloads.testkit.watched import DEVICES, DURATION, MACHINE, RAISES, TIME, watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from policies.contract import Policy
    from sim.plugins.made import Made
    from workloads.testkit.watched import Seen

ENDS: Final = "ends"
SAME_SEED: Final = "same seed"
OTHER_SEED: Final = "other seed"
OTHER_POLICY: Final = "other policy"
ONLY_STREAMS: Final = "only its streams"
PACE: Final = "pace"

CHECKS: Final = {
    ENDS: "all of this within the time limit, and without ending its process",
    "parameters": TRIED,
    RAISES: "nothing is raised in a run",
    DURATION: "duration() is a number of seconds, within which run() ends or is cut off",
    TIME: "nothing is asked for at a time that has passed",
    DEVICES: "only devices that it plugged are asked for anything, within their sizes",
    MACHINE: "node_capacity() and needs_dimms() say what it uses",
    SAME_SEED: "the same seed in another process, in which sets have another order, asks the same",
    OTHER_SEED: "another seed asks for something else, or nothing is random",
    OTHER_POLICY: "under another policy the same is asked, unless it looks at the guest",
    ONLY_STREAMS: "no clock is looked at, and no random number drawn but from streams(name)",
    PACE: "what at_pace() returns can be used, or it says None",
}
"""All checks by name: what is tried."""

_PACES: Final = (2.0, 0.5)
_SHOWN: Final = 160


def workload_verdicts(
    name: str,
    values: Mapping[str, Any],
    folder: Path | None = None,
    *,
    seed: int = 0,
    limit: float = LIMIT_S,
) -> list[Verdict]:
    """Check the workload ``name`` with the parameters ``values``; paths are relative to ``folder``, or the working one.

    ``limit`` is in seconds. Raises PluginError where there is no such workload, and InputError where it does not take
    the parameters.
    """
    asked = {"name": name, "values": dict(values), "folder": str((folder or Path()).resolve()), "seed": seed}
    questions = [Question(asked, 0), Question({**asked, "watched": True}, 1)]
    blame = Path(name.rpartition(":")[0] or name).name
    first, other = ask_apart(__package__, questions, limit, blame)
    for answer in (first, other):
        if answer.value is not None:
            raise_refused(answer.value)
    again = f"--seed {seed}"
    if first.value is None or other.value is None:
        return never_ended(CHECKS, first.why or other.why, again)
    verdicts = {each["check"]: Verdict(**each) for each in first.value["verdicts"]}
    if SAME_SEED not in verdicts:
        differs = _difference(first.value["asked"], other.value["asked"])
        what = f"{differs}: something of the process decides, such as the order of a set, a clock or a generator"
        verdicts[SAME_SEED] = _verdict(SAME_SEED, f"{what} of its own" if differs else "", again)
    if ONLY_STREAMS not in verdicts:
        verdicts[ONLY_STREAMS] = _verdict(ONLY_STREAMS, "; ".join(other.value["stray"]), again)
    verdicts[ENDS] = Verdict(ENDS, CHECKS[ENDS], PASSED, first.value["said"])
    return [verdicts[check] for check in CHECKS]


def handle(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer in a process of its own what :func:`workload_verdicts` asks."""
    return or_refused(_strays if asked.get("watched") else _checked, asked)


def _strays(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Run it once, and see where it looks besides."""
    it, stray = made(WORKLOAD, asked), Stray()
    with stray:
        seen = watched(it.make, OnlineKernel(), asked["seed"])
    stray.numpy_drawn()
    found = [f"it looked at {', and at '.join(stray.found)}: no seed brings that back"] if stray.found else []
    return {"asked": seen.asked, "stray": found}


def _checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    it, seed = made(WORKLOAD, asked), asked["seed"]
    again = f"--seed {seed}"
    seen = _run(it, OnlineKernel(), seed)
    verdicts = [check_parameters(it.plugin, it.arguments)]
    broken = seen.faults.keys() & {RAISES, TIME, DURATION}
    for kind in (RAISES, TIME, DEVICES, MACHINE):
        if broken and kind not in seen.faults:
            verdicts.append(_not_tried(kind))
        else:
            verdicts.append(_verdict(kind, seen.faults.get(kind, ""), again))
    if broken:
        if DURATION in seen.faults:
            verdicts.append(_verdict(DURATION, seen.faults[DURATION], again))
        else:
            verdicts.append(_not_tried(DURATION))
        verdicts += [_not_tried(check) for check in (SAME_SEED, OTHER_SEED, OTHER_POLICY)]
    else:
        verdicts.append(_duration(it, seen))
        verdicts.append(_other_seed(seen, _run(it, OnlineKernel(), seed + 1), seed))
        verdicts.append(_other_policy(seen, _run(it, OnlineMovable(), seed), again))
    verdicts.append(_pace(it))
    said = f"{len(seen.asked)} requests in {seen.end_us / MICROSECONDS:g} s of a run"
    return {"verdicts": [asdict(each) for each in verdicts], "said": said, "asked": seen.asked}


def _run(it: Made, policy: Policy, seed: int) -> Seen:
    return watched(it.make, policy, seed)


def _verdict(check: str, wrong: str, again: str) -> Verdict:
    return Verdict(check, CHECKS[check], FAILED, wrong, again) if wrong else Verdict(check, CHECKS[check])


def _not_tried(check: str) -> Verdict:
    return Verdict(check, CHECKS[check], NOT_TRIED, "the run has to come to its end first")


def _duration(it: Made, seen: Seen) -> Verdict:
    seconds = seen.end_us / MICROSECONDS
    workload = it.make()
    if not workload.duration():
        what = f"0: it has no end of its own; it ran for {seconds:g} s beside a load"
        return Verdict(DURATION, CHECKS[DURATION], PASSED, what)
    if seen.over:
        return Verdict(DURATION, CHECKS[DURATION], PASSED, f"{seconds:g} s")
    return Verdict(DURATION, CHECKS[DURATION], PASSED, f"run() is cut off after {seconds:g} s, its duration()")


def _other_seed(seen: Seen, other: Seen, seed: int) -> Verdict:
    if other.faults.keys() - seen.faults.keys():
        kind = min(other.faults.keys() - seen.faults.keys())
        return _verdict(OTHER_SEED, f"{kind}: {other.faults[kind]}", f"--seed {seed + 1}")
    if seen.asked != other.asked:
        return _verdict(OTHER_SEED, "", "")
    if not seen.streams:
        what = "nothing is random: no stream is asked for"
    elif not seen.drawn:
        what = f"nothing is random: nothing is drawn from {', '.join(seen.streams)}"
    else:
        what = f"what is drawn from {', '.join(seen.streams)} changes no request of these two seeds"
    return Verdict(OTHER_SEED, CHECKS[OTHER_SEED], PASSED, what)


def _other_policy(seen: Seen, other: Seen, again: str) -> Verdict:
    if RAISES in other.faults:
        return _verdict(OTHER_POLICY, f"under online-movable it fails: {other.faults[RAISES]}", again)
    differs = _difference(seen.asked, other.asked)
    looked = list(dict.fromkeys((*seen.looked, *other.looked)))
    if not differs:
        return Verdict(OTHER_POLICY, CHECKS[OTHER_POLICY])
    if looked:
        what = f"other things are asked under other policies, as it looks at {', '.join(looked)}"
        return Verdict(OTHER_POLICY, CHECKS[OTHER_POLICY], PASSED, what)
    what = f"{differs}, though it looks at nothing of the guest"
    return _verdict(OTHER_POLICY, f"{what}: it keeps something of another run, or draws from elsewhere", again)


def _pace(it: Made) -> Verdict:
    for pace in _PACES:
        try:
            changed = it.plugin.cls.at_pace(dict(it.configured), pace)
        except BaseException as error:  # noqa: BLE001  whatever it does
            let_pass(error)
            return _verdict(PACE, f"at_pace(parameters, {pace:g}) raised {type(error).__name__}: {text_of(error)}", "")
        if changed is None:
            return Verdict(PACE, CHECKS[PACE], PASSED, "it cannot be said of this workload")
        faults = Faults()
        given = {name: value for name, value in changed.items() if value is not None}
        configured = configure(it.plugin, given, faults)
        if not faults:
            create(it.plugin, configured, it.folder, faults)
        if faults:
            return _verdict(PACE, f"with what at_pace(parameters, {pace:g}) returned: {next(iter(faults))}", "")
    return Verdict(PACE, CHECKS[PACE])


def _difference(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> str:
    """Return the first request that is another, in words; empty where all are the same."""
    for number, (first, second) in enumerate(zip(one, other, strict=False)):
        if list(first) != list(second):
            return f"request {number + 1} is {_words(first)}, and then {_words(second)}"
    if len(one) != len(other):
        return f"{len(one)} requests are made, and then {len(other)}"
    return ""


def _words(request: Sequence[Any]) -> str:
    microsecond, words = request
    text = f"{words} at {microsecond / MICROSECONDS:g} s"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
