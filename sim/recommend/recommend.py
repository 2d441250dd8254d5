"""A recommendation from beginning to end: for each scenario of an experiment, and one setting for all of them."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.effective_config import effective_tables
from sim.experiment.executors import local
from sim.experiment.schema import LABEL_LENGTH
from sim.recommend import document, told
from sim.recommend.asked import as_given
from sim.recommend.candidates import space
from sim.recommend.document import Answer, LimitAsked, LimitKept, Recommendation, Tried
from sim.recommend.how_to_set import how_to_set
from sim.recommend.limits import shown_bound
from sim.recommend.sampler import CellRunner, KeptWorkers
from sim.recommend.scenario import Scenario, select_together
from sim.recommend.seen import Seen, front, over_all
from sim.recommend.sensitivity import REPLICATIONS, Held, Picked, in_all, sensitivity
from sim.results import earlier
from sim.results.locks import alone
from sim.results.manifest import RECOMMENDATION, TIMING_FIELD, build_manifest, write_experiment, write_manifest
from sim.scores.registry import SCORES
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sim.experiment.executors import Workers
    from sim.experiment.plan import Experiment
    from sim.experiment.run_cell import Outcome
    from sim.recommend.asked import Asked
    from sim.recommend.contract import Candidate, Judged, Selection

ENDING: Final = "-recommend"
"""Stands behind the experiment's name in the name of a recommendation's results."""

CHANGED: Final = "changed"
"""The folder, within that of the results, of runs in which something is otherwise than the experiment says."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """A recommendation and the ``folder`` of its results; ``failures`` are runs that failed, ``computed`` new runs."""

    folder: Path
    found: Recommendation
    failures: Sequence[Outcome]
    computed: int
    reused: int


def results_name(experiment: Experiment) -> str:
    """Return the name of the folder of an experiment's recommendation."""
    return experiment.name[: LABEL_LENGTH - len(ENDING)] + ENDING


