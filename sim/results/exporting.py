"""Writing rows for other programs: as CSV, JSONL or Parquet, streamed, into a file that is whole or not there."""

from __future__ import annotations

import csv
import gzip
import io
import json
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.results.atomic import written_whole
from sim.units import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from sim.results.schema import TableLayout

    Target = Path | BinaryIO

FORMS: Final = ("csv", "jsonl", "parquet")
TEXT_FORMS: Final = FORMS[:2]

_AT_ONCE: Final = 1 << 16
"""Rows of a part of a Parquet file."""


def form_of(path: Path, forms: Iterable[str] = FORMS) -> str:
    """Return the form that a file's name says, ``.gz`` behind it left out. Raises ValueError where it says none."""
    form = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.removeprefix(".")
    if form not in forms or (form == "parquet" and path.suffix == ".gz"):
        endings = ", ".join(f".{each}" for each in forms)
        raise ValueError(f"{path}: the name must end in {endings}, .csv.gz or .jsonl.gz")
    return form


def write_lines(target: Target, lines: Iterable[str]) -> None:
    """Write lines of text, each with its end, in UTF-8."""
    with _opened(target) as file:
        file.writelines(line.encode() for line in lines)


def write_rows(target: Target, form: str, layout: TableLayout, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows of ``layout`` in one of :data:`FORMS`, some at a time."""
    if form != "parquet":
        write_lines(target, _csv_lines(layout, rows) if form == "csv" else _jsonl_lines(rows))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sim.results.frames import arrow_schema

    schema, rest = arrow_schema(layout), iter(rows)
    with _opened(target) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while part := list(islice(rest, _AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(part, schema=schema))


@contextmanager
def _opened(target: Target) -> Iterator[BinaryIO]:
    if not isinstance(target, Path):
        yield target
        return
    with written_whole(target, durable=False) as file:
        if target.suffix != ".gz":
            yield file
            return
        # Without its name and time, the same rows are the same bytes.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            yield packed  # type: ignore[misc]  # it has what is needed of a file


def _csv_lines(layout: TableLayout, rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    names = [column.name for column in layout.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        fields = (row[name] for name in names)
        writer.writerow([seconds_text(field) if isinstance(field, float) else field for field in fields])
        if text.tell() > _AT_ONCE:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _jsonl_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        told = {name: value for name, value in row.items() if value is not None}
        yield json.dumps(told, ensure_ascii=False) + "\n"
