"""Rows of ``lsmem``, however they were printed, as memory blocks: one row is a range of blocks that are alike.

As util-linux' ``lsmem.c`` prints them. Addresses and block numbers are exact; sizes for people are rounded, and only
checked.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.faults import Fault, Faults, shown
from sim.readers.bounds import HIGHEST_BLOCK, MOST_BLOCKS, no_block_size, no_node, no_size
from sim.readers.facts import BlockView, Facts, Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COLUMNS: Final = (
    "RANGE", "SIZE", "STATE", "REMOVABLE", "BLOCK", "NODE", "ZONES", "CONFIGURED", "MEMMAP-ON-MEMORY",
)  # fmt: skip
"""All that ``lsmem`` can print, in the order of ``--output-all``; the last two since 2.42."""

_NOT_TAKEN: Final = ("CONFIGURED", "MEMMAP-ON-MEMORY")
_RANGE: Final = re.compile(r"0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})", re.IGNORECASE)
_BLOCK: Final = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_SIZE: Final = re.compile(r"([0-9]{1,20})(?:[.,]([0-9]{1,3}))?([BKMGTPE])?")
_NO_NODE: Final = "-1"
"""What lsmem prints of a block that says no node where others do."""
_NODE: Final = re.compile(r"[0-9]{1,9}|-1")
_UNITS: Final = {letter: 1 << 10 * power for power, letter in enumerate("BKMGTPE")}
_STATES: Final = {
    "online": "online",
    "offline": "offline",
    "on->off": "going-offline",
    "going-offline": "going-offline",
}
_YES: Final = frozenset(
    ("yes", "true", "1", "ja", "oui", "si", "sí", "sim", "da", "tak", "ano", "так", "да", "是", "はい", "예")
)
_NO: Final = frozenset(
    ("no", "false", "0", "nein", "nej", "non", "não", "nu", "nie", "ne", "nee", "ні", "нет", "否", "いいえ", "아니오")
)
_ZONES: Final = frozenset(("dma", "dma32", "normal", "highmem", "movable", "device", "none", "unknown"))
_NOTHING: Final = ("", "-", "null")
_ENGLISH: Final = "print it with LC_ALL=C lsmem --output-all"


class Row(NamedTuple):
    """One row: its place in the file, and its cells by column; a cell that is blank is missing or empty."""

    where: str
    cells: Mapping[str, str]


class Total(NamedTuple):
    """A line of the summary: its place, and the size as printed."""

    where: str
    size: str


class Summary(NamedTuple):
    """The summary below the rows; None where a line of it is not there."""

    block_size: Total | None = None
    online: Total | None = None
    offline: Total | None = None


class Size(NamedTuple):
    """A printed size stands for ``low`` to ``high`` bytes; they are equal if it is exact."""

    low: int
    high: int


class _Range(NamedTuple):
    """A row that was understood: bytes from ``start`` on, ``blocks`` from ``first`` on; None where it does not say."""

    where: str
    start: int | None
    size: int | None
    first: int | None
    blocks: int | None
    cells: Mapping[str, str]


def parse_printed_size(text: str) -> Size | None:
    """Return what a size such as ``1.8G``, ``1,5G`` or ``268435456`` can stand for; None if it is no size.

    Bytes are exact. All else is rounded to a tenth of the unit, and a tenth of 0 is not printed.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    whole, fraction, unit = int(match[1]), match[2] or "", _UNITS[match[3] or "B"]
    if unit == 1:
        return None if fraction else Size(whole, whole)
    tenths: int = 10 ** len(fraction)
    near = (whole * tenths + int(fraction or 0)) * unit // tenths
    slack = unit // 20 + unit // 1000 + 1
    return Size(max(0, near - slack), near + slack)


def facts_of(file: str, rows: Sequence[Row], summary: Summary) -> Facts:
    """Return what rows and summary say; InputError with all that does not fit together."""
    facts, faults = Facts(file, "lsmem"), Faults()
    ranges = [one for row in rows if (one := _range(row, faults)) is not None]
    sizes = {name: _printed(total, faults) for name, total in zip(Summary._fields, summary, strict=True)}
    faults.raise_if_any(file)
    facts.block_size = _block_size(facts, ranges, summary.block_size, faults)
    if ranges and not faults:
        facts.blocks = tuple(_blocks(ranges, facts.block_size or 1, _usual_state(sizes), faults))
        if any("STATE" not in one.cells for one in ranges):
            what = "there is no column STATE: by the summary all blocks are in the same state"
            facts.remarks.append(Remark(rows[0].where, what))
        facts.places["blocks"] = f"{rows[0].where} to {rows[-1].where}" if len(rows) > 1 else rows[0].where
    faults.raise_if_any(file)
    for name, field, state in (("online", "online_total", True), ("offline", "offline_total", False)):
        _take_total(facts, field, getattr(summary, name), sizes[name], online=state, faults=faults)
    faults.raise_if_any(file)
    facts.remarks += (
        Remark(name, "this column is not taken") for name in _NOT_TAKEN if any(row.cells.get(name) for row in rows)
    )
    return facts


