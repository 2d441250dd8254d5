"""Values of plug-in parameters: from what stands in an experiment file to what the plug-in takes.

A :class:`~sim.plugins.parameters.Parameter` names its type in words. These are known::

    int, float, bool, str     as in TOML (a float may be written without a point)
    size                      bytes: a number, or a string such as "4GiB"
    seconds                   a number of seconds, not negative
    percent                   a whole number of percent, not negative
    path                      a file, relative to the folder of the experiment file
    a|b|c                     one of these words
    list[T]                   a list of T
    ints, floats, sizes, ... one or a list of at least one (the plural of any of the first)
    [T, U]                    a list of exactly these
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from sim.faults import MemhpSimError, shown, unknown_name
from sim.units import MEMORY_LIMIT, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.faults import Faults

INTEGER_LIMIT: Final = (1 << 63) - 1
"""Largest number that an experiment file may hold: what a 64-bit counter of the kernel or a column of a result can."""

SECONDS_LIMIT: Final = 1e11
"""Longest time, about 3000 years: in microseconds it still fits into 64 bits."""

_WORDS = re.compile(r"[\w.+-]+(\|[\w.+-]+)+")
_LIST = re.compile(r"list\[(.+)\]")
_TUPLE = re.compile(r"\[(.+,.+)\]")


class UnknownTypeError(MemhpSimError):
    """A plug-in describes a parameter with a type that is not known here: a mistake in the plug-in, not in the file."""


def integer(value: object) -> int:
    """Return ``value`` if it is a whole number that fits into 64 bits. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    if not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
        raise ValueError(f"{shown(value)} is too large; 64 bits must hold it")
    return value


def number(value: object) -> float:
    """Return ``value`` as a finite float. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{shown(value)} is not a number")
    if isinstance(value, int):
        return float(integer(value))
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


def size(value: object) -> int:
    """Return ``value`` (bytes, or a string with a unit) in bytes, at most 64 TiB. Raises ValueError."""
    if not isinstance(value, (int, str)) or isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not a size: write a number of bytes or a string such as '4GiB'")
    if isinstance(value, str) and len(value) > 40:  # noqa: PLR2004  nothing that long is a size; keeps the message short
        raise ValueError(f"{shown(value)} is not a size: write a number of bytes or a string such as '4GiB'")
    parsed = parse_size(value)
    if parsed > MEMORY_LIMIT:
        raise ValueError(f"{shown(value)} is more than x86-64 addresses (64TiB)")
    return parsed


def seconds(value: object) -> float:
    """Return ``value`` as seconds, not negative. Raises ValueError."""
    try:
        parsed = number(value)
    except ValueError as fault:
        raise ValueError(f"{fault}; write a number of seconds") from None
    if parsed < 0:
        raise ValueError(f"a time cannot be negative, but is {value}")
    if parsed > SECONDS_LIMIT:
        raise ValueError(f"{shown(value)} seconds are more than {SECONDS_LIMIT:.0e}")
    return parsed


def percent(value: object) -> int:
    """Return ``value`` as a whole percentage, not negative. Raises ValueError."""
    parsed = integer(value)
    if parsed < 0:
        raise ValueError(f"a percentage cannot be negative, but is {value}")
    return parsed


def boolean(value: object) -> bool:
    """Return ``value`` if it is true or false. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false")
    return value


