"""Every figure of the guest model, in one place, each with its unit and where it comes from.

Sources named in the field comments:

* *kernel*: a constant or formula of Linux mm/ (file and function given), x86-64.
* *units recording*: two kernels (6.1, 6.12) with a 1 GiB boot and a 2 GiB kernel DIMM, one kind of load after the
  other.
* *idle table*: MemTotal and MemFree of idle Debian kernels, 512 MiB to 65 GiB of boot memory.
* *come-back recordings*: kernel loads made, freed and asked back, virtio-mem and DIMMs, 1 GiB boot memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.contract import DemandKind
from sim.pages import PAGES_4K, PageGeometry

if TYPE_CHECKING:
    from collections.abc import Callable

SERIES: Final = ("6.1", "6.12", "7.3")
"""Kernel series with parameters of their own."""


_BOUNDS: Final[tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...]] = (
    (("pageblock_fill", "kernel_min_share"), lambda value: 0.0 < value <= 1.0, "lie above 0 and not above 1"),
    (
        ("dirty_expire_seconds", "dirty_flush_seconds"),
        lambda value: 0.0 <= value < inf,
        "be a time that is not negative",
    ),
    (
        ("huge_pinned", "direct_page_us", "kill_stall_us", "refault_us"),
        lambda value: 0.0 <= value < inf,
        "be a number that is not negative",
    ),
    (("cache_reuse_seconds",), lambda value: 0.0 < value < inf, "be a time above 0"),
)
"""Which values fields may have, besides shares, which lie between 0 and 1."""


@dataclass(frozen=True, slots=True)
class GuestParameters:
    """Parameters of a guest. ``GuestParameters()`` is Linux 6.1; :func:`parameters_for` gives the set of a series.

    Sizes named ``*_bytes`` are bytes, ``*_share`` a fraction from 0 to 1.
    """

    series: str = "6.1"
    """Kernel series, decides the watermark formulas: those of 6.1, or those of 6.12 and later."""
    geometry: PageGeometry = PAGES_4K
    """What a page of the machine is. What was measured was measured with pages of 4 KiB."""

    # What an idle kernel takes for itself.
    boot_reserved_bytes: int = 0
    """Boot memory that never becomes managed besides its memmap, the kernel's hash tables and what firmware keeps, as
    one sum, where only that is known of a guest: boot memory less MemTotal less 1/64, to a MiB; ``as`` works it out
    exactly. 0: it is made up of the parts that follow."""
    kernel_image_bytes: int = 11_318 << 12
    """The kernel's image, its page tables and what firmware keeps, at the bottom. Boot snapshots, every size from 512
    MiB to 66 GiB alike: unmanaged pages of the lowest zone above DMA less SWIOTLB, to the page."""
    swiotlb_bytes: int = 64 << 20
    """Bounce buffers below 4 GiB, where there is memory above 4 GiB or hotplug can bring some (*kernel*:
    kernel/dma/swiotlb.c, IO_TLB_DEFAULT_SIZE; arch/x86/kernel/pci-dma.c, pci_swiotlb_detect). 768 KiB more describe
    them."""
    printk_info_bytes: int = 88
    """Bytes of details that a log buffer of its own size keeps for each 32 bytes of text (struct printk_info): one of
    4 MiB takes 18 MiB in all."""
    early_reserved_bytes: int = 60 << 12
    """Per-CPU areas and the like, at the top (boot snapshots, to two pages; one page more for each GiB above 4 GiB)."""
    idle_use_bytes: int = 27 << 20
    """Managed memory an idle kernel and its init use, fixed part. Idle table, 6.1: MemTotal - MemFree is 31, 38,
    39, 43 and 64 MiB at 0.5, 1, 2, 4 and 65 GiB; of that, what lies free on the CPU's lists is a parameter of its own.
    With the tools that record loads some 8 MiB more."""
    idle_use_share: float = 0.0004
    """The same, part that grows with managed memory (idle table, 1 to 65 GiB)."""
    idle_use_nodes_bytes: int = 7 << 20
    """The same, more where there are several nodes with memory (boot snapshots of two and three nodes, less their hash
    tables: 6.2 to 8 MiB)."""
    idle_pcp_bytes: int = 11 << 20
    """Free memory that an idle CPU keeps on its own lists, and MemFree does not count (per-CPU pages of the
    snapshots)."""
    idle_pcp_small_share: float = 0.006
    """The same as a share of managed memory, where that is less, in a guest too small for huge pages (577 of 95,883
    pages at 512 MiB)."""
    pcp_adaptive_share: float = 0.0
    """Share of a zone to which its CPU lists grow while single pages are freed, where that is more than the low
    watermark. 6.1: never; 6.12 tunes the lists up to an eighth (mm/page_alloc.c, nr_pcp_high; MIN_PERCPU_PAGELIST_HIGH_
    FRACTION). What is freed in chunks, slab and stacks, empties them: units recording, 1 to 213 of 2048 MiB."""
    pcp_decay_bytes: int = 2016 << 12
    """What of longer lists goes back in a second: 32 batches of 63 pages (mm/page_alloc.c, decay_pcp_high). Units
    recording, 6.12: 213, 198, 182 and 175 MiB, with a second or two between."""
    zone_settle_bytes: int = 720 << 10
    """Kernel memory that moves into a zone Normal that hotplug created, within seconds (come-back recordings, idle
    shrink: about 0.2 MiB in the 4 MiB that stay)."""
    zone_settle_held_bytes: int = 4 << 20
    """The pageblocks that it holds (come-back recordings: an idle guest keeps 4 MiB of its first kernel block)."""
    zone_settle_pcp_bytes: int = 3200 << 10
    """Free memory on the CPU's list of such a zone (come-back recordings: 2.8 to 3.2 MiB)."""
    block_overhead_bytes: int = 15 << 10
    """Kernel memory of a memory block besides its memmap: device object, sysfs nodes, direct-map tables. Idle
    recordings: 1 to 4.4 MiB for 48 to 320 blocks of 128 MiB."""

    # Watermarks: mm/page_alloc.c (calculate_min_free_kbytes, __setup_per_zone_wmarks), mm/khugepaged.c.
    watermark_scale_factor: int = 10
    """Distance between watermarks, parts in 10,000 of the managed pages (kernel default)."""
    thp_min_boot_bytes: int = 512 << 20
    """Below this much managed boot memory transparent huge pages stay off and the large minimum does not apply
    (mm/huge_memory.c, hugepage_init)."""
    thp_pageblocks_per_zone: int = 11
    """Recommended minimum for each populated kernel zone with huge pages on, in pageblocks: 2 + 3 x 3
    (mm/khugepaged.c, set_recommended_min_free_kbytes)."""
    thp_max_share: float = 0.05
    """The recommendation is cut to this share of the kernel zones' memory (same function)."""
    lowmem_reserve_ratio: tuple[int, int, int] = (256, 256, 32)
    """Divisors for the pages that zones DMA, DMA32 and Normal keep from requests able to use higher zones
    (mm/page_alloc.c)."""
    kernel_min_share: float = 1.0
    """Share of a zone's min watermark at which a kernel allocation gives up. 6.1: exactly min; 6.12: 9,158 of
    11,065 pages at the failure of the page-table recording."""

    # Kernel memory of the loads (units recordings).
    tmpfs_file_bytes: int = 1048
    """Kernel bytes of an empty tmpfs file: inode and dentry."""
    disk_file_bytes: int = 1780
    """Kernel bytes of an empty ext4 file: inode, dentry, its share of the inode tables in the buffer cache."""
    disk_file_data_bytes: int = 1964
    """The same for a file with data: with extent and buffer head. All of it is modelled as slab, though 280 bytes or
    more are inode tables, which go with the cache."""
    process_bytes: int = 69 << 10
    """Kernel bytes of a sleeping process: stack, page tables, slab, other."""
    process_user_bytes: int = 16 << 10
    """User pages of a small static program that sleeps."""
    page_table_factor: float = 1.003
    """Kernel bytes for each byte of page tables asked for: 1027.1 KiB in the MiB."""
    pipe_bytes: int = 68370
    """Kernel bytes of a pipe filled with 64 KiB: data pages 65,536, slab 2,700."""
    socket_bytes: int = 4899
    """Kernel bytes of an empty unix socket pair."""
    socket_data_factor: float = 1.1883
    """Kernel bytes for each byte queued on a socket: 160,645 for 128 KiB, less the empty pair."""
    anon_table_share: float = 2.2 / 1024
    """Page tables for each byte of anonymous memory: 2.2 KiB in the MiB, huge pages or not."""
    cache_slab_share: float = 2.3 / 1024
    """Reclaimable slab (index nodes) for each byte of page cache: 2.3 KiB in the MiB."""
    tmpfs_index_share: float = 2.0 / 1024
    """Index nodes for each byte of tmpfs data; freed with the file."""

    # Pageblocks.
    pageblock_fill: float = 0.97
    """How full pageblocks with kernel pages are under load: come-back recordings, 92 to 97 %."""
    leftover_tmpfs: float = 12.0
    """Pageblocks that inodes of tmpfs files leave behind in a zone once they are freed, held by a few long-lived pages
    each, however many the files were. Sub-block recording: 6 of 16; retry-timer recording: 7 of 33."""
    leftover_disk: float = 21.0
    """The same for inodes of disk files: 6 of 8 (sub-block recording)."""
    leftover_processes: float = 24.0
    """The same for processes, whose kernel pages mix with those of everything else (what the come-back recordings
    leave beyond the sub-block recording, which has no processes)."""
    leftover_pipes: float = 16.0
    """The same for pipe and socket data, which lie between their slab pages: 12 of 26 (sub-block recording)."""
    leftover_cache: float = 2.0
    """The same for the index nodes of page cache and tmpfs data, which are few. Page tables leave nothing: all of their
    pageblocks came back (sub-block recording, retry-timer recording)."""
    leftover_half_pageblocks: float = 16.0
    """Pageblocks of leftovers with which freed memory leaves only half as much behind: what is allocated while a load
    is there fills half-used slabs of earlier ones first (come-back recordings, levels 1 to 4: each adds less)."""
    regrow_keep_share: float = 0.60
    """Share of such leftovers that outlasts the next growth and shrink (sub-block recording: 56 MiB, then 30; the price
    of a ratio of 301: 90, then 46; 4 MiB each are the idle kernel's; aged recording: 76, then 66)."""

    # How free memory falls to pieces (sim/guest/huge_chunks.py): fitted to runs of hyperalloc-bench, see there.
    huge_kept_share: float = 0.05
    """Share of a zone that may be free in pieces smaller than a huge page before requests take these: until then they
    break huge chunks (the runs: 85 % of what is taken is huge while less than 500 MiB of 16 GiB are in pieces)."""
    huge_split_share: float = 0.07
    """Of memory that is taken from small pieces, the part that breaks huge chunks all the same (the runs: 2 to 7 % of
    the change from sample to sample)."""
    huge_merge_share: float = 0.08
    """Of memory that is freed, the part that makes huge chunks at once (the runs: 3 to 7 %; within a sample more is
    taken and freed). 1, with nothing split and
    nothing kept: all free memory between user pages is huge, as if it were never in pieces."""
    huge_pinned: float = 30.0
    """Pages in small pieces for each user page, at most: what few pages there are cannot hold more (the runs, with all
    files removed and caches dropped)."""

    fragment_bytes: int = 5 << 20
    """Free memory of a kernel zone that does not lie in whole free pageblocks. Boot snapshots of 32 recordings: 3.9 to
    9.4 MiB, half of them 5.1."""

    # Out of memory.
    system_cache_bytes: int = 0
    """Page cache of the system's own programs, a part of what is used: dropped when memory is short and read again.
    Recorded guests run from an initramfs and have none: 12 of 14 died of the piece whose memmap did not fit. Guests
    with a root file system have some MiB, and live (kata-containers issue 1621: the agent reports the failed add).
    Where a guest is known from ``free``, or an experiment gives ``boot_reserved_bytes``, it is 8 MiB."""
    late_table_bytes: int = 4 << 20
    """Page tables of a victim above which they are freed too late for the next attempt of whoever found no memory,
    who waits for a clock tick (mm/oom_kill.c, out_of_memory; 4 ms, in which 4 MiB of tables may be freed). Reports:
    victims of 256 and 512 MiB of tables were followed by a second one in 7 of 8 cases, victims of anonymous memory
    (up to 3 MiB of tables) in none of 16."""

    # Reclaim and write-back.
    dirty_share: float = 0.20
    """Dirty page cache is held under this share of free memory plus cache (vm.dirty_ratio, kernel default)."""
    dirty_expire_seconds: float = 30.0
    """Age from which dirty page cache is written back (vm.dirty_expire_centisecs, kernel default)."""
    dirty_flush_seconds: float = 5.0
    """How often the flusher looks for that (vm.dirty_writeback_centisecs, kernel default)."""
    shrink_batch_share: float = 0.10
    """Share of the reclaimable slab that goes at once when a kernel allocation finds its zones at the low watermark
    (ext4 inode recording: 4 to 15 MiB free while inodes are dropped all the time)."""
    first_shrink_share: float = 0.85
    """The same when it happens for the first time: file systems allocate without being able to shrink themselves,
    so shrinking piles up as deferred work (mm/vmscan.c, do_shrink_slab) and is then done at once. Ext4 inode
    recording: 153,000 of 200,000 inodes went where 53,000 were needed."""

    # Who waits for memory (sim/guest/pressure.py).
    direct_user_share: float = 0.004
    """Of what is taken back for user pages, the part that whoever asks takes back himself, and waits for (recordings
    under load: pgsteal_direct is 8,376 pages of 2.23 million, nearly all of them for huge pages; kswapd did the
    rest)."""
    direct_kernel_share: float = 0.2
    """The same for the kernel's own requests (ext4 inode recording: 4,771 pages of 22,842)."""
    direct_page_us: float = 1.0
    """Microseconds for each such page, of clean page cache or slab. ASSUMED; nobody published it for one page."""
    kill_stall_us: int = 68_000
    """Microseconds for which a request tries in vain before the out-of-memory killer comes: 16 rounds and one after it,
    each of which waits for a tick of 4 ms at most (mm/page_alloc.c, MAX_RECLAIM_RETRIES; mm/vmscan.c, reclaim_throttle;
    mm/oom_kill.c, out_of_memory). What was recorded cannot tell: such a step takes under a second more than others."""
    cache_active_share: float = 0.25
    """Share of the page cache wanted that programs read again and again. ASSUMED: of files that are read once it is
    none; a database's cache is nearly all of it."""
    cache_reuse_seconds: float = 60.0
    """Seconds within which they read all of that once. ASSUMED."""
    refault_us: float = 100.0
    """Microseconds until a page of a file has been read from disk: a read of 4 KiB from flash. ASSUMED."""
    full_stall_share: float = 0.5
    """Share of the time in which somebody waits for memory when nobody else has anything to do. ASSUMED: 1 for a guest
    with a single busy program (published figures of guests lie between 0 and 1)."""

    def __post_init__(self) -> None:
        """Check what would make the model meaningless. Raises ValueError naming the field."""
        if self.series not in SERIES:
            raise ValueError(f"series: {self.series!r} is not one of {', '.join(SERIES)}")
        for names, fits, must in _BOUNDS:
            for name in names:
                if not fits(getattr(self, name)):
                    raise ValueError(f"{name}: {getattr(self, name)} must {must}")
        shares = [name for name in self.__dataclass_fields__ if "_share" in name and name != "kernel_min_share"]
        for name in shares:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: {getattr(self, name)} must lie between 0 and 1")

    def unit_bytes(self, kind: DemandKind) -> int:
        """Return what counts as the size of a unit of demand: a page, or an average piece with all that it takes."""
        match kind:
            case DemandKind.TMPFS_FILES:
                return self.tmpfs_file_bytes
            case DemandKind.DISK_FILES:
                return self.disk_file_bytes
            case DemandKind.WRITTEN_FILES:
                return self.disk_file_data_bytes + self.geometry.size
            case DemandKind.PROCESSES | DemandKind.WORKERS:
                return self.process_bytes + self.process_user_bytes
            case DemandKind.PIPES:
                return self.pipe_bytes
            case DemandKind.SOCKETS:
                return self.socket_bytes
            case _:
                return self.geometry.size


