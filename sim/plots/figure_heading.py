"""What all figures of an experiment have: a heading, and a limit to what a person can look at."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from matplotlib.layout_engine import ConstrainedLayoutEngine

from sim.analysis.ranking import FAILED_MARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario

MOST_POLICIES: Final = 12
"""Panels beyond which a figure cannot be read; the first ones of the experiment are drawn, and the heading says so."""


def heading(figure: Figure, title: str, scenario: Scenario, *notes: str, most: int | None = MOST_POLICIES) -> None:
    """Write what the figure shows, and below it, smaller, how to read it; the panels get the rest of the figure.

    After ``notes`` comes what the mark of policies that fail stands for, where one does.
    """
    present = len(scenario.present)
    drawn = f"the first {most} of {present} policies" if most is not None and present > most else ""
    characters = int(figure.get_figwidth() * 13.5)  # of 10 points, in the figure's width
    lines = [line for text in (*notes, _failed_note(scenario), drawn) for line in textwrap.wrap(text, characters)]
    above, first, below = 0.08, 0.27, 0.2  # inches: margin, title, each line below it
    height = figure.get_figheight()
    figure.text(0.012, 1 - above / height, f"{title}: {scenario.title}", va="top", fontsize=14, fontweight="bold")
    for row, text in enumerate(lines):
        top = above + first + below * row
        figure.text(0.012, 1 - top / height, text, va="top", fontsize=10, color="#444444")
    head = (above + first + below * len(lines) + 0.06) / height
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1 - head))


def dead_note(scenario: Scenario) -> str:
    """Return what lines and maps show of guests that died; nothing where none did."""
    return "a guest that died keeps the memory that it had" if (scenario.runs["died"] > 0).any() else ""


def _failed_note(scenario: Scenario) -> str:
    if not any(how.failed for how in scenario.failures.values()):
        return ""
    in_how_many = "in so many of the replications" if scenario.replications > 1 else ""
    return f"{FAILED_MARK}: failed {in_how_many}".rstrip() + " (guest died, kernel out of memory, or memory not added)"
