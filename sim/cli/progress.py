"""What a person sees while an experiment runs: a bar with runs done and failed, the rate and the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from sim.experiment.run import Report
    from sim.experiment.run_cell import Outcome


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return the runs per second so far."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class _Progress:
    """A line of ``columns`` on ``console``; nothing at all where not ``shown``."""

    def __init__(self, console: Console, *columns: ProgressColumn, shown: bool) -> None:
        self._shown = shown
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("Starting", total=None, failed="")
        self._failed = 0

    def _count(self, outcome: Outcome) -> str:
        """Count a run, and return how many failed, in words."""
        self._failed += not outcome.completed
        return f"{self._failed} failed" if self._failed else ""

    def __enter__(self) -> Self:
        if self._shown:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._bar.stop()


class RunProgress(_Progress):
    """The progress of one experiment."""

    def __init__(self, console: Console, *, shown: bool) -> None:
        super().__init__(
            console,
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            shown=shown,
        )
        self.report: Report | None = None

    def start(self, report: Report) -> None:
        """Show how many runs there are, and how many of them were there already."""
        self.report = report
        self._bar.update(self._task, description="Running", total=report.planned, completed=report.reused)

    def outcome(self, outcome: Outcome) -> None:
        """Count a run."""
        # Fewer than at the start where nothing turned out to be random.
        planned = self.report.planned if self.report else None
        self._bar.update(self._task, advance=1, failed=self._count(outcome), total=planned)


class SearchProgress(_Progress):
    """The progress of something of which nobody knows how much there is: what is looked at, and ``runs`` so far."""

    def __init__(self, console: Console, *, shown: bool) -> None:
        super().__init__(
            console,
            TextColumn("{task.description}"),
            TextColumn("{task.completed} runs"),
            TextColumn("[red]{task.fields[failed]}"),
            _Rate(),
            TimeElapsedColumn(),
            shown=shown,
        )
        self.runs = 0

    def scenario(self, name: str) -> None:
        """Show what is looked at."""
        from rich.markup import escape

        self._bar.update(self._task, description=escape(name))

    def outcome(self, outcome: Outcome) -> None:
        """Count a run."""
        self.runs += 1
        self._bar.update(self._task, advance=1, failed=self._count(outcome))
