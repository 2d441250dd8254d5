"""Samples of many series, as they come, split by series in bounded memory: sorted runs, beyond some size on the disk.

A run is sorted by series, and within each in the order in which the samples came; the samples of a series are what each
run has of it, run by run. On the disk a run is its columns one after the other (times, then each quantity), all int64.
"""

from __future__ import annotations

import json
import os
import shutil
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from sim.traces.batches import Batch

    Integers = npt.NDArray[np.int64]

MOST_VALUES: Final = 1 << 21
"""Values (8 bytes each) that are held until they are written as a run."""

_SAMPLES: Final = "samples"
_PLACES: Final = "places"
_RUNS: Final = "runs.json"


class _Columns(Protocol):
    """Where a run's columns are."""

    def read(self, part: slice) -> list[Integers]:
        """Return that part of each column."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Samples sorted by series: which there are, where each starts (and, last, the end), and the columns."""

    series: Integers
    starts: Integers
    columns: _Columns

    def of(self, code: int) -> slice:
        """Return where the samples of series number ``code`` are; an empty place if there are none."""
        place = int(np.searchsorted(self.series, code))
        if place == len(self.series) or self.series[place] != code:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.starts[place + 1]))


@dataclass(frozen=True, slots=True)
class _Held:
    """Columns in memory."""

    arrays: list[Integers]

    def read(self, part: slice) -> list[Integers]:
        return [array[part] for array in self.arrays]


class _File:
    """A file that is open for as long as somebody may read from it."""

    def __init__(self, path: Path) -> None:
        self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._number).st_size
        weakref.finalize(self, os.close, self._number)

    def at(self, place: int, size: int) -> bytes:
        """Return ``size`` bytes; it moves nothing that another process with this file open would notice."""
        data = os.pread(self._number, size, place)
        if len(data) < size:
            raise OSError(f"the index of the trace is damaged: {size} bytes at {place} are not there")
        return data


@dataclass(frozen=True, slots=True)
class _Written:
    """Columns of ``samples`` samples each, from byte ``start`` of a file on."""

    file: _File
    start: int
    samples: int
    count: int

    def read(self, part: slice) -> list[Integers]:
        size = 8 * (part.stop - part.start)
        places = (self.start + 8 * (number * self.samples + part.start) for number in range(self.count))
        return [np.frombuffer(self.file.at(place, size), np.int64) for place in places]


class Splitter:
    """Takes batches, and gives runs: held as one where that is little, else written into a folder.

    ``new_folder`` makes the folder once it is needed.
    """

    def __init__(self, quantities: Sequence[str], new_folder: Callable[[], Path]) -> None:
        self._quantities = tuple(quantities)
        self._new_folder = new_folder
        self._folder: Path | None = None
        self._batches: list[Batch] = []
        self._held = 0
        self._sizes: list[tuple[int, int]] = []
        self.first_us = np.zeros(0, np.int64)
        """The time of each series' first sample."""
        self.last_us = np.zeros(0, np.int64)
        """The time of each series' last sample."""
        self.told = np.zeros((0, len(self._quantities)), np.bool_)
        """Of each series (rows), which quantities (columns) have a value in any sample."""

    @property
    def folder(self) -> Path | None:
        """The folder that holds the runs; None where nothing was written."""
        return self._folder

    def add(self, batch: Batch) -> None:
        """Take ``batch``, whose samples come after those before."""
        if len(batch.codes):
            self._batches.append(batch)
            self._held += len(batch.codes) * (2 + len(self._quantities))
            if self._held > MOST_VALUES:
                self._write()

    def done(self) -> list[Run]:
        """Return all runs. Raises OSError."""
        if self._folder is None:
            return [self._run()] if self._batches else []
        if self._batches:
            self._write()
        (self._folder / _RUNS).write_text(json.dumps({"columns": 1 + len(self._quantities), "sizes": self._sizes}))
        return read_runs(self._folder)

    def discard(self) -> None:
        """Remove what was written, if anything was."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self) -> None:
        run = self._run()
        if self._folder is None:
            self._folder = self._new_folder()
        with (self._folder / _SAMPLES).open("ab") as file:
            for column in run.columns.read(slice(None)):
                file.write(column.data)
        with (self._folder / _PLACES).open("ab") as file:
            file.write(run.series.data)
            file.write(run.starts.data)
        self._sizes.append((int(run.starts[-1]), len(run.series)))

    def _run(self) -> Run:
        codes = np.concatenate([batch.codes for batch in self._batches])
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        parts = [[batch.t_us for batch in self._batches]]
        parts += ([batch.values[name] for batch in self._batches] for name in self._quantities)
        columns = [np.concatenate(part)[order] for part in parts]
        self._batches.clear()
        self._held = 0
        for column in columns:
            column.setflags(write=False)
        series, starts = np.unique(codes, return_index=True)
        starts = np.append(starts, len(codes)).astype(np.int64)
        self._note(series, starts, columns)
        return Run(series, starts, _Held(columns))

    def _note(self, series: Integers, starts: Integers, columns: Sequence[Integers]) -> None:
        t_us, *amounts = columns
        more = np.full(max(0, int(series[-1]) + 1 - len(self.first_us)), np.iinfo(np.int64).max)
        self.told = np.concatenate([self.told, np.zeros((len(more), len(amounts)), np.bool_)])
        for number, column in enumerate(amounts):
            self.told[series, number] |= np.maximum.reduceat(column, starts[:-1]) >= 0
        self.first_us = np.concatenate([self.first_us, more])
        self.last_us = np.concatenate([self.last_us, more])
        self.first_us[series] = np.minimum(self.first_us[series], t_us[starts[:-1]])
        self.last_us[series] = t_us[starts[1:] - 1]


def read_runs(folder: Path) -> list[Run]:
    """Return the runs in ``folder``, of which only the places of series are read. Raises OSError and ValueError."""
    about = json.loads((folder / _RUNS).read_bytes())
    places = np.memmap(folder / _PLACES, np.int64, "r")
    return list(_runs(_File(folder / _SAMPLES), places, about["columns"], about["sizes"]))


def _runs(file: _File, places: Integers, columns: int, sizes: list[tuple[int, int]]) -> Iterator[Run]:
    start = place = 0
    for samples, series in sizes:
        middle = place + series
        yield Run(places[place:middle], places[middle : middle + series + 1], _Written(file, start, samples, columns))
        place = middle + series + 1
        start += 8 * columns * samples
    if place != len(places) or start != file.size:
        raise ValueError("the index is damaged")
