"""The settings that are worth trying in a scenario: policies, their parameters, and what a machine changes.

What is searched of a policy's parameters is what its class says (:mod:`sim.plugins.parameter_search`), or what the user
says in ``[recommend]``. A grid comes first; between what turns out well further values are put (:func:`refine`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from policies.contract import Policy, in_linux
from sim.experiment import build
from sim.experiment.schema import LABEL_LENGTH, shortened_label, usable_label
from sim.experiment.settings import PluginSettings
from sim.faults import Fault, Faults, InputError
from sim.plugins import lookup
from sim.plugins.docs_pages import as_toml
from sim.plugins.parameter_search import OneOf, Search
from sim.recommend.contract import Candidate
from sim.recommend.self_hosting import KEY, self_hosting
from sim.results.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sim.devices.specs import DeviceSpec
    from sim.experiment.plan import Combination, Experiment
    from sim.experiment.recommend_table import RecommendSettings
    from sim.plugins.parameters import Parameter
    from sim.recommend.contract import Judged, Objective

LINUX_POLICIES: Final = ("contig-zones", "online-movable", "auto-movable")
"""Policies that every Linux from 5.15 on has, for which the user need not name them."""

MOST_OF_ONE: Final = 64
"""Candidates that one policy begins with: where more parameters make more of them, each is varied by itself."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter that is searched: how, and the values that it begins with."""

    parameter: Parameter
    search: Search
    values: tuple[Any, ...]


Lines = dict[tuple[str, str], tuple[Axis, ...]]
"""The parameters that are searched, by policy and by what is fixed of it, see :func:`_line`."""


@dataclass(frozen=True, slots=True)
class Space:
    """The settings worth trying in the scenario of ``base``, whose machine and workload all of them share.

    ``notes`` are sentences on what is not tried, and why. ``axes`` are the parameters that can be refined, ``devices``
    those that are plugged.
    """

    base: Combination
    folder: Path
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()
    axes: Lines = field(default_factory=dict)
    devices: tuple[DeviceSpec, ...] = ()

    def combination(self, candidate: Candidate) -> Combination:
        """Return what is run for a ``candidate``: the scenario with its policy and its machine."""
        machine = replace(self.base.machine, spec=replace(self.base.machine.spec, **candidate.machine))
        return replace(self.base, machine=machine, policy=candidate.policy, rivals=())

    def axes_of(self, candidate: Candidate) -> tuple[Axis, ...]:
        """Return the parameters of a ``candidate`` that are searched."""
        return self.axes.get(_line(candidate.policy, candidate.varied), ())

    def with_values(self, candidate: Candidate, values: Mapping[str, Any]) -> Candidate:
        """Return the candidate that differs from ``candidate`` in the ``values`` of parameters that are searched."""
        varied = {**candidate.varied, **values}
        name = lookup.find(lookup.POLICY, candidate.policy.plugin, self.folder).cls.name
        policy = replace(candidate.policy, parameters={**candidate.policy.parameters, **values})
        return _candidate(f"{name}{_in_words(varied, self.axes_of(candidate))}", policy, candidate.machine, varied)


def candidates(experiment: Experiment, machine: str, workload: str) -> tuple[Candidate, ...]:
    """Return the settings worth trying in the scenario of a ``machine`` and a ``workload``, by their labels."""
    return space(experiment, machine, workload).candidates


def space(experiment: Experiment, machine: str, workload: str) -> Space:
    """Return the settings worth trying in a scenario, and how they can be refined. Runs it once to see its devices.

    Raises InputError where the experiment has no such scenario, or where nothing is left to choose from.
    """
    here = [
        each for each in experiment.combinations if (each.machine.label, each.workload.label) == (machine, workload)
    ]
    if not here:
        known = ", ".join(f"{workload} on {machine}" for machine, workload in experiment.scenarios)
        raise InputError(experiment.name, [Fault("", f"no scenario {workload} on {machine}; there are: {known}")])
    wanted = experiment.recommend
    made = _Maker(experiment.folder, wanted, len(here[0].machine.spec.nodes))
    made.take(_chosen(here, wanted), own=True)
    if wanted.add_linux_policies:
        made.take([_by_default(name, experiment.folder) for name in LINUX_POLICIES], own=False)
    if not made.found:
        raise InputError(experiment.name, [Fault("recommend.policies", "leaves no policy to choose from")])
    base = replace(here[0], rivals=())
    hosting = self_hosting(experiment, replace(base, policy=made.found[0].policy), wanted.memmap_on_memory)
    several = [_on_machine(each, base, value) for each in made.found for value in hosting.values]
    return Space(
        base, experiment.folder, _told_apart(several), (*made.notes, *hosting.notes), made.axes, hosting.devices
    )


