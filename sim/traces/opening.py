"""A demand trace opened: what kind of file it is, its faults told, its samples by series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.faults import unknown_name
from sim.traces.batches import SeriesNames
from sim.traces.csv_exact import read_exactly
from sim.traces.mapping import read_columns
from sim.traces.samples import QUANTITIES, Samples, Trace
from sim.traces.source import chunks
from sim.traces.told import TraceFaults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from sim.traces.batches import Batch


def open_trace(path: Path, columns: Mapping[str, Any]) -> Trace:
    """Return the trace in the file at ``path``, whose ``columns`` are what :mod:`sim.traces.mapping` describes.

    Times count from the earliest sample of the file. Raises InputError with all that is wrong with the mapping (its
    source is ``columns`` then), or with the file, by row and column.
    """
    mapping = read_columns(columns)
    faults = TraceFaults(path)
    series = SeriesNames(faults)
    batches = list(read_exactly(chunks(path, faults), mapping, series, faults))
    return _InMemory(series.names, [name for name in QUANTITIES if name in mapping.amounts], batches)


class _InMemory(Trace):
    """A trace that is held as a whole."""

    def __init__(self, names: Sequence[str], quantities: Sequence[str], batches: Sequence[Batch]) -> None:
        self._numbers = {name: number for number, name in enumerate(names)}
        self._quantities = quantities
        codes = np.concatenate([batch.codes for batch in batches])
        order = np.argsort(codes, kind="stable")
        t_us = np.concatenate([batch.t_us for batch in batches])
        self._t_us: npt.NDArray[np.int64] = t_us[order] - t_us.min()
        self._values = {name: np.concatenate([batch.values[name] for batch in batches])[order] for name in quantities}
        self._starts = np.searchsorted(codes[order], np.arange(len(names) + 1))

    @property
    def quantities(self) -> Sequence[str]:
        return self._quantities

    @property
    def series(self) -> Sequence[str]:
        return tuple(self._numbers)

    def samples(self, series: str) -> Iterator[Samples]:
        part = self._part(series)
        yield Samples(self._t_us[part], {name: values[part] for name, values in self._values.items()})

    def span_us(self, series: str) -> tuple[int, int]:
        t_us = self._t_us[self._part(series)]
        return int(t_us[0]), int(t_us[-1])

    def _part(self, series: str) -> slice:
        if series not in self._numbers:
            raise KeyError(unknown_name("series", series, self._numbers))
        number = self._numbers[series]
        return slice(self._starts[number], self._starts[number + 1])
