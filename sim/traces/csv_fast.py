"""CSV read by pyarrow, a block at a time: the fast way for files in which nothing is wrong.

Where anything is, or might be, :class:`NotPlainError` says so, and :mod:`sim.traces.csv_exact` reads the file instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sim.traces.arrays import NotPlainError, Plain
from sim.traces.csv_exact import named
from sim.traces.layout import lay_out
from sim.traces.texts import LONGEST_LINE, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.traces.batches import Batch, SeriesNames
    from sim.traces.layout import Layout
    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

_BLOCK: Final = 2 * LONGEST_LINE
_COMMENT: Final = re.compile(rb"^#[^\n]*\n?", re.MULTILINE)
_ZONED: Final = re.compile(r".*T?\d\d:\d\d.*(Z|[+-]\d\d:?\d\d)")


def read_fast(content: Iterator[bytes], columns: Columns, series: SeriesNames, faults: TraceFaults) -> Iterator[Batch]:
    """Yield the samples of the CSV text ``content``. Raises NotPlainError, or InputError for the first lines."""
    import pyarrow as pa
    from pyarrow import csv

    layout, feed = _started(content, columns, faults)
    plain = Plain(layout, columns, series)
    wanted = {str(each): pa.float64() for each in layout.amounts}
    wanted |= {str(each): pa.dictionary(pa.int32(), pa.utf8()) for each in layout.series}
    wanted[str(layout.time)] = _time_type(columns, feed, layout)
    try:
        with csv.open_csv(
            pa.PythonFile(feed, mode="r"),
            csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=[str(n) for n in range(len(layout.names))]
            ),
            csv.ParseOptions(delimiter=columns.separator),
            csv.ConvertOptions(column_types=wanted, include_columns=list(wanted), null_values=["", *columns.missing]),
            # Of the few mebibytes that are in use at a time, pyarrow's own pool keeps ten times as many.
            memory_pool=pa.system_memory_pool(),
        ) as reader:
            for batch in reader:
                yield plain.batch({int(name): batch.column(name) for name in wanted})
    except pa.ArrowException as error:
        raise NotPlainError(str(error)) from error


def _time_type(columns: Columns, feed: _Feed, layout: Layout) -> Any:  # noqa: ANN401  pyarrow has no types
    import pyarrow as pa

    if columns.form == "number":
        return pa.float64()
    if columns.form != "iso-8601":
        raise NotPlainError("dates that pyarrow does not read")
    fields = feed.first_line().split(columns.separator)
    zoned = len(fields) > layout.time and _ZONED.fullmatch(fields[layout.time].strip('" '))
    return pa.timestamp("us", tz="UTC" if zoned else None)


def _started(content: Iterator[bytes], columns: Columns, faults: TraceFaults) -> tuple[Layout, _Feed]:
    """Return where the columns are, and the stream of what follows the line that names them."""
    if columns.names:
        return lay_out(columns.names, columns, faults, "names"), _Feed(b"", content)
    seen = bytearray()

    def remembered() -> Iterator[bytes]:
        for chunk in content:
            seen.extend(chunk)
            yield chunk

    for number, text in lines(remembered(), faults):
        layout = named(number, text, columns, faults)
        behind = -1
        for _ in range(number):
            behind = seen.find(b"\n", behind + 1)
            if behind < 0:
                break
        else:
            return layout, _Feed(bytes(seen[behind + 1 :]), content)
        raise NotPlainError("nothing follows the line that names the columns")
    raise NotPlainError("the file is empty")


class _Feed:
    """The text as a file for pyarrow, without its comments; each read gives a piece."""

    closed = False

    def __init__(self, first: bytes, content: Iterator[bytes]) -> None:
        self._rest = first
        self._content = content
        self._ready = b""

    def first_line(self) -> str:
        """Return the first line, or what is known of it."""
        if not self._ready:
            self._ready = self._piece()
        return self._ready[:LONGEST_LINE].split(b"\n", 1)[0].decode("utf-8", "replace")

    def read(self, size: int) -> bytes:
        """Return some bytes, ``size`` at most; none at the end."""
        if not self._ready:
            self._ready = self._piece()
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""

    def _piece(self) -> bytes:
        """Return whole lines, at least one of them, without comments; nothing at the end."""
        while True:
            chunk = next(self._content, b"") if b"\n" not in self._rest else b""
            data = self._rest + chunk
            ends = data.rfind(b"\n") + 1
            if not ends and chunk:
                if len(data) > LONGEST_LINE:
                    raise NotPlainError("a line is too long")
                self._rest = data
                continue
            piece, self._rest = (data[:ends], data[ends:]) if ends else (data, b"")
            if b"\0" in piece:
                raise NotPlainError("a zero byte")
            if piece.startswith(b"#") or b"\n#" in piece:
                piece = _COMMENT.sub(b"", piece)
            if piece or not (data or chunk):
                return piece
