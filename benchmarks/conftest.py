"""Prints every figure that a benchmark finds, in a table at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_FIGURES: list[tuple[str, float, float]] = []


@pytest.fixture
def report() -> Callable[[str, float, float], None]:
    """Return a function that notes a figure (what, value, most allowed) and fails the benchmark where it is above."""

    def note(what: str, value: float, most: float) -> None:
        _FIGURES.append((what, value, most))
        assert value <= most, f"{what}: {value:.2f}, more than {most:g}"

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table."""
    if _FIGURES:
        terminalreporter.section("figures")
        width = max(len(what) for what, _, _ in _FIGURES)
        for what, value, most in _FIGURES:
            terminalreporter.write_line(f"{what:<{width}}  {value:8.2f}  (at most {most:g})")
