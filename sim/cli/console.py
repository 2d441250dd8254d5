"""Where the commands print: one console, wide enough for tables where there is no terminal to ask."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from sim.cli.outputs import Output, harmless, showable, steering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console
    from rich.segment import Segment

WIDTH_WITHOUT_TERMINAL: Final = 120
"""Columns in a file or a pipe, unless the environment variable COLUMNS says otherwise."""


def standard_console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or on standard error; what steers a terminal in a text is made harmless."""
    from rich.console import Console

    class Harmless(Console):
        def render(self, *what: Any, **options: Any) -> Iterator[Segment]:  # noqa: ANN401  as rich's
            for segment in super().render(*what, **options):
                yield segment if segment.control else segment._replace(text=harmless(segment.text))

    output = sys.stderr if stderr else sys.stdout
    file = steering(output) if isinstance(output, Output) else None
    console = Harmless(highlight=False, stderr=stderr, file=file)
    if console.is_dumb_terminal:  # of which the console does not ask the width
        console.width = shutil.get_terminal_size().columns
    # A width of 0 is what serial lines and some shells say who do not know.
    if console.width < 1 or (not console.is_terminal and "COLUMNS" not in os.environ):
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def width_of_output() -> int:
    """Return the columns that plain lines may take, without the libraries that a console needs."""
    return shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns


def duration_text(seconds: float) -> str:
    """Return about how long something takes, in words."""
    if seconds <= 1:
        return "a second"
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def print_notes(console: Console, notes: Iterable[str]) -> None:
    """Print each note as a paragraph of its own, its further lines indented."""
    from rich.padding import Padding
    from rich.text import Text

    for note in notes:
        lines = Text(showable(f"Note: {note}")).wrap(console, max(20, console.width - 2))
        for number, line in enumerate(lines):
            line.rstrip()
            console.print(Padding(line, (0, 0, 0, 2 if number else 0), expand=False))


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print ``value`` as JSON, which stays JSON where the other side lacks characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if showable(text) != text:
        text = json.dumps(value, indent=indent)
    _print_whole(f"{text}\n")


def print_data(text: str) -> None:
    """Print what is meant for another program: into a file or a pipe the same bytes as into a file that is named."""
    stream: TextIO | None = sys.stdout
    if isinstance(stream, Output) and not stream.isatty():
        stream.flush()
        stream.buffer.write(text.encode())
        stream.buffer.flush()
    else:
        _print_whole(text)


def _print_whole(text: str) -> None:
    """Print ``text`` without line ends at the terminal's edge, as whoever copies it from there wants it."""
    if isinstance(sys.stdout, Output):
        sys.stdout.write_steering(harmless(text))
        sys.stdout.flush()
    else:
        click.echo(text, nl=False)
