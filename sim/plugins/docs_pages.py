"""The page of the documentation that lists all shipped plug-ins with their parameters, written from their signatures.

``python -m sim.plugins.docs_pages docs`` writes ``plug-ins.md`` into the folder ``docs``.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.plugins.lookup import POLICY, WORKLOAD, listing
from sim.toml_text import in_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.plugins.lookup import Kind, Listed, Plugin
    from sim.plugins.parameter_types import ParameterType
    from sim.plugins.parameters import Parameter

PAGE_NAME: Final = "plug-ins.md"
_SHIPPED_WITH: Final = "memhp-sim "
"""How the origin of a plug-in of this program begins; those of others are no part of its documentation."""

_INTRODUCTION: Final = """<!-- Written by `python -m sim.plugins.docs_pages docs`. Change the code, not this file. -->

# Policies and workloads

All that come with the program, with the keys that an experiment file may set. `memhp-sim policies` and
`memhp-sim workloads` list those of other distributions, too.
"""


def page() -> str:
    """Return the Markdown page about the plug-ins."""
    return "".join((_INTRODUCTION, *_section("Policies", POLICY), *_section("Workloads", WORKLOAD)))


def as_toml(value: object) -> str:
    """Return a default as one would write it in an experiment file; nothing for None."""
    return "" if value is None else in_toml(value)


def _section(title: str, kind: Kind) -> Iterator[str]:
    yield f"\n## {title}\n"
    for plugin in _shipped(listing(kind)):
        yield f"\n### {plugin.name}\n\n{plugin.summary[0].upper()}{plugin.summary[1:]}.\n"
        if plugin.parameters:
            yield "\n| key | default | values | meaning |\n| --- | --- | --- | --- |\n"
            yield from map(_row, plugin.parameters)
            for parameter in plugin.parameters:
                yield from _details(parameter)


def _shipped(listed: Iterable[Listed]) -> Iterator[Plugin]:
    return (each.plugin for each in listed if each.plugin is not None and each.plugin.origin.startswith(_SHIPPED_WITH))


def _row(parameter: Parameter) -> str:
    if parameter.default is None:
        default = "needed" if parameter.required else ""
    else:
        default = f"`{as_toml(parameter.written)}`"
    values = parameter.type.in_words
    if parameter.type.unit != usual_unit(parameter.type):  # else the words say it
        values += f" ({parameter.type.unit})"
    worth_trying = "" if parameter.search is None else f"; worth trying: {parameter.search.in_words(parameter.type)}"
    return f"| `{parameter.name}` | {default} | {values} | {parameter.meaning}{worth_trying} |\n"


def _details(parameter: Parameter) -> Iterator[str]:
    """Yield what the keys or words mean that a parameter's values are made of, if that is to be explained."""
    if details := list(parameter.type.details()):
        yield f"\nOf `{parameter.name}`:\n\n"
        yield from (f"* `{name}`: {meaning}\n" for name, meaning in details)


def usual_unit(of: ParameterType) -> object:
    """Return the unit that goes without saying for a type."""
    return next(field.default for field in dataclasses.fields(of) if field.name == "unit")


if __name__ == "__main__":
    (Path(sys.argv[1]) / PAGE_NAME).write_text(page(), "utf-8")
