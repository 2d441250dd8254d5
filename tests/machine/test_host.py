"""The host's verbs and what it refuses, DIMM slots, address space, and what it reports of its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EEXIST, EINVAL, ENODEV, ENOSPC
from sim.record.recorder import EventKind
from sim.units import GIB, KIB, MIB
from tests.devices.rig import BLOCK, FIRST, FakeGuest, Rig, books_agree
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec

__all__ = ["books_agree"]


def failures(rig: Rig) -> list[int]:
    """Errnos of the failed requests and operations, in order."""
    return [int(row[5]) for row in rig.recorder.table() if row[1] == EventKind.FAILED]


def base(rig: Rig) -> int:
    return rig.base // BLOCK


# Plugging ----


def test_devices_go_one_after_the_other_above_boot_memory() -> None:
    rig = Rig()
    assert rig.host.plug(DimmSpec("d", GIB))
    assert rig.host.plug(VirtioMemSpec("v", 4 * GIB, requested=2 * BLOCK))
    assert rig.host.plug(DaxSpec("x", GIB))
    rig.settle()
    assert rig.states(FIRST, 48) == "Mx10 .x30 Mx8"
    assert [rig.host.plugged(name) for name in ("d", "v", "x")] == [GIB, 2 * BLOCK, GIB]
    assert [rig.host.requested(name) for name in ("d", "v", "x")] == [GIB, 2 * BLOCK, GIB]
    assert rig.recorder.device_names == ["d", "v", "x"]
    assert [event[1:5] for event in rig.events(EventKind.DEVICE)] == [("DEVICE", at, -1, 1) for at in range(3)]


def test_the_lowest_gap_that_fits_is_taken_again() -> None:
    rig = Rig()
    for name, size in (("a", 2 * GIB), ("b", GIB), ("c", 4 * GIB), ("d", GIB)):
        assert rig.host.plug(DimmSpec(name, size))
    rig.settle()
    for name in ("a", "c"):
        assert rig.host.unplug(name)
    rig.settle()
    for name, size, block in (("e", 3 * GIB, 24), ("f", 2 * GIB, 0), ("g", GIB, 48), ("h", GIB, 64)):
        assert rig.host.plug(DimmSpec(name, size))
        rig.settle()
        assert rig.events(EventKind.PLUG)[-1][3] == FIRST + block


def test_a_wished_address_is_kept_or_refused() -> None:
    rig = Rig()
    there = rig.base + 16 * GIB
    assert rig.host.plug(DimmSpec("a", GIB, address=there))
    for address in (there, there - GIB + 1, there + GIB - 1, rig.base - GIB, 0, 1 << 46):
        assert not rig.host.plug(DimmSpec("b", GIB, address=address))
    assert rig.host.plug(DimmSpec("b", GIB, address=there + GIB))
    rig.settle()
    assert failures(rig) == [ENOSPC, EINVAL, EINVAL, ENOSPC, ENOSPC, ENOSPC]
    assert rig.states(FIRST + 128, 16) == "Mx16"


def test_several_ranges_lie_one_after_the_other_with_a_gap() -> None:
    rig = Rig()
    assert rig.host.plug(DimmSpec("d", 3 * BLOCK, ranges=(2 * BLOCK, BLOCK), gap=2 * BLOCK))
    assert rig.host.plug(DimmSpec("e", BLOCK))
    rig.settle()
    assert rig.states(FIRST, 6) == "Mx2 .x2 Mx2"
    assert rig.host.plugged("d") == 3 * BLOCK


def test_devices_are_aligned_to_2_mib_or_their_device_block_and_to_no_memory_block() -> None:
    rig = Rig()
    assert rig.host.plug(DimmSpec("d", 100 * MIB))
    assert rig.host.plug(DimmSpec("e", GIB))
    assert rig.host.plug(VirtioMemSpec("v", 2 * GIB, block_size=8 * MIB, requested=GIB))
    assert rig.host.plug(VirtioMemSpec("w", 2 * GIB, block_size=GIB, requested=GIB))
    rig.settle()
    assert {name: (rig.host.present(name), rig.host.plugged(name)) for name in "de"} == {
        "d": (True, 0), "e": (True, 0)
    }, "off the grid of memory blocks: there, and without memory"  # fmt: skip
    # v lies from 1128 MiB (of 8 MiB blocks) to 3176 MiB: its first whole memory block is the ninth, its 16th goes.
    assert rig.states(FIRST, 48) == ".x9 Mx8 .x15 Mx8 .x8"
    for name in "de":
        assert rig.host.unplug(name)
    rig.settle()
    assert not any(rig.host.present(name) for name in "de")
    assert rig.host.plug(DimmSpec("f", GIB)), "what is free again is taken from below"
    rig.settle()
    assert rig.states(FIRST, 16) == "Mx8 .x1 Mx7"


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        (DimmSpec("d", 0), EINVAL),
        (DimmSpec("d", -GIB), EINVAL),
        (DimmSpec("d", GIB, node=1), EINVAL),
        (DimmSpec("d", GIB, node=-1), EINVAL),
        (DimmSpec("d", GIB, gap=-1), EINVAL),
        (DimmSpec("d", GIB, ranges=(2 * GIB, -GIB)), EINVAL),
        (DimmSpec("taken", GIB), EEXIST),
        (DimmSpec("d", 1 << 46), ENOSPC),
        (DimmSpec("d", GIB, slot=3), ENOSPC),
        (DimmSpec("d", GIB, slot=-1), ENOSPC),
        (DimmSpec("d", GIB, slot=0), ENOSPC),
        (DimmSpec("d", GIB + MIB), EINVAL),
        (DimmSpec("d", GIB, address=(1 << 40) + MIB), EINVAL),
        (DaxSpec("x", 0), EINVAL),
        (DaxSpec("x", GIB + 4 * KIB), EINVAL),
        (DaxSpec("x", GIB, node=7), EINVAL),
        (VirtioMemSpec("v", 0), EINVAL),
        (VirtioMemSpec("v", GIB, block_size=0), EINVAL),
        (VirtioMemSpec("v", GIB, block_size=512 * KIB), EINVAL),
        (VirtioMemSpec("v", 3 * GIB, block_size=3 * MIB), EINVAL),
        (VirtioMemSpec("v", GIB + MIB, block_size=2 * MIB), EINVAL),
        (VirtioMemSpec("v", GIB, requested=MIB), EINVAL),
        (VirtioMemSpec("v", GIB, requested=2 * GIB), EINVAL),
        (VirtioMemSpec("v", GIB, requested=-2 * MIB), EINVAL),
        (VirtioMemSpec("v", GIB, address=(1 << 40) + MIB), EINVAL),
    ],
    ids=str,
)
def test_what_the_host_refuses_to_plug(spec: DeviceSpec, number: int) -> None:
    rig = Rig(slots=3)
    assert rig.host.plug(DimmSpec("taken", GIB))
    rig.settle()
    names = len(rig.recorder.device_names)
    assert not rig.host.plug(spec)
    assert failures(rig) == [number]
    assert rig.host.failed_requests == 1
    assert len(rig.recorder.device_names) == names, "nothing was attached"
    assert rig.host.present(spec.id) == (spec.id == "taken")


@pytest.mark.parametrize("spec", [DimmSpec("kept", GIB), DaxSpec("kept", GIB)], ids=["dimm", "dax"])
def test_what_was_asked_back_in_vain_and_is_plugged_again_is_wanted(spec: DeviceSpec) -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    assert rig.host.plug(spec)
    rig.settle()
    guest.refusing = {FIRST + 3}
    assert rig.host.unplug("kept")
    rig.settle()

    assert not rig.host.plug(spec), "it is there"
    assert not rig.host.plug(spec), "and still is: nothing new"
    rig.settle()

    assert [row[-1] for row in rig.events(EventKind.REQUEST)] == [GIB // PAGE_SIZE, 0, GIB // PAGE_SIZE]
    assert failures(rig)[-2:] == [EEXIST, EEXIST]
    assert [rig.host.keep(name) for name in ("kept", "other")] == [True, False]
    assert len(rig.events(EventKind.REQUEST)) == 3, "it is wanted already"
    guest.refusing = set()
    assert rig.host.unplug("kept")
    rig.settle()
    assert not rig.host.present("kept")


def test_slots_are_those_of_dimms_only_and_come_back() -> None:
    rig = Rig(slots=2)
    assert rig.host.plug(DimmSpec("a", BLOCK))
    assert rig.host.plug(DimmSpec("b", BLOCK, slot=1))
    assert not rig.host.plug(DimmSpec("c", BLOCK))
    assert rig.host.plug(VirtioMemSpec("v", GIB))
    assert rig.host.plug(DaxSpec("x", GIB))
    rig.settle()
    assert rig.host.unplug("a")
    rig.settle()
    assert not rig.host.plug(DimmSpec("c", BLOCK, slot=1))
    assert rig.host.plug(DimmSpec("c", BLOCK, slot=0))
    assert failures(rig) == [ENOSPC, ENOSPC]


def test_a_wished_slot_leaves_lower_ones_free() -> None:
    rig = Rig(slots=3)
    assert rig.host.plug(DimmSpec("a", BLOCK, slot=1))
    assert rig.host.plug(DimmSpec("b", BLOCK))
    assert rig.host.plug(DimmSpec("c", BLOCK))
    assert not rig.host.plug(DimmSpec("d", BLOCK))


def test_a_device_that_the_guest_refuses_keeps_its_slot_and_place() -> None:
    guest = FakeGuest()
    rig = Rig(slots=1, guest=guest)
    assert rig.host.plug(DimmSpec("a", BLOCK))
    rig.settle()
    guest.refusing = {FIRST}
    assert rig.host.unplug("a")
    rig.settle()
    assert rig.host.present("a")
    assert not rig.host.plug(DimmSpec("b", BLOCK))
    guest.refusing = set()
    assert rig.host.unplug("a")
    rig.settle()
    assert rig.host.plug(DimmSpec("b", BLOCK))


def test_max_memory_is_what_boot_memory_and_devices_add_up_to() -> None:
    rig = Rig(max_memory=8 * GIB)
    assert rig.host.plug(VirtioMemSpec("v", 2 * GIB)), "a virtio-mem device counts with its whole region"
    assert not rig.host.plug(DimmSpec("d", 3 * GIB))
    assert rig.host.plug(DimmSpec("d", 2 * GIB))
    assert not rig.host.plug(DimmSpec("e", BLOCK))
    rig.settle()
    assert rig.host.unplug("d")
    rig.settle()
    assert rig.host.plug(DimmSpec("e", 2 * GIB))
    assert failures(rig) == [ENOSPC, ENOSPC]


# Other verbs ----


def test_unplugging_what_is_not_there_or_no_dimm() -> None:
    rig = Rig()
    rig.host.plug(VirtioMemSpec("v", GIB))
    assert not rig.host.unplug("nobody")
    assert not rig.host.unplug("v")
    assert failures(rig) == [ENODEV, ENODEV]


def test_a_busy_device_is_not_asked_twice() -> None:
    rig = Rig(timing=Timing(dimm_add=1_000, offline=1_000))
    rig.host.plug(DimmSpec("d", BLOCK))
    assert rig.host.busy("d")
    assert not rig.host.unplug("d")
    rig.env.run()
    assert not rig.host.busy("d")
    assert rig.host.unplug("d")
    assert not rig.host.unplug("d")
    rig.env.run()
    assert not rig.host.present("d")
    assert failures(rig) == [EBUSY, EBUSY]
    assert rig.host.plug(DimmSpec("d", BLOCK)), "the id is free again"


def test_resizing_what_is_not_virtio_mem_or_not_possible() -> None:
    rig = Rig()
    rig.host.plug(DimmSpec("d", GIB))
    rig.host.plug(VirtioMemSpec("v", GIB))
    rig.settle()
    for device, size in (("nobody", 0), ("d", 0), ("v", 2 * GIB), ("v", MIB), ("v", -2 * MIB)):
        assert not rig.host.resize(device, size)
    assert failures(rig) == [ENODEV, ENODEV, EINVAL, EINVAL, EINVAL]
    assert rig.host.resize("v", GIB)
    rig.settle()
    assert (rig.host.plugged("v"), rig.host.requested("v")) == (GIB, GIB)


def test_a_first_request_of_nothing_asks_for_nothing() -> None:
    rig = Rig()
    rig.host.plug(VirtioMemSpec("v", GIB))
    assert rig.events(EventKind.REQUEST) == []
    rig.host.resize("v", 0)
    assert [event[5] for event in rig.events(EventKind.REQUEST)] == [0]


def test_without_a_guest_there_is_no_demand() -> None:
    rig = Rig()
    assert not rig.host.set_demand("load", "anonymous", GIB)
    assert not rig.host.drop_caches()
    assert rig.host.mem_available() is None


def test_what_is_not_attached_has_nothing() -> None:
    host = Rig().host
    assert (host.present("d"), host.busy("d"), host.plugged("d"), host.requested("d")) == (False, False, 0, 0)
