"""What the host asks for, whatever the kind of device, is in the series from the moment it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from policies.fixed import OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine import MachineSpec, NodeSpec
from sim.observe import EventKind
from sim.series import run_series
from sim.streams import Streams
from sim.units import GIB, PAGE_SIZE, seconds_to_us
from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract


class PlugAndUnplug(Workload):
    """Plugs a device after 1 s and wants it back after 10 s."""

    name: ClassVar[str] = "plug-and-unplug"
    summary: ClassVar[str] = "one device comes and goes"

    def __init__(self, spec: DeviceSpec) -> None:
        self.spec = spec

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        yield host.env.timeout(seconds_to_us(1))
        assert host.plug(self.spec)
        yield host.env.timeout(seconds_to_us(9))
        taken_back = host.resize("d", 0) if isinstance(self.spec, VirtioMemSpec) else host.unplug("d")
        assert taken_back

    def duration(self) -> float:
        return 20.0


@pytest.mark.parametrize(
    "spec",
    [
        DimmSpec("d", 2 * GIB),
        DimmSpec("d", 3 * GIB, ranges=(GIB, 2 * GIB)),
        DaxSpec("d", 2 * GIB),
        VirtioMemSpec("d", 4 * GIB, requested=2 * GIB),
    ],
    ids=["dimm", "dimm-of-two-ranges", "dax", "virtio-mem"],
)
def test_a_device_is_requested_from_its_plugging_until_it_is_asked_back(spec: DeviceSpec) -> None:
    result = simulate(MachineSpec(nodes=(NodeSpec(4 * GIB),)), OnlineMovable(), PlugAndUnplug(spec), Streams(1, 0))
    size = spec.requested if isinstance(spec, VirtioMemSpec) else spec.size
    asked = result.events[result.events[:, 1] == EventKind.REQUEST]
    assert asked[:, [0, 6]].tolist()[-2:] == [[seconds_to_us(1), size // PAGE_SIZE], [seconds_to_us(10), 0]]
    series = run_series(result)
    assert series.plugged.max() == size // PAGE_SIZE
    assert series.plugged[-1] == series.not_given[-1] == 0
    assert series.requested.max() == size // PAGE_SIZE
    assert series.requested[-1] == 0
