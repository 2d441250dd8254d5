"""What ``memhp-sim run`` shows in the end: tables first, then the plots that are drawn, then where everything is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from sim.cli.console import standard_console
from sim.starting.text import typed
from sim.units import counted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from rich.console import Console

    from sim.experiment.plan import Experiment
    from sim.experiment.run import Report
    from sim.results.store import ResultStore

MOST_RUNS_DRAWN: Final = 1000
"""Runs up to which plots, for which the series of all of them are read, are drawn without being asked for."""


@dataclass(frozen=True, slots=True)
class Plots:
    """What was said of plots: whether there shall be any (None: unless there are many), of which kinds, as what."""

    asked: bool | None
    kinds: tuple[str, ...]
    formats: tuple[str, ...]

    def why_not(self, scenarios: int, runs: int) -> str | None:
        """Return why there are none of so many runs; empty where that was asked for, None where they are drawn."""
        if self.asked is not None or self.kinds:
            return None if self.asked in (None, True) else ""
        from sim.analysis.wording import MOST_SCENARIOS

        if scenarios > MOST_SCENARIOS:
            return "They are too many to draw, too; --plots draws them."
        if runs > MOST_RUNS_DRAWN:
            return "There are too many runs to draw without being asked to; --plots draws them."
        return None

    def draw(self, experiment: Experiment, report: Report, store: ResultStore, comparison: pd.DataFrame | None) -> str:
        """Have the plots drawn that are not there yet, and return where they are and how many."""
        folder = report.folder / "plots"
        with standard_console(stderr=True).status("Drawing plots"):
            from sim.analysis.regret import bound
            from sim.plots.files import save_all

            paths = save_all(
                store,
                folder,
                experiment.policies,
                bound(experiment),
                experiment.baseline,
                self.kinds,
                comparison,
                self.formats,
            )
        many = counted(len(paths) // len(self.formats), "plot")
        written = " and ".join(each.upper() for each in self.formats)
        more = "" if self.kinds else "; --draw all draws every kind"
        where = f"{folder}/ ({many}, {'each ' if len(self.formats) > 1 else ''}as {written}{more})"
        return "\n".join([where, *_without_font(experiment)])


def _without_font(experiment: Experiment) -> list[str]:
    """Return a sentence on the letters of labels that no font has, where there are such."""
    labels = [*experiment.policies, *(label for pair in experiment.scenarios for label in pair)]
    if all(label.isascii() for label in labels):
        return []
    from sim.analysis.wording import some_of
    from sim.plots.fonts import missing

    lacking = missing(labels)
    return [f"No installed font has {some_of(lacking, 10, ' ')}: plots have a box for each."] if lacking else []


def show_results(experiment: Experiment, report: Report, *, plots: Plots, scores: tuple[str, ...]) -> None:
    """Print the comparison, of ``scores`` too; draw the plots; say where everything is."""
    from sim.analysis.compare import HEADLINE_SCORES, compare
    from sim.analysis.wording import MOST_SCENARIOS
    from sim.results.store import ResultStore

    console = standard_console()
    store = ResultStore(report.folder)
    runs = store.runs()
    shown = [*HEADLINE_SCORES, *(name for name in scores if name not in HEADLINE_SCORES)]
    scenarios = len(runs[["machine", "workload"]].drop_duplicates())
    comparison = None
    if scenarios <= MOST_SCENARIOS:
        comparison = compare(runs, experiment.baseline, shown, policies=experiment.policies)
    why_not = plots.why_not(scenarios, report.done)
    if comparison is not None:
        _print_tables(console, experiment, runs, comparison, scores, scenarios)
    else:
        console.print(f"{scenarios} workloads on machines are too many to print; all scores are in the table runs.")
    if why_not:
        console.print(why_not)
    if why_not is None:
        where = plots.draw(experiment, report, store, comparison)
        click.echo(f"Plots     {where}")
    _say_where(report.folder)


def _print_tables(
    console: Console,
    experiment: Experiment,
    runs: pd.DataFrame,
    comparison: pd.DataFrame,
    scores: tuple[str, ...],
    scenarios: int,
) -> None:
    """Print what policies do, and what is lost against the one that knows what comes, where there is one."""
    from sim.analysis.compare import compare
    from sim.analysis.regret import OBJECTIVE, bound, what_was_proved
    from sim.cli.tables import print_comparison

    against = bound(experiment)
    print_comparison(console, comparison, runs, experiment.scenarios, bound=against, asked=scores)
    if against is None:
        return
    if against != experiment.baseline:
        console.print(f"Regret: what is lost against {against}, which knows what comes", style="bold", markup=False)
        lost = compare(runs, against, [OBJECTIVE], policies=experiment.policies)
        print_comparison(console, lost, runs, experiment.scenarios, brief=True)
    for (machine, workload), words in what_was_proved(runs, against).items():
        where = "" if scenarios == 1 else f" ({workload} on {machine})"
        console.print(f"{words}{where}", markup=False)


def _say_where(folder: Path) -> None:
    """Say where everything is, and what shows more of it."""
    name = typed(folder)
    for line in (
        f"Tables    {folder}/ (runs, series, events, timings: Parquet)",
        f"Manifest  {folder / 'manifest.json'}; beside it experiment.toml, every default filled in",
        f"Compare   memhp-sim compare {name} shows every score",
        f"Report    memhp-sim report {name} writes one HTML file to read and to pass on",
    ):
        click.echo(line)
