"""The grid that a search begins with: candidates made of policies and the values of their parameters worth trying."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from policies.contract import Policy, in_linux
from sim.experiment import build
from sim.plugins import lookup
from sim.recommend.axes import Axis, candidate_of, in_words, is_called, line_of
from sim.recommend.proposals import MISSING, installed
from sim.results.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sim.experiment.recommend_table import RecommendSettings
    from sim.experiment.settings import PluginSettings
    from sim.plugins.parameter_search import Search
    from sim.recommend.axes import Lines
    from sim.recommend.contract import Candidate

MOST_OF_ONE: Final = 64
"""Candidates that one policy begins with: where more parameters make more of them, each is varied by itself."""


class Maker:
    """Takes policies one after the other and makes candidates of them, equal ones once."""

    def __init__(self, folder: Path, wanted: RecommendSettings, nodes: int) -> None:
        self._folder = folder
        self._wanted = wanted
        self._nodes = nodes
        self._known: set[str] = set()
        self.unused = set(wanted.search)
        """What the user asks to search, by the name that is given, and that no policy has been taken for."""
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
                self._add(candidate_of(policy.label, policy, {}, values, told=told))
        for policy, axes, told in searched:
            names = [axis.parameter.name for axis in axes]
            name = lookup.find(lookup.POLICY, policy.plugin, self._folder).cls.name
            line = line_of(policy, names)
            self.axes[line] = tuple(self._joined(line, axes))
            for each in _grid(axes, policy.parameters):
                values = dict(zip(names, each, strict=True))
                changed = replace(policy, parameters={**policy.parameters, **values})
                label = f"{name}{in_words(values, axes)}" if values else policy.label
                self._add(candidate_of(label, changed, {}, values, told=told))

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
            if search is not None and search.continuous and not installed():
                self.notes.append(f"{parameter.name} {MISSING}")
            if search is not None:
                yield Axis(parameter, search, search.first(parameter.type))
            elif declared is not None:
                mine = (now,) if own and now is not None else ()
                first = declared.first(parameter.type)
                yield Axis(parameter, declared, tuple(dict.fromkeys((*mine, *first))))

    def _asked(self, policy: PluginSettings, plugin: lookup.Plugin) -> Mapping[str, Search]:
        """Return what the user asks to search of a policy: what is said of its label goes before that of its name."""
        asked: dict[str, Search] = {}
        names = [name for name in self._wanted.search if name in (plugin.cls.name, policy.plugin)]
        names += [name for name in self._wanted.search if is_called(policy.label, name) and name not in names]
        for name in names:
            asked |= self._wanted.search[name]
        self.unused -= set(names)
        return asked


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
