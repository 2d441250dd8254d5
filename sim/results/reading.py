"""Reading the tables of a store, whether cells are in packs or in segments yet, while others may write.

Segments are opened before packs: what is packed meanwhile is in both, and is taken from the first.
"""

from __future__ import annotations

import contextlib
import time
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.faults import Fault, InputError
from sim.results import cells
from sim.results.frames import array, arrow_schema, head, int_columns, rows_table
from sim.results.layout import CELL_TABLES, DETAILS, LAYOUT, RUNS, TIMINGS, pack_number
from sim.results.manifest import stored_layout
from sim.results.pack_sets import checked, pack_sets, readable_packs, warn_of_missing
from sim.results.schema import TABLES
from sim.results.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeVar

    import pyarrow as pa

    from sim.results.frames import Block
    from sim.results.layout import Labels
    from sim.results.pack_sets import PackSet
    from sim.results.packs import Entry, Pack
    from sim.results.segments import Frame
    from sim.results.selection import Selection

    _Found = TypeVar("_Found")

_ATTEMPTS: Final = 20


class Apart(Enum):
    """Whether each piece is of one cell: it need not, it has to where else they could not be sorted, or it has to."""

    NO = 0
    IN_ORDER = 1
    ALWAYS = 2


Piece = tuple["tuple[Labels, int, str]", "pa.Table"]
"""Labels, replication and key of the first of some cells that stand in order, and their rows."""


def check_layout(store: Path) -> None:
    """Raise InputError where ``store`` holds what another version of the program left, in another layout."""
    layout = stored_layout(store)
    if layout in (None, LAYOUT):
        return
    if layout > LAYOUT:
        whose, other = f"a later version of the program, in layout {layout}", "choose another --out"
    else:
        form = "which kept a file for each run" if layout == 1 else f"in layout {layout}"
        whose = f"an earlier version of the program, {form}"
        other = "run the experiment again, which replaces them"
    what = f"holds results of {whose}, where this one has layout {LAYOUT}: read them with that version, or {other}"
    raise InputError(str(store), [Fault("", what)])


def _steady(look: Callable[[], _Found]) -> _Found:
    """Return what ``look`` finds; again where files went meanwhile because somebody packs."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return look()
        time.sleep(0.05)
    return look()


def pieces(
    store: Path, table: str, chosen: Selection, names: Sequence[str], *, apart: Apart = Apart.NO
) -> Iterator[Piece]:
    """Yield the columns ``names`` of what is ``chosen`` of a table with many rows for each cell.

    A piece is at most a row group, and may be empty; cells come in no order, but the rows of each in theirs.
    """
    check_layout(store)
    needed = tuple(dict.fromkeys((*names, *chosen.needed, *(["cell"] if apart is not Apart.NO else []))))
    with contextlib.ExitStack() as stack:
        segments, packs = _steady(lambda: _opened(store, table, stack, data=False))
        for frame in segments.frames():
            size = cells.sizes(frame)
            if size and size[CELL_TABLES.index(table)] and chosen.takes(frame.labels, frame.replication, frame.key):
                rows = chosen.rows(frame_table(frame, table, needed)).select(names)
                yield (frame.labels, frame.replication, frame.key), rows
        cut = apart is Apart.ALWAYS or (apart is Apart.IN_ORDER and (len(segments) > 0 or len(packs) > 1))
        seen: set[str] = set()
        several = len({pack_number(pack.path)[1] for pack in packs}) > 1
        for pack in packs:
            entries = pack.entries
            places = [
                place
                for place, each in enumerate(entries)
                if each.size and chosen.takes(*each[:3]) and each.key not in segments and each.key not in seen
            ]
            if not places or not checked(pack):
                continue
            if several:
                seen.update(each.key for each in entries)
            for first, rows in pack.tables(places, needed, chosen.times):
                for start, part in _cut(pack, rows) if cut else [(first, rows)]:
                    yield entries[start][:3], chosen.rows(part).select(names)


def _cut(pack: Pack, rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cut rows where one cell ends and the next begins."""
    keys = rows["cell"].combine_chunks()
    codes = keys.dictionary_encode().indices.to_numpy()
    ends = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(rows)]
    start = 0
    for end in ends:
        yield pack.places[keys[start].as_py()], rows.slice(start, end - start)
        start = end


def _opened(store: Path, table: str, stack: contextlib.ExitStack, *, data: bool = True) -> tuple[Segments, list[Pack]]:
    """Return what holds a table; without ``data``, those of packs are not checked yet."""
    segments = Segments(store)
    try:
        packs = readable_packs(store, table, data=data)
        warn_of_missing(store, table, segments)
    except BaseException:
        segments.__exit__()
        raise
    return stack.enter_context(segments), packs


