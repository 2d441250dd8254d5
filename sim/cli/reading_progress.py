"""What a person sees while a large file is read: after two seconds, on a terminal, how much of it has been."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

from sim import progress
from sim.cli.outputs import showable, steering

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S: Final = 2.0
_BETWEEN_S: Final = 0.1
_ERASED: Final = "\r\033[K"


class ReadingProgress:
    """Writes one line into ``stream``, over and over, once something has taken long; and takes it away again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._what = ""
        self._since = self._last = 0.0
        self._shown = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take in that of ``what`` so much has been read."""
        now = time.monotonic()
        if what != self._what or done >= total:
            self.erase()
            self._what, self._since = what, now
            return
        if now - self._since >= PATIENCE_S and now - self._last >= _BETWEEN_S:
            self._last, self._shown = now, True
            # Of what is at the end of the line, narrow terminals would make another line.
            name = showable(what, self._stream)[-24:]
            self._stream.write(f"{_ERASED}Reading {name}: {100 * done // max(1, total)} %")
            self._stream.flush()

    def erase(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write(_ERASED)
            self._stream.flush()
        self._shown = False


@contextlib.contextmanager
def shown_while_reading() -> Iterator[None]:
    """Show in the body what is read, where standard error is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    shown = ReadingProgress(steering(sys.stderr))
    with progress.told_to(shown):
        try:
            yield
        finally:
            shown.erase()
