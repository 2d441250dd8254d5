"""The words that a plug-in describes its parameters with: what is written in a file, and which values are taken.

====================  ============  ===========================================================================
in the annotation     in a listing  in a file
====================  ============  ===========================================================================
``Whole()``           int           a whole number
``Number()``          float         a number; it may be written without a point
``Flag()``            bool          true or false
``Text()``            str           a string
``Name()``            str           a string that can name something: not empty, without blanks around it
``Size()``            size          bytes: a number, or a string such as ``"4GiB"``
``Address()``         address       as a size, or ``"0x140000000"`` (:mod:`sim.plugins.parameter_addresses`)
``Seconds()``         seconds       a number of seconds
``Percent()``         percent       a whole number of percent
``FilePath()``        path          a file, relative to the folder of the experiment file
``Word(("a", "b"))``  a|b           one of these words
``ListOf(Size())``    list[size]    a list of at least one; of ``OneOrMore`` one alone, too
``Row((a, b))``       [a, b]        a list of exactly these
``Table((a, b))``     table         of these keys, each a ``Key``; of ``ShortTable`` one's value, too
====================  ============  ===========================================================================

Each is checked in two steps: :meth:`ParameterType.convert` says what a file may hold, :meth:`ParameterType.complaints`
which of those values the plug-in takes. The second step is taken for values from Python, too.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sim.faults import shown, unknown_name
from sim.plugins import values
from sim.units import MEMORY_LIMIT, format_size, no_multiple, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.faults import Faults


@dataclass(frozen=True, kw_only=True)
class ParameterType(ABC):
    """A type of parameters. ``unit`` is their unit in listings, ``"-"`` for none."""

    takes: ClassVar[type]
    """The Python type of the values."""

    word: ClassVar[str] = ""
    """What listings call the type, unless it has parts."""

    unit: str = "-"

    @property
    def name(self) -> str:
        """What listings call it."""
        return self.word

    @property
    @abstractmethod
    def in_words(self) -> str:
        """Which values are taken, for people; bounds that go without saying are not said."""

    @abstractmethod
    def convert(self, value: object, faults: Faults) -> object:
        """Return what ``value`` in a file means, as a plain JSON value; what is wrong is added to ``faults``."""

    @abstractmethod
    def complaints(self, value: object) -> Iterator[str]:
        """Yield what is wrong with ``value``, which comes from a file by :meth:`convert`, or from anywhere."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what a file may hold."""

    def details(self) -> Iterator[tuple[str, str]]:
        """Yield what a listing explains beside, of keys or words that the values are made of: (name, in words)."""
        yield from ()

    def written(self, value: object) -> object:
        """Return ``value`` as one would write it in a file."""
        return value

    def with_paths(self, value: object, rewrite: Callable[[str], str]) -> object:
        """Return the converted ``value`` with every path in it passed through ``rewrite``."""
        return value


class Scalar(ParameterType):
    """A type whose values have no parts."""

    @abstractmethod
    def read(self, value: object) -> object:
        """Return what ``value`` in a file means, as a plain JSON value. Raises ValueError where it means nothing."""

    def convert(self, value: object, faults: Faults) -> object:
        """Return what ``value`` in a file means, or None with the fault that it has."""
        try:
            return self.read(value)
        except ValueError as fault:
            faults.add(str(fault))
            return None


