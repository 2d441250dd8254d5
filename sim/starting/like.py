"""An experiment like one that is there: its text with all comments, its paths right for where it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.experiment.reading import read_toml
from sim.experiment.shipped import SUFFIX, find, shipped, shipped_folder
from sim.faults import Fault, InputError
from sim.plugins import lookup
from sim.starting.text import comment, typed
from sim.toml_text import in_toml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.plugins.lookup import Kind


@dataclass(slots=True)
class Alike:
    """The ``text`` of an experiment like ``source``; ``copies``: files that go beside it, each with what it is of."""

    text: str
    source: Path
    tables: Mapping[str, Any]
    copies: dict[Path, Path] = field(default_factory=dict)
    said: str = ""


def like(name: str, file: Path, command: str) -> Alike:
    """Return the text for ``file`` of an experiment like that called ``name``: a shipped one, or a file of one's own.

    Data of a shipped one is to be copied beside ``file``; that of another stays where it is. Raises InputError where
    there is none of that name, or it cannot be read.
    """
    source = find(name)
    tables = read_toml(source)
    text = source.read_text("utf-8-sig")
    is_shipped = source.is_relative_to(shipped_folder())
    found = Alike("", source, tables)
    for path in dict.fromkeys(_paths(tables, source.parent)):
        old = source.parent / path
        if is_shipped:
            target = file.parent / old.name
            if target.absolute() != old.absolute():
                found.copies[target] = old
            new = old.name
        else:
            new = path if Path(path).is_absolute() else os.path.relpath(old.absolute(), file.parent.absolute())
        text = _with_path(text, path, new)
    called = next((known for known, path in shipped(shipped_folder()).items() if path == source), None)
    if called is not None:
        text = _with_commands(text, called, file)
    found.said = f"the text of {called or source}, its comments kept"
    head = [*comment(f"Like {called or source}. Written by {command}"), "#"]
    found.text = "\n".join(head) + "\n" + text
    return found


def check_copies(found: Alike, *, force: bool) -> None:
    """Refuse to write over other files than are to be copied. Raises InputError with all of them."""
    there = [
        target
        for target, source in found.copies.items()
        if target.exists() and not (target.is_file() and target.read_bytes() == source.read_bytes())
    ]
    if there and not force:
        what = "its data would go over {}; --force writes over it"
        raise InputError(str(found.source), [Fault("", what.format(target)) for target in there])


def _paths(tables: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield every path in an experiment, as it is written there."""
    workloads = _tables_of(tables, "workloads")
    listed = [
        *((lookup.POLICY, table) for table in _tables_of(tables, "policies")),
        *((lookup.WORKLOAD, table) for table in workloads),
        *((lookup.WORKLOAD, part) for table in workloads for part in _tables_of(table, "together")),
    ]
    for kind, table in listed:
        yield from _paths_of(kind, table, folder)


def _tables_of(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the tables listed under a key; of what is none, checking the experiment tells more than this could."""
    listed = table.get(key)
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, (list, tuple)) else []


def _paths_of(kind: Kind, table: Mapping[str, Any], folder: Path) -> Iterator[str]:
    name = table.get("name")
    if not isinstance(name, str):
        return
    file, _, class_name = name.rpartition(":")
    if file and class_name:
        yield file
    try:
        plugin = lookup.find(kind, name, folder)
    except lookup.PluginError:
        return
    for parameter in plugin.parameters:
        if parameter.name in table:
            yield from parameter.paths(table[parameter.name])


def _with_path(text: str, old: str, new: str) -> str:
    """Return ``text`` with the string ``old``, or one that names a class in that file, as ``new``."""
    if old == new:
        return text
    return re.sub(rf"""(["']){re.escape(old)}(:\w+)?\1""", lambda match: in_toml(new + (match[2] or "")), text)


def _with_commands(text: str, name: str, file: Path) -> str:
    """Return ``text`` with the commands in its comments about ``file`` instead of the shipped experiment."""
    names = "|".join(re.escape(each) for each in (name, f"experiments/{name}{SUFFIX}"))
    shown = typed(file)
    return re.sub(rf"(memhp-sim [a-z]+ )(?:{names})(?=\s|$)", lambda match: match[1] + shown, text)
