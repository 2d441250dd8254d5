"""A request of a host, as a row of a log or a step says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``op`` for ``device`` at ``t_us`` microseconds.

    ``spec`` describes the device of a plug, ``size`` is the requested size or the demand in bytes, ``kind`` the kind of
    load of a demand, ``state`` the word for a dax device's ``state``; each is empty with other operations.
    """

    t_us: int
    op: str
    device: str
    spec: DeviceSpec | None = None
    size: int = 0
    kind: str = ""
    state: str = ""

    def ask(self, host: Host) -> None:
        """Make the request."""
        if self.op == "resize":
            host.resize(self.device, self.size)
        elif self.op == "demand":
            host.set_demand(self.device, self.kind, self.size)
        elif self.op == "state":
            host.set_dax_state(self.device, self.state)
        elif self.spec is not None:
            host.plug(self.spec)
        else:
            {"unplug": host.unplug, "unbind": host.unbind, "bind": host.bind}[self.op](self.device)
