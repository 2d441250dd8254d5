"""``memhp-sim run``: an experiment from its file to results, tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.console import Console

    from sim.experiment.plan import Experiment
    from sim.experiment.run import Report


@click.command()
@click.argument("file", type=click.Path())
@click.option(
    "--out", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder for results."
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes to run in.  [default: all cores]")
@click.option("--force", is_flag=True, help="Run everything again, also what is there.")
@click.option(
    "--replication",
    "replications",
    type=click.IntRange(0, 2**32 - 1),
    multiple=True,
    metavar="K",
    help="Only replication K (from 0). Can be given again.",
)
@click.option("--no-progress", is_flag=True, help="No progress bar. There is none without a terminal.")
@click.option("--no-plots", is_flag=True, help="No plots.")
def run(
    file: str,
    out: Path,
    workers: int | None,
    replications: tuple[int, ...],
    *,
    force: bool,
    no_progress: bool,
    no_plots: bool,
) -> None:
    """Run the experiment FILE: every policy on every workload, compared and plotted.

    What the results folder has already is not run again. A run that fails does not stop the others; it is reported, and
    the exit code is 1.
    """
    from rich.console import Console

    from sim.cli import FAILED, INTERRUPTED
    from sim.cli_progress import RunProgress
    from sim.experiment.executors import local
    from sim.experiment.load import load
    from sim.experiment.run import run as run_experiment

    experiment = load(file)
    if replications:
        experiment = experiment.only(tuple(sorted(set(replications))))
    errors = Console(stderr=True, highlight=False)
    progress = RunProgress(errors, shown=not no_progress and errors.is_terminal)
    try:
        with progress:
            report = run_experiment(
                experiment,
                out,
                workers=local(workers, apart=experiment.cell_timeout is not None),
                force=force,
                on_start=progress.start,
                on_outcome=progress.outcome,
            )
    except KeyboardInterrupt:
        kept = f" {progress.report.summary()}; the same command goes on from there." if progress.report else ""
        click.echo(f"Interrupted.{kept}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    _report_failures(report, errors)
    if report.done:
        _show_results(experiment, report, plots=not no_plots)
    click.echo(report.summary())
    if report.failed:
        raise click.exceptions.Exit(FAILED)


_FAILURES_SHOWN: Final = 10
WIDTH_WITHOUT_TERMINAL: Final = 120


def _report_failures(report: Report, console: Console) -> None:
    from rich.text import Text

    for outcome in report.failed[:_FAILURES_SHOWN]:
        console.print(Text.assemble(("failed ", "red"), f"{outcome.cell}: {outcome.stage}: {outcome.error}"))
    if len(report.failed) > _FAILURES_SHOWN:
        console.print(f"... and {len(report.failed) - _FAILURES_SHOWN} more; see the table runs in {report.folder}")


def _show_results(experiment: Experiment, report: Report, *, plots: bool) -> None:
    from rich.console import Console

    from sim.analysis.compare import compare
    from sim.cli_tables import print_comparison
    from sim.results.store import ResultStore

    store = ResultStore(report.folder)
    comparison = compare(store.runs(), experiment.baseline, policies=experiment.policies)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    print_comparison(console, comparison)
    if plots:
        from sim.analysis.plots import save_all

        drawn = save_all(store, report.folder / "plots", experiment.policies)
        console.print(f"{len(drawn)} plots (PNG and SVG)   {report.folder / 'plots'}")
    console.print(f"Tables (Parquet)          {report.folder}/runs, series, events, timings")
    console.print(f"Manifest, experiment      {report.folder / 'manifest.json'}, {report.folder / 'experiment.toml'}")
