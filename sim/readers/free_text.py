"""``free`` as procps and busybox print it, in any unit, old and new, wide or not."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, InputError, shown
from sim.readers.bounds import MOST_DIGITS, no_size
from sim.readers.facts import Facts, Remark
from sim.units import GIB, KIB, MIB, TIB

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS: Final = ("total", "used", "free", "shared", "buff/cache", "available")
_WIDE: Final = ("total", "used", "free", "shared", "buffers", "cache", "available")
_NAMES: Final = frozenset((*_COLUMNS, *_WIDE, "cached"))
_FIRST_COLUMN: Final = frozenset(
    (
        "total",
        "gesamt",
        "totale",
        "totaal",
        "totalt",
        "razem",
        "celkem",
        "всего",
        "усього",
        "合計",
        "总计",
        "總計",
        "toplam",
    )
)
_FIGURE: Final = r"[0-9]{1,400}(?:[.,][0-9]{1,9})?[BKMGTPE]?i?"
_ROW: Final = re.compile(rf"^[ \t]*\S[^:\uff1a\n]{{0,30}}[:\uff1a][ \t]*({_FIGURE}(?:[ \t]+{_FIGURE}){{2,6}})[ \t]*$")
_COMMAND: Final = re.compile(r"(?:^|[\s;|&/])free((?:[ \t]+-{1,2}[a-z0-9=]+)*)[ \t]*$")
_CELL: Final = re.compile(r"([0-9]+)(?:[.,]([0-9]+))?([BKMGTPE])?(i)?")
_OPTIONS: Final = {
    "b": 1, "--bytes": 1, "k": KIB, "--kibi": KIB, "m": MIB, "--mebi": MIB, "g": GIB, "--gibi": GIB, "--tebi": TIB,
    "--kilo": 10**3, "--mega": 10**6, "--giga": 10**9, "--tera": 10**12,
}  # fmt: skip
_THOUSANDS: Final = {KIB: 10**3, MIB: 10**6, GIB: 10**9, TIB: 10**12, 1: 1}
_LETTERS: Final = "BKMGTPE"
_UNIT_NAMES: Final = {1: "bytes", KIB: "KiB", MIB: "MiB", GIB: "GiB"}
_SMALLEST: Final = 64 * MIB
"""No machine with memory hotplug has less; ``free`` does not print its unit, and this tells some of them apart."""


def reads_as_free(text: str) -> bool:
    """Whether ``text`` holds the heading and the first row that ``free`` prints."""
    lines = text.split("\n")
    return any(_columns(line) and _ROW.match(below) for line, below in pairwise(lines))


def read_free(text: str, file: str) -> Facts:
    """Return the row of memory, in bytes; InputError if it is damaged.

    Units are those of the command if it stands above (``$ free -m``) or of the figures (``1.8Gi``); else what they can
    be, with a remark.
    """
    facts = Facts(file, "free")
    lines = text.split("\n")
    unit, thousands = None, False
    for number, line in enumerate(lines, 1):
        if command := _COMMAND.search(line):
            options = command[1].split()
            unit, thousands = _unit_of(options), "--si" in options
        columns = _columns(line)
        row = _ROW.match(lines[number]) if columns and number < len(lines) else None
        if row is None:
            continue
        where = f"line {number + 1}"
        if facts.free:
            what = "free stands here again; give one"
            raise InputError(file, [Fault(where, what)])
        cells = row[1].split()
        if len(cells) > len(columns) or any(len(cell) > MOST_DIGITS for cell in cells):
            raise InputError(file, [Fault(where, f"{shown(row[0].strip())} does not fit {' '.join(columns)}")])
        facts.free = dict(
            zip(columns, _bytes(cells, unit, thousands=thousands, where=where, facts=facts), strict=False)
        )
        facts.places["free"] = where
        if (
            no_size(max(facts.free.values()))
            or facts.free["total"] == 0
            or max(facts.free.get("used", 0), facts.free.get("free", 0)) > facts.free["total"]
        ):
            raise InputError(
                file, [Fault(where, "more is used or free than there is in total, or total is 0 or over 4 PiB")]
            )
    return facts


def _columns(line: str) -> tuple[str, ...]:
    """Return the columns that a heading of ``free`` names, in English; nothing if it is none."""
    words = tuple(line.split())
    if not 3 <= len(words) <= len(_WIDE) or words[0] not in _FIRST_COLUMN:  # noqa: PLR2004 - total, used, free
        return ()
    if all(word in _NAMES for word in words):
        return words
    return {len(_COLUMNS): _COLUMNS, len(_WIDE): _WIDE}.get(len(words), ())


def _unit_of(options: Sequence[str]) -> int | None:
    """Return the bytes of the unit that a command's options choose; None if the figures say it themselves."""
    letters = "".join(option[1:] for option in options if not option.startswith("--"))
    if "h" in letters or "--human" in options:
        return None
    chosen = [_OPTIONS[name] for name in (*letters, *options) if name in _OPTIONS]
    unit = chosen[-1] if chosen else KIB
    return _THOUSANDS[unit] if "--si" in options and unit in _THOUSANDS else unit


def _bytes(cells: Sequence[str], unit: int | None, *, thousands: bool, where: str, facts: Facts) -> list[int]:
    """Return cells as bytes; what was concluded or is rounded becomes a remark."""
    parsed = [match for cell in cells if (match := _CELL.fullmatch(cell))]
    if any(match[3] for match in parsed):
        facts.remarks.append(Remark(where, "these figures are rounded; free --bytes is exact"))
        base = 1000 if thousands else 1024
        return [_human(match[1], match[2] or "", base ** _LETTERS.index(match[3] or "B")) for match in parsed]
    values = [int(match[1]) for match in parsed]
    if unit is None:
        unit, why = _likely_unit(values)
        facts.remarks.append(Remark(where, f"free does not print its unit; taken as {_UNIT_NAMES[unit]}: {why}"))
    if unit > KIB:
        facts.remarks.append(Remark(where, "these figures are cut to whole units; free --bytes is exact"))
    return [value * unit for value in values]


def _human(whole: str, fraction: str, unit: int) -> int:
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * unit // scale


def _likely_unit(values: Sequence[int]) -> tuple[int, str]:
    """Return the unit of figures without one, and why: counts of pages are multiples of 4 KiB."""
    total = values[0]
    if total >= _SMALLEST and all(value % 4096 == 0 for value in values):
        return 1, "all are multiples of a page"
    if total * KIB >= _SMALLEST and all(value % 4 == 0 for value in values):
        return KIB, "all are multiples of a page of 4 KiB"
    if total * MIB >= _SMALLEST:
        return MIB, "they are no multiples of 4 KiB, or too few for KiB"
    return GIB, "they are too few for MiB"
