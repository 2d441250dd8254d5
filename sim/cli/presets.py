"""``memhp-sim presets``: guests and times that an experiment file can name, with where their figures come from."""

from __future__ import annotations

import json

import click

from sim.cli.console import standard_console


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def presets(*, as_json: bool) -> None:
    """List what an experiment file can name: guests (guest.preset) and times of a host (timing.profile)."""
    from sim.guest import PRESETS
    from sim.kernel.timing import PROFILES

    entries = [
        {"key": key, "name": name, "summary": entry.summary, "source": entry.source}
        for key, named in (("guest.preset", PRESETS), ("timing.profile", PROFILES))
        for name, entry in named.items()
    ]
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    console = standard_console()
    for entry in entries:
        console.print(f'{entry["key"]} = "{entry["name"]}"', style="bold", highlight=False, markup=False)
        for line in (entry["summary"], f"from: {entry['source']}"):
            console.print(line, highlight=False, markup=False, soft_wrap=False)
        console.print()
