"""Published limits of real guests, and which way they move when the machine changes."""

from __future__ import annotations

import pytest

from sim.guest import GuestModel, OomKind, PresentZone, default_boot, parameters_for
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest, plug

GIB = 1024 * MIB


def wall(boot_mib: int, dimm_mib: int, series: str = "6.1", zone: int = ZONE_MOVABLE) -> int:
    """Return how many DIMMs go into an idle guest until the memmap of the next finds no room."""
    model = guest(boot_mib, series)
    number, first = 0, FIRST
    while number < 2000 and plug(model, dimm_mib, zone, first):
        first += dimm_mib // 128
        number += 1
    model.check()
    return number


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_movable_dimms_on_1_gib(series: str) -> None:
    """neondatabase/autoscaling issue 117: 40 slots of 1 GiB work, 60 do not."""
    assert 40 < wall(1024, 1024, series) < 60
    assert 40 * 8 < wall(1024, 128, series) < 60 * 8


def test_movable_dimms_on_512_mib() -> None:
    """A recorded 6.1: 21 DIMMs of 1 GiB go in, the 22nd does not."""
    assert abs(wall(512, 1024) - 21) <= 1


def test_one_large_dimm_on_2_gib() -> None:
    """A recorded 6.1 takes 100 GiB and not 120; kata-containers/runtime issue 1244: more than 120 fails."""
    assert plug(guest(2048), 100 * 1024, ZONE_MOVABLE, FIRST)
    assert not plug(guest(2048), 120 * 1024, ZONE_MOVABLE, FIRST)


def test_220_gib_on_a_small_guest() -> None:
    """kata-containers issue 4847."""
    assert not plug(guest(2048), 220 * 1024, ZONE_MOVABLE, FIRST)


def test_a_guest_too_small_for_a_single_block() -> None:
    """As in H. Zhu, RFC of 2021-06-23: a guest that just boots (there of 132 MiB) cannot take 128 MiB more."""
    assert not plug(guest(162), 128, ZONE_MOVABLE, FIRST)
    assert plug(guest(256), 128, ZONE_MOVABLE, FIRST)


def test_47_gib_in_and_out_three_times() -> None:
    """neondatabase/autoscaling PR 705: an idle guest of 1 GiB, all MOVABLE."""
    model = guest(1024)
    full = (1 << 64) - 1
    for _ in range(3):
        for block in range(FIRST, FIRST + 47 * 8):
            assert model.add_memory(0, block, 1, altmap=False)
            model.online(ZONE_MOVABLE, 0, block, 1, BLOCK)
        for block in range(FIRST + 47 * 8 - 1, FIRST - 1, -1):
            assert model.give_subblocks(ZONE_MOVABLE, 0, block, full, 512, 64).mask == full
            assert not model.offline(ZONE_MOVABLE, 0, block, 1, 0).refused
            model.remove_memory(block, 1)
    model.check()
    assert model.zones[0, ZONE_MOVABLE].managed == 0


def test_more_boot_memory_moves_the_wall() -> None:
    walls = [wall(boot, 1024) for boot in (512, 1024, 2048, 4096)]
    assert walls == sorted(walls)
    assert walls[2] > 2 * walls[1] > 3 * walls[0]


def test_kernel_dimms_have_no_wall() -> None:
    assert wall(1024, 1024, zone=ZONE_NORMAL) == 2000


def test_self_hosted_memmap_has_no_wall() -> None:
    model = guest(512)
    for number in range(1000):
        assert model.add_memory(0, FIRST + number * 8, 8, altmap=True)
        model.online(ZONE_MOVABLE, 0, FIRST + number * 8, 8, BLOCK)


def test_a_bigger_movable_share_leaves_the_kernel_less() -> None:
    rooms = []
    for movable in (0, 4, 8, 12, 15):
        model = guest(1024)
        if movable < 15:
            plug(model, (15 - movable) * 1024, ZONE_NORMAL, FIRST)
        if movable:
            plug(model, movable * 1024, ZONE_MOVABLE, FIRST + 15 * 8)
        rooms.append(model.meminfo.kernel_headroom())
    assert rooms == sorted(rooms, reverse=True)


