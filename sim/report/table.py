"""Tables of the page: as HTML at once, or as data from which the script makes the same table when somebody looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sim.report.environment import rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

Look = Literal["", "good", "bad", "same"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell, and in small letters ``below`` it and a ``gap`` that looks as ``look`` says.

    Columns sort by ``value``, by the text where it is None; NaN comes last. ``link`` is an anchor of the page.
    """

    text: str
    value: float | None = None
    below: str = ""
    gap: str = ""
    look: Look = ""
    link: str = ""

    @property
    def sort(self) -> str | None:
        """The value as it is written in the page: six digits tell apart what anybody can see."""
        if self.value is None:
            return None
        return "" if math.isnan(self.value) else f"{self.value:.6g}".replace("inf", "Infinity")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a ``caption``; the first cell of a row is its heading.

    ``words`` are the columns (by number) of words, which are not aligned as numbers are. People can sort it by each
    column, and show only rows with the words that they type where ``rows_are`` says what rows stand for.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: frozenset[int] = frozenset()
    rows_are: str = ""

    def html(self) -> Markup:
        """Return it as HTML."""
        return rendered("table", table=self)

    def data(self) -> dict[str, Any]:
        """Return it as JSON values for ``memhpTable`` of ``tables.js``: a cell with nothing but text is a string."""
        return {
            "caption": self.caption,
            "heads": list(self.heads),
            "words": sorted(self.words),
            "about": self.rows_are,
            "rows": [[_packed(cell) for cell in row] for row in self.rows],
        }


def _packed(cell: Cell) -> str | list[str | None]:
    packed: list[str | None] = [cell.text, cell.sort, cell.below, cell.gap, cell.look, cell.link]
    while len(packed) > 1 and not packed[-1]:
        packed.pop()
    return cell.text if len(packed) == 1 else packed
