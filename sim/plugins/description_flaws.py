"""What is wrong with how a plug-in's author has described a parameter's values, before any value is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.plugins.parameter_choices import Choice
from sim.plugins.parameter_lists import ListOf, Row
from sim.plugins.parameter_tables import Key, Table
from sim.plugins.parameter_types import Number, ParameterType, Size, Whole, Word

if TYPE_CHECKING:
    from collections.abc import Iterator


def flaws(described: Any) -> Iterator[str]:  # noqa: ANN401  whatever stands in an annotation
    """Yield what is wrong with ``described``, which should be a :class:`ParameterType`, its parts included."""
    if not isinstance(described, ParameterType):
        yield f"{described!r} is no description of values; write it with brackets behind it, such as Size()"
        return
    kind = type(described).__name__
    unit: Any = described.unit
    if not (isinstance(unit, str) and unit.isprintable()):
        yield f"the unit of {kind} must be a word, but is {unit!r}"
    match described:
        case Whole() | Number():
            yield from _flaws_of_bounds(kind, described.least, described.most, whole=isinstance(described, Whole))
        case Size(multiple_of=multiple) if type(multiple) is not int or multiple < 1:
            yield f"multiple_of of Size must be a number of bytes, 1 at least, but is {multiple!r}"
        case Word(words=words) if not _are_words(words):
            yield f"the words of Word must be a tuple of at least one, but are {words!r}"
        case Choice(words=words, meanings=meanings) if len(meanings) != len(words):
            yield f"the meanings of Choice must be as many as its words, {len(words)}, but are {len(meanings)}"
        case ListOf(item=item):
            yield from flaws(item)
        case Row():
            yield from _flaws_of_items(described.items)
        case Table():
            yield from _flaws_of_keys(described.keys)


def _flaws_of_bounds(kind: str, least: Any, most: Any, *, whole: bool) -> Iterator[str]:  # noqa: ANN401
    numbers = (int,) if whole else (int, float)
    if type(least) not in numbers or type(most) not in numbers:
        yield f"the bounds of {kind} must be {'whole ' if whole else ''}numbers, but are {least!r} and {most!r}"
    elif not least <= most:
        yield f"the bounds of {kind} leave nothing: from {least!r} to {most!r}"


def _flaws_of_items(items: Any) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(items, tuple) or not items:
        yield f"the items of Row must be a tuple of at least one, but are {items!r}"
        return
    for item in items:
        yield from flaws(item)


def _flaws_of_keys(keys: Any) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(keys, tuple) or not keys or not all(isinstance(key, Key) for key in keys):
        yield f"the keys of Table must be a tuple of at least one Key, but are {keys!r}"
        return
    if len({key.name for key in keys}) < len(keys):
        yield f"the keys of Table must differ, but are {', '.join(key.name for key in keys)}"
    for key in keys:
        yield from flaws(key.type)


def _are_words(words: object) -> bool:
    return isinstance(words, tuple) and bool(words) and all(isinstance(word, str) and word for word in words)
