"""What candidates are told apart by: the parameters that are searched, and all else that they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sim.plugins.docs_pages import as_toml
from sim.recommend.contract import Candidate
from sim.results.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.experiment.settings import PluginSettings
    from sim.plugins.parameter_search import Search
    from sim.plugins.parameters import Parameter


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter that is searched: how, and the values that it begins with."""

    parameter: Parameter
    search: Search
    values: tuple[Any, ...]


Lines = dict[tuple[str, str], tuple[Axis, ...]]
"""The parameters that are searched, by policy and by what is fixed of it, see :func:`line_of`."""


def in_words(varied: Mapping[str, Any], axes: Iterable[Axis]) -> str:
    """Return the values of parameters as the end of a label."""
    types = {axis.parameter.name: axis.parameter.type for axis in axes}
    return "".join(f", {name} {word(types[name].written(value))}" for name, value in varied.items() if name in types)


def word(written: object) -> str:
    """Return a value, as a file would have it, as a word of a label."""
    return written if isinstance(written, str) else as_toml(written)


def candidate_of(
    label: str, policy: PluginSettings, machine: Mapping[str, Any], varied: Mapping[str, Any], *, told: bool = True
) -> Candidate:
    """Return the candidate of a ``policy`` whose label is that of both; ``told`` is whether some Linux has it."""
    return Candidate(label, replace(policy, label=label), machine, varied, told)


def line_of(policy: PluginSettings, varied: Iterable[str]) -> tuple[str, str]:
    """Return what a policy is and what is fixed of it: those that are equal in it differ in what is searched only."""
    searched = set(varied)
    fixed = {name: value for name, value in policy.parameters.items() if name not in searched}
    return policy.plugin, canonical_json([fixed, sorted(searched)])


def content(candidate: Candidate, without: str = "") -> str:
    """Return what a candidate is, but for its label and for the parameter ``without``."""
    parameters = {name: value for name, value in candidate.policy.parameters.items() if name != without}
    return canonical_json([candidate.policy.plugin, parameters, dict(candidate.machine)])


def is_called(label: str, name: str) -> bool:
    """Whether a policy's label is ``name``, or is that with swept values behind it."""
    return label == name or label.startswith(f"{name}, ")
