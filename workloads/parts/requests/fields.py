"""The fields of one row of a log of requests: each read as what its column holds, faults told by column."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from sim.faults import shown
from sim.pages import SMALLEST_PAGE
from sim.plugins import values
from sim.plugins.parameter_types import Seconds, Size, Word
from sim.units import parse_size, seconds_to_us
from workloads.parts.parameters import PLACE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sim.plugins.parameter_types import ParameterType
    from sim.plugins.parameters import Checker

_LONGEST_NUMBER: Final = 30
_WHOLE: Final = re.compile(r"-?[0-9]+")
_FLAGS: Final = {"yes": True, "no": False}


class Fields:
    """The fields of ``row``; what is wrong with one is told to ``check``.

    ``as_it_stands``: any number will do, any word and any size, because nothing comes of the row.
    """

    def __init__(self, row: Mapping[str, str], check: Checker, *, as_it_stands: bool = False) -> None:
        self._row = row
        self._as_it_stands = as_it_stands
        self.check = check

    def text(self, column: str) -> str:
        """Return what stands there, nothing where there is no such column."""
        return self._row.get(column, "")

    def seconds(self, column: str, otherwise: str = "") -> int:
        """Return the microseconds that stand there in seconds."""
        text = self.text(column) or otherwise
        try:
            value = float(text)
            if values.SECONDS_LIMIT < value < math.inf:
                most = f"must be at most {values.SECONDS_LIMIT:,} seconds, but is {shown(text)}"
                self.check.fault(column, f"{most}: of Unix times take off that of the first row")
                return 0
            return seconds_to_us(self.check.take(column, value, Seconds(zero=True), 0.0))
        except ValueError:
            self.check.fault(column, f"must be a number of seconds, but is {shown(text)}")
            return 0

    def word(self, column: str, words: Collection[str]) -> str:
        """Return one of ``words``."""
        text = self.text(column)
        return text if self._as_it_stands else self.check.take(column, text, Word(tuple(words)), next(iter(words)))

    def flag(self, column: str, *, otherwise: bool) -> bool:
        """Return what ``yes`` or ``no`` stands for."""
        text = self.text(column)
        if text and text not in _FLAGS:
            self.check.fault(column, f"must be yes or no, but is {shown(text)}")
        return _FLAGS.get(text, otherwise)

    def whole(self, column: str, by: ParameterType, otherwise: int | None = None) -> int | None:
        """Return a whole number that ``by`` takes, ``otherwise`` where none stands there."""
        text = self.text(column)
        if not text:
            return otherwise
        if not _WHOLE.fullmatch(text) or len(text) > _LONGEST_NUMBER or (text[0] == "-" and not self._as_it_stands):
            self.check.fault(column, f"must be a whole number, but is {shown(text)}")
            return 0
        return int(text) if self._as_it_stands else self.check.take(column, int(text), by, 0)

    def size(self, column: str, by: Size | None = None, otherwise: int | None = None) -> int:
        """Return bytes that ``by`` takes (None: whole pages); where none stand there, ``otherwise`` if that is one."""
        text = self.text(column)
        if not text and otherwise is not None:
            return otherwise
        return self._size(column, text, by or Size(multiple_of=SMALLEST_PAGE))

    def sizes(self, column: str) -> tuple[int, ...]:
        """Return several sizes with ``+`` between them, each of whole pages."""
        by = Size(multiple_of=SMALLEST_PAGE)
        return tuple(self._size(column, text.strip(), by) for text in self.text(column).split("+"))

    def _size(self, column: str, text: str, by: Size) -> int:
        nothing = 0 if by.zero else by.multiple_of
        if not text:
            self.check.fault(column, f"is needed with {self.text('op')}")
        elif len(text) > _LONGEST_NUMBER:
            self.check.fault(column, f"{shown(text)} is too long for a size")
        else:
            if self._as_it_stands and _WHOLE.fullmatch(text):
                return int(text)
            try:
                size = parse_size(text)
            except ValueError as error:
                self.check.fault(column, str(error))
            else:
                return size if self._as_it_stands else self.check.take(column, size, by, nothing)
        return nothing

    def address(self, column: str) -> int | None:
        """Return an address, None where none stands there."""
        text = self.text(column)
        if not text:
            return None
        if self._as_it_stands and _WHOLE.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
            return int(text)
        try:
            address = values.address(text)
        except ValueError as error:
            self.check.fault(column, str(error))
            return None
        return address if self._as_it_stands else self.check.take(column, address, PLACE, 0)
