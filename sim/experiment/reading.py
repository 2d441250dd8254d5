"""Reading an experiment file: from bytes to plain tables, with one clear fault where that is impossible."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.shipped import what_is_near
from sim.faults import Fault, InputError, key_path
from sim.opening import UnreadableError, read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST_FILE: Final = 16 << 20
"""Bytes; no experiment is larger, and /dev/zero is not read to its end."""

_DEEPEST: Final = 20
_MOST_PARTS: Final = 100

# The parser's time grows with the square of a key's parts: a file of 100 kB could keep it busy for minutes.
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY: Final = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{_MOST_PARTS - 1}}}")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of the TOML file ``path``, its lists as tuples.

    Raises InputError where the file cannot be read, is no text, is no TOML (with the line), or is nested beyond reason.
    """
    source = str(path)
    try:
        raw = read_regular(path, LARGEST_FILE)
    except UnreadableError as error:
        absent = isinstance(error.__cause__, (FileNotFoundError, ValueError))
        raise InputError(source, [Fault("", _missing(path) if absent else f"{error}")]) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(source, [Fault("", f"is not a text file: byte {error.start} is no UTF-8")]) from error
    if _LONG_KEY.search(text):
        raise InputError(source, [Fault("", f"holds a key of {_MOST_PARTS} parts or more; that is no experiment")])
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(source, [Fault("", f"is not TOML: {error}")]) from error
    except RecursionError as error:
        raise InputError(source, [Fault("", "is nested too deeply")]) from error
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise InputError(source, [Fault("", f"holds a value that cannot be read: {error}")]) from error
    return frozen(parsed, source)


def _missing(path: Path) -> str:
    near = what_is_near(path)
    return f"does not exist; {near}" if near else "does not exist"


def frozen(tables: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a copy of ``tables`` with every list as a tuple.

    Raises InputError where a key is not a string, or the tables are nested beyond reason (or contain themselves).
    """
    return {key: _frozen(value, (key,), source) for key, value in _items(tables, (), source)}


def _frozen(value: Any, parts: tuple[str | int, ...], source: str) -> Any:  # noqa: ANN401  whatever TOML or a dict holds
    if isinstance(value, (dict, list, tuple)) and len(parts) > _DEEPEST:
        raise InputError(source, [Fault(key_path(*parts[:3]), f"is nested deeper than {_DEEPEST} levels")])
    if isinstance(value, dict):
        return {key: _frozen(item, (*parts, key), source) for key, item in _items(value, parts, source)}
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item, (*parts, number), source) for number, item in enumerate(value))
    return value


def _items(table: Mapping[str, Any], parts: tuple[str | int, ...], source: str) -> list[tuple[str, Any]]:
    for key in table:
        if not isinstance(key, str):
            raise InputError(source, [Fault(key_path(*parts), f"has a key that is not a string: {key!r}")])
    return list(table.items())
