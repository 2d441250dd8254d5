"""Which column of a file is likely what, by its name and its first rows: for somebody who has not said it.

Nothing here is taken in silence: what was recognised is told with a reason, and what could be two things, or none, is
asked for.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.faults import Faults, shown
from sim.toml_text import QUOTE, in_toml
from sim.traces.column_words import (
    AVAILABLE,
    EPOCHS,
    OTHER,
    QUANTITY_WORDS,
    SERIES_WORDS,
    TIME_UNITS,
    TIME_WORDS,
    UNITS,
    USER_RANKS,
    WHOLE_MACHINE,
    words_of,
)
from sim.traces.head import Head, head_of
from sim.units import GIB, KIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sim.traces.head import HeadColumn

_LISTED: Final = 20
"""Columns that a message names."""

_COMMA: Final = re.compile(r"\d+(,\d+)?")
_GROUPED: Final = re.compile(r"\d+|\d{1,3}([,.' \u00a0\u202f]\d{3})+([.,]\d+)?")
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d(:\d\d)?([.,]\d+)?(\s?[AaPp]\.?[Mm]\.?)?")
_OTHER_DATE: Final = re.compile(r"\d{1,4}[/.]\d{1,2}[/.]\d{1,4}\b.*|[A-Z][a-z]{2} .*\d\d:\d\d.*")


@dataclass(slots=True)
class Recognised:
    """The mapping of a file's ``columns``, as an experiment has it, and in ``said`` why, a line for each column.

    ``assumed`` are the lines of what might be otherwise. ``whole_machine``: what is called user memory is all that the
    machine used, its system's own too.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    whole_machine: bool = False


def recognise(path: Path, given: Mapping[str, Any], faults: Faults, *, likely: int | None = None) -> Recognised:
    """Return which column of the CSV or Parquet file at ``path`` is what; those ``given`` are left as they are.

    ``likely`` is about how large (bytes) the machine is whose memory it tells. What is missing or could be two things
    is added to ``faults``, with the option that says it. Raises InputError where the file cannot be read.
    """
    found = Recognised(columns=dict(given))
    head = head_of(path, faults)
    if head is None:
        return found
    if head.separator not in (None, "comma"):
        found.columns.setdefault("separator", head.separator)
    if head.names_in_comment:
        found.columns.setdefault("names", list(head.names))
    left = [column for column in head.columns if column.name not in _named(given)]
    if "time" not in given:
        left = _time(path, left, head, found, faults)
    if "series" not in given:
        left = _series(left, found, faults)
    _quantities(left, given, found, faults, likely)
    missing = sorted({text for column in head.columns if column.is_number for text in column.no_numbers})
    if missing and "missing" not in given:
        found.columns["missing"] = missing
        found.said.append(f"missing: {', '.join(map(shown, missing))}")
    return found


def _named(given: Mapping[str, Any]) -> set[str]:
    """Return the columns that a mapping names."""
    names: set[str] = set()
    for value in given.values():
        table = value if isinstance(value, dict) else {"column": value}
        for key in ("column", "less", "last"):
            here = table.get(key, ())
            names.update([here] if isinstance(here, str) else here)
    return names


def _listed(columns: Sequence[HeadColumn]) -> str:
    more = f" and {len(columns) - _LISTED} more" if len(columns) > _LISTED else ""
    return ", ".join(column.name for column in columns[:_LISTED]) + more


