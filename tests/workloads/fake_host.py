"""A host without a guest: it records what a workload asks of it, and answers in one of a few characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import simpy

from sim.devices.specs import VirtioMemSpec
from sim.streams import Streams

if TYPE_CHECKING:
    import numpy as np

    from sim.devices.specs import DeviceSpec
    from sim.guest.report import GuestReport
    from workloads.contract import Workload

Character = Literal["obliging", "stubborn", "slow", "refusing"]
CHARACTERS: tuple[Character, ...] = ("obliging", "stubborn", "slow", "refusing")
SLOW_US = 45_000_000

Call = tuple[int, str, str, object]
"""Microsecond, verb, device or load, and what was asked: a description, a size, a (kind, amount), or None."""


class FakeHost:
    """Records verbs.

    ``obliging`` does everything at once; ``stubborn`` gives back no DIMM; ``slow`` takes 45 seconds for everything;
    ``refusing`` plugs nothing.
    """

    def __init__(self, env: simpy.Environment, character: Character = "obliging") -> None:
        self._env = env
        self._character = character
        self.calls: list[Call] = []
        self.devices: dict[str, DeviceSpec] = {}
        self.sizes: dict[str, int] = {}
        self._busy_until: dict[str, int] = {}
        self._leaving: dict[str, int] = {}
        self.available: int | None = 1 << 30
        self.figures: GuestReport | None = None
        """What the guest reports; set it, then call :meth:`tell_of_change`."""
        self._next_change: simpy.Event | None = None
        self.dead: set[str] = set()
        self.died = False
        self.wanted: list[tuple[int, str, int]] = []
        """Microsecond, load, and what it would use if it could."""
        self.nodes: dict[str, int] = {}
        """By load: where it runs."""

    @property
    def env(self) -> simpy.Environment:
        return self._env

    def plug(self, spec: DeviceSpec) -> bool:
        self._record("plug", spec.id, spec)
        if self._character == "refusing" or self.present(spec.id):
            return False
        self.devices[spec.id] = spec
        self.sizes[spec.id] = spec.requested if isinstance(spec, VirtioMemSpec) else spec.size
        return True

    def unplug(self, device: str) -> bool:
        self._record("unplug", device, None)
        if not self.present(device) or device in self._leaving:
            return False
        if self._character == "slow":
            self._leaving[device] = int(self._env.now) + SLOW_US
        elif self._character != "stubborn":
            del self.devices[device]
        return True

    def keep(self, device: str) -> bool:
        self._record("keep", device, None)
        return self.present(device)

    def set_dax_state(self, device: str, word: str) -> bool:
        self._record("set_dax_state", device, word)
        return self.present(device)

    def online_memory(self, device: str, word: str) -> bool:
        self._record("online_memory", device, word)
        return self.present(device)

    def unbind(self, device: str) -> bool:
        self._record("unbind", device, None)
        return self.present(device)

    def bind(self, device: str) -> bool:
        self._record("bind", device, None)
        return self.present(device)

    def resize(self, device: str, requested: int) -> bool:
        self._record("resize", device, requested)
        if not self.present(device):
            return False
        self.sizes[device] = requested
        return True

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        self._record("set_demand", name, (kind, amount))
        self.wanted.append((int(self._env.now), name, amount if wanted is None else wanted))
        self.nodes[name] = node
        if name in self.dead and not amount:
            self.dead.discard(name)
        return name not in self.dead

    def killed(self, name: str) -> bool:
        return name in self.dead

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> bool:
        self._record("drop_caches", "", (cache, slab))
        return True

    def mem_available(self) -> int | None:
        return self.available

    def report(self) -> GuestReport | None:
        return self.figures

    def changed(self) -> simpy.Event:
        if self._next_change is None:
            self._next_change = self._env.event()
        return self._next_change

    def tell_of_change(self) -> None:
        if self._next_change is not None:
            self._next_change.succeed()
            self._next_change = None

    def present(self, device: str) -> bool:
        if self._leaving.get(device, self._env.now + 1) <= self._env.now:
            del self._leaving[device], self.devices[device]
        return device in self.devices

    def busy(self, device: str) -> bool:
        return self._busy_until.get(device, 0) > self._env.now

    @property
    def at_rest(self) -> bool:
        return all(until <= self._env.now for until in (*self._busy_until.values(), *self._leaving.values()))

    def plugged(self, device: str) -> int:
        return self.sizes.get(device, 0)

    def offline(self, device: str) -> int:
        return 0

    def requested(self, device: str) -> int:
        return self.sizes.get(device, 0)

    def _record(self, verb: str, device: str, what: object) -> None:
        now = self._env.now
        assert isinstance(now, int), f"simulated time must be a whole number, but is {now!r}"
        self.calls.append((now, verb, device, what))
        if self._character == "slow":
            self._busy_until[device] = now + SLOW_US


class RecordingStreams:
    """The streams of a run, with a memory for which were asked for."""

    def __init__(self, seed: int) -> None:
        self._streams = Streams(seed, 0)
        self.names: list[str] = []

    def __call__(self, name: str) -> np.random.Generator:
        self.names.append(name)
        return self._streams(name)

    def states(self) -> dict[str, object]:
        """The state of every stream that was asked for."""
        return {name: self._streams(name).bit_generator.state for name in sorted(set(self.names))}


def play(workload: Workload, character: Character = "obliging", seed: int = 1) -> tuple[FakeHost, RecordingStreams]:
    """Run ``workload`` until it ends, which must be within its duration."""
    env = simpy.Environment()
    host = FakeHost(env, character)
    streams = RecordingStreams(seed)
    env.run(until=env.process(workload.run(host, streams)))
    assert env.now <= round(workload.duration() * 1_000_000)
    return host, streams


def calls(workload: Workload, character: Character = "obliging", seed: int = 1) -> list[Call]:
    """Run ``workload`` and return what it asked for."""
    return play(workload, character, seed)[0].calls
