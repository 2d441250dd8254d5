"""``memhp-sim incidents``: published incidents, simulated and compared with what was reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from sim.cli.console import print_json, standard_console

if TYPE_CHECKING:
    from rich.console import Console

    from sim.incidents.report import Report


@click.command()
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table, as the documentation has it.")
def incidents(names: tuple[str, ...], *, as_json: bool, as_markdown: bool) -> None:
    """Simulate published incidents and compare each with what was reported.

    Runs all of them, or those named by ID. Writes nothing. Exit code 0 where all agree, 1 otherwise.
    """
    from sim.cli.main import FAILED, BadInput
    from sim.faults import unknown_name
    from sim.incidents.checks import CHECKS
    from sim.incidents.report import markdown, report

    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise BadInput("; ".join(unknown_name("incident", name, CHECKS) for name in unknown))
    reports = [report(name) for name in CHECKS if name in names or not names]
    if as_json:
        print_json([one.as_json() for one in reports])
    elif as_markdown:
        click.echo(markdown(reports))
    else:
        _print(reports)
    if not all(one.agrees for one in reports):
        raise click.exceptions.Exit(FAILED)


def _print(reports: list[Report]) -> None:
    from rich.table import Table
    from rich.text import Text

    from sim.cli.tables import say

    console = standard_console()
    if console.width < _NARROW:
        for report in reports:
            console.print(Text.assemble((report.id, "bold"), f": {report.word}"))
            for title in ("published", "simulated", "margin"):
                say(console, f"{title}: {getattr(report, title)}", indent=4, begin="  ")
        _sum_up(console, reports)
        return
    table = Table(box=None, padding=(0, 2, 1, 0), header_style="bold")
    table.add_column("incident", no_wrap=True)
    for title in ("published", "simulated", "margin"):
        table.add_column(title, ratio=1)
    table.add_column("agrees")
    for report in reports:
        verdict = Text(report.word, "green" if report.agrees else "red")
        # As plain text: brackets in them are not markup.
        cells = [Text(cell) for cell in (report.id, report.published, report.simulated, report.margin)]
        table.add_row(*cells, verdict)
    console.print(table)
    _sum_up(console, reports)


_NARROW: Final = 72
"""Columns below which each incident has lines instead of a row, whose cells would be of single letters."""


def _sum_up(console: Console, reports: list[Report]) -> None:
    from sim.incidents.report import count

    seconds = sum(report.seconds for report in reports)
    console.print(f"{count(reports)} ({seconds:.1f} s).")