def _time(path: Path, left: list[HeadColumn], head: Head, found: Recognised, faults: Faults) -> list[HeadColumn]:
    """Take the column of times out of ``left``."""
    dates = [column for column in left if column.is_date]
    numbers = [column for column in left if column.is_number and TIME_WORDS & words_of(column.name).keys()]
    epochs = [column for column in numbers if _epoch(column) is not None]
    clocks = [column for column in left if not column.is_number and all(map(_CLOCK.fullmatch, column.some))]
    likely = dates or epochs or numbers
    if clocks and dates and all(len(text) <= len("2026-11-26") for text in dates[0].some):
        faults.below("--time").add(
            f"date and time stand in two columns, {dates[0].name} and {clocks[0].name}: put them into one, such as"
            " 2026-11-26T16:04:00Z"
        )
        return [column for column in left if column not in (dates[0], clocks[0])]
    if len(likely) != 1:
        others = [column for column in left if any(map(_OTHER_DATE.fullmatch, column.some))]
        if others and not likely:
            faults.below("--time").add(
                f"{others[0].name} has dates that are not read, such as {shown(others[0].some[0])}: write them as"
                " 2026-11-26T16:04:00Z"
            )
            return [column for column in left if column is not others[0]]
        what = "several columns may be the times" if likely else "no column is seen to hold times"
        faults.below("--time").add(
            f"{what}: {_listed(likely or head.columns)}. Say which: --time"
            f" {shlex.quote((likely or head.columns)[0].name)}"
        )
        return [column for column in left if column not in likely]
    (column,) = likely
    if column.falls:
        faults.below("--demand").add(
            f"the newest sample stands first. Turn the rows round: (head -n 1 {(name := shlex.quote(str(path)))};"
            f" tail -n +2 {name} | tac) > oldest-first.csv"
        )
    if column.is_date:
        _dates(column, found, faults)
    else:
        unit, why = _time_unit(column)
        found.columns["time"] = column.name if unit == 1 else {"column": column.name, "unit": unit}
        found.said.append(f"time: column {column.name}, {why}")
        if why.endswith("?"):
            found.said.pop()
            found.assumed.append(
                f"time: column {column.name} is in seconds (to say otherwise: --time"
                f" {shlex.quote(f'{column.name}:60')})"
            )
    return [other for other in left if other is not column]


def _dates(column: HeadColumn, found: Recognised, faults: Faults) -> None:
    """Map the times to a column of dates, by the only form that all of them have, or by the likely one of two."""
    form = column.forms[0]
    if "iso-8601" not in column.forms and len(column.forms) > 1:
        first = column.some[0]
        by = {"month-day-year": f"{column.name}:month-day-year", "day-month-year": f"{column.name}:day-month-year"}
        if first.count(".") > 1:
            form, other, why = "day-month-year", "month-day-year", "the day first, as its dates are written with points"
        elif first[-1] in "mM":
            form, other, why = "month-day-year", "day-month-year", "the month first, as it counts hours by AM and PM"
        else:
            faults.below("--time").add(
                f"whether day or month stands first in {column.name}, such as {shown(first)}, is not seen. Say it:"
                f" --time {' or --time '.join(map(shlex.quote, by.values()))}"
            )
            return
        found.assumed.append(
            f"time: column {column.name} has {why} (to say otherwise: --time {shlex.quote(by[other])})"
        )
    else:
        how = "dates (UTC unless they say more)" if form == "iso-8601" else f"dates by {form}, in UTC"
        found.said.append(f"time: column {column.name}, {how}")
    found.columns["time"] = {"column": column.name, "form": form}


def _epoch(column: HeadColumn) -> float | None:
    """Return what 1 stands for in seconds where the values are times since 1970."""
    return next((unit for unit, (low, high) in EPOCHS.items() if low <= column.least and column.most <= high), None)


def _time_unit(column: HeadColumn) -> tuple[float, str]:
    epoch = _epoch(column)
    if epoch is not None:
        return epoch, {1.0: "Unix seconds", 1e-3: "Unix milliseconds", 1e-6: "Unix microseconds"}.get(epoch, "Unix ns")
    for word, (unit, name) in TIME_UNITS.items():
        if word in words_of(column.name):
            return unit, name
    return 1.0, "seconds?"


