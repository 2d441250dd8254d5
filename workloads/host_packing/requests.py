"""Requests for virtual machines, as a cloud's platform gets them: read from a CSV file, in the order of arrival."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from sim.faults import shown
from sim.plugins.parameter_tables import Key, ShortTable, Table
from sim.plugins.parameter_types import Name, Seconds, Size
from sim.plugins.values import SECONDS_LIMIT
from sim.units import GIB, MEMORY_LIMIT, MICROSECONDS, MOST_NODES
from workloads.parts.table import TableFaults, rows, text_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_CPUS: Final = 4096

_TIME: Final = ShortTable(
    (
        Key("column", Name(), "the column", needed=True),
        Key("unit", Seconds(), "what 1 stands for (default 1; hours: 3600)"),
    ),
    "column",
)
_AMOUNT: Final = ShortTable(
    (Key("column", Name(), "the column", needed=True), Key("unit", Size(), "what 1 stands for (default: 1GiB)")),
    "column",
)

REQUEST_COLUMNS: Final = Table(
    (
        Key("memory", _AMOUNT, "memory of the VM", needed=True),
        Key("vcpus", Name(), "number of its virtual CPUs (default: 1 each)"),
        Key("nodes", Name(), "number of NUMA nodes that it is split over (default: 1 each)"),
        Key("sequence", Name(), "what tells sequences of requests apart that are in one file"),
        Key("arrival", _TIME, "when it comes; without it times are drawn"),
        Key("lifetime", _TIME, "how long it stays; without it, or a departure, that is drawn"),
        Key("departure", _TIME, "when it goes, of an arrival; an empty one stays"),
    )
)
"""Which column is what; by default those of the requests that came with "topology-aware VM placement"."""

HUAWEI: Final[Mapping[str, Any]] = {
    "memory": {"column": "ram_gib"},
    "vcpus": "vcpus",
    "nodes": "numa_nodes",
    "sequence": "sequence",
}

NEVER_US: Final = 2 * SECONDS_LIMIT * MICROSECONDS
"""Later than the end of any run."""

RequestColumns = Annotated[Mapping[str, Any], REQUEST_COLUMNS, "which column of the file is what"]


class Request(NamedTuple):
    """A VM that is asked for: bytes of ``memory``. Times are in microseconds, None where the file has none."""

    memory: int
    vcpus: int = 1
    nodes: int = 1
    arrival_us: int | None = None
    stay_us: int | None = None


def read_requests(path: str, columns: Mapping[str, Any]) -> dict[str, list[Request]]:
    """Return the requests of each sequence of the file at ``path``, in order; one named ``""`` where none are told.

    Arrivals count from the first one of their sequence. Raises ParameterError with all faults of the file.
    """
    file = Path(path)
    faults = TableFaults("path", file.name)
    reader = _Reader(columns, faults)
    for line, row in rows(text_lines(file, faults), reader.columns, None, faults):
        reader.take(line, row)
    if not reader.sequences:
        faults.done()
        faults.add(0, "holds no requests but the names of the columns")
    faults.done()
    return reader.sequences


class _Reader:
    """Takes rows, one after the other. A time that is empty in the file is one that never comes."""

    def __init__(self, columns: Mapping[str, Any], faults: TableFaults) -> None:
        self._faults = faults
        self._memory = columns["memory"]["column"]
        self._unit = columns["memory"].get("unit", GIB)
        self._names = {key: columns.get(key) for key in ("vcpus", "nodes", "sequence")}
        self._times = {key: columns[key] for key in ("arrival", "lifetime", "departure") if key in columns}
        names = (self._memory, *self._names.values(), *(time["column"] for time in self._times.values()))
        self.columns: Sequence[str] = list(dict.fromkeys(name for name in names if name is not None))
        self.sequences: dict[str, list[Request]] = {}
        self._last: dict[str, int] = {}
        """By sequence: when the last VM came."""
        self._first: dict[str, int] = {}

    def take(self, line: int, row: dict[str, str]) -> None:
        """Read one row; what is wrong with it is told."""
        sequence = row[self._names["sequence"]] if self._names["sequence"] else ""
        memory = self._number(line, row, self._memory, 1 / self._unit, MEMORY_LIMIT / self._unit)
        vcpus = self._whole(line, row, self._names["vcpus"], _MOST_CPUS)
        nodes = self._whole(line, row, self._names["nodes"], MOST_NODES)
        times = {key: self._microsecond(line, row, time) for key, time in self._times.items()}
        if memory is None or vcpus is None or nodes is None or None in times.values():
            return
        arrival = times.get("arrival")
        if arrival is not None:
            column = self._times["arrival"]["column"]
            if arrival == NEVER_US:
                self._faults.add(line, f"{column}: must be a time, but is empty")
                return
            if arrival < self._last.setdefault(sequence, arrival):
                self._faults.add(line, f"{column}: must not be before the request above, but is {shown(row[column])}")
                return
            self._last[sequence] = arrival
        stay = times.get("lifetime")
        departure = times.get("departure")
        if departure is not None:
            stay = departure - (arrival or 0) if departure != NEVER_US else NEVER_US
            if stay <= 0:
                column = self._times["departure"]["column"]
                self._faults.add(line, f"{column}: must be after the arrival, but is {shown(row[column])}")
                return
        if arrival is not None:
            arrival -= self._first.setdefault(sequence, arrival)
        self.sequences.setdefault(sequence, []).append(Request(round(memory * self._unit), vcpus, nodes, arrival, stay))

    def _number(self, line: int, row: dict[str, str], column: str, least: float, most: float) -> float | None:
        text = row[column]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if least <= value <= most:
            return value
        self._faults.add(line, f"{column}: must be a number from {least:g} to {most:g}, but is {shown(text)}")
        return None

    def _whole(self, line: int, row: dict[str, str], column: str | None, most: int) -> int | None:
        if column is None:
            return 1
        value = self._number(line, row, column, 1, most)
        if value is None or value.is_integer():
            return None if value is None else int(value)
        self._faults.add(line, f"{column}: must be a whole number, but is {shown(row[column])}")
        return None

    def _microsecond(self, line: int, row: dict[str, str], time: Mapping[str, Any]) -> int | None:
        unit = time.get("unit", 1.0)
        if not row[time["column"]]:
            return NEVER_US
        value = self._number(line, row, time["column"], 0, SECONDS_LIMIT / unit)
        return None if value is None else round(value * unit * MICROSECONDS)
