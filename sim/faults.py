"""Faults in what a user wrote: collected with their keys, reported together, never a traceback. A leaf."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_CHARACTERS: Final = 60
_NAMES_LISTED: Final = 40


class MemhpSimError(Exception):
    """The base of all errors of this program that are meant to be caught; ``docs/errors.md`` draws the tree of them."""


class Unwinding(BaseException):
    """What ends a run, or a guest's work, from within, and passes through plug-ins: no error of theirs, nor of anybody.

    No Exception, so that whoever catches those does not swallow it.
    """


def let_pass(error: BaseException) -> None:
    """Raise ``error`` again where it passes through plug-ins and is not of their making: Ctrl-C, or Unwinding.

    For who takes in whatever a plug-in raises, which need not be an Exception: ``sys.exit()``, GeneratorExit.
    """
    if isinstance(error, (KeyboardInterrupt, Unwinding)):
        raise error


def text_of(error: BaseException) -> str:
    """Return what ``error`` says of itself; an error of a plug-in may fail even at that."""
    try:
        return str(error)
    except BaseException as another:  # noqa: BLE001  whatever it does
        let_pass(another)
        return f"(its text cannot be had: {type(another).__name__})"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``what`` is wrong at ``key``, and what would be right.

    The key is written as in TOML, such as ``policies[1].ratio``; it is empty for a file as a whole.
    """

    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.key else self.what


class InputError(MemhpSimError, ValueError):
    """Input that cannot be used: ``source`` (a file or an option) and all of its ``faults``."""

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        super().__init__(source, tuple(faults))
        self.source = source
        self.faults = tuple(faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return f"{self.source}: {self.faults[0]}"
        lines = [f"{self.source}: {len(self.faults)} faults"]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


class Faults:
    """Collects what is wrong with the value at ``key`` and with everything below it.

    Whoever checks a value is handed the collector for its key, asks it for those of keys below, and adds faults without
    knowing where in the file they are. A collector is true once there are faults at its key or below.
    """

    __slots__ = ("_above", "_faults", "key")

    def __init__(self, key: str = "", _above: Faults | None = None) -> None:
        self.key = key
        self._above = _above
        self._faults: list[Fault] = []

    def add(self, what: str) -> None:
        """Note that ``what`` is wrong at this key."""
        self.include([Fault(self.key, what)])

    def below(self, *parts: str | int) -> Faults:
        """Return the collector for what stands under these ``parts`` of a key; its faults are faults of this one too.

        Each call returns a new collector; it does not count faults given to an earlier one of the same key.
        """
        return Faults(key_path(*parts, below=self.key), self)

    def include(self, faults: Iterable[Fault]) -> None:
        """Take in ``faults`` that were found elsewhere, each with the key that it has."""
        added = list(faults)
        self._faults.extend(added)
        if self._above is not None:
            self._above.include(added)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def raise_if_any(self, source: str) -> None:
        """Raise InputError with all of these faults of ``source``, if there are any."""
        if self._faults:
            raise InputError(source, self._faults)


def raise_all(errors: Sequence[InputError], source: str) -> None:
    """Raise the faults of ``errors`` as one InputError of ``source``, each with its own source; nothing without any.

    A single one is raised as it is.
    """
    if len(errors) == 1:
        raise errors[0]
    if errors:
        places = [
            (f"{error.source}: {fault.key}".removesuffix(": "), fault) for error in errors for fault in error.faults
        ]
        raise InputError(source, [Fault(place, fault.what) for place, fault in places])


def key_path(*parts: str | int, below: str = "") -> str:
    """Return a key's path as TOML writes it: ``key_path("policies", 1, "ratio")`` is ``policies[1].ratio``.

    ``below`` is a path that the parts are appended to.
    """
    path = below
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        key = part if _BARE_KEY.fullmatch(part) else shown(part, quote='"')
        path += f".{key}" if path else key
    return path


def shown(value: object, *, quote: str = "'") -> str:
    """Return ``value`` as a message shows it: one line, cut where it gets long."""
    if isinstance(value, str):
        text = quote + value.encode("unicode_escape").decode() + quote
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4 * _SHOWN_CHARACTERS:
        return f"a number of {value.bit_length()} bits"  # Python refuses to print numbers of thousands of digits
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, bool):
        return str(value).lower()
    elif isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    else:
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 4]}...{text[-1]}"


def unknown_name(what: str, name: str, valid: Iterable[str]) -> str:
    """Return the message for a name that is none of ``valid``: the nearest one if any is near, and all of them."""
    names = sorted(valid)
    nearest = difflib.get_close_matches(name[:200], names, n=1)
    guess = f"; did you mean {nearest[0]!r}?" if nearest else "."
    if not names:
        return f"unknown {what} {shown(name)}; there is none"
    others = f" and {len(names) - _NAMES_LISTED} more" if len(names) > _NAMES_LISTED else ""
    return f"unknown {what} {shown(name)}{guess} Valid: {listed(names[:_NAMES_LISTED])}{others}"


def listed(names: Iterable[str]) -> str:
    """Return ``names`` in a row, or one a line where what would stand between them is in one of them."""
    every = list(names)
    if any(mark in name for name in every for mark in ",;\n"):
        return "".join(f"\n    {name}" for name in every)
    return ", ".join(every)


def set_off(name: str) -> str:
    """Return ``name`` for a row of names in a sentence: in quotes where it holds what stands between them."""
    return f'"{name}"' if "," in name or ";" in name else name