def refine(
    where: Space, tried: Sequence[Candidate], judged: Sequence[Judged], objective: Objective
) -> tuple[Candidate, ...]:
    """Return candidates between those that were ``tried``, so that the final values are not coarse; none where fine.

    They lie beside the best that is feasible, and in the gap between it and the nearest that is not. Where none is
    feasible they lie between neighbours that break different limits: a window that is narrow may be between them.
    """
    verdicts = {each.candidate: each for each in judged}
    feasible = [
        number
        for number, each in verdicts.items()
        if each.feasible and tried[number].in_linux and not math.isnan(each.mean)
    ]
    known = {_content(each) for each in tried}
    found = []
    if feasible:
        sign = 1 if objective.better == "higher" else -1
        best = max(feasible, key=lambda number: sign * verdicts[number].mean)
        gaps = _gaps_at(where, tried, best, verdicts)
    else:
        gaps = _gaps_between(where, tried, verdicts)
    for candidate, axis, low, high in gaps:
        middle = axis.search.halfway(axis.parameter.type, low, high)
        if middle is not None:
            new = where.with_values(candidate, {axis.parameter.name: middle})
            if _content(new) not in known:
                known.add(_content(new))
                found.append(new)
    return _told_apart(found, taken=[each.label for each in tried])


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
        beside = _content(candidate, without=name)
        line = [
            (each.policy.parameters[name], place)
            for place, each in enumerate(tried)
            if name in each.varied and _content(each, without=name) == beside
        ]
        yield axis, sorted(line)


def _holds(verdicts: Mapping[int, Judged], number: int) -> bool:
    return number in verdicts and verdicts[number].feasible


def _broken(verdicts: Mapping[int, Judged], number: int) -> tuple[bool, ...]:
    return tuple(limit.verdict == "broken" for limit in verdicts[number].limits) if number in verdicts else ()


class _Maker:
    """Takes policies one after the other and makes candidates of them, equal ones once."""

    def __init__(self, folder: Path, wanted: RecommendSettings, nodes: int) -> None:
        self._folder = folder
        self._wanted = wanted
        self._nodes = nodes
        self._known: set[str] = set()
        self.found: list[Candidate] = []
        self.notes: list[str] = []
        self.axes: Lines = {}

    def take(self, policies: Sequence[PluginSettings], *, own: bool) -> None:
        """Add the candidates of ``policies``: the user's ``own``, as written before all else, or what Linux has."""
        searched = [(policy, *self._searched(policy, own=own)) for policy in policies if self._can_be(policy)]
        for policy, axes, told in searched if own else ():
            names = [axis.parameter.name for axis in axes]
            values = {name: policy.parameters[name] for name in names if name in policy.parameters}
            if len(values) == len(names) and all(values[axis.parameter.name] in axis.values for axis in axes):
                self._add(_candidate(policy.label, policy, {}, values, told=told))
        for policy, axes, told in searched:
            names = [axis.parameter.name for axis in axes]
            name = lookup.find(lookup.POLICY, policy.plugin, self._folder).cls.name
            line = _line(policy, names)
            self.axes[line] = tuple(self._joined(line, axes))
            for each in _grid(axes, policy.parameters):
                values = dict(zip(names, each, strict=True))
                changed = replace(policy, parameters={**policy.parameters, **values})
                label = f"{name}{_in_words(values, axes)}" if values else policy.label
                self._add(_candidate(label, changed, {}, values, told=told))

    def _can_be(self, policy: PluginSettings) -> bool:
        """Whether anybody could decide so; tells of those that look ahead."""
        cls = lookup.find(lookup.POLICY, policy.plugin, self._folder).cls
        if cls.foresee is Policy.foresee:
            return True
        self.notes.append(f"{policy.label} looks ahead, which nobody can: it is no candidate")
        return False

    def _searched(self, policy: PluginSettings, *, own: bool) -> tuple[tuple[Axis, ...], bool]:
        """Return what is searched of a policy, and whether Linux has it."""
        plugin = lookup.find(lookup.POLICY, policy.plugin, self._folder)
        told = in_linux(build.policy(policy, self._folder)) is not None
        return tuple(self._axes(policy, plugin, told=told, own=own)), told

    def _joined(self, line: tuple[str, str], axes: Iterable[Axis]) -> Iterator[Axis]:
        """Yield the axes, with the values that another policy of the same kind began with."""
        before = {axis.parameter.name: axis.values for axis in self.axes.get(line, ())}
        for axis in axes:
            yield replace(axis, values=tuple(dict.fromkeys((*before.get(axis.parameter.name, ()), *axis.values))))

    def _add(self, candidate: Candidate) -> None:
        policy = build.policy(candidate.policy, self._folder)
        told = in_linux(policy)
        # Two policies that Linux is told in the same words are one setting.
        content = repr(told) if told is not None else canonical_json(candidate.policy.content())
        if content not in self._known:
            self._known.add(content)
            self.found.append(candidate)

    def _axes(self, policy: PluginSettings, plugin: lookup.Plugin, *, told: bool, own: bool) -> Iterator[Axis]:
        asked = self._asked(policy, plugin)
        for parameter in plugin.parameters:
            now = policy.parameters.get(parameter.name)
            search = asked.get(parameter.name)
            # What no Linux has is no pick, so that its parameters are searched only where somebody asks for it.
            declared = parameter.search if told or search is not None else None
            if declared is not None and not declared.matters(policy.parameters, self._nodes):
                if search is not None:
                    self.notes.append(f"{policy.label}: {parameter.name} is not searched, as it changes nothing here")
                continue
            if search is not None:
                yield Axis(parameter, search, search.first(parameter.type))
            elif declared is not None:
                mine = (now,) if own and now is not None else ()
                first = declared.first(parameter.type)
                yield Axis(parameter, declared, tuple(dict.fromkeys((*mine, *first))))

    def _asked(self, policy: PluginSettings, plugin: lookup.Plugin) -> Mapping[str, Search]:
        """Return what the user asks to search of a policy: by its label, before by its name."""
        by_name = self._wanted.search.get(plugin.cls.name, {})
        for label, search in self._wanted.search.items():
            if _is_called(policy.label, label):
                return {**by_name, **search}
        return by_name


