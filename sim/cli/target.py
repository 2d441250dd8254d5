"""The file that a command writes for its user to go on with: refused before anything is computed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def check_target(path: Path, *, force: bool, suffix: str = ".toml", what: str = "experiment files") -> None:
    """Refuse what is no name for ``what`` is written, a folder, and without ``force`` a file that is there.

    ``what`` in words are files that end in ``suffix``. Raises BadInput.
    """
    from sim.cli.main import BadInput

    if path.suffix != suffix:
        raise BadInput(f"{path}: {what} end in {suffix}")
    if path.is_dir():
        raise BadInput(f"{path} is a folder")
    if path.exists() and not force:
        raise BadInput(f"{path} is there already; --force writes over it")
