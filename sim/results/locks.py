"""Locks: one command at a time in a folder of results, one packer in a store, one writer to a segment.

A lock ends with the process that holds it, however that ends: a file that a killed one has left behind keeps nobody
out. Where a file system has no locks, nobody is kept out either, and whoever would be alone is told so.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from filelock import lock_descriptor, unlock_descriptor

from sim.faults import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IN_USE: Final = ".in-use"
"""File in a folder of results, while a command is at work in it: it says which process on which host, since when."""
PACKING: Final = ".packing"
"""File in a store, while somebody brings its cells into packs."""
LOCK_FILES: Final = (IN_USE, PACKING)
"""Files that are no results: a lock is held on them, or whoever held one was killed."""

_LOOK_S: Final = 0.1
_LOOK_SOON_S: Final = 0.005
"""Seconds between two looks whether a lock is free: one that is held for a run, and one for some milliseconds."""


class NoLocksWarning(UserWarning):
    """The file system has no locks, so that nobody is kept out of a folder of results."""


class Holder(NamedTuple):
    """Who is at work: the ``process`` on the ``host``, ``since`` when (Unix time)."""

    process: int
    host: str
    since: float

    def __str__(self) -> str:
        began, now = datetime.fromtimestamp(self.since).astimezone(), datetime.now().astimezone()
        when = f"{began:%H:%M}" if began.date() == now.date() else f"{began:%Y-%m-%d %H:%M}"
        return f"process {self.process} on {self.host}, since {when}"


_mine = threading.local()


@contextlib.contextmanager
def alone(folder: Path, *, wait: bool = False, tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Keep other processes and threads out of the ``folder``, which is there, while the body runs.

    Within it, the same thread may ask for the same folder again. Raises InputError where somebody else is in it; with
    ``wait``, waits until nobody is. ``tell`` is told, in a sentence, for whom, and where the file system has no locks
    (None: a warning says that). Processes that write for whoever is in the folder do not ask: workers share its lock.
    """
    mine: set[str] = _mine.__dict__.setdefault("folders", set())
    name = os.path.realpath(folder)
    if name in mine:
        yield
        return
    path, told = folder / IN_USE, set[str]()
    while (descriptor := _taken(path)) == _HELD:
        who = _holder(path)
        told_of = "another process" if who is None else str(who)
        if not wait:
            known = "" if who is None else f" ({who})"
            what = f"another process is at work in it{known}; wait with --wait, or choose another --out"
            raise InputError(str(folder), [Fault("", what)])
        if tell is not None and told_of not in told and (who is not None or not told):
            tell(f"Waiting for {told_of}, at work in {folder}.")
        told.add(told_of)
        time.sleep(_LOOK_S)
    if descriptor is None:
        text = f"{folder}: this file system has no locks; see to it that no other command writes into it meanwhile"
        if tell is not None:
            tell(f"Note: {text}.")
        else:
            warnings.warn(text, NoLocksWarning, stacklevel=3)
    else:
        _note(descriptor)
    mine.add(name)
    try:
        yield
    finally:
        mine.discard(name)
        _let_go(path, descriptor)


@contextlib.contextmanager
def packing(store: Path) -> Iterator[None]:
    """Keep others from packing what is in ``store`` meanwhile; wait where somebody does."""
    path = store / PACKING
    while (descriptor := _taken(path)) == _HELD:
        time.sleep(_LOOK_SOON_S)
    try:
        yield
    finally:
        _let_go(path, descriptor)


@contextlib.contextmanager
def holding(descriptor: int) -> Iterator[None]:
    """Hold the lock of an open file; wait where somebody else does."""
    locks = True
    try:
        lock_descriptor(descriptor, poll_interval=_LOOK_SOON_S)
    except OSError:  # a file system that has none, as some of networks
        locks = False
    try:
        yield
    finally:
        if locks:
            unlock_descriptor(descriptor)


_HELD: Final = -1


def _taken(path: Path) -> int | None:
    """Return the descriptor of the lock file ``path``, locked; _HELD where somebody else has it, None without locks."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        keep = False
        try:
            try:
                if not lock_descriptor(descriptor, blocking=False):
                    return _HELD
            except OSError:
                return None
            # Whoever held it has removed it when letting go, and another one may be there by now.
            keep = _is_there(path, descriptor)
            if keep:
                return descriptor
        finally:
            if not keep:
                os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _let_go(path: Path, descriptor: int | None) -> None:
    with contextlib.suppress(OSError):  # an open file cannot be removed everywhere; nobody minds one that is left
        if descriptor is None or _is_there(path, descriptor):
            path.unlink()
    if descriptor is not None:
        os.close(descriptor)


def _note(descriptor: int) -> None:
    """Write who holds a lock into its file. On some systems others cannot read its first byte, which is locked."""
    holder = Holder(os.getpid(), socket.gethostname(), time.time())
    with contextlib.suppress(OSError):  # a full disk keeps nobody from reading what is there already
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"\n" + json.dumps(holder._asdict()).encode())


def _holder(path: Path) -> Holder | None:
    """Return who holds a lock; None where that is not known, as it has been taken just now."""
    try:
        with path.open("rb") as file:
            file.seek(1)
            told = json.loads(file.read())
        return Holder(int(told["process"]), str(told["host"]), float(told["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
