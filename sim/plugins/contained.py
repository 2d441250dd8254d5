"""Code of others that runs in this process: it may fail, but it may not end the process without a word."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def without_exit() -> Iterator[None]:
    """Have ``os._exit`` raise SystemExit in the body, as ``sys.exit`` does.

    For plug-ins that are imported or made where no process of their own is there to be lost, and for the thread that
    does it: nothing else runs beside.
    """
    ends = os._exit

    def refuse(status: int) -> NoReturn:
        raise SystemExit(status)

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = ends
