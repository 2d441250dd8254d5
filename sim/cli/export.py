"""``memhp-sim export``: what a run asked, what happened, and how it looked over time, as files for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.choosing import cell_of, readable, results_folder, run_of
from sim.cli.outputs import ended_where_nobody_reads
from sim.cli.settings import set_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.record.run_result import RunResult
    from workloads.parts.requests.request import Request

_STANDARD_OUTPUT: Final = "-"


@click.command()
@click.argument("source", metavar="RESULTS|EXPERIMENT")
@click.option("--machine", metavar="LABEL", help="Which machine.")
@click.option("--workload", metavar="LABEL", help="Which workload.")
@click.option("--policy", metavar="LABEL", help="Which policy.")
@click.option("--replication", type=click.IntRange(min=0), metavar="K", help="Which replication.  [default: the first]")
@click.option("--requests", metavar="FILE", help="What the host was asked: a log for the workload request-replay.")
@click.option("--events", metavar="FILE", help="What happened, event by event.")
@click.option("--series", metavar="FILE", help="Memory of each kind over time.")
@click.option("--guest", metavar="FILE", help="What a modelled guest looked like inside, over time.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True,
              help="Of what is written to standard output.")  # fmt: skip
@set_option
def export(
    source: str,
    *,
    form: str,
    requests: str | None,
    machine: str | None,
    workload: str | None,
    policy: str | None,
    replication: int | None,
    settings: dict[str, Any],
    **tables: str | None,
) -> None:
    """Write what one run asked and did into files: CSV, JSONL or Parquet, as their names end, or - for standard output.

    Of a stored run in the folder RESULTS, or of one of EXPERIMENT.toml, which is run for it and not stored. Requests
    are not stored: with --requests a stored run is run again. CSV and JSONL are packed where the name ends in .gz too.
    """
    from sim.cli.main import BadInput
    from sim.experiment.exporting import export_part
    from sim.experiment.shipped import find, refuse_slip

    targets = {name: target for name, target in {"requests": requests, **tables}.items() if target is not None}
    forms = _forms(targets, form)
    which = {"machine": machine, "workload": workload, "policy": policy, "replication": replication}
    path = find(source, folders=True)
    folder = results_folder(path)
    if settings and path.suffix != ".toml":
        raise click.UsageError(f"--set is for experiments: {source} is none")
    if folder is not None:
        result, asked = _stored(folder, which, asked="requests" in targets)
    elif path.suffix == ".toml":
        result, asked = _run(source, which, settings)
    else:
        refuse_slip(path)
        raise BadInput(f"{source} holds no results, and is no experiment, whose name ends in .toml")
    if "guest" in targets and not result.guest:
        raise BadInput("--guest: no guest is modelled in this run")
    for name, target in targets.items():
        if target != _STANDARD_OUTPUT:
            export_part(name, Path(target), forms[name], result, asked)
    for name in (name for name, target in targets.items() if target == _STANDARD_OUTPUT):
        with ended_where_nobody_reads():
            export_part(name, sys.stdout.buffer, forms[name], result, asked)


def _forms(targets: Mapping[str, str], form: str) -> dict[str, str]:
    """Return the form of each file. Raises UsageError and BadInput before anything is computed."""
    from sim.cli.main import BadInput
    from sim.experiment.exporting import form_of_part

    if not targets:
        raise click.UsageError("say what to export: --requests, --events, --series or --guest, each with a file")
    if len(set(targets.values())) < len(targets):
        raise click.UsageError("each needs a file of its own, and one at most can be written to standard output")
    try:
        return {
            name: form if target == _STANDARD_OUTPUT else form_of_part(name, Path(target))
            for name, target in targets.items()
        }
    except ValueError as error:
        raise BadInput(str(error)) from error


def _stored(folder: Path, which: dict[str, Any], *, asked: bool) -> tuple[RunResult, Sequence[Request]]:
    from sim.experiment.recording import requests_of
    from sim.results.store import ResultStore

    store = ResultStore(folder)
    with readable(folder):
        key = run_of(store, which)["cell"]
        return store.result(key), requests_of(store, key) if asked else ()


def _run(source: str, which: dict[str, Any], settings: dict[str, Any]) -> tuple[RunResult, Sequence[Request]]:
    from sim.cli.main import FAILED
    from sim.engine import WorkloadError
    from sim.experiment.load import load
    from sim.experiment.recording import record
    from sim.kernel.policy_answers import PolicyError

    cell = cell_of(load(source, settings=settings), source, which)
    try:
        return record(cell)
    except (PolicyError, WorkloadError) as error:
        click.echo(f"Error: {cell}: {error}", err=True)
        raise click.exceptions.Exit(FAILED) from error
