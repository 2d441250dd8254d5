"""``memhp-sim run`` and ``rerun``: an experiment from its file, or a manifest, to results, tables and plots."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sim.cli.choosing import chosen_scores
from sim.cli.console import print_notes, standard_console
from sim.cli.settings import set_option

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from rich.console import Console

    from sim.analysis.until import Until
    from sim.experiment.plan import Experiment
    from sim.experiment.run import Report
    from sim.results.failure import Stage
    from sim.results.store import ResultStore


_Command = TypeVar("_Command", bound="Callable[..., None]")

MOST_ADDED: Final = 100_000
"""Most replications that ``--most-replications`` takes."""


def _chosen_kinds(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the kinds of figures in the value of ``--draw``. Raises BadParameter with those that there are."""
    if text is None:
        return ()
    from sim.plots.registry import KINDS

    if text == "all":
        return KINDS
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in KINDS]:
        raise click.BadParameter(f"there is no plot {', '.join(map(repr, unknown))}; there are: {', '.join(KINDS)}")
    return names


def _options(command: _Command) -> _Command:
    """Add the options that everything that runs an experiment has."""
    for option in (
        click.option("--plots/--no-plots", default=None, help="Draw plots.  [default: unless there are very many]"),
        click.option(
            "--draw",
            "kinds",
            callback=_chosen_kinds,
            metavar="KIND,...",
            help="Draw these kinds of plots, by their names in docs/plots.md; 'all' draws every one.",
        ),
        click.option(
            "--scores",
            callback=chosen_scores,
            metavar="NAME,...",
            help="Show these scores too, by their names in docs/scores.md; 'all' shows every one.",
        ),
        click.option("--no-progress", is_flag=True, help="No progress bar. There is none without a terminal."),
        click.option("--force", is_flag=True, help="Run everything again, also what is there."),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Run on the workers of the Dask scheduler at tcp://HOST:PORT; 'local' starts one on this machine.",
        ),
        click.option("--workers", type=click.IntRange(1, 1024), help="Processes to run in.  [default: all cores]"),
        click.option(
            "--out", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder for results."
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path())
@set_option
@click.option(
    "--replication",
    "replications",
    type=click.IntRange(0, 2**32 - 1),
    multiple=True,
    metavar="K",
    help="Only replication K (from 0). Can be given again.",
)
@click.option(
    "--until",
    "width",
    type=click.FloatRange(min=0, min_open=True),
    metavar="POINTS",
    help="Add replications until it is known to ± POINTS (percentage points) how much more or less comes back than with"
    " the baseline, for every policy that never fails.",
)
@click.option(
    "--most-replications",
    "most",
    type=click.IntRange(1, MOST_ADDED),
    metavar="N",
    help="With --until: no more than N for a workload on a machine.  [default: 200]",
)
@_options
def run(
    file: str,
    settings: dict[str, Any],
    replications: tuple[int, ...],
    width: float | None,
    most: int | None,
    **options: Any,  # noqa: ANN401  see _perform
) -> None:
    """Run the experiment FILE: every policy on every workload, compared and plotted.

    What the results folder has already is not run again. A run that fails does not stop the others; it is reported, and
    the exit code is 1.
    """
    from sim.experiment.load import load

    if width is None and most is not None:
        raise click.UsageError("--most-replications says where --until is to stop; without --until nothing is added")
    if width is not None and replications:
        raise click.UsageError("--until adds replications, --replication names those to run; choose one")
    experiment = load(file, settings=settings)
    if replications:
        experiment = experiment.only(tuple(sorted(set(replications))))
    _perform(experiment, until=_until(width, most), **options)


