"""``memhp-sim report``: one HTML file of a folder of results, to read and to pass on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from sim.cli.at_work import at_work_in, wait_option
from sim.cli.choosing import no_results, readable, results_folder


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to.  [default: RESULTS/report.html]"
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="WORKLOAD",
    help="Which workload gets a memory map through time; without, the first ones. Repeatable.",
)
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@wait_option
def report(results: Path, out: Path | None, maps: tuple[str, ...], *, show: bool, wait: bool) -> None:
    """Write what RESULTS say into one HTML file, which needs nothing else and no network."""
    from sim.cli.main import BadInput
    from sim.faults import unknown_name
    from sim.report.page import write_report
    from sim.results.store import ResultStore

    folder = results_folder(results)
    if folder is None:
        raise BadInput(no_results(results))
    # A report that goes elsewhere writes nothing there, so that it can be made while runs are under way.
    inside = out is None or out.absolute().parent == folder.absolute()
    with at_work_in(folder, wait=wait) if inside else contextlib.nullcontext(), readable(folder):
        there = {labels["workload"] for labels in ResultStore(folder).labels()} if maps else set()
        for label in maps:
            if label not in there:
                raise BadInput(f"{folder}: {unknown_name('workload', label, sorted(there))}")
        path = write_report(folder, out, maps)
    click.echo(f"Report    {path} ({path.stat().st_size / 1e6:.2f} MB)")
    if show:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
