"""Runs that are no part of an experiment any more: set aside until the new ones are there, or for good.

Each time that there are some, they go to a folder of their own, ``<store>/earlier/<number>``, which is a folder of
results like any other. One that is to stay for good says so by a file in it. What is set aside is taken back where the
experiment has it again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.results import cells
from sim.results.atomic import TEMPORARY_MARK
from sim.results.frames import int_columns
from sim.results.identity import canonical_json
from sim.results.layout import CELL_TABLES, DETAILS, EXPERIMENT_NAME, MANIFEST_NAME, TIMINGS, unit
from sim.results.manifest import read_experiment, read_manifest
from sim.results.pack_sets import pack_sets
from sim.results.packing import settle
from sim.results.schema import RUNS, TABLES
from sim.results.segments import Segments, release

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
KEPT: Final = ".kept"
"""File in what was set aside for good."""


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


def set_aside(store: Path, belongs: Belongs) -> tuple[Path, list[Run]] | None:
    """Set aside the completed runs that do not belong, with the manifest if it is about them; return where and which.

    None where there are none. They are there as a whole before they go from their place. Nobody else may write into the
    store meanwhile. Raises OSError where that cannot be written.
    """
    runs = list(dict.fromkeys(run for run in completed_runs(store) if not belongs(run.key)))
    if not runs:
        return None
    above = store / EARLIER
    above.mkdir(exist_ok=True)
    numbers = [int(path.name) for path in folders(store)]
    path = above / str(max(numbers, default=0) + 1)
    made = above / f"{path.name}{TEMPORARY_MARK}{secrets.token_hex(8)}"
    try:
        keys = {run.key for run in runs}
        copy(store, made, keys.__contains__)
        for name in (MANIFEST_NAME, EXPERIMENT_NAME) if _manifest_is_of_it(store) else ():
            shutil.copyfile(store / name, made / name)
        made.rename(path)
    except BaseException:
        release(made)
        shutil.rmtree(made, ignore_errors=True)
        raise
    return path, runs


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
        copy(path, store, found.__contains__)
        taken += len(found)
    return taken


def keep(store: Path) -> None:
    """Let what was set aside stay for good."""
    for path in folders(store):
        (path / KEPT).touch()


def tidy(store: Path) -> None:
    """Remove what somebody has left who was killed while setting runs aside: all of them are in their place yet."""
    for path in (store / EARLIER).glob(f"*{TEMPORARY_MARK}*"):
        shutil.rmtree(path)
    with contextlib.suppress(OSError):  # there is something in it, or there is none
        (store / EARLIER).rmdir()


def pending(store: Path) -> list[Path]:
    """Return the folders of what was set aside and is not to stay for good."""
    return [path for path in folders(store) if not (path / KEPT).is_file()]


def drop(store: Path) -> None:
    """Remove what was set aside and is not to stay for good."""
    for path in pending(store):
        shutil.rmtree(path)
    tidy(store)


# Copying --------------------------------------------------------------------------------------------------------------


def copy(source: Path, target: Path, chosen: Belongs) -> None:
    """Copy the completed runs that are ``chosen`` from one store to another, in which they are packed then."""
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
