"""What each policy's decisions cost against the one that knows the future, from the runs of a comparison, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import number, pairing, shown_unit, signed
from sim.comparison.decisions import DEATH, REST, Cause, difference, together, with_reasons
from sim.experiment.again import notes_of
from sim.faults import InputError
from sim.record.events import Events
from sim.scores.registry import SCORES
from sim.units import counted, us_to_seconds

if TYPE_CHECKING:
    from sim.comparison.decisions import Cost, Difference
    from sim.comparison.gather import Gathered, Source
    from sim.comparison.whole import Scenario
    from sim.record.run_result import RunResult

MOST_EVENTS: Final = 200_000
"""Events of all policies of a scenario up to which all replications are looked at, else as many as have so many."""

_REASONED: Final = 5_000
"""Events of all runs of a scenario up to which they are run again for the reasons of decisions."""

SCORE: Final = SCORES["not_given_end"]


@dataclass(frozen=True, slots=True)
class Against:
    """What the decisions of ``policy`` cost against ``bound`` in ``looked`` of ``pairs`` replications, all in sum.

    ``reasoned`` is the replication that was run again for the reasons (the costliest), None where none was; ``deaths``
    are sentences about guests that died.
    """

    policy: str
    bound: str
    looked: int
    pairs: int
    found: Difference
    reasoned: int | None
    deaths: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values, bytes in sum over the replications that were looked at."""
        return {
            "policy": self.policy,
            "against": self.bound,
            "replications": self.looked,
            "pairs": self.pairs,
            "bytes": self.found.total,
            "blocks_elsewhere": self.found.disagreed,
            "reasons_of_replication": self.reasoned,
            "deaths": list(self.deaths),
            "causes": [
                {
                    "policy_had": cause.policy,
                    "other_had": cause.bound,
                    "bytes": cost.bytes,
                    "blocks": cost.blocks,
                    "reasons": [
                        {"reason": kind, "example": cost.examples[kind], "blocks": count}
                        for kind, count in cost.reasons.most_common()
                    ],
                    "said": _in_words(cause, cost, self.bound),
                }
                for cause, cost in self.by_cost
            ],
        }

    @property
    def by_cost(self) -> list[tuple[Cause, Cost]]:
        """The causes, the costliest first."""
        return sorted(self.found.costs.items(), key=lambda item: -item[1].bytes)

    @property
    def said(self) -> list[str]:
        """It in words: what all of it comes to, then each cause, whose sizes add up to that."""
        many = (
            f"{self.looked} replications"
            if self.looked == self.pairs
            else f"{self.looked} of {self.pairs} replications"
        )
        many = "the one run of each" if self.pairs == 1 else many
        amount = _size(self.found.total, sign=True)
        first = f"{self.policy} against {self.bound}, in sum over {many}: {amount} not given back at the end"
        if not self.found.costs:
            return [f"{first}; {self.found.disagreed} blocks went to other zones."]
        return [f"{first}.", *(f"{_in_words(cause, cost, self.bound)}." for cause, cost in self.by_cost), *self.deaths]


def _size(amount: float, *, sign: bool = False) -> str:
    per, symbol = shown_unit(SCORE, [amount])
    return f"{(signed if sign else number)(amount / per)} {symbol}"


_PLACES: Final = {
    "kernel": "in a kernel zone", "MOVABLE": "in MOVABLE", "offline": "offline", "not there": "not there at all",
}  # fmt: skip


def _in_words(cause: Cause, cost: Cost, bound: str) -> str:
    size = _size(cost.bytes, sign=True)
    if cause == Cause(DEATH, DEATH):
        return f"{size}: a guest died, and gives nothing back"
    if cause == Cause(REST, REST):
        return f"{size}: put down to no block, as less was there, or more is wanted of a device, in one of the runs"
    there = f"with {bound} {_PLACES[cause.bound]}"
    if cause.bound == cause.policy:
        there = f"with {bound} too, but there they came back"
        if cost.bytes < 0:
            there = f"with {bound} too, and came back only here"
    text = f"{size}: {counted(cost.blocks, 'block')} {_PLACES[cause.policy]}, {there}"
    for kind, count in cost.reasons.most_common(1):
        such_as = "" if kind == cost.examples[kind] else ", such as"
        text += f"; {count} of them in one replication because{such_as}: {cost.examples[kind]}"
    return text


