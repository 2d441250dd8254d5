"""Tables of columns with a heading for each group, cut into pieces that fit a terminal; labels' too long words, too."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from sim.cli.outputs import showable
from sim.cli.wrapping import widest_part, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UNBROKEN: Final = "\N{NO-BREAK SPACE}"
"""A blank in a label or a heading at which no line ends."""

GAP: Final = 2
"""Blanks between columns."""

_NARROW: Final = 12
"""Characters up to which a heading that is longer than its column's cells widens it."""

_LABELS: Final = 0.35
"""Share of the width that labels get, unless a word of theirs needs more."""


_LONGEST: Final = 0.5
"""Share of the width beyond which a word of a label is cut: the rest is for what the table is about."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the ``group`` that it is in, its ``heading``, and the lines of each row's cell by the row's key.

    Where there is no room for all, those of a higher ``rank`` are left out first, and those of rank 0 never.
    """

    group: str
    heading: str
    cells: Mapping[str, Sequence[Text]]
    rank: int = 0

    @property
    def width(self) -> int:
        """Characters that it takes."""
        lines = (line.cell_len for cell in self.cells.values() for line in cell)
        words = (len(word) for word in (*self.heading.split(" "), *self.group.split()))
        return max(*words, min(len(self.heading), _NARROW), *lines)


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its ``key`` in the columns and its ``label``; or, without a label, a line of ``key`` through the table."""

    key: str
    label: Text | None


def table_lines(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Iterator[Text]:
    """Yield the lines of the table, in pieces of at most ``width`` characters where a column allows it."""
    first = _label_width(rows, width)
    for number, piece in enumerate(_pieces(columns, width - first)):
        if number:
            yield Text()
        yield from _headings(piece, first)
        for row in rows:
            yield from _row(row, piece, first)


def with_room(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[Column]:
    """Return those of ``columns`` that take no more pieces than the ones of rank 0 do, which are among them."""
    room = width - _label_width(rows, width)
    kept = [column for column in columns if not column.rank]
    most = max(1, sum(1 for _ in _pieces(kept, room)))
    for column in sorted((column for column in columns if column.rank), key=lambda column: column.rank):
        more = [each for each in columns if each is column or each in kept]
        if sum(1 for _ in _pieces(more, room)) <= most and column.width + GAP <= room:
            kept = more
    return kept


def _label_width(rows: Sequence[Row], width: int) -> int:
    """Return how many of ``width`` characters the rows' labels get."""
    labels = [row.label for row in rows if row.label is not None]
    parts = [showable(part) for label in labels for part in label.plain.split("\n")]
    unbroken = min(max(map(widest_part, parts), default=0), int(width * _LONGEST))
    return min(max(map(cell_len, parts), default=0), max(unbroken, int(width * _LABELS)))


def _pieces(columns: Sequence[Column], room: int) -> Iterator[list[Column]]:
    """Split ``columns`` so that each piece fits, groups together where one fits at all."""
    piece: list[Column] = []
    groups = [[each for each in columns if each.group == group] for group in dict.fromkeys(c.group for c in columns)]
    for group in groups:
        if piece and _width([*piece, *group]) > room:
            yield piece
            piece = []
        for column in group:
            if piece and _width([*piece, column]) > room:
                yield piece
                piece = []
            piece.append(column)
    if piece:
        yield piece


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + GAP for column in columns)


def _headings(columns: Sequence[Column], first: int) -> Iterator[Text]:
    """Yield the lines above the rows: over each group its name, over each column its heading."""
    groups = list(dict.fromkeys(column.group for column in columns))
    spans = [_width([each for each in columns if each.group == group]) - GAP for group in groups]
    names = [textwrap.wrap(group, span) or [""] for group, span in zip(groups, spans, strict=True)]
    for level in range(max(map(len, names)) if any(groups) else 0):
        line = Text(" " * first)
        for name, span in zip(names, spans, strict=True):
            line.append(" " * GAP + (name[level] if level < len(name) else "").ljust(span), style="italic")
        yield _without_end(line)
    titles = [textwrap.wrap(column.heading, column.width) for column in columns]
    height = max(map(len, titles))
    for level in range(height):
        line = Text(" " * first)
        for title, column in zip(titles, columns, strict=True):
            # The last lines stand side by side.
            place = level - (height - len(title))
            words = title[place].replace(UNBROKEN, " ") if place >= 0 else ""
            line.append(" " * GAP + words.rjust(column.width), style="bold")
        yield _without_end(line)
    rule = "─" * first + "".join(" " * GAP + "─" * span for span in spans)
    yield Text(rule, style="dim")


def _row(row: Row, columns: Sequence[Column], first: int) -> Iterator[Text]:
    if row.label is None:
        yield from (Text(line, style="bold red") for line in textwrap.wrap(row.key, max(first + _width(columns), 1)))
        return
    label = [part for line in row.label.split("\n") for part in _wrapped(line, first)]
    cells = [list(column.cells.get(row.key, ())) for column in columns]
    for level in range(max(len(label), *map(len, cells))):
        line = label[level].copy() if level < len(label) else Text()
        line.pad_right(first - line.cell_len)
        for cell, column in zip(cells, columns, strict=True):
            content = cell[level] if level < len(cell) else Text()
            line.append(" " * (GAP + column.width - content.cell_len)).append_text(content)
        yield _without_end(line)


def _wrapped(text: Text, width: int) -> list[Text]:
    """Return ``text`` in lines, each with the style of its beginning."""
    lines = wrapped(showable(text.plain), max(width, 1))
    style = text.spans[0].style if text.spans else text.style
    return [Text(line.replace(UNBROKEN, " "), style=style) for line in lines] or [Text()]


def _without_end(line: Text) -> Text:
    line.rstrip()
    return line
