"""What of a guest's memory counts under which name of ``/proc/meminfo``.

The model counts user and kernel pages by load. What each kind of load's kernel pages are was measured: on the units
recordings of 6.1 and 6.12 (one kind of load after the other, see :mod:`sim.guest.parameters`), by how ``/proc/meminfo``
changed. What an idle kernel has of each comes from boot snapshots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.loads import LoadKind
from sim.guest.report import GuestReport, Pressure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.guest.loads import Loads
    from sim.guest.meminfo import Meminfo
    from sim.guest.parameters import GuestParameters
    from sim.guest.zones import GuestZones


class _Parts(NamedTuple):
    """Kernel pages by what they count as: shares of a load's, or bytes. What is missing to 1 has no name."""

    cached: float = 0.0
    anonymous: float = 0.0
    slab_reclaimable: float = 0.0
    slab_unreclaimable: float = 0.0
    page_tables: float = 0.0
    kernel_stacks: float = 0.0

    def of(self, amount: float) -> tuple[int, ...]:
        """Return the whole pages that each part is of ``amount``."""
        return tuple(int(part * amount) for part in self)

    @property
    def some(self) -> tuple[tuple[int, float], ...]:
        """The parts that are not 0, with their places."""
        return tuple((place, part) for place, part in enumerate(self) if part)


_TABLES: Final = _Parts(page_tables=1.0)
_INDEX: Final = _Parts(slab_reclaimable=1.0)
"""Index nodes of page cache (lib/radix-tree.c makes their slab a reclaimable one)."""
_SLAB: Final = _Parts(slab_unreclaimable=1.0)
_PROCESS_6_1: Final = _Parts(slab_unreclaimable=16.2 / 69, page_tables=20 / 69, kernel_stacks=16 / 69)
_PROCESS_6_12: Final = _Parts(slab_unreclaimable=16.6 / 77, page_tables=36 / 77, kernel_stacks=16 / 77)
_BY_KIND: Final[Mapping[LoadKind, _Parts]] = {
    LoadKind.ANONYMOUS: _TABLES,
    LoadKind.PAGE_TABLES: _TABLES,
    LoadKind.PAGE_CACHE: _INDEX,
    LoadKind.TMPFS_DATA: _INDEX,
    # A dentry and an inode: 195 and 852 bytes.
    LoadKind.TMPFS_FILES: _Parts(slab_reclaimable=0.187, slab_unreclaimable=0.813),
    # Inode tables in the buffer cache, 282 of 1,780 bytes; 33 are of slabs that are not reclaimable.
    LoadKind.DISK_FILES: _Parts(cached=0.155, slab_reclaimable=0.825, slab_unreclaimable=0.02),
    LoadKind.PROCESSES: _PROCESS_6_1,
    LoadKind.WORKERS: _PROCESS_6_1,
    LoadKind.KERNEL_STACKS: _Parts(kernel_stacks=1.0),
    LoadKind.SLAB: _Parts(slab_reclaimable=1.0),
    # Of a full pipe 0.86 and 1.77 KiB of 66.8: its data are pages without a name.
    LoadKind.PIPES: _Parts(slab_reclaimable=0.013, slab_unreclaimable=0.026),
    # Of an empty pair 2.07 and 2.66 KiB of 4.8. What is queued: see below.
    LoadKind.SOCKETS: _Parts(slab_reclaimable=0.43, slab_unreclaimable=0.55),
    LoadKind.PINNED: _Parts(anonymous=1.0),
    # Network buffers, drivers, device objects of memory blocks: nobody has told them apart.
    LoadKind.KERNEL: _SLAB,
}
_SINCE_6_12: Final[Mapping[LoadKind, _Parts]] = {
    **_BY_KIND,
    LoadKind.PROCESSES: _PROCESS_6_12,
    LoadKind.WORKERS: _PROCESS_6_12,
}
_QUEUED: Final = _Parts(slab_unreclaimable=0.157).some
"""Data queued on sockets: of 152 KiB for 128 KiB 24 are slab, and the others pages without a name."""
_IN_MEMORY_FILES: Final = frozenset({LoadKind.TMPFS_DATA, LoadKind.TMPFS_FILES})

_IDLE: Final[Mapping[str, _Parts]] = {
    "6.1": _Parts(6432 << 10, 128 << 10, 9740 << 10, 7950 << 10, 56 << 10, 796 << 10),
    "6.12": _Parts(6712 << 10, 132 << 10, 770 << 10, 8460 << 10, 346 << 10, 870 << 10),
    "7.3": _Parts(7232 << 10, 132 << 10, 888 << 10, 10960 << 10, 480 << 10, 904 << 10),
}
"""Bytes in an idle guest by kernel series: boot snapshots under load, 512 MiB to 4 GiB of boot memory (one of 7.3), of
which the largest differs by 10 % in page tables and by 2 % in all else. The cache is the initial root file system."""


