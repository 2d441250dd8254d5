"""Commands that write into a folder of results: one at a time, ``--wait`` for who comes second, a full disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sim.experiment.run import Report

wait_option: Final = click.option(
    "--wait", is_flag=True, help="Wait where another command is at work in the folder of results."
)


@contextlib.contextmanager
def at_work_in(folder: Path, *, wait: bool) -> Iterator[None]:
    """Keep other commands out of the ``folder`` of results, which is made, while the body runs.

    Where another one is in it, that is an InputError, or with ``wait`` waited for, after a line that says for whom.
    """
    from sim.results.locks import alone

    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, wait=wait, tell=lambda text: click.echo(text, err=True)):
        yield


def runs_there(report: Report | None) -> str:
    """Return how many runs are there, those too of which nobody was told yet; nothing where none was begun."""
    from sim.results.earlier import completed_runs

    if report is None or not report.planned:
        return ""
    there = len({run.key for run in completed_runs(report.folder)})
    return f"{there} of {report.planned} runs are there"


@contextlib.contextmanager
def full_disk_told(done: Callable[[], str]) -> Iterator[None]:
    """Say where the disk is full, what is ``done`` so far, in words, and what to do. The place was the user's choice.

    Raises BadInput where it is.
    """
    try:
        yield
    except OSError as error:
        from sim.cli.main import BadInput
        from sim.results.atomic import no_room

        if not no_room(error):
            raise
        where = f"{error.filename}: " if error.filename else ""
        so_far = f". {there}" if (there := done()) else ""
        raise BadInput(
            f"{where}{error.strerror}{so_far}; make room there, and the same command goes on from what is kept"
        ) from error
