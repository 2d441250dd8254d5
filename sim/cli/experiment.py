"""``memhp-sim validate`` and ``memhp-sim schema``: what an experiment file would run, and what may stand in one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from sim.cli.console import duration_text, print_json, print_notes, standard_console
from sim.cli.failures import print_failures
from sim.cli.settings import set_option
from sim.units import counted

if TYPE_CHECKING:
    from sim.experiment.plan import Experiment
    from sim.experiment.probe import Probe


@click.command()
@click.argument("file", type=click.Path())
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--probe/--no-probe", default=True, help="Try each policy and each workload in one run at least.")
def validate(file: str, *, settings: dict[str, Any], as_json: bool, probe: bool) -> None:
    """Check the experiment FILE: list every fault, or say what would run and how long it takes. Writes nothing.

    Every policy and every workload on every machine is tried, as `run` would do it: in processes of their own, and for
    cell_timeout at most, or 20 seconds. Exit code 2 where there are faults, 1 where what was tried failed.
    """
    from sim.cli.main import FAILED
    from sim.experiment.load import load

    start = time.process_time()
    experiment = load(file, idle=True, settings=settings)
    loading = time.process_time() - start
    tried = None
    if probe:
        from sim.experiment.probe import probe as try_some

        tried = try_some(experiment)
    if as_json:
        print_json(_as_json(experiment, tried, loading))
    else:
        _print(file, experiment, tried, loading)
    if tried is not None and tried.failed:
        raise click.exceptions.Exit(FAILED)


def _print(file: str, experiment: Experiment, tried: Probe | None, loading: float) -> None:
    failed = () if tried is None else tried.failed
    fail = "fails" if len(failed) == 1 else "fail"
    but = "" if tried is None or not failed else f" in the file, but {len(failed)} of {tried.tried} tried runs {fail}"
    click.echo(f"{file}: no faults{but}")
    for what in ("machines", "policies", "workloads"):
        # One a line: labels have commas in them.
        for number, label in enumerate(getattr(experiment, what)):
            click.echo(f"  {what if number == 0 else '':<9}  {label}")
    cells, combinations = len(experiment), len(experiment.combinations)
    times = f"{counted(combinations, 'combination')} x {counted(len(experiment.replications), 'replication')}"
    click.echo(f"  baseline   {experiment.baseline}")
    click.echo(f"  seed       {experiment.seed}")
    click.echo(f"  runs       {cells}: {times}")
    if tried is not None:
        from sim.experiment.probe import LONGEST_S

        cut = f": of {counted(tried.tried, 'tried run')} {tried.cut_off} took longer than {LONGEST_S:g} s"
        about, beside = ("more than", cut) if tried.cut_off else ("about", "")
        click.echo(f"  time       {about} {duration_text(loading + tried.seconds)} on one core{beside}")
        print_failures(failed, standard_console(stderr=True), "; memhp-sim run keeps them all in its table runs")
    if experiment.notes:
        print_notes(standard_console(), experiment.notes)


def _as_json(experiment: Experiment, tried: Probe | None, loading: float) -> dict[str, object]:
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
        "estimated_seconds": None if tried is None else loading + tried.seconds,
        "tried": None
        if tried is None
        else {
            "runs": tried.tried,
            "cut_off": tried.cut_off,
            "failed": [{"run": each.cell, "stage": each.stage.value, "error": each.error} for each in tried.failed],
        },
        "notes": experiment.notes,
    }


@click.command()
def schema() -> None:
    """Print the JSON Schema of experiment files, for editors that complete and check TOML.

    It knows the parameters of every policy and workload that is installed.
    """
    from sim.experiment.json_schema import experiment_schema

    print_json(experiment_schema())
