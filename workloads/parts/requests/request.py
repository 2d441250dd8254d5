"""A request of a host, as a row of a log or a step says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workloads.parts.demand import write_drop_caches

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``op`` for ``device`` at ``t_us`` microseconds.

    ``spec`` describes the device of a plug, ``size`` is the requested size or the demand in bytes, ``wanted`` what a
    load would use if it could (None: as much), ``kind`` its kind and ``node`` where it runs, ``state`` the word for the
    ``state`` of a dax device or its blocks, or what is written to ``drop_caches``; each is empty with other operations.
    ``turn`` counts how often the guest has come to the end of what it does at that microsecond, so that requests of one
    turn are made in one go. ``refused``: the host, or the guest, has said no, or will.
    """

    t_us: int
    op: str
    device: str
    spec: DeviceSpec | None = None
    size: int = 0
    kind: str = ""
    state: str = ""
    wanted: int | None = None
    node: int = 0
    turn: int = 0
    refused: bool = False

    def ask(self, host: Host) -> None:
        """Make the request."""
        if self.op == "resize":
            host.resize(self.device, self.size)
        elif self.op == "demand":
            host.set_demand(self.device, self.kind, self.size, wanted=self.wanted, node=self.node)
        elif self.op == "state":
            host.set_dax_state(self.device, self.state)
        elif self.op == "online":
            host.online_memory(self.device, self.state)
        elif self.op == "drop-caches":
            write_drop_caches(host, int(self.state))
        elif self.spec is not None:
            host.plug(self.spec)
        else:
            verbs = {"unplug": host.unplug, "keep": host.keep, "unbind": host.unbind, "bind": host.bind}
            verbs[self.op](self.device)
