"""A guest with devices, without a workload: each step is taken by hand, or at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.kernel.context import DriverContext
from sim.machine.host import MachineHost
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import Recorder
from sim.units import GIB, MIB
from tests.kernel.linked_guest import linked
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from random import Random

    from policies.contract import Policy
    from sim.devices.specs import DeviceSpec

PAGES = MIB // PAGE_SIZE
FIRST = 32
"""The first block for devices: at 4 GiB."""


class Guest:
    """A guest with devices. Time passes after every step, until all drivers rest."""

    def __init__(self, policy: Policy, *boot: int, seconds: int = 100, kernel: str = "6.1") -> None:
        boot = boot or (GIB,)
        self.link, self.core = linked(*boot, policy=policy, kernel=kernel)
        spec = MachineSpec(tuple(map(NodeSpec, boot)))
        self.host = MachineHost(DriverContext(self.core.env, self.core, Recorder()), spec, guest=self.link)
        self._seconds = seconds
        self.names: list[str] = []

    @property
    def returnable(self) -> int:
        """MiB that are said to be returnable."""
        self.link.sample()
        return int(self.link.series()["returnable"][-1]) // PAGES

    def rest(self) -> None:
        self.core.env.run(until=self.core.env.now + self._seconds * 1_000_000)

    def plug(self, *specs: DeviceSpec) -> None:
        for spec in specs:
            assert self.host.plug(spec)
            self.names.append(spec.id)
            self.rest()

    def use(self, name: str, kind: str, mib: int) -> None:
        self.link.set_demand(name, kind, mib * MIB)

    def plugged(self) -> int:
        return sum(self.host.plugged(name) for name in self.names) // MIB

    def ask_all_back(self) -> int:
        """Ask for everything back, the newest first, and return the MiB that come."""
        before = self.plugged()
        for name in reversed(self.names):
            if not self.host.unplug(name):
                self.host.resize(name, 0)
            self.rest()
        return before - self.plugged()


def dimm(number: int, mib: int) -> DimmSpec:
    return DimmSpec(f"dimm{number}", mib * MIB)


def random_step(guest: Guest, draw: Random, step: int) -> None:
    """Have something happen to devices or loads."""
    kind = draw.choice(["plug", "plug", "plug", "unplug", "resize", "use", "use", "use", "end"])
    if kind == "plug":
        block = draw.choice([2, 2, 8, 256])
        specs: list[DeviceSpec] = [
            dimm(step, draw.choice([128, 256, 1024])),
            DaxSpec(f"dax{step}", draw.choice([128, 512]) * MIB),
            VirtioMemSpec(f"v{step}", GIB, block_size=block * MIB, requested=draw.choice([256, 512]) * MIB),
        ]
        guest.plug(draw.choice(specs))
    elif kind == "use":
        what = draw.choice(["anonymous", "kernel", "page-tables", "page-cache", "tmpfs"])
        guest.use(f"{what}{step % 3}", what, draw.choice([0, 50, 300, 900]))
    elif kind == "end":
        for name in list(guest.link.model.loads)[:2]:
            guest.link.model.demands.kill(name)
    elif guest.names:
        name = draw.choice(guest.names)
        if name.startswith("v"):
            guest.host.resize(name, draw.choice([0, 256, 512, 1024]) * MIB)
        elif kind == "unplug":
            guest.host.unplug(name)
        guest.rest()
