"""Columns of numbers turned into samples, all rows of a block at once, as long as nothing is wrong in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sim.faults import MemhpSimError
from sim.traces.batches import LATEST_US, LEAST_SUM, MISSING, Batch
from sim.units import MEMORY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from sim.traces.batches import SeriesNames
    from sim.traces.layout import Cell, Layout
    from sim.traces.mapping import Columns

_Number = TypeVar("_Number", np.int32, np.int64, np.float64)


class NotPlainError(MemhpSimError):
    """Something is wrong in a file, or may be; only reading it row by row can tell."""


class Plain:
    """Turns blocks of rows into batches. What ``layout`` needs must be there, as pyarrow's arrays by column's number.

    Amounts are float64, series dictionaries of strings, the time float64 or a timestamp of microseconds.
    """

    def __init__(self, layout: Layout, columns: Columns, series: SeriesNames) -> None:
        self._layout = layout
        self._columns = columns
        self._series = series
        self._last = np.zeros(0, np.int64)

    def batch(self, block: Mapping[int, Any]) -> Batch:
        """Return the samples of a block's rows, in order. Raises NotPlainError."""
        rows = len(block[self._layout.time])
        per_row = len(self._layout.samples)
        codes = self._codes(block, rows)
        t_us = self._times(block[self._layout.time])
        if per_row > 1:
            codes = np.repeat(codes, per_row)
            t_us = (t_us[:, None] + np.arange(per_row) * self._columns.step_us).ravel()
        self._check_order(codes, t_us)
        numbers = {each: self._numbers(block[each]) for each in self._layout.amounts}
        values = {
            name: np.stack([amounts_of(each[name], numbers) for each in self._layout.samples], axis=1).ravel()
            for name in self._columns.amounts
        }
        return Batch(codes, t_us, values)

    def _codes(self, block: Mapping[int, Any], rows: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the rows' series."""
        places = self._layout.series
        if not places:
            return np.full(rows, self._series.code(""), np.int64)
        joined = np.zeros(rows, np.int64)
        dictionaries = []
        for each in places:
            column = block[each]
            if column.null_count:
                raise NotPlainError("a series without a name")
            words = [str(word).strip() for word in column.dictionary.to_pylist()]
            if any(not word or "\n" in word for word in words):
                raise NotPlainError("a series without a name")
            dictionaries.append(words)
            joined = joined * len(words) + _content(column.indices, np.int32)
        found, first, inverse = np.unique(joined, return_index=True, return_inverse=True)
        codes = np.zeros(len(found), np.int64)
        for at in np.argsort(first):
            number, names = int(found[at]), []
            for words in reversed(dictionaries):
                number, place = divmod(number, len(words))
                names.append(words[place])
            codes[at] = self._series.code("/".join(reversed(names)))
        return codes[inverse.ravel()]

    def _times(self, column: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401
        import pyarrow as pa

        if column.null_count:
            raise NotPlainError("no time")
        if pa.types.is_timestamp(column.type):
            return _content(column, np.int64)
        times: npt.NDArray[np.float64] = _content(column, np.float64) * self._columns.time_unit_us
        if not np.all(np.abs(times) < LATEST_US):  # what is no number fails this as well
            raise NotPlainError("a time that cannot be")
        return np.rint(times).astype(np.int64)

    def _check_order(self, codes: npt.NDArray[np.int64], t_us: npt.NDArray[np.int64]) -> None:
        """Note the last times of series. Raises NotPlainError if time falls in one."""
        highest = int(codes.max(initial=-1)) + 1
        if highest > len(self._last):
            more = np.full(max(highest, 2 * len(self._last)) - len(self._last), -LATEST_US, np.int64)
            self._last = np.concatenate([self._last, more])
        order = np.argsort(codes, kind="stable")
        by_series, times = codes[order], t_us[order]
        starts = np.ones(len(codes), np.bool_)
        starts[1:] = by_series[1:] != by_series[:-1]
        before = np.empty_like(times)
        before[1:] = times[:-1]
        before[starts] = self._last[by_series[starts]]
        if np.any(times < before):
            raise NotPlainError("time falls")
        ends = np.append(starts[1:], True)[: len(codes)]
        self._last[by_series[ends]] = times[ends]

    @staticmethod
    def _numbers(column: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
        """Return the numbers, and NaN for what is missing."""
        numbers = _content(column, np.float64)
        if column.null_count:
            valid = np.unpackbits(np.frombuffer(column.buffers()[0], np.uint8), bitorder="little")
            there = valid[column.offset : column.offset + len(column)].view(np.bool_)
            numbers = np.where(there, numbers, np.nan)
        if int(np.isnan(numbers).sum()) != column.null_count:
            raise NotPlainError("not a number")
        return numbers


def _content(column: Any, kind: type[_Number]) -> npt.NDArray[_Number]:  # noqa: ANN401  pyarrow has no types
    """Return what an array of numbers, or of microseconds, holds; anything where a value is missing.

    Taken from the buffer: ``to_numpy`` would import pandas, which takes as much memory as all else here.
    """
    content = column.buffers()[1]
    if content is None or not len(column):
        return np.zeros(len(column), kind)
    return np.frombuffer(content, kind, len(column), column.offset * np.dtype(kind).itemsize)


def amounts_of(cell: Cell, numbers: Mapping[int, npt.NDArray[np.float64]]) -> npt.NDArray[np.int64]:
    """Return bytes, -1 where a number (NaN) is missing, of columns' numbers. Raises NotPlainError."""
    total = np.zeros(len(numbers[cell.plus[0]]))
    for sign, places in ((1, cell.plus), (-1, cell.minus)):
        for each in places:
            size = numbers[each] * cell.unit
            if not np.all((size >= 0) & (size <= MEMORY_LIMIT) | np.isnan(size)):
                raise NotPlainError("an amount that cannot be")
            total += sign * size
    missing = np.isnan(total)
    if not np.all((total > LEAST_SUM) & (total <= MEMORY_LIMIT) | missing):
        raise NotPlainError("a sum that cannot be")
    return np.where(missing, MISSING, np.rint(np.where(missing, 0.0, total)).astype(np.int64))
