"""``memhp-sim report``: one HTML file of a folder of results, to read and to pass on."""

from __future__ import annotations

from pathlib import Path

import click

from sim.cli.choosing import readable, results_folder


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to.  [default: RESULTS/report.html]"
)
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
def report(results: Path, out: Path | None, *, show: bool) -> None:
    """Write what RESULTS say into one HTML file, which needs nothing else and no network."""
    from sim.cli.main import BadInput
    from sim.report.page import write_report

    folder = results_folder(results)
    if folder is None:
        raise BadInput(f"{results} holds no results: it has neither a folder runs nor events")
    with readable(folder):
        path = write_report(folder, out)
    click.echo(f"Report    {path} ({path.stat().st_size / 1e6:.2f} MB)")
    if show:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
