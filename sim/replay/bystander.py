"""The programs that record: they are never idle long, so an add that leaves the kernel no memory shows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.kernel.listener import CoreListener

if TYPE_CHECKING:
    from sim.guest import GuestModel
    from sim.kernel.oom_log import OomLog


class Bystander(CoreListener):
    """Allocates something right after an add that has left the kernel no memory."""

    def __init__(self, model: GuestModel, ooms: OomLog) -> None:
        self._model = model
        self._ooms = ooms

    def starved(self) -> None:
        """Find no memory."""
        self._ooms.out_of_memory(self._model.starve())
