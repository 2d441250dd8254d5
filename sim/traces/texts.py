"""Fields of text: numbers, dates and the lines that they stand in, read exactly and without mercy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sim.faults import shown
from sim.traces.batches import wrong_amount, wrong_time
from sim.traces.column_words import UNITS
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_WITH_UNIT: Final = re.compile(r"([0-9]+\.?[0-9]*) ?([A-Za-z]{1,9})", re.ASCII)
_LONGEST_NUMBER: Final = 60
NO_NUMBERS: Final = frozenset({"nan", "na", "n/a", "null", "none", "-", "inf", "+inf", "-inf", "infinity", "?"})
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?", re.ASCII)
_DATE_FIELDS: Final = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})"
    r"(?:(?:, ?| )(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?(?: ?([AaPp])\.?[Mm]\.?)?)?",
    re.ASCII,
)
"""A date as a person's locale has it: its three numbers, and the time of day in 24 or in 12 hours."""

_ORDERS: Final = {"day-month-year": (2, 1, 0), "month-day-year": (2, 0, 1), "year-month-day": (0, 1, 2)}
"""Where year, month and day stand, by the form of such dates."""

_YEAR_DIGITS: Final = {"day-month-year": (2, 4), "month-day-year": (2, 4), "year-month-day": (4,)}
_DAY_DIGITS: Final = 2
_HALF_DAY: Final = 12
_CENTURY: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_LINE: Final = 1 << 20


def number(text: str) -> float:
    """Return the number that ``text`` is. Raises ValueError that says what would be right."""
    if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text):
        return float(text)
    if text.lower() in NO_NUMBERS:
        raise ValueError(
            f"must be a number, but is {shown(text)}; if it stands for a missing value: missing = [{shown(text)}]"
        )
    if "," in text and _NUMBER.fullmatch(text.replace(",", "")):
        raise ValueError(f"must be a number with a point and without commas, but is {shown(text)}")
    if _DATE.match(text):
        raise ValueError(f"must be a number, but is {shown(text)}; for dates say form = 'iso-8601' beside the column")
    raise ValueError(f"must be a number, but is {shown(text) if text else 'empty'}")


def date_us(text: str) -> int:
    """Return microseconds since 1970 of the date ``text``, in UTC unless it says more. Raises ValueError."""
    if len(text) <= _LONGEST_NUMBER and _DATE.fullmatch(text):
        try:
            date = datetime.fromisoformat(text.replace("UTC", "Z").replace(" Z", "Z").replace(",", "."))
        except ValueError as error:
            raise ValueError(f"must be a date such as 2026-11-26T16:04:00Z, but is {shown(text)}: {error}") from None
        return _since_epoch(date if date.tzinfo else date.replace(tzinfo=UTC))
    hint = "; for numbers leave form away" if _NUMBER.fullmatch(text[:_LONGEST_NUMBER]) else ""
    raise ValueError(f"must be a date such as 2026-11-26T16:04:00Z, but is {shown(text)}{hint}")


def _since_epoch(date: datetime) -> int:
    between = date - _EPOCH
    return (between.days * 86_400 + between.seconds) * MICROSECONDS + between.microseconds


def local_date_us(text: str, form: str) -> int:
    """Return microseconds since 1970 of the date ``text``, whose day, month and year stand in the order of ``form``.

    Such as ``11/26/2026, 4:04:00 PM`` for ``month-day-year``; in UTC. Raises ValueError.
    """
    plain = text.replace("\u202f", " ").replace("\u00a0", " ")  # what browsers put before AM and PM
    found = _DATE_FIELDS.fullmatch(plain) if len(plain) <= _LONGEST_NUMBER else None
    written = [(found[1], found[3], found[4])[place] for place in _ORDERS[form]] if found else []
    if found is None or len(written[0]) not in _YEAR_DIGITS[form] or max(map(len, written[1:])) > _DAY_DIGITS:
        raise ValueError(f"must be a date by {form} and a time, such as {_example(form)}, but is {shown(text)}")
    year, month, day = map(int, written)
    hour = int(found[5] or 0)
    if found[9] and 1 <= hour <= _HALF_DAY:
        hour = hour % _HALF_DAY + (_HALF_DAY if found[9] in "Pp" else 0)
    elif found[9]:
        hour = -1  # which no date has
    try:
        date = datetime(
            year + 2000 if year < _CENTURY else year, month, day, hour, int(found[6] or 0), int(found[7] or 0),
            int((found[8] or "").ljust(6, "0")), tzinfo=UTC,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(
            f"must be a date by {form} and a time, such as {_example(form)}, but is {shown(text)}: {error}"
        ) from None
    return _since_epoch(date)


def _example(form: str) -> str:
    fields = ["2026", "11", "26"]
    places = _ORDERS[form]
    return "/".join(fields[places.index(n)] for n in range(3)) + " 16:04:00"


def time_us(text: str, columns: Columns) -> int:
    """Return the time that ``text`` says in microseconds. Raises ValueError."""
    if columns.form == "iso-8601":
        return date_us(text)
    if columns.form in _ORDERS:
        return local_date_us(text, columns.form)
    value = number(text)
    if wrong := wrong_time(value, columns.time_unit_us, text):
        raise ValueError(wrong)
    return round(value * columns.time_unit_us)


def with_unit(text: str) -> tuple[float, int] | None:
    """Return the number in a field that says its own unit, such as ``1.5 GiB``, with its bytes; None for any other."""
    found = _WITH_UNIT.fullmatch(text) if text[-1:].isalpha() and len(text) <= _LONGEST_NUMBER else None
    unit = UNITS.get(found[2].lower()) if found else None
    return (float(found[1]), unit) if found and unit else None


def amount(text: str, unit: float) -> float:
    """Return the bytes that ``text`` says in units of ``unit`` bytes, or in its own where that is 1.

    Raises ValueError.
    """
    own = with_unit(text)
    if own and unit != 1:
        raise ValueError(f"must be a number, as its column has a unit, but is {shown(text)}")
    value, unit = own or (number(text), unit)
    if wrong := wrong_amount(value, unit, text):
        raise ValueError(wrong)
    return value * unit


def lines(chunks: Iterator[bytes], faults: TraceFaults) -> Iterator[tuple[int, str]]:
    """Yield each line that is neither blank nor a comment, with its number. Raises InputError for what is no text."""
    rest = b""
    count = 0
    for chunk in chunks:
        parts = (rest + chunk).split(b"\n")
        rest = parts.pop()
        for part in parts:
            count += 1
            if (line := _line(part, count, faults)) is not None:
                yield count, line
        if len(rest) > LONGEST_LINE:
            break
    if rest and (line := _line(rest, count + 1, faults)) is not None:
        yield count + 1, line


def _line(raw: bytes, count: int, faults: TraceFaults) -> str | None:
    where = f"line {count}"
    if count == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        faults.refuse("is text in UTF-16; save it as UTF-8", where)
    if b"\0" in raw:
        faults.refuse("holds a zero byte: it is no text in UTF-8", where)
    if len(raw) > LONGEST_LINE:
        faults.refuse(f"is longer than {LONGEST_LINE:,} bytes", where)
    try:
        text = raw.decode("utf-8-sig" if count == 1 else "utf-8").strip(" \r")
    except UnicodeDecodeError as error:
        faults.refuse(f"is no text in UTF-8 (its byte {error.start + 1} is {raw[error.start]:#04x})", where)
    return None if not text.strip() or text.lstrip().startswith("#") else text
