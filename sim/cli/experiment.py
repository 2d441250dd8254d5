"""``memhp-sim validate`` and ``memhp-sim schema``: what an experiment file would run, and what may stand in one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from sim.cli.console import duration_text, print_notes, standard_console
from sim.cli.settings import set_option
from sim.units import counted

if TYPE_CHECKING:
    from sim.experiment.plan import Experiment


@click.command()
@click.argument("file", type=click.Path())
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--probe/--no-probe", default=True, help="Run one cell of each workload to estimate the time it takes.")
def validate(file: str, *, settings: dict[str, Any], as_json: bool, probe: bool) -> None:
    """Check the experiment FILE: list every fault, or say what would run. Writes nothing.

    Exit code 2 where there are faults.
    """
    from sim.experiment.load import load

    experiment = load(file, idle=True, settings=settings)
    seconds = None
    if probe:
        from sim.experiment.estimate import estimated_seconds

        seconds = estimated_seconds(experiment)
    if as_json:
        click.echo(json.dumps(_as_json(experiment, seconds), indent=2))
        return
    click.echo(f"{file}: no faults")
    click.echo(f"  machines   {', '.join(experiment.machines)}")
    click.echo(f"  policies   {', '.join(experiment.policies)}")
    click.echo(f"  workloads  {', '.join(experiment.workloads)}")
    cells, combinations = len(experiment), len(experiment.combinations)
    times = f"{counted(combinations, 'combination')} x {counted(len(experiment.replications), 'replication')}"
    click.echo(f"  baseline   {experiment.baseline}")
    click.echo(f"  seed       {experiment.seed}")
    click.echo(f"  runs       {cells}: {times}")
    if seconds is not None:
        click.echo(f"  time       about {duration_text(seconds)} on one core")
    if experiment.notes:
        print_notes(standard_console(), experiment.notes)


def _as_json(experiment: Experiment, seconds: float | None) -> dict[str, object]:
    return {
        "name": experiment.name,
        "machines": experiment.machines,
        "policies": experiment.policies,
        "workloads": experiment.workloads,
        "baseline": experiment.baseline,
        "seed": experiment.seed,
        "replications": len(experiment.replications),
        "combinations": len(experiment.combinations),
        "cells": len(experiment),
        "estimated_seconds": seconds,
        "notes": experiment.notes,
    }


@click.command()
def schema() -> None:
    """Print the JSON Schema of experiment files, for editors that complete and check TOML.

    It knows the parameters of every policy and workload that is installed.
    """
    from sim.experiment.json_schema import experiment_schema

    click.echo(json.dumps(experiment_schema(), indent=2))
