"""Ctrl-C and its like: one word and an exit code at any moment, and never in the middle of an import."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from sim.experiment.interrupts import ENDING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_AGAIN: Final = 0.02
"""Seconds after which a signal that came at a bad moment is sent again."""

_PATIENCE: Final = 2.0
"""Seconds for which an import may put it off: a plug-in's may never end."""


class Interrupts:
    """Whether the command was interrupted: an error that an interrupt ends up as is none."""

    def __init__(self) -> None:
        self.came = False
        self._first: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt; but not during an import, as extension modules make other errors of it."""
        self.came = True
        if self._first is None:
            self._first = time.monotonic()
        if time.monotonic() - self._first < _PATIENCE and _importing(frame):
            _send_again(number)
            return
        self._first = None
        raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    def send() -> None:
        time.sleep(_AGAIN)
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            signal.raise_signal(number)

    # Not threading's own: a lock of it may be what was interrupted.
    _thread.start_new_thread(send, ())


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, workers are ended and what was done is kept; note whether one came.

    A signal that is ignored stays so, as in a job in the background or under nohup.
    """
    found = Interrupts()
    if threading.current_thread() is not threading.main_thread():  # nobody else may set what signals do
        yield found
        return
    before = {each: signal.getsignal(each) for each in ENDING}
    taken = [each for each, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    ignored_before = sys.unraisablehook

    def unraisable(said: sys.UnraisableHookArgs, /) -> None:
        """Send an interrupt again that came where nothing can be raised, as while something is thrown away."""
        if issubclass(said.exc_type, KeyboardInterrupt):
            _send_again(signal.SIGINT)
        else:
            ignored_before(said)

    sys.unraisablehook = unraisable
    for each in taken:
        signal.signal(each, found)
    try:
        yield found
    finally:
        for each in taken:
            signal.signal(each, before[each])
        sys.unraisablehook = ignored_before