def recommend(
    experiment: Experiment,
    results: Path,
    asked: Asked,
    *,
    workers: Workers | None = None,
    keep: bool = False,
    on_scenario: Callable[[str], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Recommended:
    """Return what is recommended for ``experiment``, with all runs in ``results/<name>-recommend``.

    Runs that are there already are not run again, so that one that was ended goes on. ``on_scenario`` is told what is
    being worked on, ``on_outcome`` of every run, ``on_note``, in sentences, of earlier runs that are of no use any
    more: they are removed in the end, or with ``keep`` set aside. Raises InputError where there is nothing to choose
    from, or where the folder is damaged or in use, and OSError where nothing can be written.
    """
    started = time.time()
    name = results_name(experiment)
    folder = (results / name).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    workers = workers or local(apart=experiment.cell_timeout is not None)
    tell = on_scenario or (lambda _: None)
    with alone(folder), KeptWorkers(workers) as kept:
        spaces = []
        for machine, workload in experiment.scenarios:
            tell(f"A look at {workload} on {machine}")
            spaces.append(space(experiment, machine, workload, lambda cell: kept.look(cell, experiment.cell_timeout)))
        runner = CellRunner(folder, kept, timeout=experiment.cell_timeout, on_outcome=on_outcome)
        beside = CellRunner(folder / CHANGED, kept, kept=0, timeout=experiment.cell_timeout, on_outcome=on_outcome)
        scenarios, selections = [], []
        for where in spaces:
            tell(f"{where.base.workload.label} on {where.base.machine.label}")
            scenarios.append(Scenario(experiment, where, asked, runner))
            selections.append(scenarios[-1].select())
        answers = []
        for scenario, selection in zip(scenarios, selections, strict=True):
            tell(f"If things are otherwise: {scenario.workload} on {scenario.machine}")
            answers.append(_with_use(_answer(scenario, selection, asked), scenario, selection, beside))
        together = None
        if len(scenarios) > 1:
            tell("One setting for all of them")
            together = _together(scenarios, asked, beside)
        unused, kept_in = runner.settle(keep=keep)
        beside.settle()
        if unused and on_note is not None:
            on_note(_no_more_use(results / name, unused, None if kept_in is None else kept_in.relative_to(folder)))
        limits = tuple(
            LimitAsked(each.text, shown_bound(each), each.scores, each.sense, each.bound, each.share)
            for each in asked.limits
        )
        found = Recommendation(
            experiment.name,
            limits,
            asked.by_default,
            asked.terms.confidence,
            len(runner.used),
            tuple(answers),
            together,
        )
        timings = {
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - started, 3),
            "workers": runner.count,
            "computed": runner.computed + beside.computed,
            "cells_cpu_s": round(runner.cpu_s + beside.cpu_s, 3),
        }
        again = {"config": effective_tables(experiment), "asked": as_given(asked), "machines": _machines(scenarios)}
        _write_store(experiment, name, folder, scenarios, found, runner, {RECOMMENDATION: again, TIMING_FIELD: timings})
        document.write(folder, found)
    failures = [*runner.failed.values(), *beside.failed.values()]
    return Recommended(results / name, found, failures, runner.computed, runner.reused)


def _no_more_use(folder: Path, unused: list[earlier.Run], kept: Path | None) -> str:
    """Return what became of earlier runs that this recommendation has not used; ``kept`` is where in ``folder``."""
    end = "They were removed; --keep keeps such runs." if kept is None else f"They are kept in {folder / kept}."
    what = f"{folder} held {counted(len(unused), 'run')} that this recommendation did not need:"
    return "\n".join([what, *(f"  {line}" for line in earlier.told(unused)), end])


def _answer(scenario: Scenario, selection: Selection, asked: Asked) -> Answer:
    rows = [scenario.rows(each.candidate, each.replications) for each in selection.judged]
    seen = Seen(
        scenario.candidates[: len(rows)],
        scenario.choices[: len(rows)],
        scenario.columns,
        rows,
        asked.limits,
        scenario.objective,
        selection,
        scenario.sampler.population,
    )
    notes = list(scenario.space.notes)
    if asked.objective is None and scenario.objective.score != (first := asked.first_objective):
        notes.append(
            f"{SCORES[first].title} is undefined here ({SCORES[first].undefined}), so that candidates are ranked by"
            f" '{SCORES[scenario.objective.score].title}'"
        )
    notes += [*told.undefined(seen), *told.not_run(seen)]
    return _told(seen, scenario.machine, scenario.workload, notes, asked)


def _with_use(answer: Answer, scenario: Scenario, found: Selection, beside: CellRunner) -> Answer:
    """Return the answer with what a user of the pick needs: how it is set, and how far it holds out."""
    if found.pick is None:
        return answer
    held = _held_out(scenario, found.pick, found.judged[found.pick].replications, beside, found.judged)
    return replace(
        answer,
        sensitivity=tuple(asdict(each) for each in held),
        how_to_set=_how(scenario, scenario.candidates[found.pick]),
    )


def _held_out(
    scenario: Scenario, pick: int, run: int, beside: CellRunner, judged: Sequence[Judged] | None = None
) -> tuple[Held, ...]:
    """Return how the candidate with the number ``pick`` holds out, in some of the ``run`` replications that it has.

    With what was found of all, ``judged``, others are tried in its place where it does not.
    """
    return sensitivity(
        Picked(scenario.space, scenario.candidates, judged or (), pick),
        scenario.rules,
        lambda combinations: scenario.beside(beside, combinations),
        scenario.rows(pick, min(REPLICATIONS, run, scenario.sampler.population or run)),
        others=judged is not None,
    )


def _how(scenario: Scenario, candidate: Candidate) -> dict[str, Any]:
    """Return how a candidate is set: all of it, and as ``parts`` to copy, each with its title."""
    how = how_to_set(scenario.space, candidate)
    parts = [{"title": title, "lines": list(lines)} for title, lines in how.parts()]
    return {**asdict(how), "parts": parts}


def _told(seen: Seen, machine: str, workload: str, notes: Sequence[str], asked: Asked) -> Answer:
    found = seen.selection
    on_front = front(seen)
    return Answer(
        machine=machine,
        workload=workload,
        objective=seen.objective.score,
        better=seen.objective.better,
        indifference=seen.objective.indifference,
        pick=None if seen.pick is None else seen.pick.label,
        confidence=found.confidence,
        keeps=_known(found.keeps),
        lacks=_known(found.lacks),
        open=tuple(seen.label(each) for each in found.open),
        exhausted=found.exhausted,
        nothing_random=seen.population == 1,
        recordings=None if seen.population == 1 else seen.population,
        answer=told.answer(seen, asked.terms.confidence),
        certainty=tuple(told.certainty(seen, asked.terms.confidence)),
        gives_up=tuple(told.gives_up(seen)),
        wall=tuple(told.wall(seen)),
        costs=tuple(told.costs(seen)),
        notes=tuple(notes),
        candidates=tuple(_tried(seen, number, front=number in on_front) for number in range(len(seen.candidates))),
    )


def _tried(seen: Seen, number: int, *, front: bool) -> Tried:
    candidate, judged = seen.candidates[number], seen.selection.judged[number]
    return Tried(
        label=candidate.label,
        plugin=candidate.policy.plugin,
        parameters=dict(candidate.policy.parameters),
        machine=dict(candidate.machine),
        varied=dict(candidate.varied),
        choice=seen.choices[number] and number not in seen.selection.left_out,
        replications=judged.replications,
        failed=seen.failed(number),
        mean=_known(judged.mean),
        low=_known(judged.low),
        high=_known(judged.high),
        limits=tuple(
            LimitKept(each.held, each.replications, _known(each.low), _known(each.high), each.verdict)
            for each in judged.limits
        ),
        scores={name: _known(seen.mean(number, name)) for name in seen.columns if name in SCORES},
        worst={
            name: worst for name in seen.columns if name in SCORES and not math.isnan(worst := seen.worst(number, name))
        },
        front=front,
        same_as=None if (first := seen.selection.twins.get(number)) is None else seen.label(first),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _together(scenarios: Sequence[Scenario], asked: Asked, beside: CellRunner) -> Answer | None:
    """Return the one setting for all scenarios; None where they are not ranked by the same score."""
    if len({scenario.objective.score for scenario in scenarios}) > 1:
        return None
    candidates, found = select_together(scenarios)
    if not candidates:
        return None
    first = scenarios[0]
    rows = []
    for candidate, judged in zip(candidates, found.judged, strict=True):
        parts = [
            scenario.rows(
                scenario.number_of(candidate), min(judged.replications, scenario.sampler.population or 1 << 30)
            )
            for scenario in scenarios
        ]
        rows.append(over_all(parts, first.columns))
    worst = [_worst_of(each, len(asked.limits)) for each in found.judged]
    seen = Seen(
        candidates,
        [each.in_linux for each in candidates],
        first.columns,
        rows,
        asked.limits,
        replace(first.objective, indifference=max(each.objective.indifference for each in scenarios)),
        replace(found, judged=worst),
        1 if all(scenario.sampler.population == 1 for scenario in scenarios) else None,
    )
    answer = _told(seen, "", "", (), asked)
    if seen.pick is None or found.pick is None:
        return answer
    run = found.judged[found.pick].replications
    held = {
        f"{each.workload} on {each.machine}": _held_out(each, each.number_of(seen.pick), run, beside)
        for each in scenarios
    }
    return replace(answer, sensitivity=tuple(asdict(each) for each in in_all(held)), how_to_set=_how(first, seen.pick))


def _worst_of(judged: Judged, limits: int) -> Judged:
    """Return what was found of a candidate with each limit as in the scenario in which it is kept least often."""
    worst = tuple(
        min(judged.limits[place::limits], key=lambda kept: (kept.verdict == "holds", kept.often))
        for place in range(limits)
    )
    return replace(judged, limits=worst)


def _write_store(
    experiment: Experiment,
    name: str,
    folder: Path,
    scenarios: Sequence[Scenario],
    found: Recommendation,
    runner: CellRunner,
    last: Mapping[str, Any],
) -> None:
    """Write what makes an ordinary store of the folder: the experiment with the candidates as its policies.

    ``last`` are the parts of its manifest that only a recommendation has, and the times.
    """
    tables = _tables(experiment, name, scenarios)
    most = max((each.replications for answer in found.answers for each in answer.candidates), default=1)
    write_experiment(folder, tables)
    done = len(runner.used) - len(runner.failed)
    manifest = build_manifest(
        name,
        tables,
        seeds={"seed": experiment.seed, "replications": list(range(most))},
        single=[
            {"machine": answer.machine, "workload": answer.workload}
            for answer in found.answers
            if answer.nothing_random
        ],
        notes=[*experiment.notes, "a recommendation: each candidate has as many replications as it needed"],
        settings=experiment.settings,
        cells={"planned": len(runner.used), "completed": done, "failed": len(runner.failed)},
        timings={},
    )
    write_manifest(folder, {**manifest, **last})


def _machines(scenarios: Sequence[Scenario]) -> dict[str, dict[str, Any]]:
    """Return what candidates change of their machines, by their labels."""
    return {each.label: dict(each.machine) for one in scenarios for each in one.candidates if each.machine}


def _tables(experiment: Experiment, name: str, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    candidates: dict[str, Candidate] = {}
    for scenario in scenarios:
        for candidate in scenario.candidates:
            candidates.setdefault(candidate.label, candidate)
    tables = effective_tables(experiment)
    tables["name"] = name
    tables["policies"] = [_policy(each, experiment) for each in candidates.values()]
    tables["baseline"] = experiment.baseline if experiment.baseline in candidates else next(iter(candidates))
    tables.pop("recommend", None)
    sweeps = [left for each in tables.pop("sweep", []) if (left := _without_policies(each))]
    return {**tables, "sweep": sweeps} if sweeps else tables


def _policy(candidate: Candidate, experiment: Experiment) -> dict[str, Any]:
    """Return the table of a candidate's policy."""
    plugin = candidate.policy.plugin
    if ".py:" in plugin:
        path, _, class_name = plugin.rpartition(":")
        plugin = f"{experiment.folder / path}:{class_name}"
    given = {key: value for key, value in candidate.policy.parameters.items() if value is not None}
    return {"name": plugin, "label": candidate.label, **given}


def _without_policies(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sweep without what it sweeps of policies, which candidates have instead; nothing if that was all."""
    left: dict[str, Any] = {}
    for form, content in sweep.items():
        if form == "points":
            points = [point for each in content if (point := _rest(each))]
            left |= {form: points} if points else {}
        elif rest := _rest(content):
            left[form] = rest
    return left


def _rest(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key.partition(".")[0] != "policies"}
