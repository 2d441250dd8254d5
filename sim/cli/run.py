"""``memhp-sim run`` and ``rerun``: an experiment from its file, or a manifest, to results, tables and plots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sim.cli.at_work import at_work_in, full_disk_told, runs_there, wait_option
from sim.cli.choosing import chosen_scores
from sim.cli.console import print_notes, standard_console
from sim.cli.failures import print_failures
from sim.cli.settings import set_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.analysis.until import Until
    from sim.experiment.executors import Workers
    from sim.experiment.plan import Experiment
    from sim.experiment.run import Report


_Command = TypeVar("_Command", bound="Callable[..., None]")

_UNASKED: Final = "does not say what was asked; memhp-sim recommend makes it anew"
_NOT_OF_RECOMMENDATIONS: Final = {
    "plots": None,
    "kinds": (),
    "scores": (),
    "scheduler": None,
    "force": False,
}
"""Options that a recommendation does not have, and what they are where nobody gives them."""
_SPOKEN: Final = {"kinds": "draw"}
"""Names of options, where they are others than those of what they give."""

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


def _chosen_formats(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the formats in the value of ``--plots-as``. Raises BadParameter with those that there are."""
    from sim.plots.files import FORMATS

    if text is None:
        return FORMATS[:1]
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in FORMATS]:
        wrong, there = (", ".join(map(repr, each)) for each in (unknown, FORMATS))
        raise click.BadParameter(f"plots cannot be written as {wrong}; there are: {there}")
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
            "--plots-as",
            "formats",
            callback=_chosen_formats,
            metavar="FORMAT,...",
            help="Write plots as png, as svg, or as png,svg: both.  [default: png]",
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
            "--keep",
            is_flag=True,
            help="Keep earlier runs that are no part of the experiment any more.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Run on the workers of the Dask scheduler at tcp://HOST:PORT; 'local' starts one on this machine.",
        ),
        click.option("--workers", type=click.IntRange(1, 1024), help="Processes to run in.  [default: all cores]"),
        wait_option,
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

    Says so where the manifest was written by another version of the program, as results may differ then. Of a
    recommendation's manifest the recommendation is made again, with what was asked.
    """
    from sim.experiment.load import load
    from sim.faults import Fault, InputError
    from sim.results.identity import code_version
    from sim.results.manifest import RECOMMENDATION, read_manifest

    try:
        written = read_manifest(manifest)
        replications = tuple(int(number) for number in written["seeds"]["replications"])
        config, code = dict(written["config"]), str(written["program"]["code"])
        settings = dict(written.get("set", {}))
        until = written.get("until")
        until = None if until is None else _until(float(until["width"]), int(until["most"]))
        of_recommendation = written.get(RECOMMENDATION, {} if _is_recommendation(manifest) else None)
    except (ValueError, KeyError, TypeError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else str(error).removeprefix(f"{manifest} ")
        raise InputError(str(manifest), [Fault("", what)]) from error
    if code != code_version():
        click.echo(f"Note: written by version {code}, this is {code_version()}; results may differ.", err=True)
    if of_recommendation is not None:
        _recommend_again(manifest, of_recommendation, settings, options)
        return
    experiment = replace(load(config, folder=manifest.parent), settings=settings)
    if replications != experiment.replications:
        experiment = experiment.only(replications)
    _perform(experiment, until=until, **options)


def _is_recommendation(manifest: Path) -> bool:
    """Whether the manifest, or the folder that it is in, has a recommendation beside it."""
    from sim.recommend.document import NAME

    folder = manifest if manifest.is_dir() else manifest.parent
    return (folder / NAME).is_file()


def _recommend_again(
    manifest: Path, written: Mapping[str, Any], settings: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Make the recommendation again whose part of the manifest is ``written``."""
    from sim.cli.recommend import perform
    from sim.experiment.load import load
    from sim.faults import Fault, InputError
    from sim.recommend.asked import asked
    from sim.results.manifest import RECOMMENDATION

    for name, plain in _NOT_OF_RECOMMENDATIONS.items():
        if options[name] != plain:
            raise click.UsageError(f"the manifest is of a recommendation, which has no --{_SPOKEN.get(name, name)}")
    try:
        config, given = written["config"], dict(written["asked"])
    except (KeyError, TypeError) as error:
        raise InputError(str(manifest), [Fault(RECOMMENDATION, _UNASKED)]) from error
    experiment = replace(load(config, folder=manifest.parent), settings=settings)
    wanted = asked(experiment, **given)
    perform(
        experiment,
        wanted,
        options["out"],
        options["workers"],
        progress=not options["no_progress"],
        wait=options["wait"],
        keep=options["keep"],
    )


def _perform(  # noqa: PLR0913  one argument for each option
    experiment: Experiment,
    *,
    out: Path,
    workers: int | None,
    scheduler: str | None,
    force: bool,
    keep: bool,
    no_progress: bool,
    plots: bool | None,
    kinds: tuple[str, ...],
    formats: tuple[str, ...],
    scores: tuple[str, ...],
    until: Until | None,
    wait: bool,
) -> None:
    """Run ``experiment``, show what came of it, and leave with exit code 1 where runs failed."""
    from sim.cli.main import FAILED
    from sim.cli.run_screen import Plots, show_results
    from sim.experiment.choose_workers import choose_workers

    if workers is not None and scheduler not in (None, "local"):
        raise click.UsageError("--workers says how many processes to start here; the scheduler has its own workers")

    errors = standard_console(stderr=True)
    print_notes(errors, experiment.notes)
    chosen = choose_workers(workers, scheduler, apart=experiment.cell_timeout is not None)
    # Nobody else changes the results, either, before they are shown and drawn.
    with at_work_in(out / experiment.name, wait=wait):
        shown = not no_progress and errors.is_terminal
        report = _run(experiment, out, chosen, until, force=force, keep=keep, shown=shown)
        print_failures(report.failed, errors, f"; see the table runs in {report.folder}")
        if report.done:
            with full_disk_told(lambda: runs_there(report)):
                show_results(experiment, report, plots=Plots(plots, kinds, formats), scores=scores)
            if until is not None:
                _tell_until(until, experiment, report)
    click.echo(report.summary())
    if report.done < report.planned:
        raise click.exceptions.Exit(FAILED)


def _run(
    experiment: Experiment, out: Path, workers: Workers, until: Until | None, *, force: bool, keep: bool, shown: bool
) -> Report:
    """Run ``experiment`` with a bar where it is ``shown``; Ctrl-C ends it in a sentence."""
    from sim.cli.main import INTERRUPTED
    from sim.cli.progress import RunProgress
    from sim.experiment.run import run as run_experiment

    progress = RunProgress(standard_console(stderr=True), shown=shown)
    try:
        with full_disk_told(lambda: runs_there(progress.report)), progress:
            return run_experiment(
                experiment,
                out,
                workers=workers,
                force=force,
                keep=keep,
                extension=until,
                on_start=progress.start,
                on_outcome=progress.outcome,
                on_note=lambda text: click.echo(f"Note: {text}", err=True),
            )
    except KeyboardInterrupt:
        kept = f" {progress.report.summary()}; the same command goes on from there." if progress.report else ""
        click.echo(f"Interrupted.{kept}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _tell_until(until: Until, experiment: Experiment, report: Report) -> None:
    """Say where replications were not enough."""
    from sim.results.store import ResultStore

    for sentence in until.outcome(experiment, ResultStore(report.folder).runs()):
        standard_console().print(sentence, markup=False)