def _series(left: list[HeadColumn], found: Recognised, faults: Faults) -> list[HeadColumn]:
    """Take the column that tells series apart out of ``left``, where there is one."""
    text = [column for column in left if not (column.is_number or column.is_date or _miswritten(column))]
    named = [
        column
        for column in left
        if SERIES_WORDS & words_of(column.name).keys()
        and not OTHER & words_of(column.name).keys()
        and not _quantity(column)
        and not (column.is_number and (_measures(column) or 2 * len(column.distinct) > len(column.some)))
        and not _miswritten(column)
    ]
    several = [column for column in (named or text) if len(column.distinct) > 1]
    likely = several or named[:1]  # the first rows may be of one machine
    if len(likely) > 1:
        faults.below("--series").add(
            f"several columns may tell machines apart: {_listed(likely)}. Say which: --series"
            f" {shlex.quote(likely[0].name)}"
        )
    elif likely:
        found.columns["series"] = likely[0].name
        found.said.append(f"series: column {likely[0].name}")
    return [column for column in left if column not in likely]


def _measures(column: HeadColumn) -> bool:
    """Whether its numbers have units or fractions, which no name of a machine has."""
    return column.says_units or any(value % 1 for value in column.numbers or ())


def _miswritten(column: HeadColumn) -> str:
    """Return how its numbers should be written, where they are none as they are; nothing for other text."""
    by_comma, grouped = (bool(column.some) and all(map(form.fullmatch, column.some)) for form in (_COMMA, _GROUPED))
    if column.is_number or not (by_comma or grouped):
        return ""
    example = next(text for text in column.some if not text.isdecimal())
    if not by_comma:
        return f"has marks between thousands, such as {shown(example)}, write its numbers without them"
    return "has numbers with a comma, write them with a point" + (" (or without, at thousands)" if grouped else "")


def _quantity(column: HeadColumn) -> str | None:
    """Return the quantity that a column of numbers is called by, None for what is none or of something else."""
    words = words_of(column.name)
    for name, (wanted, not_wanted) in QUANTITY_WORDS.items():
        if column.is_number and wanted & words.keys() and not not_wanted & words.keys():
            return name
    return None


def _quantities(
    left: list[HeadColumn], given: Mapping[str, Any], found: Recognised, faults: Faults, likely: int | None
) -> None:
    by_name: dict[str, list[HeadColumn]] = {}
    for column in left:
        if name := _quantity(column):
            by_name.setdefault(name, []).append(column)
    users = by_name.pop("user", [])
    if "user" not in given:
        _user(users, left, found, faults, likely)
    for name in ("page_cache", "slab_reclaimable", "slab_unreclaimable", "page_tables", "kernel_stacks"):
        columns = by_name.get(name, [])
        if name not in given and len(columns) == 1:
            _amount(name, columns[0], found, faults, likely)


def _user(
    users: list[HeadColumn], left: list[HeadColumn], found: Recognised, faults: Faults, likely: int | None
) -> None:
    """Map what programs use: the column that is called so most clearly."""
    for rank in USER_RANKS:
        here = [column for column in users if rank & words_of(column.name).keys()]
        sizes = [column for column in here if not _is_percent(column)]
        best = sizes or here
        if len(best) == 1:
            found.whole_machine = bool(rank & WHOLE_MACHINE)
            _amount("user", best[0], found, faults, likely)
            return
        if best:
            faults.below("--user").add(
                f"several columns may be the memory in use: {_listed(best)}. Say which: --user"
                f" {_option(best[0], likely)}"
            )
            return
    if _user_by_rest(left, found):
        return
    numbers = [column for column in left if column.is_number and not OTHER & words_of(column.name).keys()]
    if len(numbers) == 1 and _quantity(numbers[0]) is None:
        found.whole_machine = True
        found.assumed.append(
            f"user: column {numbers[0].name} is the memory in use, as no other column of numbers is left"
        )
        _amount("user", numbers[0], found, faults, likely)
        return
    if not numbers:
        wrong = next((column for column in left if _miswritten(column)), None)
        hint = f": {wrong.name} {_miswritten(wrong)}" if wrong else ""
        hint += (
            " (sed 's/,/./g' turns all commas of a file)" if "point" in hint and "separator" in found.columns else ""
        )
        faults.below("--user").add(f"no column of numbers is left that could be the memory in use{hint}")
        return
    faults.below("--user").add(
        f"no column is seen to be the memory in use; there are {_listed(numbers)}. Say which, and its unit:"
        f" --user {_option(numbers[0], likely, '1MiB')}"
    )


