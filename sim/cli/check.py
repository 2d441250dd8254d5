"""``memhp-sim check``: whether results are as they were written, and what to do where they are not."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.cli.choosing import no_results, results_folder
from sim.cli.console import print_json
from sim.units import counted, rounded_size

if TYPE_CHECKING:
    from sim.results.inspection import Inspection


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(results: Path, *, as_json: bool) -> None:
    """Say which files of RESULTS are damaged, what that costs, and what to do.

    Every byte of the tables is read. The exit code is 0 where all is as it was written, 1 where it is not.
    """
    from sim.cli.main import FAILED, BadInput

    folder = results_folder(results)
    if folder is None:
        raise BadInput(no_results(results))
    found = _inspected(folder)
    if as_json:
        print_json(_as_json(folder, found), indent=1)
    else:
        _print(folder, found)
    if found.damages:
        raise click.exceptions.Exit(FAILED)


def _inspected(folder: Path) -> Inspection:
    """Look through ``folder``, alone in it if that can be had: what is just being written looks like damage."""
    from sim.faults import InputError
    from sim.plots.files import damaged
    from sim.recommend.document import NAME, read
    from sim.results.damage import Damage
    from sim.results.inspection import inspect
    from sim.results.locks import alone
    from sim.results.reading import check_layout

    check_layout(folder)
    with contextlib.ExitStack() as stack:
        locked = False
        with contextlib.suppress(InputError, OSError):  # somebody is at work in it, or nobody may write there
            stack.enter_context(alone(folder, tell=lambda _: None))
            locked = True
        found = inspect(folder, locked=locked)
    found.damages += damaged(folder / "plots")
    try:
        read(folder)
    except ValueError as error:
        what = str(error).removeprefix(f"{folder / NAME} ")
        found.damages.append(Damage(folder / NAME, what, "memhp-sim recommend writes it anew"))
    return found


def _print(folder: Path, found: Inspection) -> None:
    for damage in found.damages:
        click.echo(damage.path.relative_to(folder) if damage.path != folder else folder)
        click.echo(f"  {damage.what}")
        click.echo(f"  {damage.then}")
    if found.damages:
        click.echo()
    files = f"{counted(found.files, 'file')}, {rounded_size(found.size)}"
    runs = counted(found.runs, "run")
    if not found.damages:
        click.echo(f"{folder}: sound ({runs} in {files})")
    else:
        lost = (
            f"; of {found.runs + len(found.lost)} runs {len(found.lost)} have to be computed again"
            if found.lost
            else ""
        )
        click.echo(f"{folder}: damaged in {counted(len(found.damages), 'place')} ({runs} whole in {files}){lost}")
        click.echo(f"To mend it: {_what_to_do(folder)}")
    if found.unpacked:
        click.echo(f"{counted(found.unpacked, 'run')} of a run that was interrupted, or is under way, in no table yet.")


def _what_to_do(folder: Path) -> str:
    """Return the command that computes again what is missing."""
    from sim.results.manifest import read_manifest

    out = shlex.quote(str(folder.resolve().parent if folder.parent == Path() else folder.parent))
    with contextlib.suppress(ValueError):
        if read_manifest(folder)["experiment"] == folder.resolve().name:
            return f"memhp-sim rerun {shlex.quote(str(folder))} --out {out}"
    return f"memhp-sim run FILE.toml --out {out}, with the experiment's file"


def _as_json(folder: Path, found: Inspection) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "sound": not found.damages,
        "files": found.files,
        "bytes": found.size,
        "runs": found.runs,
        "runs_lost": len(found.lost),
        "runs_unpacked": found.unpacked,
        "damaged": [
            {"path": str(each.path.relative_to(folder)), "what": each.what, "then": each.then} for each in found.damages
        ],
        "to_mend": _what_to_do(folder) if found.damages else None,
    }
