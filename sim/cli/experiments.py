"""``memhp-sim experiments``: the experiments that come with the program, by the names that commands take."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from sim.cli.console import duration_text, print_json, standard_console
from sim.units import counted

if TYPE_CHECKING:
    from sim.experiment.shipped_list import ShippedExperiment


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def experiments(*, as_json: bool) -> None:
    """List the experiments that come with the program.

    Each runs by its name from anywhere: memhp-sim run NAME, and so with validate, explain, plan, show and every other
    command that takes an experiment file. Where a name's last part is clear, it alone will do.
    """
    from sim.experiment.shipped_list import listed

    found = list(listed())
    if as_json:
        print_json([each.as_json() for each in found])
    else:
        _print(found)


def _print(found: list[ShippedExperiment]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = standard_console()
    for each in found:
        console.print(Text.assemble((each.name, "bold"), f"  {_how_long(each)}"))
        console.print(Padding(Text(each.description), (0, 0, 0, 4)))
        if each.own_data:
            keys = " ".join(f"--set {shlex.quote(f'{key}=FILE')}" for key in each.own_data)
            console.print(Padding(Text(f"with data of your own: {keys}"), (0, 0, 0, 4)))
    console.print("\nTimes are of one core. Run one by its name: memhp-sim run NAME.")


def _how_long(experiment: ShippedExperiment) -> str:
    runs = counted(experiment.runs, "run")
    return runs if experiment.core_seconds is None else f"{runs}, about {duration_text(experiment.core_seconds)}"