_NONE: Final = 0, 0


class Seen(NamedTuple):
    """What an agent sees, in pages: ``counts`` are those of :class:`_Parts`, ``nodes`` (total, free) by number."""

    available: int
    free_huge: int
    counts: tuple[int, ...]
    nodes: tuple[tuple[int, int], ...]


class Figures:
    """Reads zones and loads, and changes neither."""

    def __init__(self, zones: GuestZones, loads: Loads, meminfo: Meminfo, parameters: GuestParameters) -> None:
        self._zones = zones
        self._loads = loads
        self._meminfo = meminfo
        self._parameters = parameters
        by_kind = _BY_KIND if parameters.series == "6.1" else _SINCE_6_12
        self._by_kind = {kind: parts.some for kind, parts in by_kind.items()}
        idle = _IDLE[parameters.series]
        if parameters.system_cache_bytes:
            idle = idle._replace(cached=parameters.system_cache_bytes)
        self._idle = idle
        self._reserved = -1
        self._idle_counts: tuple[int, ...] = ()
        """What an idle guest in which so much is reserved has of each."""
        self._changes = -1
        self._seen = self._reported = Seen(0, 0, (), ())
        """As of so many changes, and of the last report."""
        self._report: GuestReport | None = None

    def report(self, pressure: Pressure = Pressure()) -> GuestReport:  # noqa: B008  frozen
        """Return what an agent in the guest would report now, of the ``pressure`` that it has."""
        seen, last = self.seen(), self._report
        if last is not None and seen is self._reported and pressure == last.pressure:
            return last
        size = self._parameters.geometry.size
        available, free_huge, counts, nodes = seen
        by_node = tuple((total * size, free * size) for total, free in nodes)
        cached, anonymous, slab_reclaimable, slab_unreclaimable, page_tables, kernel_stacks = counts
        self._reported = seen
        self._report = GuestReport(
            total=sum(total for total, _ in by_node),
            free=sum(free for _, free in by_node),
            available=available * size,
            cached=cached * size,
            anonymous=anonymous * size,
            slab_reclaimable=slab_reclaimable * size,
            slab_unreclaimable=slab_unreclaimable * size,
            page_tables=page_tables * size,
            kernel_stacks=kernel_stacks * size,
            free_huge=free_huge * size,
            pressure=pressure,
            nodes=by_node,
        )
        return self._report

    def seen(self) -> Seen:
        """Return the pages of which :meth:`report` tells the bytes: for whoever has to know only whether they change.

        The same object for as long as they stay the same. Asked for several times for every change of a guest that
        somebody watches, and at each of a driver's attempts that change nothing.
        """
        changes = self._zones.changes.count
        if changes != self._changes:
            seen = self.counted()
            if seen != self._seen:
                self._seen = seen
            self._changes = changes
        return self._seen

    def counted(self) -> Seen:
        """Return what :meth:`seen` returns, counted anew whatever is known."""
        parameters = self._parameters
        available = self._meminfo.sums().available  # first: watermarks are as they should be from then on
        share, size = parameters.pcp_adaptive_share, parameters.geometry.size
        fragment = parameters.fragment_bytes // size
        nodes: dict[int, tuple[int, int]] = {}
        reserved = free_huge = 0
        for zone in self._zones.by_key.values():
            node = zone.node
            total, free = nodes.get(node, _NONE)
            listed = zone.listed_pcp(share) if zone.pcp or zone.pcp_loads else 0
            nodes[node] = total + zone.managed, free + zone.free - listed
            free_huge += zone.free_huge(listed, fragment)
            reserved += zone.reserved
        if reserved != self._reserved:
            # A smaller guest than those that were recorded uses less of everything.
            self._reserved, self._idle_counts = reserved, self._idle.of(min(1 / size, reserved / sum(self._idle)))
        counts = list(self._idle_counts)
        by_kind = self._by_kind
        for load in self._loads.by_name.values():
            kind = load.kind
            if load.nr_user:
                counts[0 if load.cached or kind in _IN_MEMORY_FILES else 1] += load.nr_user
            kernel = load.nr_kernel
            if kind is LoadKind.SOCKETS:
                pairs = int(load.units * parameters.socket_bytes / size)
                for place, part in _QUEUED:
                    counts[place] += int(part * max(0, kernel - pairs))
                kernel = min(kernel, pairs)
            if kernel:
                for place, part in by_kind[kind]:
                    counts[place] += int(part * kernel)
        each = tuple(nodes.get(node, _NONE) for node in range(max(nodes, default=-1) + 1))
        return Seen(available, free_huge, tuple(counts), each)
