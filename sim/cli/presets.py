"""``memhp-sim presets``: guests, times, loads and shipped policies that a file can name, and where they come from."""

from __future__ import annotations

import click

from sim.cli.console import print_json, standard_console


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def presets(*, as_json: bool) -> None:
    """List guests, times, loads and shipped policies that an experiment file can name, each with its source."""
    from sim.experiment.named_sources import named_sources

    entries = named_sources()
    if as_json:
        print_json([entry._asdict() for entry in entries])
        return
    console = standard_console()
    for entry in entries:
        console.print(f'{entry.key} = "{entry.name}"', style="bold", highlight=False, markup=False)
        for line in (entry.summary, f"from: {entry.source}"):
            console.print(line, highlight=False, markup=False, soft_wrap=False)
        console.print()
