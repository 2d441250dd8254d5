"""Words written to ``state`` and ``online``, what ``valid_zones`` lists, and blocks in low zones and of several."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.memory.errors import EINVAL
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.record.recorder import EventKind
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig, books_agree, fails_with

__all__ = ["books_agree"]

BASE = FIRST * BLOCK
OFFLINE, ONLINE, KERNEL, MOVABLE = (int(word) for word in OnlineType)


def test_one_written_to_online_puts_a_block_back_with_the_word_left_on_it() -> None:
    """Of two words written in vain the second counts, and stands for one's own."""
    rig = Rig(policy=OnlineMovable())
    rig.dimm("d", (BASE, 2 * BLOCK))
    rig.core.zone_choice.set_policy(AutoMovable(ratio=0))
    for word in (KERNEL, MOVABLE):
        with fails_with(EINVAL):
            rig.core.write_state(FIRST, word)
    moved = [rig.core.write_online(block, 0) for block in (FIRST, FIRST, FIRST + 1, FIRST + 1)]
    assert rig.states(FIRST, 2) == "-x2"
    moved += [rig.core.write_online(block, 1) for block in (FIRST, FIRST, FIRST + 1, FIRST + 1)]
    assert moved == [0] * 8, "nothing lay there that had to be moved"
    assert rig.states(FIRST, 2) == "Mx1 Nx1"
    assert rig.memory.blocks.left_over == {}
    assert [event[2:4] for event in rig.events(EventKind.OFFLINE, EventKind.ONLINE)] == [
        (0, FIRST), (0, FIRST + 1), (0, FIRST), (0, FIRST + 1),
    ]  # fmt: skip


def test_a_block_of_several_zones_is_online_and_stays_so() -> None:
    rig = Rig()
    assert rig.states(0, 2) == "?x1 dx1"
    rig.core.write_online(0, 1)
    with fails_with(EINVAL):
        rig.core.write_online(0, 0)
    with fails_with(EINVAL):
        rig.core.write_state(0, KERNEL)
    assert rig.memory.blocks.left_over == {0: KERNEL}
    rig.memory.blocks.left_over.clear()
    assert rig.states(0, 2) == "?x1 dx1"


def test_boot_memory_is_recorded_under_no_device() -> None:
    rig = Rig()
    rig.core.write_state(33, OFFLINE)
    rig.core.write_state(33, MOVABLE)
    assert [event[1:4] for event in rig.events()] == [("OFFLINE", -1, 33), ("ONLINE", -1, 33)]


@pytest.mark.parametrize("word", [ONLINE, KERNEL, MOVABLE, OFFLINE])
def test_words_for_blocks_that_do_not_exist(word: int) -> None:
    rig = Rig()
    for block in (FIRST, 10**6):
        with fails_with(EINVAL):
            rig.core.write_state(block, word)
        with fails_with(EINVAL):
            rig.core.write_online(block, int(word > 0))


@pytest.mark.parametrize(("ratio", "zones"), [(0, [ZONE_NORMAL, ZONE_MOVABLE]), (301, [ZONE_MOVABLE, ZONE_NORMAL])])
def test_valid_zones_begin_with_the_choice_of_a_plain_online(ratio: int, zones: list[int]) -> None:
    rig = Rig(policy=Offline())
    rig.dimm("d", (BASE, BLOCK))
    rig.core.zone_choice.set_policy(AutoMovable(ratio=ratio))
    assert rig.core.zone_choice.valid_zones(FIRST) == zones


def test_valid_zones_name_the_kernel_zone_before_movable() -> None:
    """In the hole between 3 and 4 GiB the kernel zone is DMA32, which the policy's plain Normal is not."""

    class Normal(AutoMovable):
        def zone_for(self, request: object, memory: object) -> int:
            return ZONE_NORMAL

    rig = Rig(policy=Offline())
    rig.dimm("d", (28 * BLOCK, BLOCK))
    rig.core.zone_choice.set_policy(Normal())
    assert rig.core.zone_choice.valid_zones(28) == [ZONE_NORMAL, ZONE_DMA32, ZONE_MOVABLE]


def test_a_run_put_online_for_the_kernel_goes_where_each_block_lies() -> None:
    """Two blocks in the hole below 4 GiB join DMA32; the same above 4 GiB are Normal and go in one event."""
    rig = Rig(policy=OnlineKernel())
    rig.dimm("low", (28 * BLOCK, 2 * BLOCK))
    rig.dimm("high", (BASE, 2 * BLOCK))
    assert rig.states(28, 2) == "dx2"
    assert rig.states(FIRST, 2) == "Nx2"
    assert [event[3:5] for event in rig.events(EventKind.PLUG)] == [(28, 1), (29, 1), (FIRST, 2)]
    assert rig.core.zone_choice.decisions == 0


def test_memory_of_a_node_goes_to_the_zones_of_that_node() -> None:
    guest = FakeGuest()
    rig = Rig(nodes=(4 * 1024**3, 2 * 1024**3), guest=guest)
    first = rig.base // BLOCK
    for policy, zone in ((OnlineKernel(), ZONE_NORMAL), (OnlineMovable(), ZONE_MOVABLE)):
        rig.core.zone_choice.set_policy(policy)
        rig.core.auto_online = int(policy.auto_online)
        rig.dimm(f"d{zone}", ((first + 4 * zone) * BLOCK, 2 * BLOCK), node=1)
        assert guest.pages == {**guest.pages, (1, zone): 2 * PAGES}
    assert sorted(guest.pages) == [(1, ZONE_NORMAL), (1, ZONE_MOVABLE)]
    totals = [rig.memory.nodes[node].totals for node in (0, 1)]
    assert [total.movable for total in totals] == [0, 2 * PAGES]
    assert rig.core.view.kernel_present(1) == totals[1].kernel
    assert rig.core.view.kernel_present(0) == totals[0].kernel
    assert rig.core.view.kernel_present() == totals[0].kernel + totals[1].kernel
    assert rig.core.view.zones_present(1) == (0, 0, totals[1].kernel, 2 * PAGES)
    assert rig.core.view.several_nodes
    assert not Rig().core.view.several_nodes


def test_what_a_zone_manages_is_not_what_is_present() -> None:
    rig = Rig(policy=OnlineMovable())
    device = rig.virtio_mem()
    device.resize(BLOCK + BLOCK // 2)
    view = rig.core.view
    assert (view.present(0, ZONE_MOVABLE), view.managed(0, ZONE_MOVABLE)) == (2 * PAGES, PAGES + PAGES // 2)
    assert view.span(0, ZONE_MOVABLE) == (FIRST * PAGES, (FIRST + 2) * PAGES)
    assert (view.present(0, 0), view.span(0, 0)) == (3998, (1, 4096))
