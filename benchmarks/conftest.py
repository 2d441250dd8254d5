"""Holds every figure against its limit, and prints them in a table at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.goals import GOALS

if TYPE_CHECKING:
    from collections.abc import Callable

FIGURES: Final[list[tuple[str, float, float]]] = []
"""What was measured: what, its value, and the most that it may be."""


@pytest.fixture
def report() -> Callable[[str, float, float], None]:
    """Return a function that notes a figure (what, value, most allowed) and fails the benchmark where it is above."""

    def note(what: str, value: float, most: float) -> None:
        FIGURES.append((what, value, most))
        assert value <= most, f"{what}: {value:.2f}, more than {most:g}"

    return note


@pytest.fixture
def goal(request: pytest.FixtureRequest, report: Callable[[str, float, float], None]) -> Callable[[float], None]:
    """Return a function that holds a figure against the goal that has the benchmark's name."""
    row = GOALS[request.node.originalname.removeprefix("test_")]
    return lambda value: report(row.what, value, row.most)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table."""
    if FIGURES:
        terminalreporter.section("figures")
        width = max(len(what) for what, _, _ in FIGURES)
        for what, value, most in FIGURES:
            verdict = "" if value <= most else "  TOO MUCH"
            terminalreporter.write_line(f"{what:<{width}}  {value:8.4g}  (at most {most:.4g}){verdict}")
