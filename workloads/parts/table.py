"""CSV files that workloads read: rows with their line numbers, and everything that is wrong with the file at once.

Comma-separated UTF-8 text, gzip-compressed where the name ends in ``.gz``. The first line that is neither blank nor a
comment names the columns, in any order. Lines whose first character other than a blank is ``#`` are comments. A field
may stand in double quotes, but may not go over a line's end.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from typing import TYPE_CHECKING, Final

from sim.faults import shown, unknown_name
from sim.plugins.parameters import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MOST_FAULTS: Final = 200
"""Faults of a file that are told one by one; the rest is counted."""

_OTHER_SEPARATORS: Final = (";", "\t", "|")


class TableFaults:
    """Collects what is wrong with one file, by line."""

    def __init__(self, parameter: str, file: str) -> None:
        self._place = f"{parameter}: {file}"
        self._faults: list[str] = []
        self._more = 0

    def add(self, line: int, sentence: str) -> None:
        """Remember what is wrong in ``line`` (0: in the file as a whole)."""
        if len(self._faults) == MOST_FAULTS:
            self._more += 1
        else:
            self._faults.append(f"{self._place}, line {line}: {sentence}" if line else f"{self._place}: {sentence}")

    def done(self) -> None:
        """Raise :class:`~sim.plugins.parameters.ParameterError` with everything that was wrong, if anything was."""
        if self._more:
            raise ParameterError([*self._faults, f"{self._place}: and {self._more} more like these"])
        if self._faults:
            raise ParameterError(self._faults)


def read_text(path: Path, faults: TableFaults) -> str:
    """Return the text of the file at ``path``. Raises ParameterError where none is to be had."""
    try:
        if path.exists() and not path.is_file():  # a device or a pipe might never end
            faults.add(0, "is not a file")
            faults.done()
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        faults.add(0, "is not the gzip file that its name says, or is cut short")
    except OSError as error:
        faults.add(0, f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        faults.add(0, f"is not text in UTF-8 (byte {error.start} is {error.object[error.start]:#04x})")
    faults.done()
    raise AssertionError("unreachable: every branch above adds a fault")


def rows(
    text: str, required: Sequence[str], optional: Sequence[str] | None, faults: TableFaults
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row as (line number, field by column name without blanks around it).

    ``required`` columns must be there; other columns must be among ``optional``, or may be anything with None. A faulty
    row is told to ``faults`` and left out; without usable column names there are no rows.
    """
    lines = _lines(text, faults)
    header = next(lines, None)
    if header is None:
        faults.add(0, f"holds no rows; its first line must name the columns {', '.join(required)}")
        return
    number, columns = header
    if not _usable(number, columns, required, optional, faults):
        return
    for number, fields in lines:
        if len(fields) != len(columns):
            faults.add(number, f"has {len(fields)} fields, but there are {len(columns)} columns")
        else:
            yield number, dict(zip(columns, fields, strict=True))


def _usable(
    number: int, columns: Sequence[str], required: Sequence[str], optional: Sequence[str] | None, faults: TableFaults
) -> bool:
    """Return whether the names of the columns, in line ``number``, are right; what is wrong with them is told."""
    if len(columns) == 1 and (other := next((each for each in _OTHER_SEPARATORS if each in columns[0]), None)):
        faults.add(number, f"its fields are separated by {shown(other)}; separate them by commas")
        return False
    usable = True
    for column in required:
        if column not in columns:
            faults.add(number, f"there is no column {column}; the first row must name the columns")
            usable = False
    for column in dict.fromkeys(columns):
        if columns.count(column) > 1:
            faults.add(number, f"there are {columns.count(column)} columns {shown(column)}")
            usable = False
        elif optional is not None and column not in required and column not in optional:
            faults.add(number, unknown_name("column", column, [*required, *optional]))
            usable = False
    return usable


def _lines(text: str, faults: TableFaults) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each line that is neither blank nor a comment, with its number."""
    # Only real line ends count: str.splitlines would also split at form feeds and the like.
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if '"' not in stripped:  # nearly all lines of a long trace; four times as fast
            fields = stripped.split(",")
        else:
            try:
                fields = next(csv.reader([stripped], strict=True, skipinitialspace=True))
            except csv.Error as error:
                faults.add(number, f"is not a line of CSV: {error}")
                continue
        yield number, [field.strip() for field in fields]
