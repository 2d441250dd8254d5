"""Samples of many series, as they come, split by series in bounded memory: sorted runs, beyond some size on the disk.

A run is a record batch of an Arrow file, sorted by series and within each in the order in which the samples came; the
samples of a series are what each run has of it, run by run.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from sim.traces.batches import Batch

MOST_VALUES: Final = 1 << 21
"""Values (8 bytes each) that are held until they are written as a run."""

SAMPLES: Final = "samples.arrow"
"""The file of runs."""

_CODE, _TIME = "series", "t_us"


@dataclass(frozen=True, slots=True)
class Run:
    """Samples sorted by series: their numbers, times, and values by quantity."""

    codes: npt.NDArray[np.int64]
    t_us: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.int64]]

    def of(self, code: int) -> slice:
        """Return where the samples of series number ``code`` are."""
        start, end = np.searchsorted(self.codes, [code, code + 1])
        return slice(int(start), int(end))


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
        self._writer: Any = None
        self.first_us = np.zeros(0, np.int64)
        """The time of each series' first sample."""
        self.last_us = np.zeros(0, np.int64)
        """The time of each series' last sample."""

    @property
    def folder(self) -> Path:
        """The folder in which :data:`SAMPLES` was written."""
        if self._folder is None:
            raise AssertionError("nothing was written")
        return self._folder

    def add(self, batch: Batch) -> None:
        """Take ``batch``, whose samples come after those before."""
        if len(batch.codes):
            self._batches.append(batch)
            self._held += len(batch.codes) * (2 + len(self._quantities))
            if self._held > MOST_VALUES:
                self._write()

    def done(self) -> Run | None:
        """Return the one run that there is, or write the last one."""
        if self._writer is None:
            return self._run()
        if self._batches:
            self._write()
        self._writer.close()
        return None

    def discard(self) -> None:
        """Remove what was written, if anything was."""
        if self._folder is not None:
            with contextlib.suppress(Exception):  # a full disk, for one
                self._writer.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self) -> None:
        import pyarrow as pa

        run = self._run()
        arrays = [run.codes, run.t_us, *(run.values[name] for name in self._quantities)]
        batch = pa.record_batch([pa.array(each) for each in arrays], names=[_CODE, _TIME, *self._quantities])
        if self._writer is None:
            self._folder = self._new_folder()
            self._writer = pa.ipc.new_file(str(self._folder / SAMPLES), batch.schema)
        self._writer.write_batch(batch)

    def _run(self) -> Run:
        codes = np.concatenate([batch.codes for batch in self._batches])
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        t_us = np.concatenate([batch.t_us for batch in self._batches])[order]
        values = {
            name: np.concatenate([batch.values[name] for batch in self._batches])[order] for name in self._quantities
        }
        self._batches.clear()
        self._held = 0
        self._note_spans(codes, t_us)
        return Run(codes, t_us, values)

    def _note_spans(self, codes: npt.NDArray[np.int64], t_us: npt.NDArray[np.int64]) -> None:
        known = len(self.first_us)
        count = max(known, int(codes[-1]) + 1)
        more = np.full(count - known, np.iinfo(np.int64).max)
        self.first_us = np.concatenate([self.first_us, more])
        self.last_us = np.concatenate([self.last_us, more])
        found, starts = np.unique(codes, return_index=True)
        ends = np.append(starts[1:], len(codes)) - 1
        self.first_us[found] = np.minimum(self.first_us[found], t_us[starts])
        self.last_us[found] = t_us[ends]


def read_runs(folder: Path) -> list[Run]:
    """Return the runs in ``folder``: views of its file, which is not read before somebody looks at them."""
    import pyarrow as pa

    reader = pa.ipc.open_file(pa.memory_map(str(folder / SAMPLES)))
    runs = []
    for number in range(reader.num_record_batches):
        arrays = {name: reader.get_batch(number).column(name).to_numpy() for name in reader.schema.names}
        runs.append(Run(arrays.pop(_CODE), arrays.pop(_TIME), arrays))
    return runs
