"""What every chart is made of: panels, axes, keys of a legend, marks; as SVG that needs no script."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from sim.plots.colours import policy_looks
from sim.report.charts.scale import tick_text, ticks
from sim.report.environment import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DASHES: Final = 5
"""Kinds of lines in ``charts.css``, solid first; neighbours in an experiment have different ones."""

LINE_KEY: Final = "M0 5h26"
CROSS: Final = "M-5-5l10 10m0-10l-10 10"
MARKERS: Final = {
    "o": "M0 0h0",
    "s": "M-4-4h8v8h-8z",
    "^": "M0-5l5 9h-10z",
    "D": "M0-6l6 6l-6 6l-6-6z",
    "v": "M0 5l5-9h-10z",
    "P": "M-2-5h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "p": "M0-5l5 4l-2 5h-6l-2-5z",
    "h": "M0-5l4.5 2.5v5l-4.5 2.5l-4.5-2.5v-5z",
}
"""The shapes that plots name so, around 0, 0; a line of no length is a dot."""


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: which ``series`` it is about, its look and its ``label``."""

    series: int
    css: str
    label: str
    colour: str = ""
    shape: str = "line"
    d: str = LINE_KEY


@dataclass(frozen=True, slots=True)
class Panel:
    """A pair of axes, from ``bottom`` to ``top`` in ``unit``; what is drawn fills a box of ``width`` x ``height``.

    ``words`` say the same to people who do not see it. ``x`` are the ends of its own horizontal axis, where it has
    one, of ``whole`` numbers where it counts; ``pixels`` are its height where the style does not say it.
    """

    title: str
    words: str
    top: float
    unit: str
    width: int
    inner: Markup
    ticks: Markup
    marks: str = ""
    bottom: float = 0.0
    height: int = 1000
    css: str = ""
    colour: str = ""
    shape: str = ""
    x: tuple[float, float] | None = None
    pixels: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: its ``title`` says what is found, ``note`` how to read it; ``spec`` is what ``charts.js`` must know."""

    id: str
    kind: str
    title: str
    note: str
    panels: Sequence[Panel]
    legend: Sequence[Key] = ()
    spec: Mapping[str, object] = field(default_factory=dict)
    below: str = ""

    def html(self) -> Markup:
        """Return the figure."""
        return rendered("chart", chart=self)


class Looks:
    """The look of each policy of an experiment: colour and marker as in every figure, and a dash of its own besides."""

    def __init__(self, policies: Sequence[str]) -> None:
        self._looks = policy_looks(policies)
        self._numbers = {policy: number for number, policy in enumerate(policies)}

    def colour(self, policy: str) -> str:
        """Return a policy's colour by day; ``charts.css`` makes the one by night of it."""
        return self._looks[policy].colour

    def dash(self, policy: str) -> str:
        """Return the class of a policy's lines in ``charts.css``."""
        return f"d{self._numbers[policy] % DASHES}"

    def marker(self, policy: str) -> str:
        """Return the path of a policy's marker around 0, 0."""
        return MARKERS[self._looks[policy].marker]


def axes(
    x: tuple[float, float], y: tuple[float, float] | None, size: tuple[int, int], *, whole: bool = False
) -> tuple[Markup, Markup]:
    """Return the grid (for inside a box of ``size``) and the numbers of two axes; ``y`` None has none.

    Numbers of ``x`` are ``whole`` where it is of counts.
    """
    (left, right), (width, height) = x, size
    grid, texts = [], []
    for value in ticks(left, right, whole=whole):
        share = (value - left) / (right - left)
        grid.append(f"M{share * width:.5g} 0v{height}")
        texts.append(f'<text class="x" x="{100 * share:.4g}%" y="100%" dy="16">{tick_text(value)}</text>')
    for value in ticks(*y, 3) if y is not None else ():
        share = (y[1] - value) / (y[1] - y[0]) if y is not None else 0
        grid.append(f"M0 {share * height:.5g}h{width}")
        texts.append(f'<text class="y" x="0" y="{100 * share:.4g}%" dx="-6" dy="4">{tick_text(value)}</text>')
    # Numbers alone: nothing of what users write is in these.
    return Markup(f'<path class="grid" d="{"".join(grid)}"/>'), Markup("".join(texts))  # noqa: S704


def mark(share: tuple[float, float], path: str, css: str, colour: str, label: str = "") -> Markup:
    """Return a mark at shares of the width and the height (from above), which keeps its size whatever is zoomed."""
    x, y = (f"{100 * each:.4g}%" for each in share)
    text = Markup('<text x="9" y="4">{}</text>').format(label) if label else Markup()
    return Markup(
        '<svg class="mark {}" color="{}" x="{}" y="{}" data-x="{:.5g}" data-y="{:.5g}"><path d="{}"/>{}</svg>'
    ).format(css, colour, x, y, *share, path, text)
