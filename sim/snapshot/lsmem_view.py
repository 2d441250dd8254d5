"""What ``lsmem`` prints of a :class:`Picture <sim.snapshot.picture.Picture>`: its table, its summary and its JSON.

Byte for byte as util-linux prints into a pipe (``sys-utils/lsmem.c``, ``libsmartcols``, ``size_to_human_string`` of
``lib/strutils.c``). Versions differ in blanks only: see :class:`Spacing`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.faults import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sim.readers.facts import BlockView
    from sim.snapshot.picture import Picture


class Spacing(NamedTuple):
    """Characters that the column SIZE has unless its cells are shorter than its heading, and those of a label."""

    size: int
    label: int


SPACINGS: Final = {(2, 40): Spacing(5, 23), (2, 41): Spacing(5, 32), (2, 42): Spacing(0, 32)}
"""By the version of util-linux: 2.40 and all before it (up to RHEL 10, Ubuntu 24.04, Debian 12), 2.41, 2.42 and on."""

USUAL: Final = SPACINGS[2, 40]
"""What most machines print in 2026."""


class Range(NamedTuple):
    """Adjacent ``blocks`` from ``first`` on that ``lsmem`` prints as one line; what it says is the first block's."""

    first: int
    blocks: int
    view: BlockView
    zones: tuple[str, ...]


_ZONES: Final = ("DMA", "DMA32", "Normal", "Highmem", "Movable", "Device", "None", "Unknown")
_ZONE_NAMES: Final = {name.lower(): name for name in _ZONES}
_UNKNOWN: Final = "Unknown"
_STATES: Final = {"online": "online", "offline": "offline", "going-offline": "on->off"}
_NO_NODE: Final = -1
_INDENT: Final = "   "


class _Cells:
    """The cells of ``picture``'s lines: None where ``lsmem`` prints nothing."""

    def __init__(self, picture: Picture) -> None:
        self.block_size = picture.block_size
        # A column of which no block says anything stays empty; of a single block a node that is not known is -1.
        self.has_nodes = any(view.node is not None for view in picture.blocks)

    def range(self, line: Range) -> str:
        start = line.first * self.block_size
        return f"0x{start:016x}-0x{start + line.blocks * self.block_size - 1:016x}"

    def size(self, line: Range) -> str:
        return size_text(line.blocks * self.block_size)

    def state(self, line: Range) -> str:
        return _STATES.get(line.view.state, "?")

    def removable(self, line: Range) -> bool | None:
        return line.view.removable if line.view.state == "online" else None

    def block(self, line: Range) -> str:
        return str(line.first) if line.blocks == 1 else f"{line.first}-{line.first + line.blocks - 1}"

    def node(self, line: Range) -> int | None:
        if not self.has_nodes:
            return None
        return _NO_NODE if line.view.node is None else line.view.node

    def zones(self, line: Range) -> str | None:
        return "/".join(line.zones) or None


_CELLS: Final[Mapping[str, Callable[[_Cells, Range], str | int | bool | None]]] = {
    "RANGE": _Cells.range,
    "SIZE": _Cells.size,
    "STATE": _Cells.state,
    "REMOVABLE": _Cells.removable,
    "BLOCK": _Cells.block,
    "NODE": _Cells.node,
    "ZONES": _Cells.zones,
}
COLUMNS: Final = tuple(_CELLS)
"""What ``lsmem --output-all`` prints, in its order. (On s390, 2.42 adds CONFIGURED and MEMMAP-ON-MEMORY.)"""

USUAL_COLUMNS: Final = COLUMNS[:5]
"""What ``lsmem`` prints when it is not asked for columns."""


def parse_columns(text: str) -> tuple[str, ...]:
    """Return the columns of a list such as ``RANGE,SIZE,ZONES``, as ``lsmem --output`` takes it.

    Capitals do not matter; a list that begins with ``+`` is added to :data:`USUAL_COLUMNS`. Raises ValueError for an
    unknown column.
    """
    names = text.removeprefix("+").split(",")
    for name in names:
        if name.upper() not in _CELLS:
            raise ValueError(unknown_name("column", name, COLUMNS))
    return (*(USUAL_COLUMNS if text.startswith("+") else ()), *(name.upper() for name in names))