def _add(faults: Faults, where: str, what: str) -> None:
    faults.include([Fault(where, what)])


def _printed(total: Total | None, faults: Faults) -> Size | None:
    if total is None:
        return None
    size = parse_printed_size(total.size)
    if size is None:
        _add(faults, total.where, f"{shown(total.size)} is not a size such as 128M")
    return size


def _range(row: Row, faults: Faults) -> _Range | None:
    """Return what a row says of its place and size, or None and faults."""
    wrong: list[str] = []
    cells = {name: text.strip() for name, text in row.cells.items() if text.strip() not in _NOTHING}
    start, size = _addresses(cells, wrong)
    first, blocks = _numbers(cells, wrong)
    if text := cells.get("SIZE"):
        printed = parse_printed_size(text)
        if printed is None:
            wrong.append(f"{shown(text)} is not a size such as 128M")
        elif size is not None and not printed.low <= size <= printed.high:
            wrong.append(f"the range {cells['RANGE']} is {size} bytes long, but the size says {text}")
        elif size is None and printed.low == printed.high:
            size = printed.low
    if "RANGE" not in cells and "BLOCK" not in cells:
        wrong.append(f"has neither RANGE nor BLOCK, so that it has no place; {_ENGLISH}")
    wrong += _wrong_words(cells)
    for what in wrong:
        _add(faults, row.where, what)
    return None if wrong else _Range(row.where, start, size, first, blocks, cells)


def _addresses(cells: Mapping[str, str], wrong: list[str]) -> tuple[int | None, int | None]:
    """Return where the range begins and how long it is."""
    text = cells.get("RANGE")
    if text is None:
        return None, None
    match = _RANGE.fullmatch(text)
    if match is None:
        wrong.append(f"{shown(text)} is not a range such as 0x0000000100000000-0x000000017fffffff")
        return None, None
    start, end = int(match[1], 16), int(match[2], 16)
    if end < start:
        wrong.append(f"the range {text} ends before it begins")
        return None, None
    if beyond := no_size(end + 1):
        wrong.append(beyond)
    return start, end - start + 1


def _numbers(cells: Mapping[str, str], wrong: list[str]) -> tuple[int | None, int | None]:
    """Return the first block and how many there are."""
    text = cells.get("BLOCK")
    if text is None:
        return None, None
    match = _BLOCK.fullmatch(text)
    if match is None:
        wrong.append(f"{shown(text)} is not a block number or a range of them such as 32-39")
        return None, None
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        wrong.append(f"the blocks {text} end before they begin")
    elif last >= HIGHEST_BLOCK:
        wrong.append(f"no machine has a block {last}")
    return first, last - first + 1


def _wrong_words(cells: Mapping[str, str]) -> Iterator[str]:
    state, removable, node = cells.get("STATE"), cells.get("REMOVABLE"), cells.get("NODE")
    if state and state.lower() not in _STATES:
        yield f"the state {shown(state)} is none of online, offline, on->off; {_ENGLISH}"
    if removable and removable.lower() not in _YES | _NO:
        yield f"REMOVABLE is {shown(removable)}, not yes or no; {_ENGLISH}"
    if node and _NODE.fullmatch(node) is None:
        yield f"the node {shown(node)} is not a number"
    elif node and (wrong := no_node(int(node))):
        yield wrong
    zones = cells.get("ZONES", "")
    if not _ZONES.issuperset(re.findall(r"\w+", zones.lower())):
        yield f"{shown(zones)} are no zones such as Normal or Normal/Movable; is the file cut off?"


