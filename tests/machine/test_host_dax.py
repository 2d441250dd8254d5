"""What a host can have user space do with dax devices: their state, unbinding and binding, several ranges."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EBUSY, EINVAL, ENODEV, EPERM
from sim.memory.zones import LEAVE_OFFLINE
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.devices.rig import FIRST, FakeGuest, Rig, books_agree
from tests.support.cells import Script, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import ZoneRequest
    from sim.devices.specs import DeviceSpec
    from sim.memory.view import MemoryView

__all__ = ["books_agree"]

CXL = DaxSpec("cxl", GIB, ranges=(GIB // 4, 3 * GIB // 4), gap=GIB // 4)


def failures(rig: Rig) -> list[int]:
    return [int(row[5]) for row in rig.recorder.table() if row[1] == EventKind.FAILED]


def requests(rig: Rig) -> list[int]:
    return [int(row[-1]) for row in rig.events(EventKind.REQUEST)]


def test_a_device_of_several_ranges_takes_room_for_the_gaps_too() -> None:
    rig = Rig()
    assert rig.host.plug(CXL)
    assert rig.host.plug(DimmSpec("d", GIB))
    rig.settle()
    assert rig.states(FIRST, 18) == "Mx2 .x2 Mx14"
    assert rig.host.plugged("cxl") == rig.host.requested("cxl") == GIB
    assert not rig.host.plug(DaxSpec("y", GIB, ranges=(GIB, -1)))
    assert not rig.host.plug(DaxSpec("y", GIB, ranges=(GIB, GIB), gap=-1))
    assert failures(rig) == [EINVAL, EINVAL]


def test_the_state_of_a_device_brings_and_takes_all_of_it() -> None:
    rig = Rig(kernel="7.3")
    assert rig.host.plug(CXL)
    for word, states in (("unplugged", ".x10"), ("online_kernel", "Nx2 .x2 Nx6"), ("unplugged", ".x10")):
        assert rig.host.set_dax_state("cxl", word)
        rig.settle()
        assert rig.states(FIRST, 10) == states
        assert rig.host.present("cxl")
        assert rig.host.plugged("cxl") == (0 if word == "unplugged" else GIB)
    assert requests(rig) == [GIB // 4096, 0, GIB // 4096, 0]
    assert failures(rig) == []


def test_what_the_kernel_refuses_is_recorded_of_the_device() -> None:
    guest = FakeGuest()
    rig = Rig(kernel="7.3", guest=guest)
    assert rig.host.plug(CXL)
    guest.refusing = {FIRST + 1}
    assert rig.host.set_dax_state("cxl", "online_kernel")
    assert rig.host.set_dax_state("cxl", "offline")
    assert rig.host.set_dax_state("cxl", "unplugged")
    rig.settle()
    assert failures(rig) == [EBUSY, EINVAL, EBUSY]
    assert rig.states(FIRST, 10) == "Mx2 .x2 Mx6"
    assert rig.host.failed_requests == 0, "the host has passed all of it on"


def test_an_older_kernel_is_an_error_for_whoever_asks() -> None:
    rig = Rig(kernel="6.12")
    assert rig.host.plug(CXL)
    with pytest.raises(ValueError, match=r"from Linux 7\.3 on; this machine runs 6\.12"):
        rig.host.set_dax_state("cxl", "unplugged")


def test_two_controllers_of_one_device() -> None:
    """Block by block and then unbind leaves it half gone where a block refuses; its state leaves all of it there."""
    for by_state in (True, False):
        guest = FakeGuest()
        rig = Rig(kernel="7.3", guest=guest, policy=OnlineMovable())
        assert rig.host.plug(DaxSpec("cxl", GIB))
        guest.refusing = {FIRST + 2}
        if by_state:
            assert rig.host.set_dax_state("cxl", "unplugged")
        else:
            assert rig.host.unplug("cxl")
        rig.settle()
        assert rig.states(FIRST, 8) == ("Mx8" if by_state else "-x2 Mx1 -x5")
        assert failures(rig) == [EBUSY]


def test_two_controllers_at_the_same_time_take_turns_at_the_lock() -> None:
    """One takes block by block offline; the other has all of it gone, and back as kernel memory, on its way."""
    timing = Timing(dimm_add=0, offline=10, migrate=0, online=0, refused=0)
    rig = Rig(kernel="7.3", policy=OnlineMovable(), timing=timing)
    assert rig.host.plug(DaxSpec("cxl", GIB))
    rig.settle()
    assert rig.host.unplug("cxl")
    rig.run_for(25)
    assert rig.states(FIRST, 8) == "Mx6 -x2"
    assert rig.host.set_dax_state("cxl", "unplugged")
    assert not rig.host.unplug("cxl"), "it is being given back"
    rig.run_for(54)
    assert rig.states(FIRST, 8) == "-x4 Mx1 -x3", "once the third block is offline, the other five without a break"
    rig.run_for(1)
    assert rig.states(FIRST, 8) == ".x8"
    assert rig.host.set_dax_state("cxl", "online_kernel")
    rig.run_for(100)
    assert rig.states(FIRST, 8) == "Nx8"
    assert rig.host.present("cxl"), "the first controller finds it online in the end, and does not unbind it"
    assert failures(rig) == [EBUSY, EBUSY]


def half_gone(refusing: int, **options: Any) -> Rig:  # noqa: ANN401
    """A device of eight blocks that was asked back in vain: one block refused, the others are offline."""
    rig = Rig(guest=FakeGuest(), **options)
    assert rig.guest is not None
    rig.guest.refusing = {FIRST + refusing}
    assert rig.host.plug(DaxSpec("cxl", GIB))
    assert rig.host.unplug("cxl")
    rig.settle()
    return rig


def test_what_a_refused_removal_left_offline_is_put_online_by_user_space() -> None:
    for word, policy, states in (
        ("online_movable", OnlineMovable(), "Mx8"),
        ("online_kernel", OnlineMovable(), "Nx2 Mx1 Nx5"),
        ("online_movable", OnlineKernel(), "Mx2 Nx1 Mx5"),
        ("online", OnlineKernel(), "Nx8"),
        ("online", OnlineMovable(), "Mx8"),
    ):
        rig = half_gone(2, policy=policy)
        assert rig.host.offline("cxl") == 7 * GIB // 8
        assert rig.host.online_memory("cxl", word)
        rig.settle()
        assert (rig.states(FIRST, 8), rig.host.offline("cxl")) == (states, 0)
        assert requests(rig) == [GIB // 4096, 0, GIB // 4096], "it is wanted again"
        assert failures(rig) == [EBUSY], "that of the removal"


def test_blocks_are_put_online_one_after_the_other_lowest_first() -> None:
    timing = Timing(dimm_add=0, offline=0, migrate=0, online=10, refused=0)
    rig = half_gone(2, policy=OnlineMovable(), timing=timing)
    assert rig.host.online_memory("cxl", "online_movable")
    assert rig.host.busy("cxl")
    assert not rig.host.online_memory("cxl", "online_movable"), "somebody is at it"
    for microseconds, states in ((9, "-x2 Mx1 -x5"), (1, "Mx1 -x1 Mx1 -x5"), (10, "Mx3 -x5"), (40, "Mx7 -x1")):
        rig.run_for(microseconds)
        assert rig.states(FIRST, 8) == states
    rig.run_for(10)
    assert rig.states(FIRST, 8) == "Mx8"
    assert not rig.host.busy("cxl")
    assert failures(rig) == [EBUSY, EBUSY]


def test_nothing_else_can_be_written_to_blocks_that_are_offline() -> None:
    rig = half_gone(2, policy=OnlineMovable())
    for word in ("offline", "unplugged", "on"):
        assert rig.host.online_memory("cxl", word), "the host passes it on"
        rig.settle()
    assert rig.states(FIRST, 8) == "-x2 Mx1 -x5"
    assert failures(rig) == [EBUSY, EINVAL, EINVAL, EINVAL]


class LeavesOneOffline(ContigZones):
    """Will not have a block online whatever has been written to it."""

    block = -1

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        mine = request.first_page == self.block * request.pages
        return LEAVE_OFFLINE if mine else super().zone_for(request, memory)


def test_a_block_that_does_not_come_keeps_no_other_one_offline() -> None:
    policy = LeavesOneOffline()
    rig = half_gone(7, policy=policy)
    policy.block = FIRST
    assert rig.host.online_memory("cxl", "online")
    rig.settle()
    assert rig.states(FIRST, 8) == "-x1 Nx7"
    assert failures(rig) == [EBUSY, EPERM]
    assert rig.host.offline("cxl") == GIB // 8


def test_what_is_offline_is_that_of_devices_of_fixed_size() -> None:
    rig = Rig(policy=Offline())
    assert rig.host.plug(DimmSpec("d", GIB))
    assert rig.host.plug(VirtioMemSpec("v", GIB, requested=GIB))
    assert rig.host.plug(CXL)
    rig.settle()
    assert [rig.host.offline(name) for name in ("d", "v", "cxl", "nothing")] == [GIB, 0, GIB, 0]


def test_a_device_that_was_asked_back_by_its_state_or_unbound_can_be_wanted_again() -> None:
    rig = Rig(kernel="7.3", guest=FakeGuest(), policy=OnlineMovable())
    assert rig.guest is not None
    rig.guest.refusing = {FIRST + 1}
    assert rig.host.plug(DaxSpec("cxl", GIB))
    for ask in (partial(rig.host.set_dax_state, word="unplugged"), rig.host.unbind):
        assert ask("cxl")
        rig.settle()
        assert rig.host.keep("cxl")
        assert rig.host.keep("cxl")
    assert requests(rig) == [GIB // 4096, 0, GIB // 4096, 0, GIB // 4096]


def test_unbinding_and_binding() -> None:
    rig = Rig(kernel="6.1")
    assert rig.host.plug(CXL)
    assert rig.host.unplug("cxl")
    rig.settle()
    assert not rig.host.present("cxl")
    assert rig.host.plug(CXL)
    assert rig.host.unbind("cxl")
    rig.settle()
    assert rig.states(FIRST, 10) == "Mx2 .x2 Mx6"
    assert rig.host.bind("cxl")
    assert failures(rig) == [EBUSY, EBUSY], "what is online stays, and the device is lost"
    assert rig.host.unplug("cxl")
    rig.settle()
    assert rig.host.present("cxl")
    assert rig.host.plugged("cxl") == GIB


def test_who_is_not_there_or_at_work_is_asked_nothing() -> None:
    rig = Rig(kernel="7.3", timing=Timing())
    assert rig.host.plug(DimmSpec("d", 128 * MIB))
    by_word = (partial(rig.host.set_dax_state, word="online"), partial(rig.host.online_memory, word="online"))
    verbs: list[Callable[[str], bool]] = [rig.host.unbind, rig.host.bind, *by_word]
    for verb in verbs:
        assert not verb("d")
        assert not verb("nothing")
    assert rig.host.plug(CXL)
    assert not rig.host.unbind("cxl")
    assert failures(rig) == [ENODEV] * 8 + [EBUSY]
    rig.run_for(10_000_000)
    assert rig.host.set_dax_state("cxl", "unplugged")
    rig.run_for(10_000_000)
    assert rig.host.unbind("cxl")
    rig.run_for(1)
    assert rig.host.bind("cxl")
    rig.run_for(10_000_000)
    assert rig.host.plugged("cxl") == GIB


def test_a_device_may_lie_in_boot_memory_that_is_kept_for_it() -> None:
    """As the recorded one of two ranges: on the grid of pages, and not counted against what may be plugged."""
    machine = MachineSpec((NodeSpec(9 * GIB),), kernel="7.3", soft_reserved=((4 * GIB, 4 * GIB),), max_memory=10 * GIB)
    asked: list[DeviceSpec] = [
        DaxSpec("hmem", 5 * GIB // 2, address=4 * GIB, ranges=(GIB, 3 * GIB // 2), gap=GIB // 2),
        DaxSpec("there already", GIB, address=6 * GIB),
        DaxSpec("half outside", GIB, address=15 * GIB // 2),
        DimmSpec("no dax device", GIB, address=7 * GIB),
        DaxSpec("behind it", GIB // 2, address=7 * GIB),
        DimmSpec("above", GIB),
    ]
    result = simulate(machine, ContigZones(), Script(*asked), Streams(1, 0))
    assert result.device_names == ("hmem", "behind it", "above")
    blocks = {(row[2], block) for row in rows(result, EventKind.PLUG) for block in range(row[3], row[3] + row[4])}
    assert {block for device, block in blocks if device == 0} == {*range(32, 40), *range(44, 56)}
    assert {block for device, block in blocks if device == 1} == {*range(56, 60)}
    assert {block for device, block in blocks if device == 2} == {*range(80, 88)}
    assert result.counters["failed_requests"] == 3
