"""Runs that are no part of an experiment any more: set aside until the new ones are there, or for good.

Each time that there are some, they go to a folder of their own, ``<store>/earlier/<number>``, which is a folder of
results like any other. One that goes once the new ones are there says so by a file in it: all others stay. What is set
aside is taken back where the experiment has it again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.results import cells
from sim.results.atomic import is_temporary, temporary_name
from sim.results.damage import Damage
from sim.results.damage import set_aside as out_of_the_way
from sim.results.frames import int_columns
from sim.results.identity import canonical_json
from sim.results.layout import CELL_TABLES, DETAILS, EXPERIMENT_NAME, MANIFEST_NAME, TIMINGS, unit
from sim.results.manifest import read_experiment, read_manifest
from sim.results.pack_sets import pack_sets
from sim.results.packing import settle
from sim.results.schema import RUNS, TABLES
from sim.results.segments import Segments, release
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sim.results.frames import Block
    from sim.results.layout import Labels
    from sim.results.pack_sets import PackSet
    from sim.results.packs import Entry

    Belongs = Callable[[str], bool]

EARLIER: Final = "earlier"
"""Folder, within that of the results, of what was set aside."""
UNTIL_NEW: Final = ".until-new-ones-are-there"
"""File in what was set aside, and not for good."""


class Aside(NamedTuple):
    """``runs`` that were set aside, to ``path`` (None where there are none); so many more are ``damaged``."""

    path: Path | None
    runs: list[Run]
    damaged: int


class Run(NamedTuple):
    """A completed run: the labels of its machine, workload and policy, its replication, its key."""

    labels: Labels
    replication: int
    key: str


def completed_runs(store: Path) -> Iterator[Run]:
    """Yield the runs of ``store`` that completed; some twice, where somebody was killed while packing."""
    with Segments(store) as segments:
        for frame in segments.frames():
            if cells.completed(frame):
                yield Run(frame.labels, frame.replication, frame.key)
        for packs in pack_sets(store):
            for entry in packs.runs.entries:
                if entry.size is not None and entry.key not in segments:
                    yield Run(entry.labels, entry.replication, entry.key)


def folders(store: Path) -> list[Path]:
    """Return the folders of what was set aside, in order."""
    found = (store / EARLIER).iterdir() if (store / EARLIER).is_dir() else ()
    return sorted((path for path in found if path.name.isdecimal() and path.is_dir()), key=lambda path: int(path.name))


def set_aside(store: Path, belongs: Belongs) -> Aside | None:
    """Set aside the completed runs that do not belong, with the manifest if it is about them; return where and which.

    None where there are none. They are there as a whole before they go from their place; those whose tables are
    damaged are left. Nobody else may write into the store meanwhile. Raises OSError where that cannot be written.
    """
    runs = list(dict.fromkeys(run for run in completed_runs(store) if not belongs(run.key)))
    if not runs:
        return None
    above = store / EARLIER
    _make_way(above)
    above.mkdir(exist_ok=True)
    numbers = [int(path.name) for path in above.iterdir() if path.name.isdecimal()]
    path = above / str(max(numbers, default=0) + 1)
    made = path.with_name(temporary_name(path.name))
    try:
        keys = {run.key for run in runs}
        copied = copy(store, made, keys.__contains__)
        if not copied:
            tidy(store)
            return Aside(None, [], len(runs))
        for name in (MANIFEST_NAME, EXPERIMENT_NAME) if _manifest_is_of_it(store) else ():
            shutil.copyfile(store / name, made / name)
        (made / UNTIL_NEW).touch()
        made.rename(path)
    except BaseException:
        release(made)
        shutil.rmtree(made, ignore_errors=True)
        raise
    whole = [run for run in runs if run.key in copied]
    return Aside(path, whole, len(runs) - len(whole))


def _make_way(above: Path) -> None:
    """Give what stands in the way of the folder another name: it is somebody's."""
    if not above.is_dir() and (above.exists() or above.is_symlink()):
        moved = out_of_the_way(above)
        Damage(above, "is no folder, as has to be there now", f"set aside as {moved.name}").warn()


def _manifest_is_of_it(store: Path) -> bool:
    """Whether the manifest is of the experiment that was run last, and not of one before it, as that came to no end."""
    try:
        return canonical_json(read_manifest(store)["config"]) == canonical_json(read_experiment(store))
    except (ValueError, TypeError):
        return False


def take_back(store: Path, wanted: Belongs) -> int:
    """Copy runs that are ``wanted`` from what was set aside; return how many."""
    taken = 0
    for path in folders(store):
        there = {run.key for run in completed_runs(store)}
        found = {run.key for run in completed_runs(path) if wanted(run.key)} - there
        taken += len(copy(path, store, found.__contains__))
    return taken


def keep(store: Path) -> None:
    """Let what was set aside stay for good."""
    for path in pending(store):
        (path / UNTIL_NEW).unlink()


