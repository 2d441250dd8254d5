"""Bringing what is in segments into packs, and taking out of the packs what does not belong.

One process at a time does that, and others may read and write meanwhile. New packs are in place before old ones and
segments go, and whatever is in both is the same: whoever is killed in between loses nothing, and the next run goes on.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sim.results import cells
from sim.results.atomic import leftovers, written_whole
from sim.results.frames import array, head, rows_table
from sim.results.identity import canonical_json
from sim.results.layout import (
    ALL_TABLES,
    CELL_TABLES,
    DETAILS,
    RUNS,
    TIMINGS,
    UNPACKED,
    pack_files,
    pack_number,
    pack_path,
    packs_for,
    unit,
)
from sim.results.pack_sets import pack_sets
from sim.results.packs import BlockWriter, Entry, write_rows
from sim.results.schema import TABLES
from sim.results.segments import Segments, locked_for_packing, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sim.results.frames import Block
    from sim.results.layout import Labels
    from sim.results.segments import Frame


class _Wanted(NamedTuple):
    """A cell that a pack is to hold: from the old pack with the number ``old``, or from a ``frame`` of the segments."""

    labels: Labels
    replication: int
    key: str
    size: Any
    old: int | None
    frame: Frame | None


def settle(store: Path, belongs: Callable[[str], bool] | None = None, *, only_remove: bool = False) -> int:
    """Bring all cells of ``store`` into packs, and remove those that do not belong. Return how many went.

    With ``only_remove``, nothing is done where nothing has to go. ``belongs`` tells whether a key belongs to the
    experiment; all do where it is None. Raises OSError where nothing can be written.
    """
    if not store.is_dir():
        return 0
    release(store)
    with locked_for_packing(store):
        for table in (*ALL_TABLES, UNPACKED):
            for path in list(leftovers(store / table)):
                path.unlink(missing_ok=True)
        with Segments(store, locked=True) as segments:
            return _Packer(store, segments, belongs or (lambda _: True)).pack(only_remove=only_remove)


class _Packer:
    """Packs what is in a store that nobody else packs."""

    def __init__(self, store: Path, segments: Segments, belongs: Callable[[str], bool]) -> None:
        self._store, self._segments, self._belongs = store, segments, belongs
        self._old = pack_sets(store)
        self._several = len({old.packs for old in self._old}) > 1
        self._staying: dict[int, list[Entry]] = {}
        self._units: set[int] = set()
        self._cells = 0
        self._gone = 0
        self._changed: set[int] = set()
        """Places of old packs that cannot stay as they are."""
        self._from_packs: defaultdict[int, set[int]] = defaultdict(set)
        """Places of old packs by all units in them."""

    def pack(self, *, only_remove: bool) -> int:
        """Write the packs that change, and return how many cells went."""
        for number in range(len(self._old)):
            self._look_at(number)
        fresh: list[tuple[int, int]] = []
        for place, (key, number) in enumerate(self._segments.units()):
            if self._belongs(key):
                fresh.append((number, place))
            else:
                self._gone += 1
        self._units.update(number for number, _ in fresh)
        packs = packs_for(len(self._units), self._cells + len(fresh))
        same = all(old.packs == packs for old in self._old)
        if (same and not self._changed and not self._segments.paths) or (only_remove and not self._gone):
            return 0
        self._write_all(packs, fresh, same=same)
        for path in self._segments.paths:
            path.unlink(missing_ok=True)
        for table in ALL_TABLES:
            with contextlib.suppress(OSError):  # there is something in it, or there is none
                (self._store / table).rmdir()
        return self._gone

    def _write_all(self, packs: int, fresh: list[tuple[int, int]], *, same: bool) -> None:
        """Write so many packs, of which those that hold the same as before stay if their number is the ``same``."""
        places: defaultdict[int, list[int]] = defaultdict(list)
        for number, place in fresh:
            places[number % packs].append(place)
        sources: defaultdict[int, set[int]] = defaultdict(set)
        for number, some in self._from_packs.items():
            sources[number % packs] |= some
        times: defaultdict[int, list[Frame]] = defaultdict(list)
        for frame in self._segments.others():
            times[frame.head["unit"] % packs].append(frame)
        written = set()
        for pack in sorted({*places, *sources}):
            stays = same and pack not in places and pack not in times and not sources[pack] & self._changed
            if stays or self._write(pack, packs, sources[pack], places[pack], times[pack]):
                written.add((pack, packs))
        self._drop_others(written)

    def _look_at(self, number: int) -> None:
        """Take in what an old pack holds."""
        old = self._old[number]
        there, stay = old.runs.entries, self._stay(number)
        for entry in stay:
            found = unit(entry.labels, entry.replication)
            self._units.add(found)
            self._from_packs[found].add(number)
        self._cells += len(stay)
        superseded = sum(entry.key in self._segments for entry in there) if len(self._segments) else 0
        self._gone += len(there) - len(stay) - superseded
        if len(stay) != len(there) or not old.whole:
            self._changed.add(number)

    def _stay(self, number: int) -> list[Entry]:
        """Return the cells of an old pack that belong, that no frame supersedes, and whose tables are there.

        Where somebody was killed who changed the number of packs, cells are in two of them: they stay in the first.
        """
        if number not in self._staying:
            old = self._old[number]
            others = self._old[:number] if self._several else ()
            self._staying[number] = [
                entry
                for entry in old.runs.entries
                if self._belongs(entry.key)
                and entry.key not in self._segments
                and not any(entry.key in other.runs.places for other in others)
                and old.has(entry)
            ]
        return self._staying[number]

    def _write(self, pack: int, packs: int, sources: set[int], places: list[int], times: list[Frame]) -> bool:
        """Write a pack of all tables; return whether there are any cells in it."""
        wanted: dict[str, _Wanted] = {}
        for number in sorted(sources):
            for entry in self._stay(number):
                if unit(entry.labels, entry.replication) % packs == pack:
                    wanted[entry.key] = _Wanted(*entry, number, None)
        for place in places:
            frame = self._segments.frame(place)
            wanted[frame.key] = _Wanted(frame.labels, frame.replication, frame.key, cells.sizes(frame), None, frame)
        ordered = sorted(wanted.values(), key=lambda each: each[:3])
        for table in CELL_TABLES:
            self._write_blocks(pack_path(self._store, table, pack, packs), table, ordered)
        kept = [each for each in ordered if each.size]
        self._write_rows(pack_path(self._store, DETAILS, pack, packs), DETAILS, kept, ())
        timings = [text for frame in times for text in cells.timings(frame)]
        self._write_rows(pack_path(self._store, TIMINGS, pack, packs), TIMINGS, ordered, timings)
        self._write_rows(pack_path(self._store, RUNS, pack, packs), RUNS, ordered, ())
        return bool(ordered)

    def _write_blocks(self, path: Path, table: str, ordered: list[_Wanted]) -> None:
        number = CELL_TABLES.index(table)
        some = [each for each in ordered if each.size and (each.size[number] or table != "guest")]
        if not some:
            path.unlink(missing_ok=True)
            return
        with written_whole(path, durable=False) as file:
            writer = BlockWriter(file, table, path.stem)
            for each in some:
                writer.add(each.labels, each.replication, each.key, self._block(each, table))
            writer.close()

    def _write_rows(self, path: Path, table: str, ordered: list[_Wanted], texts: Iterable[str]) -> None:
        """Write the rows of cells: those in old packs, those in frames, and ``texts``, of which the last counts."""
        import pyarrow as pa

        keys = {each.key: place for place, each in enumerate(ordered)}
        names = [column.name for column in TABLES[table].columns]
        parts = []
        for number in sorted({each.old for each in ordered if each.old is not None}):
            old = self._old[number].pack(table)
            if old is not None:
                parts.append(old.rows(names))
        fresh = list(texts)
        if table != TIMINGS:
            row = cells.row if table == RUNS else cells.details_row
            fresh += [row(each.frame) for each in ordered if each.frame is not None]
        parts.append(rows_table(TABLES[table], fresh))
        if table == TIMINGS:  # of a run that was killed, or whose times were damaged, they are not known
            known = {key for part in parts for key in part["cell"].to_pylist()}
            unknown = [each for each in ordered if each.key not in known]
            texts = [canonical_json(head(each.key, each.labels, each.replication)) for each in unknown]
            parts.append(rows_table(TABLES[table], texts))
        rows = pa.concat_tables(parts)
        last = {key: place for place, key in enumerate(rows["cell"].to_pylist()) if key in keys}
        chosen = sorted(last, key=keys.__getitem__)
        if not chosen:
            path.unlink(missing_ok=True)
            return
        rows = rows.take(array(np.array([last[key] for key in chosen]), "int64")).combine_chunks()
        entries = [Entry(*ordered[keys[key]][:3], ordered[keys[key]].size if table == RUNS else 1) for key in chosen]
        with written_whole(path, durable=False) as file:
            write_rows(file, table, path.stem, rows, entries)

    def _block(self, each: _Wanted, table: str) -> Block:
        if each.frame is not None:
            return cells.block(each.frame, table)
        old = None if each.old is None else self._old[each.old].pack(table)
        if old is None:
            raise KeyError(each.key)
        return old.block(old.places[each.key])

    def _drop_others(self, written: set[tuple[int, int]]) -> None:
        """Remove the packs that no cell is in any more; those of ``runs``, which speak for the others, first."""
        for table in reversed(ALL_TABLES):
            for path in list(pack_files(self._store, table)):
                if pack_number(path) not in written:
                    path.unlink(missing_ok=True)
