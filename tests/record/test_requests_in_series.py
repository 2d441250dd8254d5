"""What the host asks for, whatever the kind of device, is in the series from the moment it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from policies.fixed import OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.record.series import device_instants, run_series
from sim.record.shrink_requests import follow_shrink_requests
from sim.streams import Streams
from sim.units import GIB, seconds_to_us
from tests.devices.rig import BLOCK, FIRST, FakeGuest, Rig, books_agree
from tests.support.pages import PAGE_SIZE
from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

__all__ = ["books_agree"]


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
    events = Events.of(result.events)
    asked = events.where(events.of_kind(EventKind.REQUEST))
    assert asked.t_us.tolist()[-2:] == [seconds_to_us(1), seconds_to_us(10)]
    assert asked.requested.tolist()[-2:] == [size // PAGE_SIZE, 0]
    series = run_series(result)
    assert series.plugged.max() == size // PAGE_SIZE
    assert series.plugged[-1] == series.not_given[-1] == 0
    assert series.requested.max() == size // PAGE_SIZE
    assert series.requested[-1] == 0


def test_a_size_that_is_asked_for_again_while_it_is_outstanding_is_one_request() -> None:
    """Of 6 GiB, 4, 3 and 4 again are asked for, ten seconds apart; the guest gives in at the retry 50 s after that.

    The 3 was taken back before it was fulfilled, the 4 took 70 seconds from the first time that it was asked for.
    """
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=OnlineMovable())
    device = rig.virtio_mem()
    device.resize(6 * GIB)
    guest.refusing = set(range(FIRST, FIRST + 48))
    for size in (4, 3, 4):
        device.resize(size * GIB)
        rig.run_for(10_000_000)
    guest.refusing = set()
    rig.env.run()
    found = follow_shrink_requests(Events.of(rig.recorder.table()), int(rig.env.now))
    waits = [(wait.pages * PAGE_SIZE // GIB, wait.after_us, wait.fulfilled) for wait in found.waits.rows()]
    assert (waits, found.unfulfilled) == ([(1, 10_000_000, False), (2, 70_000_000, True)], 1)
    first, times, plugged, requested = device_instants(Events.of(rig.recorder.table()))
    assert first.tolist() == [True, False, False, False]
    assert (times // 1_000_000).tolist() == [0, 10, 20, 70]
    assert (plugged * PAGE_SIZE // GIB).tolist() == [6, 6, 6, 4]
    assert (requested * PAGE_SIZE // GIB).tolist() == [4, 3, 4, 4]
    assert rig.states(FIRST, 48) == f"Mx{4 * GIB // BLOCK} .x16"


def test_sizes_that_fall_are_requests_of_their_own_and_end_each_in_its_time() -> None:
    """4, then 3, then 3 again: the guest gives half of it at first, so that 4 is met 20 s before 3."""
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=OnlineMovable())
    device = rig.virtio_mem()
    device.resize(6 * GIB)
    rig.run_for(5_000_000)
    guest.refusing = set(range(FIRST, FIRST + 48))
    device.resize(4 * GIB)
    rig.run_for(10_000_000)
    device.resize(3 * GIB)
    rig.run_for(10_000_000)
    guest.refusing = set(range(FIRST, FIRST + 32))
    device.resize(3 * GIB)
    rig.run_for(20_000_000)
    guest.refusing = set()
    device.resize(3 * GIB)
    rig.env.run()
    found = follow_shrink_requests(Events.of(rig.recorder.table()), int(rig.env.now))
    waits = [(wait.pages * PAGE_SIZE // GIB, wait.after_us, wait.fulfilled) for wait in found.waits.rows()]
    assert (waits, found.unfulfilled) == ([(2, 20_000_000, True), (1, 30_000_000, True)], 0)