def _block_size(facts: Facts, ranges: Sequence[_Range], total: Total | None, faults: Faults) -> int | None:
    """Return the bytes of a block: by the first row with a range and block numbers, else by the summary's line."""
    printed = parse_printed_size(total.size) if total else None
    for one in ranges:
        if one.size and one.blocks:
            size, rest = divmod(one.size, one.blocks)
            if wrong := no_block_size(0 if rest else size):
                _add(faults, one.where, f"{one.blocks} blocks cannot be {one.size} bytes long: {wrong}")
            elif printed and total and not printed.low <= size <= printed.high:
                _add(
                    faults,
                    one.where,
                    f"blocks are {size} bytes long here, but {total.size} by the summary ({total.where})",
                )
            facts.places["block_size"] = one.where
            return size
    if printed and total:
        size = (printed.low + printed.high) // 2
        if wrong := no_block_size(size):
            _add(faults, total.where, f"a block of {total.size} is not possible: {wrong}")
        facts.places["block_size"] = total.where
        return size
    if ranges:
        what = "how large a block is stands nowhere: neither RANGE and BLOCK nor a line 'Memory block size:'"
        _add(faults, ranges[0].where, f"{what}; {_ENGLISH}")
    return None


def _usual_state(sizes: Mapping[str, Size | None]) -> str | None:
    """Return the state of all blocks if the summary says that there is none of the other."""
    if (offline := sizes["offline"]) is not None and offline.high == 0:
        return "online"
    if (online := sizes["online"]) is not None and online.high == 0:
        return "offline"
    return None


def _blocks(ranges: Sequence[_Range], block_size: int, usual: str | None, faults: Faults) -> Iterator[BlockView]:
    """Yield the blocks of all rows, ascending; rows that overlap, or do not fit the blocks, are faults."""
    placed = [(*_placed(one, block_size, faults), one) for one in ranges]
    if sum(blocks for _, blocks, _ in placed) > MOST_BLOCKS:
        _add(faults, placed[-1][2].where, f"more than {MOST_BLOCKS:,} blocks in all; no machine has as many")
    placed.sort(key=lambda entry: entry[0])
    for (first, blocks, one), (later, _, other) in pairwise(placed):
        if later < first + blocks:
            what = f"block {later} stands in {one.where} too"
            _add(faults, other.where, f"{what}; are there two outputs of lsmem? Give one")
    unsaid = next((one for _, _, one in placed if "STATE" not in one.cells), None)
    if unsaid and usual is None:
        _add(faults, unsaid.where, f"has no STATE; {_ENGLISH}")
    if faults:
        return
    for first, blocks, one in placed:
        view = _view(one.cells, usual)
        for block in range(first, first + blocks):
            yield view._replace(block=block)


def _placed(one: _Range, block_size: int, faults: Faults) -> tuple[int, int]:
    """Return the first block of a row, and how many there are; what does not fit is a fault."""
    first, blocks = one.first, one.blocks
    if one.start is not None and one.size is not None:
        by_address = one.start // block_size, one.size // block_size
        if one.start % block_size or one.size % block_size or (first is not None and (first, blocks) != by_address):
            numbers = f" {one.cells['BLOCK']}" if first is not None else ""
            _add(faults, one.where, f"{one.cells['RANGE']} is not the place of blocks{numbers} of {block_size} bytes")
        return by_address
    if one.size is not None and blocks is not None and one.size != blocks * block_size:
        _add(faults, one.where, f"{blocks} blocks of {block_size} bytes are not {one.size} bytes")
    return first or 0, blocks or 0


def _view(cells: Mapping[str, str], usual: str | None) -> BlockView:
    removable, node = cells.get("REMOVABLE"), cells.get("NODE")
    state = _STATES[cells["STATE"].lower()] if "STATE" in cells else usual or ""
    if state != "online":
        removable = None  # lsmem looks at it where a block is online only, and its JSON has false for nothing
    return BlockView(
        0,
        state,
        zones=cells.get("ZONES"),
        node=int(node) if node and node != _NO_NODE else None,
        removable=removable.lower() in _YES if removable else None,
    )


def _take_total(
    facts: Facts, field: str, total: Total | None, size: Size | None, *, online: bool, faults: Faults
) -> None:
    """Set a total: exact by the rows, which must fit the summary; else the summary's, perhaps rounded."""
    if facts.blocks:
        exact = sum((view.state == "online") is online for view in facts.blocks) * (facts.block_size or 0)
        if size and total and not size.low <= exact <= size.high:
            _add(
                faults,
                total.where,
                f"the summary says {total.size}, but the rows hold {exact} bytes: rows are missing, or blocks of "
                "different states share a row (--split); print it with lsmem --output-all",
            )
        setattr(facts, field, exact)
        facts.places[field] = facts.places["blocks"]
    elif size and total:
        setattr(facts, field, (size.low + size.high) // 2)
        facts.places[field] = total.where
        if size.low != size.high:
            facts.remarks.append(Remark(total.where, f"{total.size} is rounded; lsmem --bytes is exact"))
