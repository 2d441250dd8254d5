"""Which column of a file is what: the mapping that an experiment file gives, as the readers use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sim.faults import Faults, unknown_name
from sim.traces.samples import QUANTITIES
from sim.units import MICROSECONDS, parse_size

SEPARATORS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
"""What stands between the fields of a row, by name."""

FORMS: Final = ("number", "iso-8601", "day-month-year", "month-day-year", "year-month-day")
"""How times are written: as numbers (Unix times are some), as dates such as ``2026-11-26T16:04:00Z``, or as a locale
has them, such as ``11/26/2026, 4:04:00 PM`` (month-day-year)."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Where a quantity stands: the sum of columns ``plus`` less that of ``minus``, a value of 1 being ``unit`` bytes.

    With ``last`` each row holds several samples of it: in the columns from the one of ``plus`` to ``last``, as they
    stand in the file.
    """

    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    unit: float = 1.0
    last: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it is made of, but not those of a wide row between its first and its last."""
        return (*self.plus, *self.minus)


@dataclass(frozen=True, slots=True)
class Columns:
    """The mapping of a file: its column of times (none where the file's kind has its own), of series, and quantities.

    ``time_unit_us``: microseconds that a time of 1 stands for. ``step_us``: microseconds between two columns of a wide
    row. ``missing``: what stands for a missing value, beside nothing at all. ``names``: those of all columns, for a CSV
    file whose first line does not say them.
    """

    time: str | None
    amounts: Mapping[str, Amount]
    series: tuple[str, ...] = ()
    time_unit_us: float = MICROSECONDS
    form: str = "number"
    step_us: int = 0
    missing: tuple[str, ...] = ()
    separator: str = ","
    names: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether a row holds several samples."""
        return any(amount.last is not None for amount in self.amounts.values())


def read_columns(table: Mapping[str, Any]) -> Columns:
    """Return the mapping that ``table`` says, with each value as its parameter type has converted it.

    Values may also be short: a column's name for a table with its ``column``. Raises InputError with all faults, each
    with its key.
    """
    faults = Faults("columns")
    known = ("time", "series", "step", "missing", "separator", "names", *QUANTITIES)
    for name in table:
        if name not in known:
            faults.below(name).add(unknown_name("key", str(name), known))
    amounts = {name: _amount(_long(table[name]), faults.below(name)) for name in QUANTITIES if name in table}
    if not amounts and not faults:
        faults.add(f"name no quantity, such as user = {{ column = 'use_mib', unit = '1MiB' }}; {_quantities()}")
    time = _long(table["time"]) if "time" in table else {}
    wide = {name for name, amount in amounts.items() if amount.last is not None}
    if wide and wide != set(amounts):
        faults.add(f"{', '.join(wide)} stand in several columns of a row, so all others must, too")
    if wide and "step" not in table:
        faults.below("step").add("is missing: seconds between two columns of a row")
    if "step" in table and not wide:
        faults.below("step").add("is for rows of several samples, whose quantities say their first and last column")
    if time.get("form", "number") != "number" and "unit" in time:
        faults.below("time", "unit").add("is for times that are numbers, not dates")
    faults.raise_if_any("columns")
    return Columns(
        time=time.get("column"),
        amounts=amounts,
        series=_names(table.get("series", ())),
        time_unit_us=float(time.get("unit", 1.0)) * MICROSECONDS,
        form=time.get("form", "number"),
        step_us=round(float(table.get("step", 0)) * MICROSECONDS),
        missing=_names(table.get("missing", ())),
        names=_names(table.get("names", ())),
        separator=SEPARATORS[table.get("separator", "comma")],
    )


def _amount(table: Mapping[str, Any], faults: Faults) -> Amount:
    plus, minus = _names(table.get("column", ())), _names(table.get("less", ()))
    last = table.get("last")
    units = [name for name in ("unit", "percent_of", "share_of") if name in table]
    if len(units) > 1:
        faults.add(f"{' and '.join(units)} exclude each other")
    if not plus:
        faults.add("its column is missing")
    for name in dict.fromkeys((*plus, *minus)):
        if (*plus, *minus).count(name) > 1:
            faults.add(f"column {name!r} stands there more than once")
    if last is not None and (len(plus) != 1 or minus):
        faults.add("a quantity in several columns of a row goes from one column to its last, without sums")
    unit = _bytes(table[units[0]], faults.below(units[0])) if units else 1.0
    return Amount(plus, minus, unit / 100 if units == ["percent_of"] else unit, last)


def _bytes(value: object, faults: Faults) -> float:
    try:
        size = parse_size(value)  # type: ignore[arg-type]  # it says what is none
    except ValueError as error:
        faults.add(str(error))
        return 1.0
    if not size:
        faults.add("must be more than 0 bytes")
    return float(size)


def _long(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"column": value}


def _names(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]  # a list of names


def _quantities() -> str:
    return f"quantities are {', '.join(QUANTITIES)}"