def string(value: object) -> str:
    """Return ``value`` if it is a string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a string")
    if "\0" in value:
        raise ValueError(f"{shown(value)} holds a zero byte")
    return value


_SIZE_SCHEMA: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": MEMORY_LIMIT},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([KkMmGgTt]([Ii]?[Bb])?|[Bb])?\s*$"},
    ],
    "description": "Bytes, or a string with a unit such as 4GiB.",
}
_SCALARS: Final[dict[str, tuple[Callable[[object], object], dict[str, Any]]]] = {
    "int": (integer, {"type": "integer"}),
    "float": (number, {"type": "number"}),
    "bool": (boolean, {"type": "boolean"}),
    "str": (string, {"type": "string"}),
    "size": (size, _SIZE_SCHEMA),
    "seconds": (seconds, {"type": "number", "minimum": 0}),
    "percent": (percent, {"type": "integer", "minimum": 0}),
    "path": (string, {"type": "string"}),
}


def convert(type_name: str, value: object, faults: Faults) -> object:
    """Return ``value``, written for a parameter of type ``type_name``, in the plug-in's terms: plain JSON values.

    What is wrong with it is added to ``faults`` (lists: under each element's key).
    Raises UnknownTypeError for a type that is none.
    """
    if (one := _singular(type_name)) is not None:
        if isinstance(value, (list, tuple)) and not value:
            faults.add("is empty; at least one is needed")
        type_name = f"list[{one}]"
        if not isinstance(value, (list, tuple)):
            return [convert(one, value, faults)]
    items = _item_types(type_name, value if isinstance(value, (list, tuple)) else ())
    if items is not None:
        if not isinstance(value, (list, tuple)):
            faults.add(f"{shown(value)} is not a list ({type_name})")
            return None
        if len(items) != len(value):
            faults.add(f"has {len(value)} elements; {len(items)} are needed ({type_name})")
            return None
        pairs = zip(items, value, strict=True)
        return [convert(item, element, faults.below(i)) for i, (item, element) in enumerate(pairs)]
    try:
        if _WORDS.fullmatch(type_name):
            return _word(type_name, value)
        check, _ = _scalar(type_name)
        return check(value)
    except ValueError as fault:
        faults.add(str(fault))
        return None


def with_paths(type_name: str, value: object, rewrite: Callable[[str], str]) -> object:
    """Return the converted ``value`` with every path in it passed through ``rewrite``."""
    items = _item_types(type_name, value if isinstance(value, list) else ())
    if items is not None and isinstance(value, list):
        return [with_paths(item, element, rewrite) for item, element in zip(items, value, strict=True)]
    return rewrite(value) if type_name == "path" and isinstance(value, str) else value


def paths_in(type_name: str, value: object) -> list[str]:
    """Return the paths in the converted ``value``."""
    found: list[str] = []

    def note(path: str) -> str:
        found.append(path)
        return path

    with_paths(type_name, value, note)
    return found


def json_schema(type_name: str) -> dict[str, Any]:
    """Return the JSON Schema of what may be written for a parameter of type ``type_name``. Raises UnknownTypeError."""
    if _WORDS.fullmatch(type_name):
        return {"enum": type_name.split("|")}
    if (one := _singular(type_name)) is not None:
        return {"anyOf": [json_schema(one), {"type": "array", "items": json_schema(one), "minItems": 1}]}
    if match := _LIST.fullmatch(type_name):
        return {"type": "array", "items": json_schema(match[1])}
    if match := _TUPLE.fullmatch(type_name):
        items = [json_schema(item.strip()) for item in match[1].split(",")]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    return dict(_scalar(type_name)[1])


def _item_types(type_name: str, value: tuple[object, ...] | list[object]) -> list[str] | None:
    item = _singular(type_name) or ((match := _LIST.fullmatch(type_name)) and match[1])
    if item:
        return [item] * len(value)
    if match := _TUPLE.fullmatch(type_name):
        return [item.strip() for item in match[1].split(",")]
    return None


def _singular(type_name: str) -> str | None:
    """Return the type of which ``type_name`` is the plural, or None."""
    return type_name[:-1] if type_name not in _SCALARS and type_name[:-1] in _SCALARS and type_name[-1] == "s" else None


def _scalar(type_name: str) -> tuple[Callable[[object], object], dict[str, Any]]:
    try:
        return _SCALARS[type_name]
    except KeyError:
        known = ", ".join([*_SCALARS, "a|b|c", "list[...]", "[..., ...]"])
        raise UnknownTypeError(f"no parameter type {type_name!r}; known are {known}") from None


def _word(type_name: str, value: object) -> str:
    words = type_name.split("|")
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is none of {', '.join(words)}")
    if value not in words:
        raise ValueError(unknown_name("word", value, words))
    return value
