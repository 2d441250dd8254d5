"""Where the commands print: one console, wide enough for tables where there is no terminal to ask."""

from __future__ import annotations

import codecs
import io
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

WIDTH_WITHOUT_TERMINAL: Final = 120
"""Columns in a file or a pipe, unless the environment variable COLUMNS says otherwise."""

_LIKE_IT: Final = "memhp-sim.like-it"
_PLAIN: Final = {"─": "-", "±": "+-", "∞": "inf", "▲": "+", "▼": "-", "✗": "x", "≤": "<=", "→": "->"}


def write_what_can_be_written() -> None:
    """Have both outputs take every character: what their encoding lacks is written as something like it.

    Without this a table's rule, or a file's name that is no text, would end the command where the encoding is not
    UTF-8.
    """
    codecs.register_error(_LIKE_IT, _like_it)
    for stream in (sys.stdout, sys.stderr):
        # In the locale C Python writes a file's name that is no text as the bytes that it has, and refuses all else.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=_LIKE_IT)


def _like_it(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each) or ascii(each)[1:-1] for each in wrong), error.end


def standard_console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or on standard error."""
    from rich.console import Console

    console = Console(highlight=False, stderr=stderr)
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
        lines = Text(f"Note: {note}").wrap(console, max(20, console.width - 2))
        for number, line in enumerate(lines):
            line.rstrip()
            console.print(Padding(line, (0, 0, 0, 2 if number else 0), expand=False))
