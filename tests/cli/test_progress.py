"""What stands on the terminal while an experiment runs, at times that a clock of the test's own tells."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sim.cli.console import standard_console
from sim.cli.progress import RunProgress
from sim.experiment.run import Report
from sim.experiment.run_cell import Outcome
from sim.results.failure import Stage
from sim.results.identity import CellId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

ID = CellId("0" * 32, "m", "w", "p", 0, 1)


def last_line(planned: int, found: int, outcomes: Sequence[bool], *, shown: bool = True) -> str:
    """Return what is seen in the end, where one run comes to its end every two seconds."""
    now = 0.0
    stream = io.StringIO()
    console = Console(
        file=stream, width=100, force_terminal=True, color_system=None, get_time=lambda: now, legacy_windows=False
    )
    with RunProgress(console, shown=shown) as progress:
        report = Report(Path("nowhere"), planned=planned, reused=found)
        progress.start(report)
        assert progress.report is report
        for number, completed in enumerate(outcomes):
            now += 2.0
            progress.outcome(Outcome(ID, f"run {number}", "{}", Stage.COMPLETED if completed else Stage.SIMULATE))
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in re.split(r"[\r\n]", stream.getvalue())]
    return [line for line in lines if line][-1] if any(lines) else ""


def test_the_bar_counts_what_was_there_what_came_what_failed_and_how_fast() -> None:
    # Of 12 runs 4 were there; one every two seconds makes 10 s for the other five.
    line = last_line(12, 4, [True, False, False])
    assert re.sub(r"[━╸╺ ]+", " ", line) == "Running 7/12 2 failed 0.5/s 0:00:06 0:00:10"


def test_without_failures_nothing_is_said_of_them() -> None:
    line = last_line(4, 0, [True, True, True])
    assert re.sub(r"[━╸╺ ]+", " ", line) == "Running 3/4 0.5/s 0:00:06 0:00:02"


def test_a_bar_that_is_not_wanted_shows_nothing() -> None:
    assert last_line(4, 0, [True], shown=False) == ""


def test_without_a_terminal_tables_have_120_columns_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert standard_console().width == 120
    monkeypatch.setenv("COLUMNS", "77")
    assert standard_console().width == 77


def test_a_terminal_has_the_width_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what it writes to for a terminal
    console = standard_console()
    assert console.is_terminal
    assert console.width == Console().width
