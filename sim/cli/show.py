"""``memhp-sim show``: a machine's memory as ``lsmem`` prints it, from a file, or at any moment of a stored run."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.choosing import RUN_LABELS, readable, results_folder, run_of
from sim.cli.console import width_of_output
from sim.cli.settings import set_option

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Combination, Experiment
    from sim.snapshot.picture import Picture

_UNITS: Final = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]*)")


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Return the seconds that ``--at`` says, None for the end."""
    if text is None or text == "end":
        return None
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise click.BadParameter(f"{text!r} is not a time, such as 90, 12.5s, 3min, 2h or end")
    return float(match[1]) * _UNITS[match[2]]


def _columns(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[str, ...]:
    from sim.snapshot.lsmem_view import COLUMNS, parse_columns

    if text is None:
        return COLUMNS
    try:
        return parse_columns(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("sources", metavar="FILE|RESULTS...", nargs=-1, required=True)
@click.option(
    "--at", "at", callback=_seconds, metavar="TIME", help="When in a run: 90, 12.5s, 3min, 2h or end.  [default: end]"
)
@set_option
@click.option("--machine", metavar="LABEL", help="Which machine of an experiment or of results.")
@click.option("--workload", metavar="LABEL", help="Which workload of results.")
@click.option("--policy", metavar="LABEL", help="Which policy of an experiment or of results.")
@click.option("--replication", type=click.IntRange(min=0), metavar="K", help="Which replication of results.")
@click.option("-J", "--json", "as_json", is_flag=True, help="Print JSON: what lsmem --json prints, and more beside it.")
@click.option("-o", "--output", "columns", callback=_columns, metavar="LIST", help="Columns, as for lsmem.")
@click.option("--output-all", is_flag=True, help="All columns, as without --output.")
def show(
    sources: tuple[str, ...],
    *,
    at: float | None,
    as_json: bool,
    columns: tuple[str, ...],
    output_all: bool,
    settings: dict[str, Any],
    **which: Any,  # noqa: ANN401  labels by option
) -> None:
    """Print memory blocks as lsmem --output-all does, and below them zones, MOVABLE : KERNEL, MemTotal and devices.

    Of an experiment's machine (FILE.toml) as it is at first, of files from a real machine (what "memhp-sim import"
    reads, several of one machine together), or of a run in the folder RESULTS at some TIME.
    """
    from sim.snapshot.lsmem_view import COLUMNS
    from sim.snapshot.picture_text import picture_json, picture_text

    picture, about = _picture(sources, at, which, settings)
    columns = COLUMNS if output_all else columns
    if as_json:
        click.echo(picture_json(picture, columns, about), nl=False)
        return
    width = width_of_output()
    click.echo(picture_text(picture, columns, width), nl=False)
    if about:
        click.echo("\n" + "\n".join(textwrap.wrap(_in_words(about), width)))


def _in_words(about: dict[str, Any]) -> str:
    """Return what is shown, in one line."""
    words = [f"{name} {value}" for name, value in about.items() if name != "at_s"]
    return ", ".join(words) + (f", at {about['at_s']:g} s" if "at_s" in about else "")


def _picture(
    sources: tuple[str, ...], at: float | None, which: dict[str, Any], settings: dict[str, Any]
) -> tuple[Picture, dict[str, Any]]:
    """Return the picture that is asked for, and which machine or run of several it is of."""
    from sim.experiment.shipped import find, refuse_slip

    first = find(sources[0], folders=True)
    if settings and first.suffix != ".toml":
        raise click.UsageError(f"--set is for experiments: {first} is none")
    if (folder := results_folder(first)) is not None:
        _alone(sources)
        return _of_results(folder, at, which)
    if at:
        raise click.UsageError(f"--at is for results: {first} tells of one moment only")
    if first.suffix == ".toml":
        _alone(sources)
        return _of_experiment(first, which, settings)
    for name, value in which.items():
        if value is not None:
            raise click.UsageError(f"--{name} is for experiments and results: {first} tells of one machine only")
    from sim.experiment.real_picture import picture_of_files

    refuse_slip(first)
    return picture_of_files(sources), {}


def _alone(sources: tuple[str, ...]) -> None:
    if len(sources) > 1:
        raise click.UsageError(f"{sources[0]} is shown alone: leave out {', '.join(sources[1:])}")


def _of_experiment(path: Path, which: dict[str, Any], settings: dict[str, Any]) -> tuple[Picture, dict[str, Any]]:
    from sim.experiment.load import load
    from sim.experiment.pictures import picture_at_start

    for name in ("workload", "replication"):
        if which[name] is not None:
            raise click.UsageError(f"--{name} is for results: {path} is shown as it is at first")
    experiment = load(path, idle=True, settings=settings)
    combination = _combination(experiment, path, which["machine"], which["policy"])
    several = len(experiment.machines) > 1
    about = {"machine": combination.machine.label} if several else {}
    if len(experiment.policies) > 1:
        about["policy"] = combination.policy.label
    return picture_at_start(experiment, combination), about


def _combination(experiment: Experiment, path: Path, machine: str | None, policy: str | None) -> Combination:
    """Return the first combination with the machine and policy of these labels."""
    from sim.cli.main import BadInput
    from sim.faults import listed, unknown_name

    if machine is None and len(experiment.machines) > 1:
        raise BadInput(f"{path} has several machines; choose with --machine: {listed(experiment.machines)}")
    for what, name, there in (("machine", machine, experiment.machines), ("policy", policy, experiment.policies)):
        if name is not None and name not in there:
            raise BadInput(f"{path}: {unknown_name(what, name, there)}")
    for each in experiment.combinations:
        if machine in (None, each.machine.label) and policy in (None, each.policy.label):
            return each
    raise BadInput(f"{path}: policy {policy} does not run on machine {machine}")


def _of_results(folder: Path, at: float | None, which: dict[str, Any]) -> tuple[Picture, dict[str, Any]]:
    with readable(folder):
        return _of_store(folder, at, which)


def _of_store(folder: Path, at: float | None, which: dict[str, Any]) -> tuple[Picture, dict[str, Any]]:
    from sim.cli.main import BadInput
    from sim.experiment.pictures import picture_of_cell
    from sim.results.store import ResultStore

    store = ResultStore(folder)
    run = run_of(store, which)
    last = run["duration_s"]
    if at is not None and at > last:
        raise BadInput(f"{folder}: the run lasts {last:g} s, so there is nothing at {at:g} s")
    about = {name: run[name] for name in (*RUN_LABELS, "replication")}
    return picture_of_cell(store, run["cell"], at), {**about, "at_s": last if at is None else at}
