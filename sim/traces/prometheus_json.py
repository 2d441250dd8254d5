"""The JSON of Prometheus' ``/api/v1/query_range``, read as a stream; a file may hold several answers in a row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.faults import InputError, shown
from sim.traces import texts
from sim.traces.batches import Builder, wrong_amount, wrong_time
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.traces.batches import Batch, SeriesNames
    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

VALUE: Final = "value"
"""The "column" of a result whatever its metric's name."""

_NAME: Final = "__name__"
_DEEPEST: Final = 32
_LONGEST: Final = 1 << 22
_PAIR: Final = 2
_AT_ONCE: Final = 1 << 15
_RESULT: Final = ["data", "result", "*"]


class _Feed:
    """The text as a file for ijson, which must not take too much of it for one string or number."""

    def __init__(self, content: Iterator[bytes], faults: TraceFaults) -> None:
        self._content = content
        self._faults = faults
        self._rest = b""
        self.taken = 0
        self.at_event = 0

    def read(self, size: int) -> bytes:
        """Return some bytes, ``size`` at most; none at the end."""
        if size and not self._rest:
            self._rest = next(self._content, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        self.taken += len(data)
        if self.taken - self.at_event > _LONGEST:
            self._faults.refuse(f"holds a string of over {_LONGEST:,} bytes near its byte {self.at_event + 1:,}")
        return data


class Answers:
    """Reads answers. ``tracks`` numbers what they hold: one metric of one series each."""

    def __init__(self, columns: Columns, tracks: SeriesNames, faults: TraceFaults) -> None:
        self._columns = columns
        self._codes = tracks
        self._faults = faults
        self._units: dict[str, list[float]] = {}
        for amount in columns.amounts.values():
            for column in amount.columns:
                self._units.setdefault(column, []).append(amount.unit)
        self._builder = Builder((VALUE,))
        self.tracks: dict[str, dict[str, int]] = {}
        """For each series the number of the track for each of its metrics."""
        self.names: dict[str, None] = {}
        """The names of all metrics seen."""
        self._answer = 0
        self._results = 0
        self._status: object = None  # unless it is success
        self._seen: dict[int, int] = {}
        self._labels: dict[str, str] = {}
        self._track: tuple[int, str, list[float]] | None = None
        self._where = ""

    def batches(self, content: Iterator[bytes]) -> Iterator[Batch]:
        """Yield all values, as the bits of float64, by track. Raises InputError with all that is wrong."""
        import ijson

        feed = _Feed(content, self._faults)
        try:
            for _ in self._events(ijson.basic_parse(feed, use_float=True, multiple_values=True), feed):
                yield self._builder.taken(bits=True)
        except InputError:
            raise
        except (ijson.JSONError, ValueError, OverflowError) as error:
            what = " ".join(str(error).split())
            self._faults.refuse(f"is no JSON near its byte {feed.taken:,}: {shown(what)[1:-1]}")
        if self._status is not None:
            self._faults.refuse(f"is no answer with results: its status is {shown(self._status)}")
        if not self._results:
            self._faults.refuse("holds no results: is it the answer of /api/v1/query_range?")
        self._faults.done()
        if not self.tracks:
            names = ", ".join(list(self.names)[:20])
            self._faults.refuse(
                f"holds none of the metrics {', '.join(self._units)}; it has {names or 'none with a name'}"
            )
        yield self._builder.taken(bits=True)

    def _events(self, events: Iterator[tuple[str, Any]], feed: _Feed) -> Iterator[None]:
        """Take all values; yield where many have come together."""
        keys: list[str] = []
        for event, value in events:
            feed.at_event = feed.taken
            if event == "map_key":
                keys[-1] = value
            elif event in ("end_map", "end_array"):
                keys.pop()
                if keys == [*_RESULT, "histograms"]:
                    self._faults.add(f"result {self._results}", "holds histograms, not values")
            elif event in ("start_map", "start_array"):
                keys.append("*" if event == "start_array" else "")
                if len(keys) > _DEEPEST:
                    self._faults.refuse(f"is JSON in over {_DEEPEST} levels near its byte {feed.taken:,}")
                if self._started(keys):
                    yield from self._values(events, feed)
                    keys.pop()
            else:
                self._scalar(keys, value)

    def _values(self, events: Iterator[tuple[str, Any]], feed: _Feed) -> Iterator[None]:
        """Take the pairs up to the end of a result's values, such as ``[[1374567.123, "7.5"], ...]``."""
        pair: list[Any] | None = None
        number = 0
        for event, value in events:
            feed.at_event = feed.taken
            if event == "start_array" and pair is None:
                pair = []
                number += 1
            elif event == "end_array" and pair is None:
                return
            elif event == "end_array" and pair is not None:
                self._value(pair, number)
                pair = None
                if len(self._builder) >= _AT_ONCE:
                    yield
            elif event in ("number", "string", "null", "boolean") and pair is not None and len(pair) < _PAIR + 1:
                pair.append(value)
            else:
                self._faults.refuse("must be a list of pairs of time and value", f"result {self._results}, values")

    def _started(self, keys: list[str]) -> bool:
        """Look at what begins; return whether it is the values of a result."""
        if keys == ["*"]:
            self._faults.refuse("is a JSON list; wanted is the answer of /api/v1/query_range")
        if keys == [""]:
            self._answer += 1
        if keys[:-1] == _RESULT and keys[-1] == "":
            self._results += 1
            self._labels = {}
            self._track = None
        if keys == [*_RESULT, "values", "*"]:
            self._track = self._resolved()
            return True
        return False

    def _scalar(self, keys: list[str], value: object) -> None:
        match keys:
            case ["status"] if value != "success":
                self._status = value
            case ["error"]:
                self._faults.refuse(f"is an error of Prometheus: {shown(value)}")
            case ["data", "resultType"] if value != "matrix":
                self._faults.refuse(
                    f"holds a {shown(value)}, not a matrix: ask /api/v1/query_range, with start, end, step"
                )
            case ["data", "result", "*", "metric", label]:
                self._labels[label] = str(value)
            case []:
                self._faults.refuse("is JSON, but no answer of Prometheus")

    def _resolved(self) -> tuple[int, str, list[float]] | None:
        """Return the number, name and units of the track of the result at hand; None if it is not asked for."""
        name = self._labels.get(_NAME, "")
        self._where = f"result {self._results}"
        if name:
            self.names[name] = None
        column = name if name in self._units else VALUE
        if column not in self._units:
            return None
        lacking = [label for label in self._columns.series if not self._labels.get(label)]
        for label in lacking:
            has = ", ".join(self._labels) or "none (is metric missing, or behind the values?)"
            self._faults.add(self._where, f"has no label {shown(label)}; its labels are {has}")
        if lacking:
            return None
        series = "/".join(self._labels[label] for label in self._columns.series)
        code = self._codes.code(f"{series}\0{column}")
        if self._seen.get(code) == self._answer:
            same = f"column {column}" + (f" of series {shown(series)}" if series else "")
            self._faults.add(self._where, f"is another result for {same}: name a label that tells them apart in series")
            return None
        self._seen[code] = self._answer
        self.tracks.setdefault(series, {})[column] = code
        return code, column, self._units[column]

    def _value(self, pair: list[Any], number: int) -> None:
        if self._track is None:
            return
        code, column, units = self._track
        where = f"{self._where}, value {number}, column {column}"
        if len(pair) != _PAIR or isinstance(pair[0], (bool, str)) or pair[0] is None:
            self._faults.add(where, "must be a pair of time and value")
            return
        if wrong := wrong_time(pair[0], MICROSECONDS, pair[0]):
            self._faults.add(where, wrong)
            return
        t_us = round(pair[0] * MICROSECONDS)
        if self._builder.falls(code, t_us):
            self._faults.add(where, f"must not be before the value above, but is at {pair[0]}")
            return
        try:
            value = self._amount(pair[1], units)
        except ValueError as error:
            self._faults.add(where, str(error))
            return
        self._builder.add(code, t_us, (value,))

    def _amount(self, written: object, units: list[float]) -> float:
        text = written if isinstance(written, str) else repr(written)
        if text == "NaN" or text in self._columns.missing:
            return math.nan
        value = texts.number(text)
        for unit in units:
            if wrong := wrong_amount(value, unit, text):
                raise ValueError(wrong)
        return value
