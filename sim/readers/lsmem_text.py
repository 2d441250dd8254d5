"""``lsmem``'s table in all its forms: any columns, raw, pairs, without headings, with and without the summary.

That of s390-tools, which came before util-linux's, too.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, InputError, shown
from sim.readers.lsmem_rows import COLUMNS, Row, Summary, Total, facts_of
from sim.readers.pasted import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.readers.facts import Facts

_HEX_RANGE: Final = r"0x[0-9a-fA-F]{4,16}-0x[0-9a-fA-F]{4,16}"
_ROW: Final = re.compile(rf"^[ \t]*{_HEX_RANGE}(?:[ \t].*)?$", re.MULTILINE)
_PAIR: Final = re.compile(r'([A-Z][A-Z_-]*)="([^"\n]*)"')
_PAIRS: Final = re.compile(r'^[ \t]*(?:[A-Z][A-Z_-]*="[^"\n]*"[ \t]*)+$')
_WORDS: Final = re.compile(r"\S+")
_SUMMARY: Final = re.compile(
    r"^[ \t]*(?:(?P<block_size>Memory block size|Speicherblockgröße|Taille du bloc mémoire|Tamaño del bloque de memoria"
    r"|メモリブロックサイズ|Memory device size)"
    r"|(?P<online>Total online memory|Online-Gesamtspeicher|Mémoire partagée totale|Memoria total en línea"
    r"|オンラインメモリの合計)"
    r"|(?P<offline>Total offline memory|Offline-Gesamtspeicher|Mémoire hors ligne totale|Memoria total fuera de línea"
    r"|オフラインメモリの合計))[ \t\u00a0]*:[ \t]*(?P<size>\S+)[ \t]*$",
    re.MULTILINE,
)
_PARAMETER: Final = re.compile(r"^[ \t]*Memmap on memory parameter:[ \t]*(?P<value>yes|no|force)[ \t]*$", re.MULTILINE)
_OLD_HEADING: Final = re.compile(
    r"^[ \t]*Address [Rr]ange[ \t]+Size \(MB\)[ \t]+State[ \t]+Removable[ \t]+Device.*$", re.MULTILINE
)
_OLD_ROW: Final = re.compile(
    r"^[ \t]*(0x[0-9a-f]{1,16}-0x[0-9a-f]{1,15})[ef][ \t]+([0-9]{1,9})[ \t]+(\S+)[ \t]+(yes|no|-)(?:[ \t].*)?$",
    re.MULTILINE,
)
_OLD_TOTAL: Final = re.compile(
    r"^[ \t]*(Memory block size|Total o(?:n|ff)line memory)[ \t]*:[ \t]*([0-9]+) MB[ \t]*$", re.MULTILINE
)
_OLD_REST: Final = re.compile(r"^[ \t]*(?:=+|Memory device size[ \t]*:.*)$", re.MULTILINE)
_MODES: Final = {"yes": "Y", "no": "N", "force": "force"}
_STATES: Final = {
    "fuera de línea": "offline", "en línea": "online", "hors ligne": "offline", "en ligne": "online",
    "オフライン": "offline", "オンライン": "online", "离线": "offline", "在线": "online", "on-line": "online",
    "an->aus": "on->off",
    "odpojeno": "offline", "připojeno": "online", "nieaktywna": "offline", "aktywna": "online", "не задіяно": "offline",
    "задіяно": "online", "urkopplad": "offline", "inkopplad": "online", "deconectat": "offline", "conectat": "online",
}  # fmt: skip
_TRANSLATED: Final = re.compile("|".join(_STATES))
_KINDS: Final = {
    "RANGE": re.compile(_HEX_RANGE),
    "SIZE": re.compile(r"[0-9]+(?:[.,][0-9]+)?[BKMGTPE]?"),
    "STATE": re.compile(r"online|offline|on->off|going-offline|\?"),
    "REMOVABLE": re.compile(r"[^\W\d]+|-"),
    "BLOCK": re.compile(r"[0-9]+(?:-[0-9]+)?"),
    "NODE": re.compile(r"-1|[0-9]+|-"),
    "ZONES": re.compile(r"[A-Za-z][A-Za-z0-9/]*|-"),
    "CONFIGURED": re.compile(r"[^\W\d]+"),
    "MEMMAP-ON-MEMORY": re.compile(r"[^\W\d]+"),
}
_MAY_BE_BLANK: Final = ("REMOVABLE", "NODE", "ZONES", "CONFIGURED", "MEMMAP-ON-MEMORY")
_WITHOUT_HEADINGS: Final = (COLUMNS[:5], COLUMNS[:7], (*COLUMNS[:5], "ZONES"), *(COLUMNS[:n] for n in (6, 4, 3, 2, 1)))
"""What ``-n`` is most often printed with; which of them it is shows in the first row that fits."""


def reads_as_lsmem(text: str) -> bool:
    """Whether there is a row, a heading or a summary of ``lsmem`` in ``text``."""
    if _ROW.search(text) or _SUMMARY.search(text) or _OLD_TOTAL.search(text):
        return True
    return ("RANGE" in text or "BLOCK" in text) and any(_heading(line) or _pairs(line) for line in text.split("\n"))


def read_lsmem(text: str, file: str) -> Facts:
    """Return what ``lsmem`` printed; other lines are passed over. InputError with all faults, by line."""
    old = _OLD_HEADING.search(text) is not None
    text = _as_now(text) if old else text
    rows: list[Row] = []
    faults: list[Fault] = []
    columns: tuple[str, ...] = ()
    heading = ""
    for number, line in enumerate(text.split("\n"), 1):
        where = f"line {number}"
        if found := _heading(line):
            columns, heading = found, line
        elif cells := _pairs(line):
            rows.append(Row(where, cells))
        elif heading or _ROW.match(line):
            columns = columns or _guess(line)
            row = _row(line, columns, heading)
            if row is not None:
                rows.append(Row(where, row))
            elif line.lstrip()[:1].isdigit():
                faults.append(Fault(where, f"{shown(line.strip())} does not fit the columns {' '.join(columns)}"))
            else:
                columns, heading = (), ""
    if faults:
        raise InputError(file, faults)
    lines = Places(text)
    facts = facts_of(file, rows, _summary(text, lines))
    if old:
        facts.architecture = "s390x"
        facts.places["architecture"] = facts.places.get("blocks", "line 1")
    for match in _PARAMETER.finditer(text):
        facts.parameters["memmap_on_memory"] = _MODES[match["value"]]
        facts.places["parameters"] = lines.at(match.start())
    return facts


def _as_now(text: str) -> str:
    """Return what s390-tools' ``lsmem`` prints as util-linux's prints it, line by line.

    Its sizes are in MiB, its last column has the host's increments, and some releases end a range a byte early.
    """
    text = _OLD_REST.sub("", _OLD_HEADING.sub("RANGE SIZE STATE REMOVABLE", text))
    text = _OLD_ROW.sub(lambda row: f"{row[1]}f {row[2]}M {row[3]} {row[4]}", text)
    return _OLD_TOTAL.sub(lambda total: f"{total[1]}: {total[2]}M", text)


def _heading(line: str) -> tuple[str, ...]:
    """Return the columns that a heading names; nothing if the line is none."""
    words = tuple(line.split())
    if not words or any(word not in COLUMNS for word in words) or len(set(words)) < len(words):
        return ()
    return words if "RANGE" in words or "BLOCK" in words else ()


def _pairs(line: str) -> dict[str, str]:
    """Return the cells of a line as ``--pairs`` prints it; nothing if it is none."""
    if '="' not in line or not _PAIRS.match(line):
        return {}
    cells = {name.replace("_", "-"): value for name, value in _PAIR.findall(line)}
    return {} if "RANGE" not in cells and "BLOCK" not in cells else cells


def _guess(line: str) -> tuple[str, ...]:
    """Return the columns of a row without headings."""
    words = _TRANSLATED.sub(lambda match: _STATES[match[0]], line).split()
    return next((columns for columns in _WITHOUT_HEADINGS if _by_kind(words, columns) is not None), COLUMNS[:5])


def _row(line: str, columns: Sequence[str], heading: str) -> dict[str, str] | None:
    """Return the cells of a row by columns; None if it does not fit them."""
    line = _TRANSLATED.sub(lambda match: _STATES[match[0]], line)
    raw = line.split(" ")
    if line.strip() and heading == " ".join(columns) and len(raw) == len(columns):
        cells = dict(zip(columns, raw, strict=True))
        if all(not text or _KINDS[name].fullmatch(text) for name, text in cells.items()):
            return cells
    return _by_place(line, columns, heading) or _by_kind(line.split(), columns)


def _by_place(line: str, columns: Sequence[str], heading: str) -> dict[str, str] | None:
    """Return cells by where they stand below the heading: all columns but RANGE end where their names end."""
    ends = {match.end(): match[0] for match in _WORDS.finditer(heading)}
    cells: dict[str, str] = {}
    for match in _WORDS.finditer(line):
        name = "RANGE" if match[0].startswith("0x") else ends.get(match.end())
        if name is None or name not in columns or not _KINDS[name].fullmatch(match[0]) or name in cells:
            return None
        cells[name] = match[0]
    return cells or None


def _by_kind(words: Sequence[str], columns: Sequence[str]) -> dict[str, str] | None:
    """Return cells in the order of the columns; which of the blank ones it is shows in what the words look like.

    The first choice is that of lsmem: REMOVABLE is blank in a row that is not online.
    """
    blank = len(columns) - len(words)
    candidates = [name for name in columns if name in _MAY_BE_BLANK]
    if blank < 0 or blank > len(candidates):
        return None
    for missing in combinations(candidates, blank):
        names = [name for name in columns if name not in missing]
        if all(_KINDS[name].fullmatch(word) for name, word in zip(names, words, strict=True)):
            return dict(zip(names, words, strict=True))
    return None


def _summary(text: str, lines: Places) -> Summary:
    """Return the first line of each kind."""
    found: dict[str, Total] = {}
    for match in _SUMMARY.finditer(text):
        name = next(name for name in Summary._fields if match[name])
        if name not in found:
            found[name] = Total(lines.at(match.start()), match["size"])
    return Summary(**found)
