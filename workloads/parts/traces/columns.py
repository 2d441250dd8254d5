"""The parameter that maps a demand trace's columns, for every workload that reads one, and the trace opened by it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from sim.faults import InputError
from sim.plugins.parameter_lists import OneOrMore
from sim.plugins.parameter_tables import Key, ShortTable, Table
from sim.plugins.parameter_types import Name, Seconds, Size, Text, Word
from sim.plugins.parameters import ParameterError
from sim.traces.mapping import FORMS, SEPARATORS
from sim.traces.samples import QUANTITIES

if TYPE_CHECKING:
    from sim.traces.samples import Trace

_NAMES: Final = OneOrMore(Name(), "column")

_TIME: Final = ShortTable(
    (
        Key("column", Name(), "the column of times", needed=True),
        Key("unit", Seconds(), "what a time of 1 stands for (default 1; hours: 3600, milliseconds: 0.001)"),
        Key("form", Word(FORMS), "numbers (default; Unix times too), or dates, which are UTC unless they say more"),
    ),
    "column",
)

_AMOUNT: Final = ShortTable(
    (
        Key("column", _NAMES, "the column, or several whose sum it is", needed=True),
        Key("less", _NAMES, "columns that are taken off"),
        Key("last", Name(), "each row holds several samples: in the columns from the column to this one"),
        Key("unit", Size(), "what 1 stands for (default: a byte)"),
        Key("percent_of", Size(), "the memory whose percentage it is"),
        Key("share_of", Size(), "the memory whose share it is, 1 being all of it"),
    ),
    "column",
)

COLUMNS: Final = Table(
    (
        Key("time", _TIME, "when a sample was taken; Prometheus' answers say it themselves"),
        Key("series", _NAMES, "what tells series (VMs, jobs, runs) apart: a column or label, or several"),
        Key("step", Seconds(), "seconds between the columns of a row that holds several samples"),
        Key("missing", OneOrMore(Text(), "text"), "what stands for a missing value, beside an empty field"),
        Key("separator", Word(tuple(SEPARATORS)), "what stands between the fields of a CSV file (default: comma)"),
        Key("names", OneOrMore(Name(), "name"), "the names of all columns, for a CSV file whose first line is a row"),
        *(Key(name, _AMOUNT, meaning) for name, meaning in QUANTITIES.items()),
    )
)
"""Which column is what: ``{ time = "t_s", series = "vm", user = { column = "use_mib", unit = "1MiB" } }``."""

TraceColumns = Annotated[Mapping[str, Any], COLUMNS, "which column of the file is what (docs/demand-traces.md)"]


def opened(path: str, columns: Mapping[str, Any]) -> Trace:
    """Return the trace in the file at ``path``. Raises ParameterError with all that is wrong with it or the mapping.

    For workloads whose parameters ``path`` and ``columns`` these are.
    """
    from sim.traces.opening import open_trace  # heavy: a workload is described without it

    try:
        return open_trace(Path(path), columns)
    except InputError as error:
        where = "" if error.source == "columns" else f"path: {error.source}"
        raise ParameterError([_sentence(where, str(fault)) for fault in error.faults]) from None


def _sentence(where: str, fault: str) -> str:
    if where:
        return f"{where}, {fault}" if fault.startswith(("row ", "line ")) else f"{where}: {fault}"
    key, _, what = fault.partition(": ")
    below = key.removeprefix("columns").removeprefix(".")
    return f"columns: {below}: {what}" if below else f"columns: {what}"
