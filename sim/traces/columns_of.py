"""The names of a file's columns, for somebody who has not said yet which is what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.faults import InputError
from sim.traces.parquet import MAGIC, leaves
from sim.traces.source import chunks, start_of, unix_lines
from sim.traces.texts import lines
from sim.traces.told import TraceFaults

if TYPE_CHECKING:
    from pathlib import Path

_MOST: Final = 30


def columns_of(path: Path) -> list[str]:
    """Return the names of columns of a CSV or Parquet file, the first of them if they are many; none for others.

    Raises InputError where the file cannot be read.
    """
    faults = TraceFaults(path)
    start = start_of(path, faults)
    if start.startswith(MAGIC):
        from pyarrow import ArrowException, parquet

        try:
            return _first([name for name, _ in leaves(parquet.read_schema(str(path)))])
        except (ArrowException, OSError):
            return []
    if start.lstrip()[:1] in (b"{", b"["):
        return []
    try:
        return _first(next(lines(unix_lines(chunks(path, faults)), faults), (0, ""))[1].split(","))
    except InputError:
        return []


def _first(names: list[str]) -> list[str]:
    shown = [name.strip() for name in names[:_MOST]]
    return [*shown, f"and {len(names) - _MOST} more"] if len(names) > _MOST else shown
