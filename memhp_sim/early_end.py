"""Ctrl-C while Python still loads what the command needs: its exit code, and not a word."""

from __future__ import annotations

import os
import signal

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def on_ctrl_c() -> None:
    """Have Ctrl-C end the process at once, unless it is ignored, as in a script's background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
