"""One process at a time in a folder of results: a second one would remove what the first has not used yet."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from sim.faults import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others out of the ``folder`` while the body runs. Raises InputError where somebody else is in it.

    The folder itself is locked, so that nothing is left in it; the lock ends with the process, however that ends. On
    systems and file systems without such locks nobody is kept out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "another process is at work in it; wait until it is done, or choose another --out"
            raise InputError(str(folder), [Fault("", what)]) from None
        except OSError:
            pass  # a file system that has no locks
        yield
    finally:
        os.close(descriptor)