_V6_1: Final = GuestParameters()
_V6_12: Final = replace(
    _V6_1,
    series="6.12",
    kernel_image_bytes=9_555 << 12,  # boot snapshots of 1 to 70 GiB
    idle_use_bytes=41 << 19,  # idle table: 29, 33, 34, 33, 35 and 57 MiB at 0.5, 1, 2, 3, 4 and 70 GiB, less the lists
    idle_use_share=0.00035,
    idle_use_nodes_bytes=9 << 20,  # 8.7 to 10.4 MiB
    idle_pcp_bytes=25 << 19,  # boot snapshots under load: 10.1 to 14.6 MiB
    idle_pcp_small_share=0.018,  # 1,731 to 2,435 of 97,650 pages
    kernel_min_share=0.83,
    pcp_adaptive_share=1 / 8,
    tmpfs_file_bytes=1085,
    disk_file_bytes=1748,
    disk_file_data_bytes=1932,
    process_bytes=77 << 10,
    pipe_bytes=68325,
    socket_bytes=4946,
    anon_table_share=2.1 / 1024,
)

# Units and lists of 6.12: the recording of a 7.3 under load has page tables only.
_V7_3: Final = replace(
    _V6_12,
    series="7.3",
    kernel_image_bytes=11_193 << 12,  # boot snapshots of 0.25 to 65 GiB
    printk_info_bytes=112,
    # Idle table: 34, 41, 44, 43, 46, 50, 51 and 65 MiB at 0.25, 1, 2, 3, 4, 6, 8 and 65 GiB, less the CPU's lists.
    idle_use_bytes=57 << 19,
    idle_use_nodes_bytes=6 << 20,
    idle_pcp_bytes=27 << 19,  # 16.1 MiB in the one recording under load, which uses 8 MiB more in all
)

