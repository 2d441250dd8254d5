"""Guests of a given boot size for tests, without a recording."""

from __future__ import annotations

from dataclasses import replace

from sim.guest import BootZone, GuestModel, GuestParameters, PresentZone, default_boot, parameters_for
from sim.guest.reserve import BootOptions
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_NORMAL

BLOCK = 32768
"""Pages of a block of 128 MiB."""
MIB = 256
"""Pages of a MiB."""
FIRST = 1024
"""A block id above all boot memory used here."""


def guest(boot_mib: int, series: str = "6.1", cma_mib: int = 0) -> GuestModel:
    """Return an idle guest with one node of ``boot_mib`` MiB, laid out like a PC: below 3 GiB, the rest from 4 GiB.

    Booted with ``log_buf_len=4M``, as all recorded ones were. CMA is at the bottom from 4 GiB on, else at the top.
    """
    model = GuestModel(parameters_for(series), block_pages=BLOCK)
    low = min(boot_mib, 3072) if boot_mib >= 3584 else boot_mib
    above = boot_mib > low
    area = ((4096 if above else low - cma_mib) * MIB, cma_mib * MIB)
    present = [
        PresentZone(0, ZONE_DMA, 3998, ()),
        PresentZone(0, ZONE_DMA32, low * MIB - 4128, ((0, -(-low // 128)),), (area,) if cma_mib and not above else ()),
    ]
    if above:
        runs = ((32, (boot_mib - low) // 128),)
        present.append(PresentZone(0, ZONE_NORMAL, (boot_mib - low) * MIB, runs, (area,) if cma_mib else ()))
    options = BootOptions(above_4g=boot_mib > low, log_buf_len=4 << 20)
    model.boot(default_boot(present, model.parameters, options))
    return model


def plug(model: GuestModel, mib: int, zone: int, first: int, node: int = 0) -> bool:
    """Add a DIMM of ``mib`` MiB and put it online in ``zone``; False if its memmap does not fit."""
    blocks = mib // 128
    if not model.add_memory(node, first, blocks, altmap=False):
        return False
    model.online(zone, node, first, blocks, BLOCK)
    return True


ROUND = GuestParameters(
    anon_table_share=0.0,
    cache_slab_share=0.0,
    tmpfs_index_share=0.0,
    page_table_factor=1.0,
    tmpfs_file_bytes=4096,
    disk_file_bytes=4096,
    disk_file_data_bytes=4096,
    process_bytes=8192,
    process_user_bytes=4096,
    pipe_bytes=65536,
    socket_bytes=4096,
    socket_data_factor=1.0,
    pageblock_fill=1.0,
    block_overhead_bytes=0,
    fragment_bytes=0,
    zone_settle_bytes=0,
    zone_settle_held_bytes=0,
    zone_settle_pcp_bytes=0,
    thp_min_boot_bytes=1 << 40,
)
"""Parameters with which amounts can be worked out by hand: a page for each file, nothing on top, no huge pages."""

SMALL_BLOCK = 4096
"""Pages of a memory block of a small guest: 16 MiB, 8 pageblocks."""
SIZE = 16 * SMALL_BLOCK
"""Pages of each zone of a small guest: 256 MiB."""


def small(*zones: int, cma: int = 0, **parameters: float) -> GuestModel:
    """Return a guest with one node: DMA32 from boot, of 256 MiB and all free, and as much of each of ``zones``.

    The zones' blocks are 0 to 15, then 16 to 31 and so on. There is no memmap. With MOVABLE only, every zone has the
    watermarks 256, 321 and 386, and DMA32 keeps 256 pages from user pages: the minimum is sqrt(16 x 256 MiB in KiB) =
    2,048 KiB or 512 pages for both, and 65,536 / 1,000 more are the steps. The highest ``cma`` pages of DMA32 are CMA.
    """
    model = GuestModel(replace(ROUND, **parameters), block_pages=SMALL_BLOCK)  # type: ignore[arg-type]
    areas = ((SIZE - cma, cma),) if cma else ()
    model.boot([BootZone(0, ZONE_DMA32, SIZE, SIZE, present=SIZE, runs=((0, 16),), cma=areas)])
    for number, zone in enumerate(zones, 1):
        model.online(zone, 0, 16 * number, 16, SMALL_BLOCK)
    return model
