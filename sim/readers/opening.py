"""Opening what a user names: a file, ``-`` for standard input, a folder, an archive; bounded, and without effects.

Nothing is written, run or fetched, no link is followed, and nothing but regular files is read. Whatever the input is,
opening it ends soon, with what is in it or with InputError.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from sim.faults import Fault, InputError
from sim.opening import UnreadableError, open_regular
from sim.readers.dumps import LARGEST_TEXT, Collector, Dump
from sim.readers.pasted import Piece, clean, refusal
from sim.readers.unpacking import Unpacked, is_tar, read_tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STANDARD_INPUT: Final = "-"
_STANDARD_INPUT: Final = "standard input"

_OF_A_MACHINE: Final = (
    "sys/devices/system/memory",
    "sys/devices/system/node",
    "sys/module/memory_hotplug/parameters",
    "proc/meminfo",
    "proc/zoneinfo",
    "proc/cmdline",
    "proc/version",
    "sos_commands/kernel",
    "sos_commands/libvirt",
    "sos_commands/memory",
    "sos_commands/virsh",
)
"""What is looked for in a folder that is or holds a machine's ``/sys`` or ``/proc``: all else there is left alone."""


def open_input(path: str | Path) -> Piece | Dump:
    """Return what is in the file or folder at ``path``; a :class:`Dump` for a folder or archive.

    Raises InputError, in one line, for what cannot be read and what is too large.
    """
    file = str(path)
    try:
        if file == STANDARD_INPUT:
            if sys.stdin is None or sys.stdin.closed:
                raise refusal(_STANDARD_INPUT, Fault("", "is closed"))
            return _content(_STANDARD_INPUT, sys.stdin.buffer)
        mode = os.stat(path).st_mode  # noqa: PTH116 - a path may hold NUL bytes, and then this says so
        if stat.S_ISDIR(mode):
            return _folder(file)
        with open_regular(path) as stream:
            return _content(file, stream)
    except UnreadableError as error:
        hint = "; give - and the pipe as standard input" if stat.S_ISFIFO(mode) else ""
        raise refusal(file, Fault("", f"{error}{hint}")) from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise refusal(file, Fault("", f"cannot be read: {reason}")) from None


def _content(file: str, stream: BinaryIO) -> Piece | Dump:
    unpacked = Unpacked(file, stream)
    start = unpacked.peek()
    if is_tar(start):
        return read_tar(file, unpacked)
    return Piece(file, clean(unpacked.read_whole(LARGEST_TEXT)))


def _folder(file: str) -> Dump:
    collector = Collector(file)
    for path in _walk(file, collector):
        if not collector.wants(path):
            continue
        full = os.path.join(file, path)  # noqa: PTH118 - many thousands of them
        try:
            with open_regular(full, follow=False) as stream:
                data = stream.read(collector.largest(path) + 1)
        except (OSError, UnreadableError):
            collector.leave(path)
        else:
            collector.take(path, data or b"")
    return collector.dump()


def _walk(top: str, collector: Collector) -> Iterator[str]:
    """Yield the paths of regular files below ``top``, by name; folders and links are told to ``collector``."""
    known = _of_a_machine(top)
    if known:
        yield from (path for path in known if os.path.isfile(os.path.join(top, path)))  # noqa: PTH113, PTH118
    if known and "meminfo" not in known:  # reading others of /proc has effects: kmsg
        files = [entry.name for entry in _entries(top, "", collector) if entry.is_file(follow_symlinks=False)]
        yield from (name for name in files if name not in known)
    pending = [""] if not known else [p for p in reversed(known) if os.path.isdir(os.path.join(top, p))]  # noqa: PTH112, PTH118
    while pending:
        folder = pending.pop()
        try:
            entries = _entries(top, folder, collector)
        except OSError:
            if not folder:
                raise
            collector.leave(f"{folder}/")
            continue
        deeper = []
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
                collector.name(path)
                if not entry.is_symlink() and collector.is_inside(path) and entry.name != "power":
                    deeper.append(path)
            elif entry.is_file(follow_symlinks=False):
                yield path
        pending.extend(reversed(deeper))


def _entries(top: str, folder: str, collector: Collector) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name; each counts."""
    found = []
    with os.scandir(os.path.join(top, folder)) as entries:  # noqa: PTH118
        for entry in entries:
            collector.count(entry.name)
            found.append(entry)
    return sorted(found, key=lambda entry: entry.name)


def _of_a_machine(top: str) -> tuple[str, ...]:
    """Return the paths of interest below ``top`` if it is a machine's root, ``/sys`` or ``/proc``, else nothing."""
    for prefix, marks in (
        ("", ("sys/devices/system/memory", "proc/meminfo")),
        ("sys/", ("devices/system/memory",)),
        ("sys/devices/system/", ("memory/block_size_bytes",)),
        ("proc/", ("kmsg",)),
    ):
        if any(_is_there(top, mark) for mark in marks):
            return tuple(
                path
                for known in _OF_A_MACHINE
                if known.startswith(prefix) and _is_there(top, path := known.removeprefix(prefix))
            )
    return ()


def _is_there(top: str, path: str) -> bool:
    """Return whether something is at ``path`` below ``top`` that no link leads to: a link may lead out of it."""
    place = top
    for name in path.split("/"):
        place = os.path.join(place, name)  # noqa: PTH118
        if os.path.islink(place) or not os.path.exists(place):  # noqa: PTH110, PTH114
            return False
    return True
