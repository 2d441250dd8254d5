"""Packs that can be read, and which of their cells are whole: those whose rows are in all tables that say so."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sim.results.damage import Damage, unreadable
from sim.results.layout import ALL_TABLES, CELL_TABLES, DETAILS, RUNS, TIMINGS, pack_files, pack_number, pack_path
from sim.results.packs import Pack
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path

    from sim.results.packs import Entry


def flawless(path: Path, table: str, *, data: bool = True) -> Pack:
    """Return the pack of a table at ``path``, its data checked too unless that is left to :func:`checked`.

    Raises FileNotFoundError where it is gone, and ValueError, in words, where it is damaged or none.
    """
    try:
        pack = Pack(path, table)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            raise
        raise ValueError(unreadable(path, error)) from error
    if data:
        pack.check_data()
    return pack


def readable(path: Path, table: str, *, data: bool = True) -> Pack | None:
    """Return what :func:`flawless` does; None, with a warning, where the pack is damaged.

    Raises FileNotFoundError where it is gone.
    """
    try:
        return flawless(path, table, data=data)
    except ValueError as error:
        _left_out(path, str(error))
        return None


def checked(pack: Pack) -> bool:
    """Whether the data of ``pack`` are as they were written; a warning says where they are not."""
    try:
        pack.check_data()
    except ValueError as error:
        _left_out(pack.path, str(error))
        return False
    return True


def _left_out(path: Path, what: str, runs: int | None = None) -> None:
    """Warn of a pack that cannot be read, with how many ``runs`` it held; None: as the others of its number say."""
    if runs is None:
        runs = 0
        for table in ALL_TABLES:
            with contextlib.suppress(ValueError, OSError):
                beside = flawless(pack_path(path.parent.parent, table, *pack_number(path)), table, data=False)
                runs = max(runs, len(beside.entries))
    held = f"what it held of {counted(runs, 'run')}" if runs else "what it held"
    Damage(path, what, f"{held} is left out here, and memhp-sim run computes it again").warn()


def readable_packs(store: Path, table: str, *, data: bool = True) -> list[Pack]:
    """Return the packs of a table that are not damaged, in order; of others there is a warning."""
    found = (readable(path, table, data=data) for path in pack_files(store, table))
    return [pack for pack in found if pack is not None]


def warn_of_missing(store: Path, table: str, unpacked: Container[str]) -> None:
    """Warn of packs of a table that are not there, though others of their number say that they were.

    ``unpacked`` are the keys of the cells that are in no pack yet, or not only there: of these nothing is missing.
    """
    there = {pack_number(path) for path in pack_files(store, table)}
    others = (TIMINGS, DETAILS) if table == RUNS else (RUNS,)
    numbers = {pack_number(path): (path, other) for other in reversed(others) for path in pack_files(store, other)}
    for number in sorted(numbers.keys() - there):
        beside = None
        with contextlib.suppress(ValueError, FileNotFoundError):  # told of elsewhere, or packed anew just now
            beside = flawless(*numbers[number], data=False)
        if beside is None:
            continue
        entries = [entry for entry in beside.entries if entry.key not in unpacked]
        if table == RUNS:  # whoever was killed while packing has left a cell in two packs
            known = {entry.key for pack in readable_packs(store, RUNS) for entry in pack.entries}
            entries = [entry for entry in entries if entry.key not in known]
        elif table in CELL_TABLES:
            entries = [entry for entry in entries if entry.size and entry.size[CELL_TABLES.index(table)]]
        elif table == DETAILS:
            entries = [entry for entry in entries if entry.size]
        if entries:
            _left_out(pack_path(store, table, *number), "is not there", len(entries))


class PackSet:
    """The packs of all tables with the same number: which cells they hold says that of ``runs``."""

    def __init__(self, store: Path, runs: Pack, others: Mapping[str, Pack] | None = None) -> None:
        """Take those of the other tables that were looked at already."""
        self.store, (self.number, self.packs) = store, pack_number(runs.path)
        self.runs = runs
        self._opened: dict[str, Pack | None] = {**(others or {}), RUNS: runs}

    def pack(self, table: str) -> Pack | None:
        """Return the pack of a table; None where there is none, or it is damaged, of which there is a warning."""
        if table not in self._opened:
            path = pack_path(self.store, table, self.number, self.packs)
            there = path.exists() or path.is_symlink()
            if not there and not self.runs.path.exists():  # packed anew just now
                raise FileNotFoundError(path)
            self._opened[table] = readable(path, table) if there else None
        return self._opened[table]

    def has(self, entry: Entry) -> bool:
        """Whether all tables hold a cell's rows as ``runs`` says, details too where there are any."""
        if not entry.size:
            return True
        needed = [table for table, rows in zip(CELL_TABLES, entry.size, strict=True) if rows]
        return all(self.holds(table, entry) for table in (*needed, DETAILS))

    def holds(self, table: str, entry: Entry) -> bool:
        """Whether a table, another one than ``runs``, holds the rows of a cell, as many as ``runs`` says."""
        pack = self.pack(table)
        place = None if pack is None else pack.places.get(entry.key)
        if pack is None or place is None:
            return False
        rows = entry.size[CELL_TABLES.index(table)] if table in CELL_TABLES else 1
        return bool(pack.entries[place].size == rows)

    @property
    def whole(self) -> bool:
        """Whether all tables hold all cells' rows, times too."""
        return all(self.holds(TIMINGS, entry) and self.has(entry) for entry in self.runs.entries)


def pack_sets(store: Path) -> list[PackSet]:
    """Return all packs of ``store`` as they are now, in order; of those that are damaged there is a warning."""
    return [PackSet(store, runs) for runs in readable_packs(store, RUNS)]
