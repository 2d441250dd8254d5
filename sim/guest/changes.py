"""How often a guest has changed: while that stays the same, nothing has to be read of it again."""

from __future__ import annotations


class Changes:
    """``count`` grows with every verb that may change anything which can be read of a guest; reading leaves it alone.

    Who keeps what was read keeps the count with it.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0
