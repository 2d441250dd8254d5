"""The file that a command writes an experiment to: refused before anything is computed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def check_target(path: Path, *, force: bool) -> None:
    """Refuse what is no name of an experiment file, a folder, and without ``force`` a file that is there.

    Raises BadInput.
    """
    from sim.cli.main import BadInput

    if path.suffix != ".toml":
        raise BadInput(f"{path}: experiment files end in .toml")
    if path.is_dir():
        raise BadInput(f"{path} is a folder")
    if path.exists() and not force:
        raise BadInput(f"{path} is there already; --force writes over it")
