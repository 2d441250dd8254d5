"""Looking a store through, file by file: what is damaged, what is missing, and how many runs that costs."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sim.results.atomic import leftovers
from sim.results.damage import Damage, set_aside, unreadable
from sim.results.layout import (
    ALL_TABLES,
    CELL_TABLES,
    DETAILS,
    EXPERIMENT_NAME,
    LAYOUT,
    MANIFEST_NAME,
    RUNS,
    TIMINGS,
    UNPACKED,
    pack_files,
    pack_number,
    pack_path,
)
from sim.results.manifest import checked_experiment, read_manifest, stored_layout
from sim.results.pack_sets import PackSet, flawless
from sim.results.reading import check_layout
from sim.results.segments import Segments, segment_files
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.results.packs import Entry, Pack

_GONE: Final = "is not there"
_AGAIN: Final = "have to be computed again"
_IS_AGAIN: Final = "has to be computed again"
_ANEW: Final = "the next run writes it anew"
_OWN_BEGINNINGS: Final = (b"PAR1", b"memhp-")
"""What tables and what is not packed begin with, damaged ones mostly too."""


@dataclass(slots=True)
class Inspection:
    """What was found in a store: its ``damages``, how many ``files`` of how many bytes (``size``), and ``runs``.

    ``lost`` are the keys of the runs that are known to be there no more, or not with all of their tables. ``unusable``
    are paths of which nothing can be used, and ``unpacked`` of the runs are in no table yet.
    """

    damages: list[Damage] = field(default_factory=list)
    files: int = 0
    size: int = 0
    runs: int = 0
    lost: set[str] = field(default_factory=set)
    unusable: set[Path] = field(default_factory=set)
    unpacked: int = 0


def inspect(store: Path, belongs: Callable[[str], bool] | None = None, *, locked: bool = False) -> Inspection:
    """Look through all files of ``store``: every byte of the tables is read.

    ``belongs`` tells whether a run is of the experiment; of what does not belong nothing is missed. With ``locked``
    nobody else writes into the store, so that half a run at the end of what is not packed is damage.
    """
    return _Inspector(store, belongs or (lambda _: True), locked=locked).inspect()


class _Inspector:
    def __init__(self, store: Path, belongs: Callable[[str], bool], *, locked: bool) -> None:
        self._store, self._belongs, self._locked = store, belongs, locked
        self._found = Inspection()
        self._packs: defaultdict[tuple[int, int], dict[str, Pack]] = defaultdict(dict)
        self._flaws: dict[tuple[str, int, int], str] = {}
        self._unpacked: set[str] = set()

    def inspect(self) -> Inspection:
        for name in (*ALL_TABLES, UNPACKED):
            path = self._store / name
            if not path.is_dir() and (path.exists() or path.is_symlink()):
                self._add(path, "is no folder, as should be there", f"what was in it {_IS_AGAIN}")
                self._found.unusable.add(path)
        self._look_at_segments()
        for table in ALL_TABLES:
            for path in pack_files(self._store, table):
                self._open(path, table)
        elsewhere = set(self._unpacked)
        for number in sorted({*self._packs, *(number[1:] for number in self._flaws)}):
            self._look_at_set(number, elsewhere)
        self._found.runs = len(elsewhere)
        self._look_at_texts()
        return self._found

    def _add(self, path: Path, what: str, then: str) -> None:
        self._found.damages.append(Damage(path, what, then))

    def _count(self, path: Path) -> None:
        self._found.files += 1
        self._found.size += path.stat().st_size if path.is_file() else 0

    def _look_at_segments(self) -> None:
        for path in segment_files(self._store):
            self._count(path)
        with Segments(self._store) as segments:
            self._unpacked = {key for key, _ in segments.units()}
            self._found.unpacked = len(segments)
            damaged = segments.damaged if self._locked else [each for each in segments.damaged if not each.torn]
        for each in damaged:
            self._add(each.path, each.what, f"what it held there {_IS_AGAIN}")
            if not each.some:
                self._found.unusable.add(each.path)

    def _open(self, path: Path, table: str) -> None:
        number = pack_number(path)
        try:
            self._packs[number][table] = flawless(path, table)
        except FileNotFoundError:  # whoever runs the experiment has just packed anew
            return
        except ValueError as error:
            self._flaws[table, *number] = str(error)
            self._found.unusable.add(path)
        self._count(path)

    def _look_at_set(self, number: tuple[int, int], elsewhere: set[str]) -> None:
        """Look at the packs of one number; ``elsewhere`` are the runs that others hold, to which these are added."""
        there = self._packs.get(number, {})
        runs = there.get(RUNS)
        if runs is None:
            self._without_runs(number, there, elsewhere)
            return
        packs = PackSet(self._store, runs, there)
        missed = [entry for entry in runs.entries if entry.key not in elsewhere and self._belongs(entry.key)]
        for place, table in enumerate(CELL_TABLES):
            self._companion(packs, table, [entry for entry in missed if entry.size and entry.size[place]], number)
        self._companion(packs, DETAILS, [entry for entry in missed if entry.size], number)
        self._companion(packs, TIMINGS, missed, number)
        elsewhere.update(entry.key for entry in runs.entries if entry.key not in self._found.lost)

    def _without_runs(self, number: tuple[int, int], there: dict[str, Pack], elsewhere: set[str]) -> None:
        keys = {entry.key for pack in there.values() for entry in pack.entries} - elsewhere
        keys = {key for key in keys if self._belongs(key)}
        self._found.lost |= keys
        many = f"{counted(len(keys), 'run')} {_IS_AGAIN if len(keys) == 1 else _AGAIN}"
        then = many if keys else "nothing else tells what was in it"
        flaw = self._flaws.get((RUNS, *number))
        if flaw is not None or keys:  # else whoever packed was killed before its runs were written
            self._add(pack_path(self._store, RUNS, *number), flaw or _GONE, then)
        for table in ALL_TABLES:
            if table != RUNS and (table, *number) in self._flaws:
                self._add(pack_path(self._store, table, *number), self._flaws[table, *number], then)

    def _companion(self, packs: PackSet, table: str, entries: list[Entry], number: tuple[int, int]) -> None:
        """Look whether a table holds what it has to of the runs ``entries``."""
        flaw = self._flaws.get((table, *number))
        lost = [entry.key for entry in entries if not packs.holds(table, entry)] if flaw is None else None
        if flaw is None:
            if not lost:
                return
            there = packs.pack(table) is not None
            flaw = f"does not hold what {packs.runs.path.stem} says of it" if there else _GONE
        keys = [entry.key for entry in entries] if lost is None else lost
        many = counted(len(keys), "run")
        if table == TIMINGS:
            self._add(pack_path(self._store, table, *number), flaw, f"how long {many} took is not known any more")
            return
        self._found.lost.update(keys)
        then = f"{many} {_IS_AGAIN if len(keys) == 1 else _AGAIN}" if keys else "the experiment needs none of its runs"
        self._add(pack_path(self._store, table, *number), flaw, then)

    def _look_at_texts(self) -> None:
        """Look at the files beside the tables, which a run writes when it begins and when it comes to its end."""
        both = [self._store / MANIFEST_NAME, self._store / EXPERIMENT_NAME]
        # A run that came to its end has left both; what is tried for a recommendation beside it has none.
        expected = bool(self._packs) and any(path.exists() or path.is_symlink() for path in both)
        for name, read in ((MANIFEST_NAME, read_manifest), (EXPERIMENT_NAME, checked_experiment)):
            path = self._store / name
            if path.is_file():
                self._count(path)
            elif not path.is_dir() and not path.is_symlink():
                if expected:
                    self._add(path, _GONE, _ANEW)
                continue
            try:
                path.open("rb").close()
                read(self._store)
            except OSError as error:
                self._add(path, unreadable(path, error), _ANEW)
                if path.is_dir():
                    self._found.unusable.add(path)
            except ValueError as error:
                self._add(path, str(error).removeprefix(f"{path} "), _ANEW)


def mend(store: Path, belongs: Callable[[str], bool] | None = None) -> list[Damage]:
    """Take out of ``store`` what cannot be read or was never finished, and return what is damaged.

    Nobody else may write into it meanwhile. What does not begin as files of this program do is set aside under another
    name. Raises OSError where that is not possible, and InputError where a later version of the program has written it.
    For ``belongs`` see :func:`inspect`.
    """
    for path in list(leftovers(store)):
        path.unlink(missing_ok=True)
    damages = _without_earlier_layout(store)
    found = inspect(store, belongs, locked=True)
    for damage in found.damages:
        aside = _taken_out(damage.path) if damage.path in found.unusable else None
        damages.append(damage if aside is None else replace(damage, then=f"set aside as {aside.name}, {damage.then}"))
    _drop_without_runs(store)
    return damages


def _drop_without_runs(store: Path) -> None:
    """Remove packs that no pack of ``runs`` speaks for: nobody can tell any more what of them belongs."""
    spoken_for = {pack_number(path) for path in pack_files(store, RUNS)}
    for table in ALL_TABLES:
        for path in pack_files(store, table):
            if pack_number(path) not in spoken_for:
                path.unlink(missing_ok=True)


def _without_earlier_layout(store: Path) -> list[Damage]:
    """Remove what an earlier version of the program has left: no run of it is of this version."""
    layout = stored_layout(store)
    if layout in (None, LAYOUT):
        return []
    if layout > LAYOUT:
        check_layout(store)
    for table in ALL_TABLES:
        for path in (store / table).glob("machine=*"):
            shutil.rmtree(path)
        for path in pack_files(store, table):
            if path.is_file():
                path.unlink()
    (store / MANIFEST_NAME).unlink(missing_ok=True)
    return [Damage(store, f"holds results of an earlier version of the program (layout {layout})", "they are replaced")]


def _taken_out(path: Path) -> Path | None:
    """Remove what is at ``path``, or set it aside, to where is returned, where somebody else may have put it there."""
    if path.is_symlink() or (path.is_file() and _begins_as_ours(path)):
        path.unlink()
        return None
    return set_aside(path)


def _begins_as_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            content = file.read(max(map(len, _OWN_BEGINNINGS)))
    except PermissionError:
        return True
    return not content or content.startswith(_OWN_BEGINNINGS)
