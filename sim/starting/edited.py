"""The text of an experiment with another machine, or another recorded demand, in the place of its own."""

from __future__ import annotations

import itertools
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.starting.text import entries, table_text
from sim.toml_text import in_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sim.faults import Faults

_HEADER: Final = re.compile(r"\s*\[\[?\s*([\w.\-]+)\s*\]\]?\s*(?:#.*)?$")
_TRACED: Final = ("guest-trace", "demand-trace")
"""Workloads that play a demand trace."""

_OF_TRACE: Final = ("path", "columns", "series", "start", "end", "includes_system")
"""Keys that belong to one trace, and not to another."""


@dataclass(frozen=True, slots=True)
class _Section:
    """A table of the file: its ``name`` (empty: before the first), and its lines from ``first`` up to ``end``.

    Comments over the next table, and blank lines before them, belong to that one.
    """

    name: str
    first: int
    end: int


def _sections(lines: Sequence[str]) -> Iterator[_Section]:
    heads = [(number, match[1]) for number, line in enumerate(lines) if (match := _HEADER.match(line))]
    ends = [number for number, _ in heads[1:]] + [len(lines)]
    yield _Section("", 0, heads[0][0] if heads else len(lines))
    for (first, name), after in zip(heads, ends, strict=True):
        end = after
        while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        yield _Section(name, first, end)


def with_machine(text: str, tables: Mapping[str, Any], machine: Mapping[str, Any], faults: Faults) -> str:
    """Return ``text`` with ``machine`` in the place of its only one, under that one's label.

    Adds to ``faults`` where it has several, or none that stands as a table of its own.
    """
    there = tables.get("machines", ())
    if len(there) != 1:
        labels = ", ".join(str(each.get("label", "?")) for each in there)
        faults.below("--from-machine").add(
            f"the experiment has {len(there)} machines ({labels}), and not one that another could take the place of;"
            " leave --like out"
        )
        return text
    lines = text.split("\n")
    mine = [each for each in _sections(lines) if each.name == "machines" or each.name.startswith("machines.")]
    if not mine:
        faults.below("--from-machine").add("the experiment has its machine on one line; leave --like out")
        return text
    label = there[0].get("label")
    table = {**({} if label is None else {"label": label}), **{k: v for k, v in machine.items() if k != "label"}}
    if label is None:
        table = {"label": machine["label"], **table}
    new = table_text("[[machines]]", entries(table)).rstrip("\n").split("\n")
    for section in reversed(mine):
        lines[section.first : section.end] = new if section is mine[0] else []
    return "\n".join(lines)


def with_demand(text: str, played: Mapping[str, Any], replications: int | str, faults: Faults) -> str:
    """Return ``text`` whose workloads play another trace, as ``played`` says: its path, columns and the like.

    Adds to ``faults`` where none plays a trace.
    """
    lines = text.split("\n")
    sections = list(_sections(lines))
    traced = [each for each in sections if each.name.startswith("workloads") and _name(lines, each) in _TRACED]
    if not traced:
        faults.below("--demand").add("the experiment plays no recorded demand that another could take the place of")
        return text
    for section in reversed(traced):
        for below in reversed(_below(section, sections)):
            lines[below.first : below.end] = []
        is_guest = _name(lines, section) == "guest-trace"
        table = {key: value for key, value in played.items() if is_guest or key != "includes_system"}
        new = table_text("", entries(table)).rstrip("\n").split("\n")
        kept = [line for line in lines[section.first : section.end] if _key(line) not in _OF_TRACE]
        lines[section.first : section.end] = [*kept, *new]
    top = next(_sections(lines))
    for number in range(top.first, top.end):
        if _key(lines[number]) == "replications":
            lines[number] = f"replications = {in_toml(replications)}"
    return "\n".join(lines)


def _below(section: _Section, sections: Sequence[_Section]) -> list[_Section]:
    """Return the tables right behind ``section`` that are keys of the trace in it, such as its columns."""
    within = f"{section.name}."
    behind = sections[sections.index(section) + 1 :]
    tables = itertools.takewhile(lambda each: each.name.startswith(within), behind)
    return [each for each in tables if each.name.removeprefix(within).partition(".")[0] in _OF_TRACE]


def _key(line: str) -> str:
    return line.partition("=")[0].strip() if "=" in line and not line.lstrip().startswith("#") else ""


def _name(lines: Sequence[str], section: _Section) -> object:
    try:
        return tomllib.loads("\n".join(lines[section.first + 1 : section.end])).get("name")
    except tomllib.TOMLDecodeError:
        return None
