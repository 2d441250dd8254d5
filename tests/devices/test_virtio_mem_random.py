"""Random sizes asked of a virtio-mem device, in the simulator and in the plain implementation: they agree."""

from __future__ import annotations

import random

import pytest

from policies.auto_movable import AutoMovable
from sim.guest.contract import SubblockOutcome
from sim.units import GIB, KIB, MIB
from tests.devices.rig import FakeGuest, Rig
from tests.devices.test_dax_random import plain_machine
from tests.plain import linux, virtio_mem

KERNELS = ("6.1", "6.12")


class HoldingGuest(FakeGuest):
    """A guest that gives up all sub-blocks that hold nothing, and whose ``refusing`` blocks stay even then."""

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        given = 0
        for bit in reversed(range(plugged_mask.bit_length())):
            if plugged_mask >> bit & 1 and not self.keeps.get(block, 0) >> bit & 1 and given.bit_count() < most:
                given |= 1 << bit
        self.pages[node, zone] -= given.bit_count() * sub_pages
        return SubblockOutcome(given)


class Pair:
    """A device in each of two machines of which the same is asked."""

    def __init__(self, seed: int, kernel: str, page: int = 4 * KIB) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - nothing is kept secret
        self.guest = HoldingGuest()
        self.rig = Rig(
            boot=GIB, block=0, section=0, kernel=kernel, guest=self.guest, policy=AutoMovable(ratio=150),
            architecture="arm64" if page > 4 * KIB else None, page_size=page,
        )  # fmt: skip
        self.plain = plain_machine(self.rig)
        self.plain.knobs.policy, self.plain.knobs.ratio = "auto-movable", 150
        self.plain.knobs.auto_online = "online"
        # Half a block off the grid: it loses a piece at either end.
        off, block = self.draw.choice((0, 1)) * 64 * MIB, self.rig.block_bytes
        self.fast = self.rig.virtio_mem(size=3 * GIB, address=self.rig.base + off, block_size=2 * MIB)
        self.sub = self.fast.mode.granularity
        first = -(-(self.rig.base + off) // block)
        count = (self.rig.base + off + 3 * GIB) // block - first
        group = linux.register_dynamic(self.plain, 0, self.plain.block_pages)
        extent = self.fast.parameters.usable_extent
        major, minor = (int(part) for part in kernel.split("."))
        self.device = virtio_mem.VirtioMem(first, count, block // self.sub, group, extent // self.sub, (major, minor))
        self.off = off
        self.left = self.cleaned = 0

    def step(self) -> None:
        device, draw = self.device, self.draw
        there = sorted(device.plugged)
        full = (1 << device.per_block) - 1
        self.guest.keeps = {block: draw.getrandbits(device.per_block) for block in there if draw.random() < 0.2}
        self.guest.keeps |= {block: full for block in there if draw.random() < 0.05}
        self.guest.refusing = {block for block in there if draw.random() < 0.25}
        # What lies before the first whole block cannot be plugged, but counts for how far the driver may go.
        requested = draw.randrange(device.count * device.per_block * 9 // 10)
        empty = sum(not mask for mask in device.plugged.values())
        virtio_mem.resize(self.plain, device, requested, self.guest.keeps, self.guest.refusing)
        self.fast.resize(requested * self.sub)
        self.rig.settle()
        after = sum(not mask for mask in device.plugged.values())
        self.left += after > 0
        self.cleaned += after < empty
        self.compare()

    def compare(self) -> None:
        memory = self.rig.memory
        found = {block: memory.zone_label(block) for block in memory.blocks.ids()}
        assert found == {block.number: block.zone or "none" for block in self.plain.blocks.values()}
        device, mode = self.device, self.fast.mode
        pages = self.sub // self.rig.context.page_bytes
        missing = {block: device.per_block - mask.bit_count() for block, mask in device.plugged.items()}
        assert {block: mode.unplugged_pages(block) // pages for block in missing} == missing
        assert self.fast.plugged == device.size * self.sub
        assert self.rig.core.refusals == device.refusals


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("page", [4 * KIB, 16 * KIB])
def test_any_sizes_leave_both_with_the_same_blocks_and_refusals(kernel: str, page: int) -> None:
    left = cleaned = 0
    for seed in range(12):
        pair = Pair(seed, kernel, page)
        for _ in range(25):
            pair.step()
        left, cleaned = left + pair.left, cleaned + pair.cleaned
    assert min(left, cleaned) > 5