def frame_table(frame: Frame, table: str, names: Sequence[str]) -> pa.Table:
    """Return the columns ``names`` of a cell that is in no pack yet."""
    import pyarrow as pa

    layout = TABLES[table]
    block = cells.block(frame, table)
    own = dict(zip(int_columns(layout), block, strict=True))
    constant = head(frame.key, frame.labels, frame.replication)
    kinds = {column.name: column.type for column in layout.columns}
    schema = arrow_schema(layout)
    columns = [
        array(own[name], kinds[name]) if name in own else pa.repeat(pa.scalar(constant[name]), block.shape[1])
        for name in names
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([schema.field(name) for name in names]))


def rows(store: Path, table: str, names: Sequence[str]) -> pa.Table:
    """Return the columns ``names`` of a table with a row for each cell, by labels, replication and cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    check_layout(store)
    layout = TABLES[table]
    needed = tuple(dict.fromkeys((*names, "cell")))
    parts = [arrow_schema(layout).empty_table().select(needed)]
    with contextlib.ExitStack() as stack:
        segments, packs = _steady(lambda: _opened(store, table, stack))
        parts += [pack.rows(needed) for pack in packs]
        fresh: list[str] = []
        keys = segments.keys.tolist()
        if table == TIMINGS:
            fresh = [text for frame in segments.others() for text in cells.timings(frame)]
        elif table == RUNS:
            fresh = [cells.row(frame) for frame in segments.frames()]
        elif table == DETAILS:
            fresh = [cells.details_row(frame) for frame in segments.frames() if cells.sizes(frame)]
        added = rows_table(layout, fresh).select(needed) if fresh else None
    if keys and table != TIMINGS:
        known = pa.array([key.decode() for key in keys])
        parts = [part.filter(pc.invert(pc.is_in(part["cell"], known))) for part in parts]
    found = pa.concat_tables([*parts, *([added] if added is not None else [])])
    if len(packs) > 1 or fresh:
        # A cell may be there twice where somebody was killed while packing; of times, the last ones count.
        place = {key: number for number, key in enumerate(found["cell"].to_pylist())}
        if len(place) < len(found):
            found = found.take(array(np.array(sorted(place.values())), "int64"))
    return found.select(names)


def find(store: Path, key: str) -> tuple[Labels, int] | None:
    """Return labels and replication of a completed cell whose tables are there; None where there is none."""
    return _of_cell(
        store,
        key,
        lambda frame: (frame.labels, frame.replication),
        lambda _, entry: (entry.labels, entry.replication),
    )


def run_of(store: Path, key: str) -> tuple[Block, str, Block | None] | None:
    """Return events, details and samples (None: no guest) of a completed cell; None where they are not there."""

    def packed(there: PackSet, _: Entry) -> tuple[Block, str, Block | None] | None:
        details, events, guest = there.pack(DETAILS), there.pack("events"), there.pack("guest")
        if details is None or events is None:
            return None
        text = details.rows(["details"])["details"][details.places[key]].as_py()
        samples = None if guest is None or key not in guest.places else guest.block(guest.places[key])
        return events.block(events.places[key]), text, samples

    return _of_cell(
        store,
        key,
        lambda frame: (cells.block(frame, "events"), cells.details(frame), cells.block(frame, "guest")),
        packed,
    )


def _of_cell(
    store: Path,
    key: str,
    unpacked: Callable[[Frame], _Found],
    packed: Callable[[PackSet, Entry], _Found | None],
) -> _Found | None:
    """Return what is found of a completed cell whose tables are there, in a frame or in packs; None of no such cell."""
    check_layout(store)

    def look() -> _Found | None:
        with Segments(store) as segments:
            frame = segments.find(key)
            if frame is not None:
                return unpacked(frame) if cells.sizes(frame) else None
            for there in pack_sets(store):
                place = there.runs.places.get(key)
                entry = None if place is None else there.runs.entries[place]
                # Where somebody was killed while packing, it may be in another one, too.
                if entry is not None and entry.size and there.has(entry):
                    found = packed(there, entry)
                    if found is not None:
                        return found
            for table in (RUNS, *CELL_TABLES, DETAILS):
                warn_of_missing(store, table, segments)
        return None

    return _steady(look)


def completed(store: Path, *, whole: bool = False) -> list[str]:
    """Return the keys of the cells that completed; with ``whole``, of those whose tables are there."""
    check_layout(store)

    def look() -> list[str]:
        with Segments(store) as segments:
            found = []
            for frame in segments.frames():
                size = cells.sizes(frame)
                if size is not None and (size or not whole):
                    found.append(frame.key)
            for packed in pack_sets(store):
                found += [
                    each.key
                    for each in packed.runs.entries
                    if each.size is not None
                    and each.key not in segments
                    and (not whole or (each.size and packed.has(each)))
                ]
        return found

    return _steady(look)
