"""Writing files so that whoever looks, at any moment, sees the whole old file or the whole new one."""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

TEMPORARY_MARK: Final = ".tmp-"
"""Stands in the name of a file that is still being written, which therefore does not end like a finished one."""
_DRAWN: Final = 8
_TEMPORARY: Final = re.compile(rf".+{re.escape(TEMPORARY_MARK)}[0-9a-f]{{{2 * _DRAWN}}}", re.DOTALL)


def no_room(error: BaseException) -> bool:
    """Whether ``error`` is that of a full disk, or of one on which nobody may take more."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: Path, data: bytes | memoryview, *, durable: bool = True) -> None:
    """Write ``data`` to ``path``: into a file beside it, flushed to the disk, then renamed over it.

    Creates missing folders. Raises OSError, and leaves ``path`` as it was, where that fails. Without ``durable``
    nothing waits for the disk: a killed process still leaves a whole file or none, a power failure may not.
    """
    with written_whole(path, durable=durable) as file:
        file.write(data)


@contextmanager
def written_whole(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file that is at ``path`` once the body has written all of it, as :func:`write_atomically` does.

    Where the body raises, ``path`` stays as it was. A device or a pipe takes what is written at once.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        try:
            with path.open("wb") as file:
                yield file
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("x+b") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # A full disk names no file, and other errors that beside it, of which nobody knows.
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, so that the renaming outlives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(name: str) -> str:
    """Return the name, another one each time, of what will be called ``name`` once it is whole."""
    return f"{name}{TEMPORARY_MARK}{secrets.token_hex(_DRAWN)}"


def is_temporary(name: str) -> bool:
    """Whether :func:`temporary_name` gives such a ``name``; no other one with the mark in it, which is somebody's."""
    return _TEMPORARY.fullmatch(name) is not None


def leftovers(folder: Path) -> Iterator[Path]:
    """Yield the files below ``folder`` whose writers were killed before they had finished."""
    for above, _, names in os.walk(folder):  # not into folders that are linked, which are elsewhere
        for name in names:
            path = Path(above, name)
            if is_temporary(name) and path.is_file() and not path.is_symlink():
                yield path
