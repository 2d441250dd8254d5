"""Opening a file that a user names: only regular ones, which have an end, and without waiting for anybody. A leaf.

A device may never end, a pipe that nobody writes to is waited for, and opening either may have effects.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from sim.faults import MemhpSimError

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class UnreadableError(MemhpSimError):
    """A path leads to no file that can be read. The message goes on where the path's name ends: "is a folder, ..."."""


def open_regular(path: str | Path, *, follow: bool = True) -> BinaryIO:
    """Open the file at ``path`` to be read; unless ``follow``, no link is followed at its end.

    Raises UnreadableError for what is no regular file, and where there is none or it may not be read.
    """
    try:
        # Before it is opened, which may have effects, and after it: something else may be there by then.
        _refuse_kinds((os.stat(path) if follow else os.lstat(path)).st_mode)  # noqa: PTH116 - os.open wants os.stat
        descriptor = os.open(path, _FLAGS | (0 if follow else _NO_LINK))
        try:
            _refuse_kinds(os.fstat(descriptor).st_mode)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path, or half a character
        reason = getattr(error, "strerror", None) or error
        raise UnreadableError(f"cannot be read: {reason}") from error


def read_regular(path: str | Path, most: int) -> bytes:
    """Return what is in the file at ``path``. Raises UnreadableError as open_regular, and for over ``most`` bytes."""
    with open_regular(path) as file:
        try:
            if os.fstat(file.fileno()).st_size <= most and len(data := file.read(most + 1)) <= most:
                return data
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    raise UnreadableError(f"is larger than {most >> 20:,} MiB")


def read_json(path: str | Path, most: int) -> Any:  # noqa: ANN401  whatever JSON can hold
    """Return what the JSON in the file at ``path`` says.

    Raises UnreadableError as read_regular does, and for what is no text, is empty, is no JSON, is nested beyond reason,
    or holds a number of thousands of digits.
    """
    try:
        text = read_regular(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not a text file (byte {error.start})") from error
    if not text.strip():
        raise UnreadableError("is empty")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"is not JSON, or cut off (line {error.lineno}: {error.msg})") from error
    except RecursionError as error:
        raise UnreadableError("is not JSON, or cut off (nested too deeply)") from error
    except ValueError as error:
        raise UnreadableError("is not JSON, or cut off (a number of thousands of digits)") from error


def _refuse_kinds(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
    raise UnreadableError(f"is {kind}, not a file")
