"""Where the files of a result store stand, how they are encoded and written (whole: :mod:`sim.results.atomic`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from sim.results.atomic import write_atomically
from sim.results.schema import PARTITION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

SUFFIX: Final = ".parquet"
GUEST: Final = "guest"
CELL_TABLES: Final = (GUEST, "series", "events")
"""Tables with a file for each cell, in the order in which they are written: who has events has everything."""

ROW_TABLES: Final = ("runs", "timings")
"""Tables with a row for each cell, many in a file."""

Labels = tuple[str, ...]
"""The values of the partition columns."""

_DELTAS: Final = ("t_us", "block")
"""Columns that grow step by step; their differences take a fraction of the space."""


LONGEST_NAME: Final = 255
"""Bytes that the name of a folder may have on the file systems that are in use."""


def partition(labels: Labels) -> str:
    """Return the folder of the partition ``labels`` below its table: ``machine=.../workload=.../policy=...``."""
    return "/".join(_folder(column.name, label) for column, label in zip(PARTITION_COLUMNS, labels, strict=True))


def _folder(column: str, label: str) -> str:
    return f"{column}={quote(label, safe=' +,()')}"


def bytes_too_many(label: str) -> int:
    """Return by how many bytes a folder's name would be too long with ``label``: one not of ASCII takes up to twelve.

    Nothing or less where it fits.
    """
    return max(len(_folder(column.name, label)) for column in PARTITION_COLUMNS) - LONGEST_NAME


def labels_of(folder: str) -> Labels:
    """Return what :func:`partition` made ``folder`` from."""
    return tuple(unquote(part.partition("=")[2]) for part in folder.split("/"))


def partitions(store: Path) -> list[str]:
    """Return the partitions that have a folder for any table, in order."""
    pattern = "/".join(f"{column.name}=*" for column in PARTITION_COLUMNS)
    return sorted(
        {
            path.relative_to(store / table).as_posix()
            for table in (*CELL_TABLES, *ROW_TABLES)
            for path in (store / table).glob(pattern)
        }
    )


def is_whole(path: Path) -> bool:
    """Whether ``path`` is there and not empty, as what is not yet on the disk can be after a power failure."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def whole_files(folder: Path) -> Iterator[Path]:
    """Yield the Parquet files in ``folder``, which need not exist, that are not empty."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.suffix == SUFFIX and is_whole(path))


def write_cell_table(path: Path, table: pa.Table) -> None:
    """Write the table of one cell, whose column ``cell`` is a dictionary of one value.

    Fast before small: several times faster than with a dictionary for each column and a stronger compression.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="LZ4",
        use_dictionary=["cell"],
        column_encoding={name: "DELTA_BINARY_PACKED" for name in table.column_names if name in _DELTAS} or None,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        if table.schema.metadata:
            writer.add_key_value_metadata(table.schema.metadata)
    write_atomically(path, sink.getvalue(), durable=False)


def write_rows(path: Path, table: pa.Table) -> None:
    """Write a table with one row for each of many cells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Lean, too: in a sweep over many values, a file holds a few rows and costs as much as its columns.
    pq.write_table(table, sink, compression="LZ4", use_dictionary=False, write_statistics=False)
    write_atomically(path, sink.getvalue(), durable=False)
