"""The settings that are worth trying in a scenario: policies, their parameters, and what a machine changes.

What is searched of a policy's parameters is what its class says (:mod:`sim.plugins.parameter_search`), or what the user
says in ``[recommend]``. A grid comes first; between what turns out well further values are put (:func:`refine`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.schema import LABEL_LENGTH, shortened_label, usable_label
from sim.experiment.settings import PluginSettings
from sim.faults import Fault, Faults, InputError, key_path, listed
from sim.plugins import lookup
from sim.plugins.parameter_search import OneOf
from sim.recommend.axes import Axis, Lines, candidate_of, content, in_words, is_called, line_of, word
from sim.recommend.contract import Candidate
from sim.recommend.grid import Maker
from sim.recommend.looking import look
from sim.recommend.proposals import propose
from sim.recommend.self_hosting import KEY, self_hosting
from sim.results.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sim.devices.specs import DeviceSpec
    from sim.experiment.plan import Combination, Experiment
    from sim.experiment.recommend_table import RecommendSettings
    from sim.recommend.contract import Judged, Objective
    from sim.recommend.looking import Look

LINUX_POLICIES: Final = ("contig-zones", "online-movable", "auto-movable")
"""Policies that every Linux from 5.15 on has, for which the user need not name them."""


@dataclass(frozen=True, slots=True)
class Space:
    """The settings worth trying in the scenario of ``base``, whose machine and workload all of them share.

    ``notes`` are sentences on what is not tried, and why. ``axes`` are the parameters that can be refined, ``devices``
    those that are plugged, ``seed`` is the experiment's.
    """

    base: Combination
    folder: Path
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()
    axes: Lines = field(default_factory=dict)
    devices: tuple[DeviceSpec, ...] = ()
    seed: int = 1

    def combination(self, candidate: Candidate) -> Combination:
        """Return what is run for a ``candidate``: the scenario with its policy and its machine."""
        machine = replace(self.base.machine, spec=replace(self.base.machine.spec, **candidate.machine))
        return replace(self.base, machine=machine, policy=candidate.policy, rivals=())

    def axes_of(self, candidate: Candidate) -> tuple[Axis, ...]:
        """Return the parameters of a ``candidate`` that are searched."""
        return self.axes.get(line_of(candidate.policy, candidate.varied), ())

    def with_values(self, candidate: Candidate, values: Mapping[str, Any]) -> Candidate:
        """Return the candidate that differs from ``candidate`` in the ``values`` of parameters that are searched."""
        varied = {**candidate.varied, **values}
        name = lookup.find(lookup.POLICY, candidate.policy.plugin, self.folder).cls.name
        policy = replace(candidate.policy, parameters={**candidate.policy.parameters, **values})
        label = f"{name}{in_words(varied, self.axes_of(candidate))}"
        return candidate_of(label, policy, candidate.machine, varied, told=candidate.in_linux)


def space(experiment: Experiment, machine: str, workload: str, look: Look = look) -> Space:
    """Return the settings worth trying in the scenario of a ``machine`` and a ``workload``, by their labels.

    Has a ``look`` at it to see its devices, and what memmap_on_memory does to them.

    Raises InputError where the experiment has no such scenario, or where nothing is left to choose from.
    """
    here = [
        each for each in experiment.combinations if (each.machine.label, each.workload.label) == (machine, workload)
    ]
    if not here:
        known = listed(f"{workload} on {machine}" for machine, workload in experiment.scenarios)
        raise InputError(experiment.name, [Fault("", f"no scenario {workload} on {machine}; there are: {known}")])
    wanted = experiment.recommend
    made = Maker(experiment.folder, wanted, len(here[0].machine.spec.nodes))
    made.take(_chosen(here, wanted), own=True)
    if wanted.add_linux_policies:
        made.take([_by_default(name, experiment.folder) for name in LINUX_POLICIES], own=False)
    named = {each.policy.label for each in experiment.combinations}
    others = [name for name in sorted(made.unused) if not any(is_called(label, name) for label in named)]
    made.take([_by_default(name, experiment.folder) for name in others], own=False)
    if not made.found:
        raise InputError(experiment.name, [Fault("recommend.policies", "leaves no policy to choose from")])
    base = replace(here[0], rivals=())
    plainly = replace(base, policy=_by_default(LINUX_POLICIES[0], experiment.folder))
    hosting = self_hosting(experiment, plainly, wanted.memmap_on_memory, look)
    several = [_on_machine(each, base, value) for each in made.found for value in hosting.values]
    notes = tuple(dict.fromkeys((*made.notes, *hosting.notes)))
    return Space(base, experiment.folder, _told_apart(several), notes, made.axes, hosting.devices, experiment.seed)


def refine(
    where: Space, tried: Sequence[Candidate], judged: Sequence[Judged], objective: Objective
) -> tuple[Candidate, ...]:
    """Return candidates between those that were ``tried``, so that the final values are not coarse; none where fine.

    They lie beside the best that is feasible, and in the gap between it and the nearest that is not. Where none is
    feasible they lie between neighbours that break different limits: a window that is narrow may be between them.
    For ranges without steps optuna proposes others beside, where it is installed.
    """
    verdicts = {each.candidate: each for each in judged}
    feasible = [
        number
        for number, each in verdicts.items()
        if each.feasible and tried[number].in_linux and not math.isnan(each.mean)
    ]
    known = {content(each) for each in tried}
    found: list[Candidate] = []

    def take(candidate: Candidate, values: Mapping[str, Any]) -> None:
        new = where.with_values(candidate, values)
        if content(new) not in known:
            known.add(content(new))
            found.append(new)

    if feasible:
        sign = 1 if objective.better == "higher" else -1
        best = max(feasible, key=lambda number: sign * verdicts[number].mean)
        gaps = _gaps_at(where, tried, best, verdicts)
    else:
        gaps = _gaps_between(where, tried, verdicts)
    for candidate, axis, low, high in gaps:
        middle = axis.search.halfway(axis.parameter.type, low, high)
        if middle is not None:
            take(candidate, {axis.parameter.name: middle})
    for numbers in _alike(where, tried).values():
        of_these = {number: verdicts[number] for number in numbers if number in verdicts}
        for values in propose(where.axes_of(tried[numbers[0]]), tried, of_these, objective, where.seed):
            take(tried[numbers[0]], values)
    return _told_apart(found, taken=[each.label for each in tried])


def _alike(where: Space, tried: Sequence[Candidate]) -> dict[str, list[int]]:
    """Return the numbers of candidates that differ in nothing but what is searched, where that is a whole range."""
    alike: dict[str, list[int]] = {}
    for number, each in enumerate(tried):
        if any(axis.search.continuous for axis in where.axes_of(each)):
            key = canonical_json([*line_of(each.policy, each.varied), dict(each.machine)])
            alike.setdefault(key, []).append(number)
    return alike


Gap = tuple[Candidate, Axis, Any, Any]
"""A candidate, a parameter of it, and two values that it has in neighbours that were tried."""


def _gaps_at(where: Space, tried: Sequence[Candidate], best: int, verdicts: Mapping[int, Judged]) -> Iterator[Gap]:
    """Yield the gaps on either side of the best, and those further off in which candidates cease to be feasible."""
    for axis, line in lines_of(where, tried, best):
        at = next(place for place, (_, number) in enumerate(line) if number == best)
        walls = (
            place
            for place in range(len(line) - 1)
            if _holds(verdicts, line[place][1]) != _holds(verdicts, line[place + 1][1])
        )
        for place in dict.fromkeys((at - 1, at, *walls)):
            if 0 <= place < len(line) - 1:
                yield tried[best], axis, line[place][0], line[place + 1][0]


def _gaps_between(where: Space, tried: Sequence[Candidate], verdicts: Mapping[int, Judged]) -> Iterator[Gap]:
    """Yield the gaps between neighbours that break different limits."""
    for number, candidate in enumerate(tried):
        if not candidate.in_linux:
            continue
        for axis, line in lines_of(where, tried, number):
            at = next(place for place, (_, each) in enumerate(line) if each == number)
            if at + 1 < len(line) and _broken(verdicts, number) != _broken(verdicts, line[at + 1][1]):
                yield candidate, axis, line[at][0], line[at + 1][0]


def lines_of(where: Space, tried: Sequence[Candidate], number: int) -> Iterator[tuple[Axis, list[tuple[Any, int]]]]:
    """Yield each range of a candidate with the values tried in it, all else being equal: (value, number), ascending."""
    candidate = tried[number]
    for axis in where.axes_of(candidate):
        if isinstance(axis.search, OneOf):
            continue
        name = axis.parameter.name
        beside = content(candidate, without=name)
        line = [
            (each.policy.parameters[name], place)
            for place, each in enumerate(tried)
            if name in each.varied and content(each, without=name) == beside
        ]
        yield axis, sorted(line)


def _holds(verdicts: Mapping[int, Judged], number: int) -> bool:
    return number in verdicts and verdicts[number].feasible


def _broken(verdicts: Mapping[int, Judged], number: int) -> tuple[bool, ...]:
    return tuple(limit.verdict == "broken" for limit in verdicts[number].limits) if number in verdicts else ()


def _chosen(here: Iterable[Combination], wanted: RecommendSettings) -> list[PluginSettings]:
    """Return the scenario's policies that the user wants to choose from."""
    policies = {each.policy.label: each.policy for each in here}
    if wanted.policies is None:
        return list(policies.values())
    return [policy for label, policy in policies.items() if any(is_called(label, name) for name in wanted.policies)]


