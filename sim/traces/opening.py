"""A demand trace opened: what kind of file it is, its faults told, its samples by series."""

from __future__ import annotations

import shutil
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from sim.traces import content, index
from sim.traces.arrays import NotPlainError
from sim.traces.batches import SeriesNames
from sim.traces.csv_exact import read_exactly
from sim.traces.csv_fast import read_fast
from sim.traces.mapping import read_columns
from sim.traces.parquet import MAGIC, read_parquet
from sim.traces.prometheus import read_prometheus
from sim.traces.samples import QUANTITIES
from sim.traces.source import BYTE_ORDER_MARK, chunks, start_of, unix_lines, without_mark
from sim.traces.splitting import Splitter
from sim.traces.stored import StoredTrace
from sim.traces.told import TraceFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sim.traces.batches import Batch
    from sim.traces.mapping import Columns
    from sim.traces.samples import Trace

_KEPT: Final = 2
_FOLDER: Final = "is a folder: put its files behind each other in one, with a column that tells their series apart"
_kept: OrderedDict[object, StoredTrace] = OrderedDict()
"""The last small traces: an experiment opens the same one for every series of it."""


def open_trace(path: Path, columns: Mapping[str, Any]) -> Trace:
    """Return the trace in the file at ``path``, whose ``columns`` are what :mod:`sim.traces.mapping` describes.

    Times count from the earliest sample of the file. Raises InputError with all that is wrong with the mapping (its
    source is ``columns`` then), or with the file, by row and column.
    """
    mapping = read_columns(columns)
    faults = TraceFaults(path)
    try:
        if path.exists() and not path.is_file():  # a device or a pipe might never end
            faults.refuse(_FOLDER if path.is_dir() else "is a device or a pipe, not a file")
        before = content.signature(path)
        kept = (before, repr(mapping))
        trusted = content.settled(path)
        if trusted and kept in _kept:
            _kept.move_to_end(kept)
            return _kept[kept]
        trace = _opened(path, mapping, faults)
        if content.signature(path) != before:
            faults.refuse("was written while it was read: try again")
    except OSError as error:
        faults.refuse(f"cannot be read: {error.strerror or error}")
    if trusted and trace.in_memory:
        _kept[kept] = trace
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return trace


def _opened(path: Path, columns: Columns, faults: TraceFaults) -> StoredTrace:
    folder = None
    if path.stat().st_size >= content.LARGE:
        start = start_of(path, faults)
        if not start.startswith(MAGIC) and b"\0" in start:  # before all of it is read for its index
            faults.refuse("holds a zero byte: it is no text in UTF-8")
        folder = index.index_folder(path, columns)
    if folder is not None and (known := index.read_index(folder)) is not None:
        return known
    for reader in _readers(path, columns, faults):
        try:
            return _split(reader, folder, columns, faults)
        except NotPlainError:
            continue
    raise AssertionError("the last way to read a file is exact")


def _readers(path: Path, columns: Columns, faults: TraceFaults) -> Iterator[Callable[[SeriesNames], Iterator[Batch]]]:
    """Yield the ways to read the file, the next one being for what the one before cannot."""
    start = start_of(path, faults)
    if start.startswith(MAGIC):
        yield lambda series: read_parquet(path, columns, series, faults)
        yield lambda series: read_parquet(path, columns, series, faults, exactly=True)
    elif start.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")[:1] in (b"{", b"["):
        yield lambda series: read_prometheus(without_mark(chunks(path, faults)), columns, series, faults)
    else:
        yield lambda series: read_fast(unix_lines(chunks(path, faults)), columns, series, faults)
        yield lambda series: read_exactly(unix_lines(chunks(path, faults)), columns, series, faults)


def _split(
    reader: Callable[[SeriesNames], Iterator[Batch]], folder: Path | None, columns: Columns, faults: TraceFaults
) -> StoredTrace:
    quantities = [name for name in QUANTITIES if name in columns.amounts]
    series = SeriesNames(faults)
    split = Splitter(quantities, index.unfinished)
    try:
        for batch in reader(series):
            split.add(batch)
        runs = split.done()
        if split.folder is None:
            return StoredTrace(
                series.names, quantities, runs, (split.first_us, split.last_us), split.told, in_memory=True
            )
        finished = index.finish(split, folder, series.names, quantities)
    except OSError as error:  # what goes wrong in reading the file, its readers tell
        split.discard()
        faults.refuse(f"its index cannot be written in {content.cache_folder()}: {error.strerror or error}")
    except BaseException:
        split.discard()
        raise
    trace = index.read_index(finished)
    if trace is None:
        faults.refuse(f"cannot be indexed in {finished}")
    if finished != folder:  # nobody will find it again
        weakref.finalize(trace, shutil.rmtree, finished, ignore_errors=True)
    return trace