def unpack(drop: int | None, movable_mib: int = 3072, batch: int = 20_000) -> tuple[OomKind, int] | None:
    """Unpack an archive of 16 KiB files; return the kind of failure and MemAvailable in MiB, None for success."""
    model = guest(1024)
    plug(model, movable_mib, ZONE_MOVABLE, FIRST)
    model.demands.anonymous("who unpacks", 8 * MIB)
    for _ in range(600_000 // batch):
        found = model.demands.disk_files("/data", batch, 16384).ooms
        if found:
            return found[0].kind, found[0].mem_available // MIB
        if drop is not None:
            model.demands.drop_caches(cache=bool(drop & 1), slab=bool(drop & 2))
    return None


def test_unpacking_an_archive() -> None:
    """neondatabase/autoscaling issue 1204: killed with gigabytes available; dropping cache helps, slab does not."""
    failed = unpack(None)
    assert failed is not None
    assert failed[0] is OomKind.KERNEL
    assert failed[1] > 1800
    assert unpack(2) is not None
    assert unpack(1) is None
    assert unpack(3) is None


def interleaved(dram_gib: int, far_gib: int) -> tuple[int, float]:
    """Touch memory on a DRAM node and a MOVABLE-only node in turn; return GiB used and far GiB free at the kill."""
    model = GuestModel(parameters_for("6.1"))
    present = [
        PresentZone(0, ZONE_DMA, 3998, ()),
        PresentZone(0, ZONE_DMA32, 3 * GIB - 4096, ((0, 24),)),
        PresentZone(0, ZONE_NORMAL, (dram_gib - 3) * GIB, ((32, (dram_gib - 3) * 8),)),
    ]
    model.boot(default_boot(present, model.parameters))
    assert model.add_memory(1, 20_000, far_gib * 8, altmap=False)
    model.online(ZONE_MOVABLE, 1, 20_000, far_gib * 8, BLOCK)
    for used in range(dram_gib + far_gib):
        ooms = (*model.demands.anonymous("near", GIB // 2, 0).ooms, *model.demands.anonymous("far", GIB // 2, 1).ooms)
        if ooms:
            assert ooms[0].kind is OomKind.KERNEL
            return used, next(z.free for z in ooms[0].zones if z.node == 1) / GIB
    return dram_gib + far_gib, 0.0


def test_persistent_memory_eight_times_dram() -> None:
    """pmem/ndctl issue 110: 96 GB DRAM, 768 GB MOVABLE on another node; killed at about 200 GB, 600 GB free."""
    used, free = interleaved(96, 768)
    assert used == pytest.approx(200, rel=0.1)
    assert free == pytest.approx(600, rel=0.15)
    assert interleaved(192, 768)[0] > 2 * used


@pytest.mark.parametrize(
    ("series", "boot_mib", "total", "free"),
    [
        ("6.1", 512, 374, 343),
        ("6.1", 640, 499, 467),
        ("6.1", 1024, 877, 839),
        ("6.1", 2048, 1884, 1845),
        ("6.1", 4096, 3897, 3854),
        ("6.1", 66_560, 65_295, 65_231),
        ("6.12", 1024, 884, 851),
        ("6.12", 2048, 1891, 1856),
        ("6.12", 3072, 2896, 2863),
        ("6.12", 4096, 3904, 3869),
        ("7.3", 1024, 875, 833),
        ("7.3", 2048, 1881, 1838),
        ("7.3", 4096, 3894, 3848),
        ("7.3", 6144, 5904, 5855),
        ("7.3", 66_560, 65_292, 65_227),
    ],
)
def test_idle_guests(series: str, boot_mib: int, total: int, free: int) -> None:
    """MemTotal and MemFree of recorded idle kernels with one node: the first to a MiB, what is in use to 6."""
    uses = guest(boot_mib, series).meminfo.uses()
    managed = sum(u.managed for u in uses) / MIB
    assert managed == pytest.approx(total, abs=1.0)
    assert managed - sum(u.free - u.pcp for u in uses) / MIB == pytest.approx(total - free, abs=6.5)


def test_growth_in_time_saves_the_guest() -> None:
    """A logged guest of 1.93 GiB: 6 GiB at once kills it before anything is plugged, step by step it grows."""
    assert [e.kind for e in guest(1920).demands.anonymous("p", 6 * GIB).ooms] == [OomKind.GUEST_FULL]
    model, growth, first = guest(1920), [28, 31], FIRST
    for _ in range(24):
        assert not model.demands.anonymous("p", 256 * MIB).ooms
        if growth and model.meminfo.available() < 512 * MIB:
            blocks = growth.pop(0)
            assert plug(model, blocks * 128, ZONE_MOVABLE, first)
            first += blocks
    assert not growth
