"""Whether a person ends what is under way, or the code of a plug-in only raises what Ctrl-C would."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


ENDING: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that end a command: Ctrl-C, a service manager's, that of a terminal that is closed, Windows' Ctrl-Break."""


@contextlib.contextmanager
def noticed() -> Iterator[list[int]]:
    """Yield the numbers of the signals of :data:`ENDING` that have come in the body so far.

    What handles them is called all the same. In threads other than the main one, and where nothing handles them, none
    come.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # nobody else is told of signals
        yield came
        return

    def and_noted(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], Any]:
        def handle(number: int, frame: FrameType | None) -> None:
            came.append(number)
            handler(number, frame)

        return handle

    handlers = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, and_noted(handler))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
