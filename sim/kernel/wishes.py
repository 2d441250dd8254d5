"""What loads would use if they could, held against what they do use: the demand that is not served.

What is wished is the workload's affair and the same under every policy; who is killed, and so what is used, is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.guest import GuestModel


class Wishes:
    """The wishes of a guest's loads. ``unserved`` is by how many bytes the loads use less than they wish, in all.

    Right after every :meth:`wish`; after a change of what a load uses once it was looked at.
    """

    def __init__(self, model: GuestModel) -> None:
        self._model = model
        self._wished: dict[str, tuple[int, int]] = {}
        """By load: units, and the bytes of one."""
        self._missing: dict[str, int] = {}
        self.unserved = 0

    def wish(self, name: str, units: int, size: int) -> None:
        """Have load ``name`` wish for so many ``units`` of ``size`` bytes from now on."""
        if units:
            self._wished[name] = units, size
        else:
            self._wished.pop(name, None)
        self.look(name)

    def look(self, name: str) -> None:
        """Note what load ``name`` uses now."""
        units, size = self._wished.get(name, (0, 0))
        missing = max(0, units - self._used(name)) * size if units else 0
        more = missing - self._missing.get(name, 0)
        if not more:
            return
        self.unserved += more
        self._model.changes.count += 1
        if missing:
            self._missing[name] = missing
        else:
            del self._missing[name]

    def look_at_all(self) -> None:
        """Note what all loads use now: nothing, in a dead guest."""
        for name in self._wished:
            self.look(name)

    def _used(self, name: str) -> int:
        load = self._model.loads.get(name)
        return 0 if load is None or self._model.killer.guest_died else round(load.units)
