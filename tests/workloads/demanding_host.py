"""A guest of several nodes whose devices come and go as told: some cannot be added, some are not given back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import simpy

from sim.streams import Streams
from sim.units import GIB, MICROSECONDS
from tests.workloads.watched_guest import Use, WatchedGuest

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from sim.devices.specs import DeviceSpec
    from sim.guest.report import GuestReport
    from workloads.contract import Workload


@dataclass
class DemandingHost(WatchedGuest):
    """Everything takes ``takes_us``.

    ``stuck`` are devices that are never given back, ``until`` up to which second others are not; ``leaves`` the bytes
    of a dax device that go offline all the same when it is asked back as a device, and stay so until they are wanted;
    ``no_room`` those that the host refuses to plug, ``no_memmap`` those that it plugs and the guest cannot add, up to a
    second each. ``nodes`` is the boot memory of each.
    """

    nodes_: Sequence[int] = (4 * GIB,)
    takes_us: int = 0
    stuck: Container[str] = ()
    until: Mapping[str, int] = field(default_factory=dict)
    no_room: Mapping[str, int] = field(default_factory=dict)
    no_memmap: Mapping[str, int] = field(default_factory=dict)
    leaves: Mapping[str, int] = field(default_factory=dict)
    gone_offline: dict[str, int] = field(default_factory=dict)
    history: list[tuple[int, int]] = field(default_factory=list)
    """Microsecond and bytes of all devices, whenever these change."""

    def report(self) -> GuestReport:
        self.boot = sum(self.nodes_) - sum(self.gone_offline.values())
        figures = super().report()
        by_node = dict(enumerate(self.nodes_))
        for device, size in self.has.items():
            node = self.devices[device].node
            by_node[node] = by_node.get(node, 0) + size - self.offline(device)
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

    def unplug(self, device: str) -> bool:
        if device in self.leaves and self.has.get(device) and not self.busy(device):
            self.gone_offline[device] = self.leaves[device] * self._stays(device)
        return super().unplug(device)

    def online_memory(self, device: str, word: str) -> bool:
        super().online_memory(device, word)
        del self.gone_offline[device]
        self._answer(device, self.has[device])
        return True

    def offline(self, device: str) -> int:
        return self.gone_offline.get(device, 0)

    def _stays(self, device: str) -> bool:
        return device in self.stuck or self._now_in(self.until, device)

    def _answer(self, device: str, size: int, *, gone: bool = False) -> None:
        if not size and self.has[device] and self._stays(device):
            size, gone = self.has[device], False
        elif size and not self.has[device] and self._now_in(self.no_memmap, device):
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


def play(
    workload: Workload,
    demand: list[tuple[int, int]],
    boot: tuple[int, ...] = (4 * GIB,),
    **host: Any,  # noqa: ANN401
) -> DemandingHost:
    """Run ``workload`` on a guest that uses what ``demand`` says (second, bytes)."""
    env = simpy.Environment()
    made = DemandingHost(env, [Use(second * MICROSECONDS, used) for second, used in demand], nodes_=boot, **host)
    env.run(until=env.process(workload.run(made, Streams(1, 0))))
    return made


def asked(workload: Workload, demand: list[tuple[int, int]], **host: Any) -> list[tuple[float, str, str]]:  # noqa: ANN401
    """Return what was asked for: second, verb (of a state the word), device."""
    calls = play(workload, demand, **host).calls
    words = ("set_dax_state", "online_memory")
    return [(at / MICROSECONDS, what if verb in words else verb, device) for at, verb, device, what in calls]  # type: ignore[misc]