def _until(width: float | None, most: int | None) -> Until | None:
    """Return what adds replications; None where nothing is to."""
    if width is None:
        return None
    from sim.analysis.until import MOST_REPLICATIONS, Until

    return Until(width, MOST_REPLICATIONS if most is None else most)


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@_options
def rerun(manifest: Path, **options: Any) -> None:  # noqa: ANN401  see _perform
    """Run again what a MANIFEST (or the folder that it is in) describes, with nothing but the manifest.

    Says so where the manifest was written by another version of the program, as results may differ then.
    """
    from sim.experiment.load import load
    from sim.faults import Fault, InputError
    from sim.results.identity import code_version
    from sim.results.manifest import read_manifest

    try:
        written = read_manifest(manifest)
        replications = tuple(int(number) for number in written["seeds"]["replications"])
        config, code = dict(written["config"]), str(written["program"]["code"])
        settings = dict(written.get("set", {}))
        until = written.get("until")
        until = None if until is None else _until(float(until["width"]), int(until["most"]))
    except (ValueError, KeyError, TypeError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else str(error).removeprefix(f"{manifest} ")
        raise InputError(str(manifest), [Fault("", what)]) from error
    experiment = replace(load(config, folder=manifest.parent), settings=settings)
    if replications != experiment.replications:
        experiment = experiment.only(replications)
    if code != code_version():
        click.echo(f"Note: written by version {code}, this is {code_version()}; results may differ.", err=True)
    _perform(experiment, until=until, **options)


def _perform(  # noqa: PLR0913  one argument for each option
    experiment: Experiment,
    *,
    out: Path,
    workers: int | None,
    scheduler: str | None,
    force: bool,
    no_progress: bool,
    plots: bool | None,
    kinds: tuple[str, ...],
    scores: tuple[str, ...],
    until: Until | None,
) -> None:
    """Run ``experiment``, show what came of it, and leave with exit code 1 where runs failed."""
    from sim.cli.main import FAILED, INTERRUPTED
    from sim.cli.progress import RunProgress
    from sim.experiment.choose_workers import choose_workers
    from sim.experiment.run import run as run_experiment

    if workers is not None and scheduler not in (None, "local"):
        raise click.UsageError("--workers says how many processes to start here; the scheduler has its own workers")

    errors = standard_console(stderr=True)
    print_notes(errors, experiment.notes)
    progress = RunProgress(errors, shown=not no_progress and errors.is_terminal)
    try:
        with progress:
            report = run_experiment(
                experiment,
                out,
                workers=choose_workers(workers, scheduler, apart=experiment.cell_timeout is not None),
                force=force,
                extension=until,
                on_start=progress.start,
                on_outcome=progress.outcome,
            )
    except KeyboardInterrupt:
        kept = f" {progress.report.summary()}; the same command goes on from there." if progress.report else ""
        click.echo(f"Interrupted.{kept}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    _report_failures(report, errors)
    if report.done:
        _show_results(experiment, report, plots=plots, kinds=kinds, scores=scores)
        if until is not None:
            _tell_until(until, experiment, report)
    click.echo(report.summary())
    if report.failed:
        raise click.exceptions.Exit(FAILED)


def _tell_until(until: Until, experiment: Experiment, report: Report) -> None:
    """Say where replications were not enough."""
    from sim.results.store import ResultStore

    for sentence in until.outcome(experiment, ResultStore(report.folder).runs()):
        standard_console().print(sentence, markup=False)


_REASONS_SHOWN: Final = 10
MOST_RUNS_DRAWN: Final = 1000
"""Runs up to which plots, for which the series of all of them are read, are drawn without being asked for."""


def _report_failures(report: Report, console: Console) -> None:
    """Tell what failed, each reason once with the first run that it stopped."""
    from rich.text import Text

    reasons: dict[tuple[Stage, str], list[str]] = {}
    for outcome in report.failed:
        reasons.setdefault((outcome.stage, outcome.error), []).append(outcome.cell)
    for (stage, error), cells in list(reasons.items())[:_REASONS_SHOWN]:
        more = f", and {len(cells) - 1} more" if len(cells) > 1 else ""
        where = f" ({stage.value}): {error}\n  {cells[0]}{more}"
        console.print(Text.assemble(("failed", "red"), where), soft_wrap=True)
    if len(reasons) > _REASONS_SHOWN:
        more = f"... and {len(reasons) - _REASONS_SHOWN} more reasons; see the table runs in {report.folder}"
        console.print(more, markup=False, soft_wrap=True)


def _show_results(
    experiment: Experiment, report: Report, *, plots: bool | None, kinds: tuple[str, ...], scores: tuple[str, ...]
) -> None:
    """Print the comparison, of ``scores`` too; draw the plots (where None: unless many); say where everything is.

    Plots of ``kinds`` are asked for, unless ``plots`` says that there shall be none.
    """
    plots = True if kinds and plots is None else plots
    from sim.analysis.compare import HEADLINE_SCORES, compare
    from sim.analysis.regret import OBJECTIVE, bound, what_was_proved
    from sim.analysis.wording import MOST_SCENARIOS
    from sim.cli.tables import print_comparison
    from sim.results.store import ResultStore

    console = standard_console()
    store = ResultStore(report.folder)
    runs = store.runs()
    shown = [*HEADLINE_SCORES, *(name for name in scores if name not in HEADLINE_SCORES)]
    scenarios = len(runs[["machine", "workload"]].drop_duplicates())
    comparison = None
    if scenarios <= MOST_SCENARIOS:
        comparison = compare(runs, experiment.baseline, shown, policies=experiment.policies)
    # Files first: whoever reads the tables through a pipe may stop reading.
    drawn = None
    if plots or (plots is None and scenarios <= MOST_SCENARIOS and report.done <= MOST_RUNS_DRAWN):
        drawn = _draw(experiment, report, store, kinds, comparison)
    if comparison is not None:
        print_comparison(console, comparison, runs, experiment.scenarios, bound=bound(experiment), asked=scores)
        against = bound(experiment)
        if against not in (None, experiment.baseline):
            console.print(f"Regret: what is lost against {against}, which knows what comes", style="bold", markup=False)
            comparison = compare(runs, against, [OBJECTIVE], policies=experiment.policies)
            print_comparison(console, comparison, runs, experiment.scenarios, brief=True)
        if against is not None:
            for (machine, workload), words in what_was_proved(runs, against).items():
                where = "" if scenarios == 1 else f" ({workload} on {machine})"
                console.print(f"{words}{where}", markup=False)
    else:
        console.print(f"{scenarios} workloads on machines are too many to print; all scores are in the table runs.")
    if plots is None and scenarios > MOST_SCENARIOS:
        console.print("They are too many to draw, too; --plots draws them.")
    elif plots is None and report.done > MOST_RUNS_DRAWN:
        console.print("There are too many runs to draw without being asked to; --plots draws them.")
    elif drawn is not None:
        console.print(
            f"Plots     {report.folder}/plots/ ({drawn} plots, each as PNG and SVG)", soft_wrap=True, markup=False
        )
    _say_where(console, report.folder)


def _say_where(console: Console, folder: Path) -> None:
    """Say where everything is, and what shows more of it."""
    typed = shlex.quote(str(folder))
    for line in (
        f"Tables    {folder}/ (runs, series, events, timings: Parquet)",
        f"Manifest  {folder / 'manifest.json'}; beside it experiment.toml, every default filled in",
        f"Compare   memhp-sim compare {typed} shows every score",
        f"Report    memhp-sim report {typed} writes one HTML file to read and to pass on",
    ):
        console.print(line, soft_wrap=True, markup=False)


def _draw(
    experiment: Experiment,
    report: Report,
    store: ResultStore,
    kinds: tuple[str, ...],
    comparison: pd.DataFrame | None,
) -> int:
    """Draw the plots, of ``kinds`` where some are named, anew and return how many there are."""
    folder = report.folder / "plots"
    for old in (*folder.glob("*.png"), *folder.glob("*.svg")):
        old.unlink()
    with standard_console(stderr=True).status("Drawing plots"):
        from sim.analysis.regret import bound
        from sim.plots.registry import save_all

        paths = save_all(store, folder, experiment.policies, bound(experiment), experiment.baseline, kinds, comparison)
        return len(paths) // 2
