"""What is told of files of a store that are not as they were written: which, what is wrong, and what becomes of it."""

from __future__ import annotations

import secrets
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DamageWarning(UserWarning):
    """Something of a folder of results cannot be read; the words say what, where, and what happens now."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file at ``path`` that is not as it was written: ``what`` is wrong with it, and ``then`` what comes of that.

    Both are words that go on from the path: "is empty", "20 runs are computed again".
    """

    path: Path
    what: str
    then: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.then}"

    def warn(self) -> None:
        """Warn of it; the commands print such warnings as they are."""
        warnings.warn(str(self), DamageWarning, stacklevel=2)


def set_aside(path: Path) -> Path:
    """Give what is in the way at ``path`` another name beside it, which is returned: it is none of this program's."""
    return path.rename(path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}"))


def unreadable(path: Path, error: OSError) -> str:
    """Return what is wrong with a ``path`` that could not be opened."""
    if path.is_dir():
        return "is a folder, where a file should be"
    if path.is_symlink() and not path.exists():
        return "is a link to nowhere"
    return f"cannot be read ({error.strerror or error})"
