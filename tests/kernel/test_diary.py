"""The notes that a core's diary takes: who refuses, who is put back, and what a driver fails at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simpy

from policies.fixed import OnlineMovable
from sim.devices.dimm import Dimm
from sim.devices.virtio_mem import VirtioMem
from sim.kernel.context import DriverContext
from sim.kernel.diary import Decided, Diary, Failed, Note, Refused
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import Listeners
from sim.kernel.timing import Timing
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EBUSY, ENOMEM
from sim.memory.zones import ZONE_MOVABLE
from sim.record.recorder import Recorder
from sim.units import GIB
from tests.devices.rig import BLOCK, FIRST, FakeGuest

if TYPE_CHECKING:
    from sim.memory.view import MemoryUse


class Room:
    """A guest's word for how much kernel requests could get."""

    def kernel_headroom(self, _node: int | None = None, /) -> int:
        return 640

    def use(self, _node: int | None = None, /) -> MemoryUse:
        raise NotImplementedError


class Scene:
    """A core with a diary, and a guest that does as it is told."""

    def __init__(self, meminfo: Room | None = None) -> None:
        layout = lay_out(MachineSpec((NodeSpec(4 * GIB),)))
        self.notes: list[Note] = []
        self.guest = FakeGuest()
        recorder = Recorder()
        core = HotplugCore(simpy.Environment(), layout.memory, OnlineMovable(), recorder, guest=self.guest,
                           meminfo=meminfo, listener=Listeners(Diary(self.notes.append)))  # fmt: skip
        self.context = DriverContext(core.env, core, recorder, Timing.instant())

    def told(self) -> list[tuple[object, ...]]:
        """What was noted since the last look."""
        found: list[tuple[object, ...]] = []
        for note in self.notes:
            match note:
                case Decided():
                    assert note.why.zone == ZONE_MOVABLE
                    found.append(("put back" if note.put_back else "decided", note.block))
                case Refused():
                    found.append(("refused", note.block, note.zone))
                case Failed():
                    found.append(("failed", note.device, note.error.errno))
        self.notes.clear()
        return found


def test_a_dimm_that_stays_has_refused_blocks_and_blocks_that_are_put_back() -> None:
    scene = Scene()
    dimm = Dimm(scene.context, "d", 0, [(FIRST * BLOCK, 3 * BLOCK)])
    dimm.plug()
    assert scene.told() == [("decided", FIRST + number) for number in range(3)]
    scene.guest.refusing = {FIRST + 1}
    dimm.eject()
    assert scene.told() == [
        ("refused", FIRST + 1, ZONE_MOVABLE), ("refused", FIRST + 1, ZONE_MOVABLE),
        ("put back", FIRST), ("put back", FIRST + 2), ("failed", "d", EBUSY),
    ]  # fmt: skip
    scene.guest.refusing = set()
    dimm.eject()
    assert scene.told() == []


def test_a_big_block_that_stays_has_the_blocks_below_the_refused_one_put_back() -> None:
    scene = Scene()
    device = VirtioMem(scene.context, "v", 0, 2 * FIRST * BLOCK, 8 * BLOCK, 4 * BLOCK)
    device.resize(4 * BLOCK)
    assert scene.told() == [("decided", 2 * FIRST + number) for number in range(4)]
    scene.guest.refusing = {2 * FIRST + 2}
    device.resize(0)
    assert scene.told()[:3] == [
        ("refused", 2 * FIRST + 2, ZONE_MOVABLE), ("put back", 2 * FIRST), ("put back", 2 * FIRST + 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("meminfo", "more"), [(None, ""), (Room(), ": kernel requests could get 2.5 MiB")])
def test_an_add_that_fails_says_what_it_takes_and_what_there_is(meminfo: Room | None, more: str) -> None:
    scene = Scene(meminfo)
    scene.guest.memmap_blocks = 3
    Dimm(scene.context, "d", 0, [(FIRST * BLOCK, 9 * BLOCK)]).plug()
    failed = scene.notes[0]
    assert isinstance(failed, Failed)
    assert (failed.device, failed.error.errno) == ("d", ENOMEM)
    assert str(failed.error) == f"ENOMEM: no memory for the memmap of 9 blocks, 18.0 MiB{more}"
