"""What is in a file, by its SHA-256, for which a large file is not read again and again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final, Generic, TypeVar

_Read = TypeVar("_Read")

LARGE: Final = 1 << 20
"""Bytes of a file from which on it is worth while to remember things of it."""

_SETTLED_S: Final = 2.0
"""Age from which on a file's time tells it from what is written later, whatever the file system's clock ticks in."""


def cache_folder() -> Path:
    """Return the folder of indexes: in ``XDG_CACHE_HOME``, or ``~/.cache``."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path("~/.cache").expanduser()
        except RuntimeError:  # a user without a home: nothing can be kept
            base = Path(os.devnull)
    return base / "memhp-sim" / "traces"


def signature(path: Path) -> tuple[int, ...]:
    """Return what changes with a file that is written again. Raises OSError."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def settled(path: Path) -> bool:
    """Whether the file is old enough for its :func:`signature` to be trusted. Raises OSError."""
    status = path.stat()
    return time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S


class Kept(Generic[_Read]):
    """What the last few files held, for as long as they are not written again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, ...], _Read] = OrderedDict()

    def get(self, path: Path) -> _Read | None:
        """Return what :meth:`keep` was given of the file at ``path`` as it is now, None where that is nothing."""
        with contextlib.suppress(OSError, ValueError):
            found = self._kept.get(signature(path))
            if found is not None:
                self._kept.move_to_end(signature(path))
            return found
        return None

    def keep(self, path: Path, before: tuple[int, ...] | None, read: _Read) -> None:
        """Keep what was ``read`` of the file at ``path``, where that is as it was ``before`` and has settled."""
        with contextlib.suppress(OSError, ValueError):
            if before is None or not settled(path) or signature(path) != before:
                return
            self._kept[before] = read
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


def signature_or_none(path: Path) -> tuple[int, ...] | None:
    """Return :func:`signature`, None where there is nothing to be had."""
    with contextlib.suppress(OSError, ValueError):
        return signature(path)
    return None


def content_hash(path: Path) -> str:
    """Return SHA-256 of the file at ``path``, in hexadecimal; of a large one that has settled it is remembered.

    Raises OSError, and ValueError for a path with a zero byte.
    """
    if path.exists() and not path.is_file():  # a device or a pipe might never end
        raise OSError(errno.EINVAL, f"is a {'folder' if path.is_dir() else 'device or a pipe'}, not a file", str(path))
    if path.stat().st_size < LARGE:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    note = cache_folder() / "hashes" / hashlib.sha256(repr(signature(path)).encode()).hexdigest()
    with contextlib.suppress(OSError, ValueError):
        known = note.read_text("ascii")
        if len(known) == 64 and int(known, 16):  # noqa: PLR2004  hexadecimal digits of 256 bits
            return known
    trusted = settled(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if trusted:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            aside = note.with_name(f"{note.name}.{secrets.token_hex(8)}")
            aside.write_text(found, "ascii")
            aside.replace(note)
    return found
