"""What all figures of an experiment have: what they find, what they show, and a limit to what one can look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.layout_engine import ConstrainedLayoutEngine

from sim.analysis.ranking import FAILED_MARK
from sim.plots.lettering import wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario

MOST_POLICIES: Final = 12
"""Panels beyond which a figure cannot be read; the first ones of the experiment are drawn, and the heading says so."""

MOST_ROWS: Final = 24
"""Rows of policies, likewise."""

CUT_NOTE: Final = "not all axes begin at 0"

FINDING: Final = "finding"
"""Marks the text that says what a figure finds."""

_FINDING_SIZE: Final = 13.5
_KIND_SIZE: Final = 10.5
_NOTE_SIZE: Final = 9.5
_EDGE: Final = 0.12
_PLANNED: Final = 0.75
"""Inches that figures have for the heading; a higher one makes them higher."""


def heading(
    figure: Figure, finding: str, kind: str, scenario: Scenario, *notes: str, most: int | None = MOST_POLICIES
) -> None:
    """Write what the figure finds, smaller what it shows, and how to read it; the panels get the rest of the figure.

    After ``notes`` comes what the mark of policies that fail stands for, where one does. To be called when all else is
    in the figure.
    """
    present = len(scenario.present)
    drawn = f"{most} of {present} policies are drawn" if most is not None and present > most else ""
    told(figure, finding, f"{kind}: {scenario.title}", *notes, _failed_note(scenario), drawn)


def told(figure: Figure, finding: str, shown: str, *notes: str) -> None:
    """Write a heading of any figure: what it finds, what is ``shown`` and ``notes``, each in lines that fit."""
    inches = figure.get_figwidth() - 2 * _EDGE
    parts = [(finding, _FINDING_SIZE, "bold", "black"), (shown, _KIND_SIZE, "bold", "#555555")]
    parts += [(note, _NOTE_SIZE, "normal", "#444444") for note in notes if note]
    texts = [(wrapped(text, inches, size, weight), size, weight, colour) for text, size, weight, colour in parts]
    total = _EDGE + sum(_step(size) * len(lines) for lines, size, _, _ in texts) + 0.08
    # Panels keep the size that they were given.
    figure.set_figheight(high := figure.get_figheight() + max(0.0, total - _PLANNED))
    top = _EDGE
    for lines, size, weight, colour in texts:
        for line in lines:
            text = figure.text(_EDGE / figure.get_figwidth(), 1 - top / high, line, va="top", fontsize=size)
            text.set(fontweight=weight, color=colour, gid=FINDING if size == _FINDING_SIZE else None)
            top += _step(size)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1 - total / high))


def _step(size: float) -> float:
    """Return by how many inches a line of a ``size`` in points is below the one above."""
    return 1.45 * size / 72


def dead_note(scenario: Scenario) -> str:
    """Return what lines and maps show of guests that died; nothing where none did."""
    return "a guest that died keeps the memory that it had" if (scenario.runs["died"] > 0).any() else ""


def _failed_note(scenario: Scenario) -> str:
    if not any(how.failed for how in scenario.failures.values()):
        return ""
    in_how_many = "in so many of the replications" if scenario.replications > 1 else ""
    return f"{FAILED_MARK}: failed {in_how_many}".rstrip() + " (guest died, kernel out of memory, or memory not added)"