def _chosen(here: Iterable[Combination], wanted: RecommendSettings) -> list[PluginSettings]:
    """Return the scenario's policies that the user wants to choose from."""
    policies = {each.policy.label: each.policy for each in here}
    if wanted.policies is None:
        return list(policies.values())
    return [policy for label, policy in policies.items() if any(_is_called(label, name) for name in wanted.policies)]


def _is_called(label: str, name: str) -> bool:
    """Whether a policy's label is ``name``, or is that with swept values behind it."""
    return label == name or label.startswith(f"{name}, ")


def _by_default(name: str, folder: Path) -> PluginSettings:
    plugin = lookup.find(lookup.POLICY, name, folder)
    return PluginSettings(name, name, plugin.code, lookup.configure(plugin, {}, Faults()))


def _grid(axes: Sequence[Axis], now: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the values to begin with: all combinations, or where these are many each parameter's by itself."""
    if math.prod(len(axis.values) for axis in axes) <= MOST_OF_ONE:
        yield from itertools.product(*(axis.values for axis in axes))
        return
    # What the policy has now may not be among the values that are searched.
    usual = [value if (value := now.get(axis.parameter.name)) in axis.values else axis.values[0] for axis in axes]
    seen = set()
    for place, axis in enumerate(axes):
        for value in axis.values:
            values = (*usual[:place], value, *usual[place + 1 :])
            if values not in seen:
                seen.add(values)
                yield values


def _in_words(varied: Mapping[str, Any], axes: Iterable[Axis]) -> str:
    types = {axis.parameter.name: axis.parameter.type for axis in axes}
    return "".join(f", {name} {_word(types[name].written(value))}" for name, value in varied.items() if name in types)


def _word(written: object) -> str:
    return written if isinstance(written, str) else as_toml(written)


def _candidate(
    label: str, policy: PluginSettings, machine: Mapping[str, Any], varied: Mapping[str, Any], *, told: bool = True
) -> Candidate:
    return Candidate(label, replace(policy, label=label), machine, varied, told)


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
        on_machine = "".join(f", {key} {_word(value)}" for key, value in candidate.machine.items())
        written = f"{candidate.label}{on_machine}"
        label = usable_label(written)
        if len(label) > LABEL_LENGTH or label in labels:
            label = shortened_label(f"{written} {canonical_json(candidate.policy.content())}")
        labels.add(label)
        named.append(replace(candidate, label=label, policy=replace(candidate.policy, label=label)))
    return tuple(named)


def _line(policy: PluginSettings, varied: Iterable[str]) -> tuple[str, str]:
    """Return what a policy is and what is fixed of it: those that are equal in it differ in what is searched only."""
    searched = set(varied)
    fixed = {name: value for name, value in policy.parameters.items() if name not in searched}
    return policy.plugin, canonical_json([fixed, sorted(searched)])


def _content(candidate: Candidate, without: str = "") -> str:
    """Return what a candidate is, but for its label and for the parameter ``without``."""
    parameters = {name: value for name, value in candidate.policy.parameters.items() if name != without}
    return canonical_json([candidate.policy.plugin, parameters, dict(candidate.machine)])