_BY_SERIES: Final = {(6, 1): _V6_1, (6, 12): _V6_12, (7, 3): _V7_3}


class Scatter(NamedTuple):
    """How far a parameter may lie from its value: factors, and in kernels of which ``series``."""

    low: float
    high: float
    source: str
    series: tuple[str, ...] = SERIES


_WHAT_STAYS: Final = (
    "what stays of freed loads: 15 % between recordings of one scenario, 0.69 to 1.45 of what was recorded between"
    " those of different loads"
)

SCATTER: Final[dict[str, Scatter]] = {
    "idle_use_bytes": Scatter(0.95, 1.15, "boot snapshots: 0.9 MiB less to 3.3 more than the model has of 27, 6.1"),
    "idle_pcp_bytes": Scatter(0.8, 1.17, "boot snapshots under load: 10.1 to 14.6 MiB", ("6.12", "7.3")),
    "pcp_adaptive_share": Scatter(
        0.1, 1.1, "24 to 213 of 256 MiB that a list may grow to, in five recordings", ("6.12", "7.3")
    ),
    "leftover_tmpfs": Scatter(0.6, 1.5, _WHAT_STAYS),
    "leftover_disk": Scatter(0.6, 1.5, _WHAT_STAYS),
    "leftover_processes": Scatter(0.6, 1.5, _WHAT_STAYS),
    "leftover_pipes": Scatter(0.6, 1.5, _WHAT_STAYS),
    "regrow_keep_share": Scatter(0.8, 1.4, "regrown recordings: 49, 50 and 85 % of what had stayed"),
    "first_shrink_share": Scatter(0.6, 1.17, "one recording only: anything from half of the inodes to all"),
}
"""Parameters of which recordings say no single value, with the range of the factor by which ``guest.draw`` multiplies
them: 1 is the most likely, and the chance falls to 0 in a straight line to both ends."""


def parameters_for(series: str) -> GuestParameters:
    """Return the parameters of a recorded kernel series ("6.1", "6.12" or "7.3"). Raises ValueError for any other."""
    for parameters in _BY_SERIES.values():
        if parameters.series == series:
            return parameters
    raise ValueError(f"kernel series {series!r} has no guest parameters; known: {', '.join(SERIES)}")


def parameters_for_kernel(series: tuple[int, int]) -> GuestParameters:
    """Return the parameters of the newest recorded series that is no newer than a kernel's, such as (6, 6).

    Kernels older than all recorded ones are taken as the oldest.
    """
    return _BY_SERIES[max((known for known in _BY_SERIES if known <= series), default=min(_BY_SERIES))]
