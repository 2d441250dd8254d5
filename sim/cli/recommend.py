"""``memhp-sim recommend``: which setting to take for one's own workload, how sure that is, and what it gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sim.cli.at_work import at_work_in, full_disk_told, wait_option
from sim.cli.console import print_json, print_notes, standard_console
from sim.cli.settings import set_option

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Experiment
    from sim.recommend.asked import Asked
    from sim.recommend.recommend import Recommended

_EXAMPLES = """\b
For example:
  memhp-sim recommend guest.toml --limit "no death in 99 % of replications"
  memhp-sim recommend guest.toml --limit "headroom never under 128 MiB" --limit "nothing fails in 95 %"
  memhp-sim recommend guest.toml --minimise return_time --indifference 5
"""


@click.command(epilog=_EXAMPLES)
@click.argument("file", metavar="EXPERIMENT", type=click.Path())
@click.option(
    "--limit",
    multiple=True,
    metavar="TEXT",
    help="What must hold, such as 'no death in 99 % of replications'. Repeatable.  [default: those of the file's"
    " [recommend], else nothing fails in 95 % of replications]",
)
@click.option("--maximise", metavar="SCORE", help="The score of which the pick shall have most.  [default: came back]")
@click.option("--minimise", metavar="SCORE", help="The score of which the pick shall have least.")
@click.option("--indifference", metavar="AMOUNT", help="How much of it is no difference.  [default: 1 point, or 1 %]")
@click.option("--confidence", type=float, metavar="SHARE", help="How sure the pick shall be.  [default: 0.95]")
@click.option(
    "--replications",
    "most",
    type=click.IntRange(1, 100_000),
    metavar="MOST",
    help="No more than MOST for one candidate.  [default: 400, more where a limit takes them]",
)
@click.option("--budget", type=click.IntRange(1, 10_000_000), metavar="RUNS", help="No more than RUNS in a scenario.")
@click.option("--certain", is_flag=True, help="Exit code 1 too where a pick is less sure than --confidence asks.")
@set_option
@click.option("--out", default="results", show_default=True, type=click.Path(), help="Folder for results.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes to run in.  [default: all cores]")
@wait_option
@click.option("--keep", is_flag=True, help="Keep earlier runs that are of no use any more.")
@click.option("--no-progress", is_flag=True, help="No progress bar. There is none without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as in recommendation.json.")
def recommend(  # noqa: PLR0913  one argument for each option
    file: str,
    *,
    limit: tuple[str, ...],
    maximise: str | None,
    minimise: str | None,
    indifference: str | None,
    confidence: float | None,
    most: int | None,
    budget: int | None,
    certain: bool,
    settings: dict[str, Any],
    out: str,
    workers: int | None,
    wait: bool,
    keep: bool,
    no_progress: bool,
    as_json: bool,
) -> None:
    """Say which setting to take for the workload of EXPERIMENT, within limits.

    Tries the experiment's policies, those that every Linux has, and values of their parameters; runs the candidates as
    often as the choice needs, and says how sure it is, what it gives up, how far the wall is, and how to set it. One
    that was ended goes on. All runs are in results/NAME-recommend.

    Exit code 0 with a pick for every scenario, however sure, 1 where nothing satisfies the limits, 2 for bad input.
    """
    from pathlib import Path

    from sim.experiment.load import load
    from sim.recommend.asked import asked

    experiment = load(file, settings=settings)
    wanted = asked(
        experiment,
        limit=limit,
        maximise=maximise,
        minimise=minimise,
        indifference=_amount(indifference),
        confidence=confidence,
        most=most,
        budget=budget,
    )
    perform(
        experiment,
        wanted,
        Path(out),
        workers,
        progress=not no_progress,
        certain=certain,
        as_json=as_json,
        wait=wait,
        keep=keep,
    )


def _amount(text: str | None) -> float | str | None:
    """Return a number where it is one, else the text, which may have a unit."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def perform(  # noqa: PLR0913  one argument for each option
    experiment: Experiment,
    wanted: Asked,
    out: Path,
    workers: int | None,
    *,
    progress: bool = True,
    certain: bool = False,
    as_json: bool = False,
    wait: bool = False,
    keep: bool = False,
) -> None:
    """Recommend and print it, see :func:`recommend`; leave with exit code 1 where there is no pick, or none certain."""
    from sim.recommend.recommend import results_name

    errors = standard_console(stderr=True)
    print_notes(errors, experiment.notes)
    with at_work_in(out / results_name(experiment), wait=wait):
        done = _run(experiment, out, wanted, workers, keep=keep, shown=progress and errors.is_terminal)
    if as_json:
        from sim.recommend.document import as_json as plain

        print_json(plain(done.found))
    else:
        from sim.cli.recommend_screen import print_recommendation

        print_recommendation(standard_console(), done)
    unsure = done.found.uncertain if certain else ()
    for each in unsure:
        click.echo(
            f"Not certain: {each.workload} on {each.machine} ({each.confidence:.3g} of {done.found.confidence:g})",
            err=True,
        )
    if unsure or not done.found.picked:
        from sim.cli.main import FAILED

        raise click.exceptions.Exit(FAILED)


def _run(
    experiment: Experiment, out: Path, wanted: Asked, workers: int | None, *, keep: bool, shown: bool
) -> Recommended:
    from sim.cli.main import INTERRUPTED
    from sim.cli.progress import SearchProgress
    from sim.experiment.executors import local
    from sim.recommend.recommend import recommend as run

    progress = SearchProgress(standard_console(stderr=True), shown=shown)
    try:
        with full_disk_told(lambda: f"{progress.runs} runs were made"), progress:
            return run(
                experiment,
                out,
                wanted,
                workers=local(workers, apart=experiment.cell_timeout is not None),
                keep=keep,
                on_scenario=progress.scenario,
                on_outcome=progress.outcome,
                on_note=lambda text: click.echo(f"Note: {text}", err=True),
            )
    except KeyboardInterrupt:
        click.echo(f"Interrupted after {progress.runs} runs; the same command goes on from there.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