def _user_by_rest(left: list[HeadColumn], found: Recognised) -> bool:
    """Map what is used to what the machine has less what is not used, where both stand there in one unit."""
    totals = [column for column in left if _quantity(column) == "capacity"]
    unused = [column for column in left if _quantity(column) == "free"]
    rest = [column for column in unused if AVAILABLE & words_of(column.name).keys()] or unused
    if len(totals) != 1 or len(rest) != 1 or _unit_said(totals[0]) is None:
        return False
    if _unit_said(totals[0]) != _unit_said(rest[0]):
        return False
    unit = _unit_said(totals[0]) or 1
    found.whole_machine = True
    found.columns["user"] = {"column": totals[0].name, "less": rest[0].name}
    if unit != 1:
        found.columns["user"]["unit"] = format_size(unit)
    found.assumed.append(
        f"user: {totals[0].name} less {rest[0].name}, as no column is what is used (to say otherwise: --user COLUMN)"
    )
    return True


def _is_percent(column: HeadColumn) -> bool:
    return "percent" in words_of(column.name)


def _option(column: HeadColumn, likely: int | None, otherwise: str = "") -> str:
    """Return what an option says for ``column``, with its unit (``otherwise`` where that is not known), for a shell."""
    unit = _unit_said(column) or column.likely_unit(likely)
    text = (otherwise or "1B") if unit is None else format_size(unit) if unit > 1 else "1B"
    plain = text == "1B" and not otherwise and ":" not in column.name
    return shlex.quote(column.name if plain else f"{column.name}:{text}")


def _unit_said(column: HeadColumn) -> int | None:
    if column.says_units:
        return 1
    words = words_of(column.name)
    return next((unit for word, unit in UNITS.items() if word in words), None)


def _amount(name: str, column: HeadColumn, found: Recognised, faults: Faults, likely: int | None) -> None:
    """Map a quantity to ``column``, in the unit that its name says, or else the only likely one."""
    option = f"--{name.replace('_', '-')}"
    if _is_percent(column):
        table = {"column": column.name, "percent_of": format_size(likely or 64 * GIB)}
        faults.below(option).add(
            f"{column.name} is a percentage, of a size that the file does not say. Say the whole mapping, with that"
            f' size: --columns "{_whole_mapping({**found.columns, name: table})}"'
        )
        return
    unit = _unit_said(column)
    said = unit is not None
    if unit is None:
        unit = column.likely_unit(likely)
    if unit is None:
        faults.below(option).add(
            f"the unit of {column.name} is not known (largest at first: {column.most:g}). Say it: {option}"
            f" {shlex.quote(f'{column.name}:1GiB')}, or 1MiB, 1KiB, 1B"
        )
        return
    found.columns[name] = column.name if unit == 1 else {"column": column.name, "unit": format_size(unit)}
    words = "bytes" if unit == 1 else format_size(unit).removeprefix("1")
    if said:
        how = "in the units that its fields say, KB and GB being 1024s" if column.says_units else f"in {words}"
        found.said.append(f"{name}: column {column.name}, {how}")
    else:
        other = format_size(MIB if unit != MIB else KIB)
        found.assumed.append(
            f"{name}: column {column.name} is in {words}, the only unit in which its figures are sizes of a machine"
            f" (to say otherwise: {option} {shlex.quote(f'{column.name}:{other}')})"
        )


def _whole_mapping(columns: Mapping[str, Any]) -> str:
    """Return a mapping as an option says it."""
    return ", ".join(f"{key} = {in_toml(value, quote=QUOTE)}" for key, value in columns.items())
