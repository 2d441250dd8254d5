"""Fields of text: numbers, dates and the lines that they stand in, read exactly and without mercy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sim.faults import shown
from sim.traces.batches import wrong_amount, wrong_time
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_LONGEST_NUMBER: Final = 60
NO_NUMBERS: Final = frozenset({"nan", "na", "n/a", "null", "none", "-", "inf", "+inf", "-inf", "infinity", "?"})
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?", re.ASCII)
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
        between = (date if date.tzinfo else date.replace(tzinfo=UTC)) - _EPOCH
        return (between.days * 86_400 + between.seconds) * MICROSECONDS + between.microseconds
    hint = "; for numbers leave form away" if _NUMBER.fullmatch(text[:_LONGEST_NUMBER]) else ""
    raise ValueError(f"must be a date such as 2026-11-26T16:04:00Z, but is {shown(text)}{hint}")


def time_us(text: str, columns: Columns) -> int:
    """Return the time that ``text`` says in microseconds. Raises ValueError."""
    if columns.form == "iso-8601":
        return date_us(text)
    value = number(text)
    if wrong := wrong_time(value, columns.time_unit_us, text):
        raise ValueError(wrong)
    return round(value * columns.time_unit_us)


def amount(text: str, unit: float) -> float:
    """Return the bytes that ``text`` says in units of ``unit`` bytes. Raises ValueError."""
    value = number(text)
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