def against_bound(gathered: Gathered, scenario: Scenario) -> list[Against]:
    """Return what the decisions of each policy cost in ``scenario``, the costliest first; nothing without a bound.

    Runs are read from their store; the costliest of each policy is run again for the reasons, if that does not take
    long.
    """
    bound = next((policy for policy in scenario.bounds if policy in scenario.policies), None)
    if bound is None:
        return []
    cells = {
        str(policy): {tuple(key): (cell, int(source), int(events)) for *key, cell, source, events in
                 part[[*pairing(part), "cell", "source", "events"]].itertuples(index=False)}
        for policy, part in scenario.runs.groupby("policy", sort=False)
    }  # fmt: skip
    found = [
        _of_policy(gathered, policy, bound, cells)
        for policy in scenario.policies
        if policy not in scenario.bounds and cells[policy].keys() & cells[bound].keys()
    ]
    return sorted(found, key=lambda each: -each.found.total / each.looked)


def _of_policy(gathered: Gathered, policy: str, bound: str, cells: dict[str, dict[tuple[Any, ...], Any]]) -> Against:
    pairs = sorted(cells[policy].keys() & cells[bound].keys())
    found: dict[tuple[Any, ...], Difference] = {}
    deaths, seen = [], 0
    for key in pairs:
        cell, source, events = cells[policy][key]
        other, other_source, _ = cells[bound][key]
        if found and seen + events > MOST_EVENTS / len(cells):
            break
        seen += events
        run = gathered.sources[source].store.result(cell)
        found[key] = difference(run, gathered.sources[other_source].store.result(other))
        deaths += _death(run, int(key[-1]), found[key])
    costliest = max(found, key=lambda key: found[key].total)
    cell, source, events = cells[policy][costliest]
    reasoned = None
    if events <= _REASONED / len(cells) and found[costliest].blocks:
        try:
            with_reasons(found[costliest], _reasons(gathered.sources[source], cell))
            reasoned = int(costliest[-1])
        except InputError:  # another version of the program made the run: it stands, but nobody can say why
            reasoned = None
    told = deaths[:1] if len(deaths) < 2 else [f"{deaths[0]} And so in {len(deaths) - 1} more."]  # noqa: PLR2004
    return Against(policy, bound, len(found), len(pairs), together(found.values()), reasoned, tuple(told))


def _reasons(source: Source, cell: str) -> dict[int, str]:
    """Return why blocks, by their numbers, went where they went last in a run, which is made again for it."""
    from sim.kernel.diary import Decided

    notes = notes_of(source.store, cell, source.store.result(cell), source.experiment)
    return {note.block: note.why.reason for _, note in notes if isinstance(note, Decided)}


def _death(run: RunResult, replication: int, found: Difference) -> list[str]:
    """Return a sentence about the guest's death in a run, with what was free and where its memory had gone."""
    death = Events.of(run.events).death
    if death is None:
        return []
    free = ""
    if "free_movable" in run.guest:
        # A dead guest's memory is nobody's: what counts is how it was just before.
        before = run.guest["free_movable"][run.guest["t_us"] < death.t_us]
        free = f" with {_size(int(before[-1]) * run.page_size)} free in MOVABLE" if len(before) else ""
    when = f"In replication {replication} the guest died at {us_to_seconds(death.t_us):,.0f} s ({death.cause.shown})"
    return [f"{when}{free}; {found.disagreed} blocks were in other zones than with the other policy."]


def how_to_add(gathered: Gathered) -> str:
    """Return what to say where no policy knows the future."""
    folder = gathered.sources[0].folder if gathered.sources else "results"
    return (
        "Which decisions cost most is seen against a policy that knows what comes: add [[policies]] with "
        f'name = "clairvoyant" to the experiment ({folder}/experiment.toml has it) and run it again.'
    )
