"""What loads would use if they could, held against what they do use: the demand that is not served.

What is wished is the workload's affair and the same under every policy; who is killed, and so what is used, is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.guest import GuestModel
    from sim.guest.contract import DemandKind


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

    def wish(self, name: str, kind: DemandKind, units: int) -> None:
        """Have load ``name`` wish for so many ``units`` of ``kind`` from now on."""
        self._wished[name] = units, round(self._model.parameters.unit_bytes(kind))
        self.look(name)
        if not units:
            del self._wished[name]

    def look(self, name: str) -> None:
        """Note what load ``name`` uses now."""
        units, size = self._wished.get(name, (0, 0))
        missing = max(0, units - self._used(name)) * size
        self.unserved += missing - self._missing.pop(name, 0)
        if missing:
            self._missing[name] = missing

    def look_at_all(self) -> None:
        """Note what all loads use now: nothing, in a dead guest."""
        for name in self._wished:
            self.look(name)

    def _used(self, name: str) -> int:
        load = self._model.loads.get(name)
        return 0 if load is None or self._model.killer.guest_died else round(load.units)
