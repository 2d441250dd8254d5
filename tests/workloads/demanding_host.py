"""A guest of several nodes whose devices come and go as told: some cannot be added, some are not given back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sim.units import GIB, MICROSECONDS
from tests.workloads.watched_guest import WatchedGuest

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from sim.devices.specs import DeviceSpec
    from sim.guest.report import GuestReport


@dataclass
class DemandingHost(WatchedGuest):
    """Everything takes ``takes_us``.

    ``stuck`` are devices that are never given back, ``until`` up to which second others are not; ``no_room`` those that
    the host refuses to plug, ``no_memmap`` those that it plugs and the guest cannot add, up to a second each. ``nodes``
    is the boot memory of each.
    """

    nodes_: Sequence[int] = (4 * GIB,)
    takes_us: int = 0
    stuck: Container[str] = ()
    until: Mapping[str, int] = field(default_factory=dict)
    no_room: Mapping[str, int] = field(default_factory=dict)
    no_memmap: Mapping[str, int] = field(default_factory=dict)
    history: list[tuple[int, int]] = field(default_factory=list)
    """Microsecond and bytes of all devices, whenever these change."""

    def report(self) -> GuestReport:
        self.boot = sum(self.nodes_)
        figures = super().report()
        by_node = dict(enumerate(self.nodes_))
        for device, size in self.has.items():
            node = self.devices[device].node
            by_node[node] = by_node.get(node, 0) + size
        sizes = [by_node.get(node, 0) for node in range(max(by_node) + 1)]
        return replace(figures, nodes=tuple((size, figures.free * size // figures.total) for size in sizes))

    def plug(self, spec: DeviceSpec) -> bool:
        if self._now_in(self.no_room, spec.id):
            self._record("plug", spec.id, spec)
            return False
        return super().plug(spec)

    def set_dax_state(self, device: str, word: str) -> bool:
        super().set_dax_state(device, word)
        self._answer(device, 0 if word == "unplugged" else self.sizes[device])
        return True

    def _answer(self, device: str, size: int, *, gone: bool = False) -> None:
        if not size and self.has[device] and (device in self.stuck or self._now_in(self.until, device)):
            size, gone = self.has[device], False
        elif size and self._now_in(self.no_memmap, device):
            size = 0
        self._busy_until[device] = int(self.env.now) + self.takes_us
        self.tell_of_change()
        if not self.takes_us:
            self._come_to(device, size, gone=gone)
        else:
            timer = self.env.timeout(self.takes_us)
            timer.callbacks.append(lambda _event: self._come_to(device, size, gone=gone))

    def _come_to(self, device: str, size: int, *, gone: bool) -> None:
        self.has[device] = size
        self._arrive(device, size, 1.0, gone=gone)
        self.history.append((int(self.env.now), sum(self.has.values())))

    def _now_in(self, seconds: Mapping[str, int], device: str) -> bool:
        return self.env.now < seconds.get(device, 0) * MICROSECONDS