def _by_default(name: str, folder: Path) -> PluginSettings:
    """Return a policy that nobody has configured. Raises InputError for one that has to be."""
    plugin = lookup.find(lookup.POLICY, name, folder)
    faults = Faults(key_path("recommend", "search", name))
    parameters = lookup.configure(plugin, {}, faults)
    faults.raise_if_any("a policy that is searched and is none of the experiment's")
    return PluginSettings(name.rpartition(":")[2], name, plugin.code, parameters)


def _on_machine(candidate: Candidate, base: Combination, value: object) -> Candidate:
    """Return the candidate on a machine whose memmap_on_memory is ``value``."""
    if value == base.machine.spec.memmap_on_memory:
        return candidate
    return replace(candidate, machine={KEY: value})


def _told_apart(found: Iterable[Candidate], taken: Iterable[str] = ()) -> tuple[Candidate, ...]:
    """Return the candidates with labels that differ, and that can be labels."""
    labels = set(taken)
    named = []
    for candidate in found:
        on_machine = "".join(f", {key} {word(value)}" for key, value in candidate.machine.items())
        written = f"{candidate.label}{on_machine}"
        label = usable_label(written)
        if len(label) > LABEL_LENGTH or label in labels:
            label = shortened_label(f"{written} {canonical_json(candidate.policy.content())}")
        labels.add(label)
        named.append(replace(candidate, label=label, policy=replace(candidate.policy, label=label)))
    return tuple(named)
