"""``memhp-sim check``: whether results are as they were written, and what to do where they are not."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.choosing import no_results, results_folder
from sim.cli.console import print_json
from sim.units import counted, rounded_size

if TYPE_CHECKING:
    from sim.results.inspection import Inspection

_OF_EARLIER: Final = "earlier runs are lost there, which are no part of the experiment any more"


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
    from sim.results import earlier
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
    for path in earlier.folders(folder):
        found.damages += [replace(each, then=_OF_EARLIER) for each in inspect(path).damages]
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
    of_earlier = all(each.then == _OF_EARLIER for each in found.damages)
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
        if not of_earlier:
            click.echo(f"To mend it: {_what_to_do(folder)}")
    if found.unpacked:
        click.echo(f"{counted(found.unpacked, 'run')} of a run that was interrupted, or is under way, in no table yet.")


def _what_to_do(folder: Path) -> str:
    """Return the command that computes again what is missing."""
    from sim.results.manifest import read_manifest
    from sim.starting.text import typed

    there = folder.resolve()
    above = there.parent if folder.name in ("", "..") else folder.parent
    out = typed(above)
    with contextlib.suppress(ValueError, KeyError):
        name = str(read_manifest(folder)["experiment"])
        if name == there.name:
            return f"memhp-sim rerun {typed(folder)} --out {out}"
        before = f"give the folder the name of its experiment again, {name}"
        return f"{before}; then: memhp-sim rerun {typed(above / name)} --out {out}"
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
        "to_mend": None if all(each.then == _OF_EARLIER for each in found.damages) else _what_to_do(folder),
    }