@dataclass(frozen=True)
class Whole(Scalar):
    """A whole number from ``least`` to ``most``."""

    takes: ClassVar[type] = int
    word: ClassVar[str] = "int"

    least: int = -values.INTEGER_LIMIT
    most: int = values.INTEGER_LIMIT

    def read(self, value: object) -> object:
        """Return a number that fits into 64 bits."""
        return values.integer(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"a whole number{self._bounds()}"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no whole number, and with bounds that are not kept."""
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"must be a whole number, but is {shown(value)}"
        elif not self.least <= value <= self.most:
            yield f"must be {self._range()}, but is {shown(value)}"

    def _bounds(self) -> str:
        return "" if (self.least, self.most) == (Whole().least, Whole().most) else f", {self._range()}"

    def _range(self) -> str:
        if self.most == values.INTEGER_LIMIT and self.least > -values.INTEGER_LIMIT:
            return f"at least {self.least}"
        return f"from {self.least} to {self.most}"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema; bounds that 64 bits set go without saying."""
        low = {"minimum": self.least} if self.least > -values.INTEGER_LIMIT else {}
        return {"type": "integer", **low, **({"maximum": self.most} if self.most < values.INTEGER_LIMIT else {})}


@dataclass(frozen=True)
class Percent(Whole):
    """A whole number of percent, not negative."""

    word: ClassVar[str] = "percent"

    least: int = 0
    unit: str = field(default="percent", kw_only=True)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"a whole number of percent, {self._range()}"

    def read(self, value: object) -> object:
        """Return a number that is not negative."""
        return values.percent(value)


@dataclass(frozen=True)
class Number(Scalar):
    """A number from ``least`` to ``most``."""

    takes: ClassVar[type] = float
    word: ClassVar[str] = "float"

    least: float = -sys.float_info.max
    most: float = sys.float_info.max

    def read(self, value: object) -> object:
        """Return a finite float."""
        return values.number(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        bounded = (self.least, self.most) != (Number().least, Number().most)
        return f"a number from {self.least:g} to {self.most:g}" if bounded else "a number"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no number, and with bounds that are not kept."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"must be a number, but is {shown(value)}"
        elif not self.least <= value <= self.most:  # what is not a number fails this as well
            yield f"must be from {self.least:g} to {self.most:g}, but is {shown(value)}"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema; that a number is finite goes without saying."""
        low = {"minimum": self.least} if self.least > -sys.float_info.max else {}
        return {"type": "number", **low, **({"maximum": self.most} if self.most < sys.float_info.max else {})}


@dataclass(frozen=True)
class Flag(Scalar):
    """True or false."""

    takes: ClassVar[type] = bool
    word: ClassVar[str] = "bool"

    def read(self, value: object) -> object:
        """Return true or false, and nothing that only looks like it."""
        return values.boolean(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "true or false"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with anything else."""
        if not isinstance(value, bool):
            yield f"must be true or false, but is {shown(value)}"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Text(Scalar):
    """A string."""

    takes: ClassVar[type] = str
    word: ClassVar[str] = "str"

    def read(self, value: object) -> object:
        """Return a string."""
        return values.string(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a string"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no string."""
        if not isinstance(value, str):
            yield f"must be a string, but is {shown(value)}"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "string"}


@dataclass(frozen=True)
class Name(Text):
    """A string that can name something: not empty, printable, without blanks around it."""

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a name"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what cannot be told from another name at a glance."""
        if not (isinstance(value, str) and value and value == value.strip() and value.isprintable()):
            yield f"must be a name without blanks around it, but is {shown(value)}"


@dataclass(frozen=True)
class FilePath(Name):
    """A file: in an experiment file, relative to its folder."""

    word: ClassVar[str] = "path"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a file"

    def with_paths(self, value: object, rewrite: Callable[[str], str]) -> object:
        """Return the rewritten path."""
        return rewrite(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Word(Scalar):
    """One of ``words``."""

    takes: ClassVar[type] = str

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """What listings call it: all words."""
        return "|".join(self.words)

    def read(self, value: object) -> object:
        """Return one of the words; another one is answered with the nearest."""
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is none of {', '.join(self.words)}")
        if value not in self.words:
            raise ValueError(unknown_name("word", value, self.words))
        return value

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"one of {', '.join(self.words)}"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with any other word, and with what is none."""
        if not isinstance(value, str):
            yield f"must be one of {', '.join(self.words)}, but is {shown(value)}"
        elif value not in self.words:
            yield unknown_name("word", value, self.words)

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Size(Scalar):
    """Bytes: more than none, or none as well with ``zero``; a multiple of ``multiple_of``."""

    takes: ClassVar[type] = int
    word: ClassVar[str] = "size"

    zero: bool = False
    multiple_of: int = 1
    unit: str = field(default="bytes", kw_only=True)

    def read(self, value: object) -> object:
        """Return bytes, of which no machine has more than it addresses."""
        return values.size(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        multiple = f" in multiples of {format_size(self.multiple_of)}" if self.multiple_of > 1 else ""
        return f"a size{multiple}, {'0 as well' if self.zero else 'more than 0'}"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no size, is none of those that are taken, or is no multiple."""
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"must be a size in bytes, but is {shown(value)}"
        elif value < 0 or (value == 0 and not self.zero):
            yield f"must be {'no less' if self.zero else 'more'} than 0 bytes, but is {shown(value)}"
        elif value > MEMORY_LIMIT:
            yield f"must be at most {format_size(MEMORY_LIMIT)}, but is {shown(value)} bytes"
        elif value % self.multiple_of:
            yield no_multiple(value, self.multiple_of)

    def written(self, value: object) -> object:
        """Return the size in its largest unit."""
        return format_size(value) if isinstance(value, int) and value else "0"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema; what a string comes to, no schema can say."""
        return {
            "anyOf": [
                {"type": "integer", "minimum": 0 if self.zero else 1, "maximum": MEMORY_LIMIT},
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*([KkMmGgTt]([Ii][Bb]?)?|[Bb])?\s*$"},
            ],
            "description": "Bytes, or a string with a unit such as 4GiB.",
        }


@dataclass(frozen=True)
class Seconds(Scalar):
    """A time in seconds: a microsecond at least, or none as well with ``zero``."""

    takes: ClassVar[type] = float
    word: ClassVar[str] = "seconds"

    zero: bool = False
    unit: str = field(default="s", kw_only=True)

    def read(self, value: object) -> object:
        """Return a number of seconds that is not negative."""
        return values.seconds(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"seconds, {'0 as well' if self.zero else 'more than 0'}"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no time, is none of those that are taken, or would be rounded to none."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value < math.inf:
            yield f"must be a number of seconds, but is {shown(value)}"
        elif value < 0 or (value == 0 and not self.zero):
            yield f"must be {'no less' if self.zero else 'more'} than 0 seconds, but is {shown(value)}"
        elif value > values.SECONDS_LIMIT:
            yield f"must be at most {values.SECONDS_LIMIT} seconds, but is {shown(value)}"
        elif seconds_to_us(value) == 0 and not self.zero:
            yield f"must be at least a microsecond (0.000001 seconds), but is {shown(value)}"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        low = {"minimum": 0} if self.zero else {"exclusiveMinimum": 0}
        return {"type": "number", **low, "maximum": values.SECONDS_LIMIT}
