"""What is wrong with a trace: told by row and column, all at once up to a number, as one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from sim.faults import Fault, InputError

if TYPE_CHECKING:
    from pathlib import Path

MOST_FAULTS: Final = 20
"""Faults of a file that are told; behind the last one it is not read on."""


class TraceFaults:
    """Collects what is wrong with the file at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._faults: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, where: str, what: str) -> None:
        """Note that ``what`` is wrong at ``where``, such as ``row 7 (line 8), column use_mib``; nothing for the whole.

        Raises InputError once there are as many as are told.
        """
        self._faults.append(Fault(where, what))
        if len(self._faults) == MOST_FAULTS:
            self._faults.append(Fault("", "there may be more: it was not read on"))
            self.done()

    def refuse(self, what: str, where: str = "") -> NoReturn:
        """Raise InputError with all that was wrong so far, and with ``what``, because of which nobody can read on."""
        raise InputError(self.path.name, [*self._faults, Fault(where, what)])

    def done(self) -> None:
        """Raise InputError with everything that was wrong, if anything was."""
        if self._faults:
            raise InputError(self.path.name, self._faults)
