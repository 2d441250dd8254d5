"""CSV files that workloads read: rows with their line numbers, and everything that is wrong with the file at once.

Comma-separated UTF-8 text, gzip-compressed where the name ends in ``.gz``. The first line that is neither blank nor a
comment names the columns, in any order. Lines whose first character other than a blank is ``#`` are comments. A field
may stand in double quotes, but may not go over a line's end.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from sim import progress
from sim.faults import shown, unknown_name
from sim.opening import UnreadableError, open_regular
from sim.plugins.parameters import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_CHUNK: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 20
_IS_PLAIN: Final = re.compile(r"[^\s\x1c-\x1f]*").fullmatch
"""Whether there is no blank in a line of ASCII."""

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


def text_lines(path: Path, faults: TableFaults) -> Iterator[str]:
    """Yield the lines of the text in the file at ``path``, as it is read. Raises ParameterError where there is none.

    Only real line ends count: ``str.splitlines`` would also split at form feeds and the like.
    """
    try:
        with open_regular(path) as file:
            content: BinaryIO = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file  # type: ignore[assignment]
            yield from _decoded(content, file, path, faults)
    except UnreadableError as error:
        faults.add(0, str(error))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        faults.add(0, "is not the gzip file that its name says, or is cut short")
    except OSError as error:
        faults.add(0, f"cannot be read: {error.strerror or error}")
    faults.done()


def _decoded(content: BinaryIO, file: BinaryIO, path: Path, faults: TableFaults) -> Iterator[str]:
    """Yield lines, read a mebibyte at a time from ``content``, of which ``file`` is what is on the disk."""
    size, before, rest = path.stat().st_size, 0, b""
    while True:
        chunk = content.read(_CHUNK)
        data = rest + chunk
        if chunk:
            data, rest = data[: (end := data.rfind(b"\n") + 1)], data[end:]
            progress.tell(path.name, file.tell(), size)
        if len(rest) > _LONGEST_LINE:
            what = "holds zero bytes" if b"\0" in rest else f"has a line of over {_LONGEST_LINE:,} bytes"
            faults.add(0, f"{what} near its byte {before + len(data):,}: it is no text")
            faults.done()
        try:
            text = data.decode("utf-8" if before else "utf-8-sig")
        except UnicodeDecodeError as error:
            at = before + error.start
            faults.add(0, f"is not text in UTF-8 (byte {at} is {error.object[error.start]:#04x})")
            faults.done()
        if "\0" in text:
            faults.add(0, f"holds a zero byte near its byte {before + len(text.partition(chr(0))[0]):,}: it is no text")
            faults.done()
        before += len(data)
        if chunk:
            yield from text.split("\n")[:-1]
        else:
            yield from text.split("\n")
            return


Line = tuple[int, list[str]]


def rows(
    lines: Iterable[str], required: Sequence[str], optional: Sequence[str] | None, faults: TableFaults
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of ``lines`` as (line number, field by column name without blanks around it).

    ``required`` columns must be there; other columns must be among ``optional``, or may be anything with None. A faulty
    row is told to ``faults`` and left out; without usable column names there are no rows.
    """
    columns, fields_of = table(lines, required, optional, faults)
    for number, fields in fields_of:
        yield number, dict(zip(columns, fields, strict=True))


def table(
    lines: Iterable[str], required: Sequence[str], optional: Sequence[str] | None, faults: TableFaults
) -> tuple[list[str], Iterator[Line]]:
    """Return the names of the columns, and each row as (line number, fields in their order); faults as in rows."""
    numbered = _lines(lines, faults)
    header = next(numbered, None)
    if header is None:
        faults.add(0, f"holds no rows; its first line must name the columns {', '.join(required)}")
        return [], iter(())
    number, columns = header
    if not _usable(number, columns, required, optional, faults):
        return columns, iter(())
    return columns, _of_width(numbered, len(columns), faults)


def _of_width(lines: Iterator[Line], width: int, faults: TableFaults) -> Iterator[Line]:
    for number, fields in lines:
        if len(fields) != width:
            faults.add(number, f"has {len(fields)} fields, but there are {width} columns")
        else:
            yield number, fields


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


def _lines(lines: Iterable[str], faults: TableFaults) -> Iterator[Line]:
    """Yield the fields of each line that is neither blank nor a comment, with its number."""
    for number, line in enumerate(lines, start=1):
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
        yield number, fields if stripped.isascii() and _IS_PLAIN(stripped) else [field.strip() for field in fields]
