"""Without a guest, whole blocks are unplugged by a shortcut: what is left is what a guest that gives up all leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.kernel.timing import Timing
from sim.record.recorder import EventKind
from sim.units import MIB
from tests.devices.rig import BLOCK, FakeGuest, Rig
from tests.devices.sub_blocks import mode_of
from tests.memory.small_machine import everything
from tests.support.reach import Reach

REACH = Reach({"a whole block is unplugged": 100, "a part is unplugged": 40, "the rest of a block is unplugged": 30})

SIZES = st.lists(
    st.one_of(st.integers(0, 8 * 64), st.integers(0, 8).map(lambda blocks: 64 * blocks)), min_size=4, max_size=12
)


@REACH.test()
@given(SIZES, st.sampled_from(["6.1", "6.12"]), st.booleans())
def test_the_shortcut_leaves_what_a_willing_guest_leaves(sizes: list[int], kernel: str, timed: bool) -> None:  # noqa: FBT001
    timing = Timing() if timed else None
    rigs = [Rig(kernel=kernel, timing=timing, guest=guest) for guest in (None, FakeGuest())]
    devices = [rig.virtio_mem(size=16 * BLOCK) for rig in rigs]
    for size in sizes:
        before = len(rigs[0].recorder)
        for rig, device in zip(rigs, devices, strict=True):
            assert device.resize(size * 2 * MIB)
            rig.env.run()
        alone, guest = rigs
        assert alone.recorder.table().tolist() == guest.recorder.table().tolist()
        assert everything(alone.memory) == everything(guest.memory)
        states = [mode_of(device).states for device in devices]
        assert (states[0].of_block, states[0].masks, states[0].counts) == (
            states[1].of_block,
            states[1].masks,
            states[1].counts,
        )
        for row in alone.recorder.table()[before:].tolist():
            if row[1] == EventKind.UNPLUG:
                whole = row[6] == alone.memory.block_pages
                REACH("a whole block is unplugged" if whole else "the rest of a block is unplugged")
            REACH("a part is unplugged", row[1] == EventKind.SUBUNPLUG)
