"""What Prometheus answers to ``/api/v1/query_range``, put together by series and time.

A result is one metric of one series; its "column" is the metric's name, or ``value`` whatever its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.faults import shown, unknown_name
from sim.traces import index
from sim.traces.arrays import NotPlainError, amounts_of
from sim.traces.batches import Batch, SeriesNames
from sim.traces.csv_exact import said
from sim.traces.layout import Cell
from sim.traces.prometheus_json import VALUE, Answers
from sim.traces.splitting import Splitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from sim.traces.mapping import Columns
    from sim.traces.splitting import Run
    from sim.traces.told import TraceFaults

_NONE: Final = np.zeros(0, np.float64)


def read_prometheus(
    content: Iterator[bytes], columns: Columns, series: SeriesNames, faults: TraceFaults
) -> Iterator[Batch]:
    """Yield the samples of the answers in ``content``, series by series. Raises InputError with all that is wrong."""
    if columns.time is not None:
        faults.add("", "is an answer of Prometheus, which says its times itself: leave time out of the columns")
    if columns.wide:
        faults.add("", "is an answer of Prometheus, which has no rows of several samples: leave last and step out")
    faults.done()
    tracks = SeriesNames(faults)
    split = Splitter([VALUE], index.unfinished)
    try:
        answers = Answers(columns, tracks, faults)
        for batch in answers.batches(content):
            split.add(batch)
        _check_all_there(answers, columns, faults)
        runs = split.done()
        for name, parts in answers.tracks.items():
            yield _joined(name, {column: _track(runs, code) for column, code in parts.items()}, columns, series, faults)
        faults.done()
    finally:
        split.discard()


def _check_all_there(answers: Answers, columns: Columns, faults: TraceFaults) -> None:
    found = {column for parts in answers.tracks.values() for column in parts}
    for amount in columns.amounts.values():
        for column in amount.columns:
            if column not in found:
                faults.add("", f"{unknown_name('metric', column, answers.names)} ({VALUE} stands for any)")
    faults.done()


def _track(runs: Sequence[Run], code: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the times and values of a track."""
    parts = [(run, run.of(code)) for run in runs]
    times, values = zip(*(run.columns.read(part) for run, part in parts), strict=True)
    return np.concatenate(times), np.concatenate(values).view(np.float64)


def _joined(
    name: str,
    parts: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]],
    columns: Columns,
    series: SeriesNames,
    faults: TraceFaults,
) -> Batch:
    """Return the samples of one series at all times that any of its metrics has."""
    times = np.unique(np.concatenate([each for each, _ in parts.values()]))
    places = {
        column: place
        for place, column in enumerate(dict.fromkeys(c for a in columns.amounts.values() for c in a.columns))
    }
    numbers = {place: np.full(len(times), np.nan) for place in places.values()}
    for column, (when, values) in parts.items():
        numbers[places[column]][np.searchsorted(times, when)] = values
    amounts = {}
    for quantity, amount in columns.amounts.items():
        cell = Cell(
            tuple(places[each] for each in amount.plus), tuple(places[each] for each in amount.minus), amount.unit
        )
        try:
            amounts[quantity] = amounts_of(cell, numbers)
        except NotPlainError:
            of = f" of series {shown(name)}" if name else ""
            faults.add(f"{quantity}{of}", f"{said(amount.plus, amount.minus)} must be from 0 to 64TiB at every time")
    faults.done()
    return Batch(np.full(len(times), series.code(name), np.int64), times, amounts)
