"""Text that fits: how wide it is, broken into lines, or shortened in its middle, where labels differ least."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from sim.plots.fonts import families_for, missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POINTS: Final = 72
_ROOM: Final = 1.04
"""What is drawn may be a little wider than what is measured, as letters are set to whole dots."""

_MORE: Final = "…"
_BOX: Final = "□"


def drawable(text: str) -> str:
    """Return ``text`` on one line, with a box for each letter that no font has, which would be a warning as well."""
    lacking = set(missing([text]))
    return "".join(_BOX if letter in lacking else " " if letter.isspace() else letter for letter in text)


@lru_cache(maxsize=4096)
def width(text: str, size: float, weight: str = "normal") -> float:
    """Return how wide ``text`` is at a ``size`` in points, in inches."""
    shown = drawable(text)
    font = FontProperties(family=families_for(shown), size=size, weight=weight)
    wide, _, _ = text_to_path.get_text_width_height_descent(shown, font, ismath=False)
    return float(wide) / _POINTS * _ROOM


def height(lines: int, size: float) -> float:
    """Return how high so many ``lines`` are at a ``size`` in points, in inches."""
    return 1.25 * size * lines / _POINTS


def shortened(text: str, inches: float, size: float, weight: str = "normal") -> str:
    """Return ``text``, or as much of its beginning and its end as fits into so many ``inches``."""
    text = drawable(text)
    if width(text, size, weight) <= inches:
        return text
    fits, too_many = 0, len(text)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if width(_without_middle(text, middle), size, weight) <= inches:
            fits = middle
        else:
            too_many = middle
    return _without_middle(text, fits)


def _without_middle(text: str, kept: int) -> str:
    """Return ``kept`` letters of ``text``, more of its end, where labels that are swept differ."""
    begin = kept * 2 // 5
    return f"{text[:begin].rstrip()}{_MORE}{text[len(text) - (kept - begin) :].lstrip()}"


def wrapped(text: str, inches: float, size: float, weight: str = "normal", most: int = 3) -> list[str]:
    """Return ``text`` in lines of at most so many ``inches``, and the last of at most so many lines shortened."""
    lines: list[str] = [""]
    pieces = list(_pieces(drawable(text), inches, size, weight))
    for place, piece in enumerate(pieces):
        longer = f"{lines[-1]} {piece}".lstrip()
        if not lines[-1] or width(longer, size, weight) <= inches:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(piece)
        else:
            lines[-1] = shortened(" ".join([lines[-1], *pieces[place:]]), inches, size, weight)
            break
    return lines


def _pieces(text: str, inches: float, size: float, weight: str) -> Iterator[str]:
    """Yield the words of ``text``, those that are too long for a line in pieces."""
    for word in text.split():
        rest = word
        while width(rest, size, weight) > inches:
            fits = next(n for n in range(len(rest) - 1, 0, -1) if width(rest[:n], size, weight) <= inches or n == 1)
            yield rest[:fits]
            rest = rest[fits:]
        yield rest


def distinct(labels: Sequence[str], inches: float, size: float, weight: str = "normal") -> list[str]:
    """Return ``labels`` shortened to so many ``inches``; those that would be alike get a number."""
    short = [shortened(label, inches, size, weight) for label in labels]
    found: list[str] = []
    for number, label in enumerate(short):
        if short.count(label) > 1 and len(set(labels)) > 1:
            mark = f"{number + 1}: "
            label = mark + shortened(labels[number], inches - width(mark, size, weight), size, weight)  # noqa: PLW2901
        found.append(label)
    return found


def legend_text(label: str) -> str:
    """Return ``label`` as it stands in a legend: matplotlib leaves out those that begin with an underscore."""
    return f" {label}" if label.startswith("_") else label
