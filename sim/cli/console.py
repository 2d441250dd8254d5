"""Where the commands print: one console, wide enough for tables where there is no terminal to ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

WIDTH_WITHOUT_TERMINAL: Final = 120
"""Columns in a file or a pipe, unless the environment variable COLUMNS says otherwise."""


def standard_console() -> Console:
    """Return a console on standard output."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def print_notes(console: Console, notes: Iterable[str]) -> None:
    """Print each note as a paragraph of its own, its further lines indented."""
    from rich.padding import Padding
    from rich.text import Text

    for note in notes:
        lines = Text(f"Note: {note}").wrap(console, max(20, console.width - 2))
        for number, line in enumerate(lines):
            line.rstrip()
            console.print(Padding(line, (0, 0, 0, 2 if number else 0), expand=False))
