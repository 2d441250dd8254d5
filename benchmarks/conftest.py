"""Holds every figure against its limit, and prints them in a table at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.figures import FIGURES, Figure
from benchmarks.goals import GOALS

if TYPE_CHECKING:
    from collections.abc import Callable


def _hold(figure: Figure) -> None:
    FIGURES.append(figure)
    assert figure.value <= figure.most, f"{figure.what}: {figure.value:.4g}, more than {figure.most:.4g}"


@pytest.fixture
def report() -> Callable[[str, float, float], None]:
    """Return a function that notes a figure (what, value, most allowed) and fails the benchmark where it is above."""
    return lambda what, value, most: _hold(Figure(what, value, most))


@pytest.fixture
def goal(request: pytest.FixtureRequest) -> Callable[[float], None]:
    """Return a function that holds a figure against the goal that has the benchmark's name."""
    name = request.node.name.removeprefix("test_")
    row = GOALS[name]
    return lambda value: _hold(Figure(row.what, value, row.most, name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table."""
    if FIGURES:
        terminalreporter.section("figures")
        width = max(len(figure.what) for figure in FIGURES)
        for figure in FIGURES:
            verdict = "" if figure.value <= figure.most else "  TOO MUCH"
            limit = f"(at most {figure.most:.4g})"
            terminalreporter.write_line(f"{figure.what:<{width}}  {figure.value:8.4g}  {limit}{verdict}")
