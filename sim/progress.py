"""How far something has come that takes long: told by whoever does it, to whoever wants to know. A leaf."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Listener: TypeAlias = Callable[[str, int, int], None]
    """Told of what is read, and how many of all its bytes have been."""

_listeners: list[Listener] = []


def tell(what: str, done: int, total: int) -> None:
    """Tell that of ``what`` is read, such as a file's name, ``done`` bytes of ``total`` have been."""
    for listener in _listeners:
        listener(what, done, total)


@contextlib.contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Have ``listener`` told in the body, in this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
