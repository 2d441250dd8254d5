"""Commands that write into a folder of results: one at a time, and ``--wait`` for those who come second."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