def size_text(size: int) -> str:
    """Return ``size`` bytes as ``lsmem`` prints it: a letter for the unit and at most one digit after the point."""
    power = min((max(size.bit_length(), 1) - 1) // 10, 6)
    whole, rest = divmod(size, 1 << 10 * power)
    # Cut to thousandths before it is rounded to tenths, as util-linux does.
    tenths = (rest * 1000 // (1 << 10 * power) + 50) // 100
    whole, tenths = whole + tenths // 10, tenths % 10
    return f"{whole}{f'.{tenths}' if tenths else ''}{'BKMGTPE'[power]}"


def ranges(picture: Picture, columns: Iterable[str] = COLUMNS) -> list[Range]:
    """Return the lines that ``lsmem`` prints: adjacent blocks that are alike in ``columns`` are one."""
    seen = frozenset(columns)
    lines: list[Range] = []
    for view in picture.blocks:
        zones = _zone_names(view.zones)
        last = lines[-1] if lines else None
        if last is not None and last.first + last.blocks == view.block and _alike(last, view, zones, seen):
            lines[-1] = last._replace(blocks=last.blocks + 1)
        else:
            lines.append(Range(view.block, 1, view, zones))
    return lines


def _zone_names(zones: str | None) -> tuple[str, ...]:
    """Return the names that ``lsmem`` has for the words in ``valid_zones``, of which it reads no more than it knows."""
    words = (zones or "").replace("/", " ").split()[: len(_ZONES)]
    return tuple(_ZONE_NAMES.get(word.lower(), _UNKNOWN) for word in words)


def _alike(last: Range, view: BlockView, zones: tuple[str, ...], seen: frozenset[str]) -> bool:
    return (
        ("STATE" not in seen or _STATES.get(last.view.state) == _STATES.get(view.state))
        and ("REMOVABLE" not in seen or last.view.removable == view.removable)
        and ("NODE" not in seen or last.view.node == view.node)
        # Zones that it does not know are never alike.
        and ("ZONES" not in seen or (last.zones == zones and _UNKNOWN not in zones))
    )


def lsmem_table(picture: Picture, columns: Sequence[str] = COLUMNS, spacing: Spacing = USUAL) -> str:
    """Return the table of ``picture`` with a heading, as ``lsmem --output`` with ``columns`` prints it."""
    cells = _Cells(picture)
    words = {True: "yes", False: "no", None: ""}
    rows = [list(columns)]
    for line in ranges(picture, columns):
        values = (_CELLS[name](cells, line) for name in columns)
        rows.append([words[value] if value is None or isinstance(value, bool) else str(value) for value in values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, name in enumerate(columns):
        if name == "SIZE" and max(len(row[number]) for row in rows[1:] or rows) >= len(name):
            widths[number] = max(widths[number], spacing.size)
    return "".join(_row(row, columns, widths) for row in rows)


def _row(row: Sequence[str], columns: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if name == "RANGE" else cell.rjust(width)
        for cell, name, width in zip(row, columns, widths, strict=True)
    ]
    # The last cell is not filled up.
    cells[-1] = cells[-1] if row[-1] and columns[-1] != "RANGE" else row[-1]
    return " ".join(cells) + "\n"


def lsmem_summary(picture: Picture, spacing: Spacing = USUAL) -> str:
    """Return the lines about sizes that ``lsmem`` prints below its table; what is not online counts as offline."""
    online = sum(view.state == "online" for view in picture.blocks)
    sizes = {
        "Memory block size:": picture.block_size,
        "Total online memory:": online * picture.block_size,
        "Total offline memory:": (len(picture.blocks) - online) * picture.block_size,
    }
    return "".join(f"{label:<{spacing.label}} {size_text(size):>5}\n" for label, size in sizes.items())


def lsmem_text(picture: Picture, columns: Sequence[str] = COLUMNS, spacing: Spacing = USUAL) -> str:
    """Return what ``lsmem`` prints for ``columns``: table, empty line, summary."""
    return f"{lsmem_table(picture, columns, spacing)}\n{lsmem_summary(picture, spacing)}"


def lsmem_entries(picture: Picture, columns: Sequence[str] = COLUMNS) -> list[dict[str, str | int | bool | None]]:
    """Return the array ``memory`` of ``lsmem --json``: an object for each line, by the columns' names in small letters.

    ``node`` is a number, ``removable`` true or false (false for what is not online), all else a string; null where
    there is nothing.
    """
    cells = _Cells(picture)
    return [
        {name.lower(): bool(value) if name == "REMOVABLE" else value for name, value in values}
        for values in ([(name, _CELLS[name](cells, line)) for name in columns] for line in ranges(picture, columns))
    ]


def lsmem_json(picture: Picture, columns: Sequence[str] = COLUMNS, beside: Mapping[str, object] | None = None) -> str:
    """Return what ``lsmem --json`` prints for ``columns``, with what stands ``beside`` it as further keys."""
    entries = [
        "{\n" + ",\n".join(f"{_INDENT * 3}{json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())
        for entry in lsmem_entries(picture, columns)
    ]
    close = f"\n{_INDENT * 2}}}"
    array = f"[\n{_INDENT * 2}{f'{close},'.join(entries)}{close}\n{_INDENT}]" if entries else "[]"
    keys = [f'"memory": {array}']
    for key, value in (beside or {}).items():
        keys.append(f"{json.dumps(key)}: {json.dumps(value, indent=3).replace(chr(10), chr(10) + _INDENT)}")
    return "{\n" + _INDENT + f",\n{_INDENT}".join(keys) + "\n}\n"
