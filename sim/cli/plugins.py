"""``memhp-sim policies`` and ``memhp-sim workloads``: what there is, with parameters, defaults and units."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.console import standard_console

if TYPE_CHECKING:
    from rich.console import Console

    from sim.plugins.lookup import Kind, Listed

_WIDEST_COLUMN: Final = 18


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def policies(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the onlining policies (or only those NAMEd), with parameters, defaults and units.

    A NAME may also be path/to/file.py:Class.
    """
    from sim.plugins.lookup import POLICY

    _show(POLICY, names, as_json=as_json)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def workloads(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the workloads (or only those NAMEd), with parameters, defaults and units.

    A NAME may also be path/to/file.py:Class.
    """
    from sim.plugins.lookup import WORKLOAD

    _show(WORKLOAD, names, as_json=as_json)


def _show(kind: Kind, names: tuple[str, ...], *, as_json: bool) -> None:
    listed = _entries(kind, names)
    if as_json:
        click.echo(json.dumps([_as_json(entry) for entry in listed], indent=2))
        return
    console = standard_console()
    for entry in listed:
        _print(console, entry)


def _entries(kind: Kind, names: tuple[str, ...]) -> list[Listed]:
    from sim.cli.main import BadInput
    from sim.plugins import lookup

    if not names:
        return lookup.listing(kind)
    try:
        return [lookup.Listed(name, lookup.find(kind, name), "") for name in names]
    except lookup.PluginError as error:
        raise BadInput(str(error)) from error


def _as_json(entry: Listed) -> dict[str, Any]:
    if entry.plugin is None:
        return {"name": entry.name, "error": entry.error}
    return {
        "name": entry.name,
        "summary": entry.plugin.summary,
        "from": entry.plugin.origin,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type.name,
                "default": parameter.written,
                "unit": parameter.type.unit,
                "meaning": parameter.meaning,
            }
            for parameter in entry.plugin.parameters
        ],
    }


def _print(console: Console, entry: Listed) -> None:
    from rich.table import Table
    from rich.text import Text

    from sim.plugins.docs_pages import as_toml

    if entry.plugin is None:
        console.print(Text.assemble((entry.name, "bold"), "  ", ("cannot be used: ", "red"), entry.error))
        console.print()
        return
    console.print(Text.assemble((entry.name, "bold cyan"), "  ", entry.plugin.summary))
    if entry.plugin.parameters:
        table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
        table.add_column("parameter", no_wrap=True)
        for heading in ("default", "unit", "type"):
            table.add_column(heading, overflow="fold", max_width=_WIDEST_COLUMN)
        table.add_column("meaning")
        for parameter in entry.plugin.parameters:
            unit = "" if parameter.type.unit == "-" else parameter.type.unit
            row = (
                parameter.name,
                as_toml(parameter.written),
                unit,
                parameter.type.name.replace("|", " | "),
                parameter.meaning,
            )
            table.add_row(*map(Text, row))
        console.print(table)
    console.print()