def tidy(store: Path) -> None:
    """Remove what somebody has left who was killed while setting runs aside: all of them are in their place yet."""
    above = store / EARLIER
    for path in list(above.iterdir()) if above.is_dir() else ():
        if is_temporary(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    with contextlib.suppress(OSError):  # there is something in it, or there is none
        above.rmdir()


def pending(store: Path) -> list[Path]:
    """Return the folders of what was set aside and is not to stay for good."""
    return [path for path in folders(store) if (path / UNTIL_NEW).is_file() and not path.is_symlink()]


def drop(store: Path) -> None:
    """Remove what was set aside and is not to stay for good."""
    for path in pending(store):
        shutil.rmtree(path)
    tidy(store)


# Copying --------------------------------------------------------------------------------------------------------------


def copy(source: Path, target: Path, chosen: Belongs) -> set[str]:
    """Copy the completed runs that are ``chosen`` from one store to another, in which they are packed then.

    Return the keys of those that were copied: all but the damaged ones.
    """
    copied: set[str] = set()
    times: defaultdict[int, list[str]] = defaultdict(list)
    with Segments(source) as segments:
        for frame in segments.frames():
            if cells.completed(frame) and chosen(frame.key):
                cells.write_copy(target, frame)
                copied.add(frame.key)
        for frame in segments.others():
            times[frame.head["unit"]] += [text for text in cells.timings(frame) if _cell_of(text) in copied]
        for packs in pack_sets(source):
            wanted = [
                entry
                for entry in packs.runs.entries
                if entry.size is not None
                and entry.key not in segments
                and entry.key not in copied
                and chosen(entry.key)
                and packs.has(entry)
            ]
            if wanted:
                _copy_pack(packs, target, wanted, times)
                copied.update(entry.key for entry in wanted)
    for number, texts in times.items():
        if texts:
            cells.write_times(target, number, texts)
    if copied:
        settle(target)
    return copied


def _cell_of(text: str) -> str:
    return str(json.loads(text)["cell"])


def _copy_pack(packs: PackSet, target: Path, wanted: list[Entry], times: defaultdict[int, list[str]]) -> None:
    rows, details, timings = (_rows(packs, table) for table in (RUNS.name, DETAILS, TIMINGS))
    for entry in wanted:
        row = canonical_json(rows[entry.key])
        if entry.size:
            blocks = {table: _block(packs, table, entry) for table in CELL_TABLES}
            cells.write_whole(target, entry, row, str(details[entry.key]["details"]), blocks)
        else:
            cells.write_row(target, entry, row, completed=True)
        if entry.key in timings:
            times[unit(entry.labels, entry.replication)].append(canonical_json(timings[entry.key]))


def _rows(packs: PackSet, table: str) -> dict[str, dict[str, object]]:
    """Return the rows of a table by their cells."""
    pack = packs.pack(table)
    if pack is None:
        return {}
    rows = pack.rows([column.name for column in TABLES[table].columns]).to_pylist()
    return {row["cell"]: row for row in rows}


def _block(packs: PackSet, table: str, entry: Entry) -> Block:
    pack = packs.pack(table) if entry.size[CELL_TABLES.index(table)] else None
    if pack is None:
        return np.empty((len(int_columns(TABLES[table])), 0), dtype=np.int64)
    return pack.block(pack.places[entry.key])


# Words ----------------------------------------------------------------------------------------------------------------

_SHOWN: Final = 5


def sentences(shown: Path, aside: Aside, why: str, place: Path | None, *, keep: bool) -> list[str]:
    """Return lines that say what the folder called ``shown`` holds beside the experiment, and what becomes of that.

    ``why`` goes on from the number of runs; ``place`` is what the folder is called to which they were set aside.
    """
    damaged = f"{counted(aside.damaged, 'run')} {why}, with damaged tables: they cannot be kept."
    if place is None:
        return [f"{shown} holds {damaged}"]
    what = f"{shown} holds {counted(len(aside.runs), 'run')} {why}:"
    end = (
        f"They are kept in {place}."
        if keep
        else f"They go when all new ones are there, and are in {place} until then; --keep keeps them for good."
    )
    more = [f"It holds {damaged}"] if aside.damaged else []
    return [what, *(f"  {line}" for line in told(aside.runs)), end, *more]


def told(runs: list[Run]) -> list[str]:
    """Return of which policies, workloads and machines ``runs`` are, how many of each: a line for each of the first."""
    numbers: defaultdict[Labels, list[int]] = defaultdict(list)
    for run in runs:
        numbers[run.labels].append(run.replication)
    most = sorted(numbers.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [f"{len(some)} of {' / '.join(reversed(labels))}{_which(some)}" for labels, some in most[:_SHOWN]]
    rest = sum(len(some) for _, some in itertools.islice(most, _SHOWN, None))
    return [*lines, *([f"{rest} of {len(most) - _SHOWN} more combinations"] if rest else [])]


def _which(replications: list[int]) -> str:
    """Return which replications, where they follow each other and are not the first ones."""
    first, last = min(replications), max(replications)
    if not first or last - first + 1 != len(replications):
        return ""
    return f" (replication {first})" if first == last else f" (replications {first} to {last})"
