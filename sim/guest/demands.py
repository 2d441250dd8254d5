"""The verbs by which demand reaches the guest: memory asked for, by kind, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import Demand, OomEvent, OomKind
from sim.guest.loads import OWNED, WHOLE_PAGES, Load, LoadKind
from sim.guest.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE = 4096
_CHUNKS = 64
"""Steps in which a demand is served that may not fit: the resolution of ``done_share``."""


class Demands(Memory):
    """Adds to the zones what processes, files and the administrator do. Amounts are pages unless named otherwise.

    Every verb that asks for memory takes the load's name (asking again under a name adds to it) and the node it
    runs on, and returns a :class:`~sim.guest.contract.Demand`.
    """

    def anonymous(self, name: str, pages: int, node: int = 0, *, huge: bool = False) -> Demand:
        """Touch anonymous memory.

        With ``huge`` pages placement and page tables are the same; only CPU lists stay untouched.
        """
        load = self._load(name, LoadKind.ANONYMOUS, node)
        load.huge = huge
        load.units += pages
        return self._serve(load, pages, pages * self.parameters.anon_table_share)

    def read_file(self, name: str, pages: int, node: int = 0) -> Demand:
        """Read a file: clean page cache, and index nodes."""
        load = self._load(name, LoadKind.PAGE_CACHE, node)
        load.units += pages
        return self._serve(load, pages, pages * self.parameters.cache_slab_share)

    def write_file(self, name: str, pages: int, node: int = 0) -> Demand:
        """Write a file of a disk file system: page cache, dirty up to the limit."""
        load = self._load(name, LoadKind.PAGE_CACHE, node)
        load.units += pages
        out = self._serve(load, pages, pages * self.parameters.cache_slab_share, dirty=True)
        self._limit_dirty()
        return out

    def tmpfs_data(self, name: str, pages: int, node: int = 0) -> Demand:
        """Write a file in tmpfs."""
        load = self._load(name, LoadKind.TMPFS_DATA, node)
        load.units += pages
        return self._serve(load, pages, pages * self.parameters.tmpfs_index_share)

    def tmpfs_files(self, name: str, files: int, bytes_each: int = 0, node: int = 0) -> Demand:
        """Make files in tmpfs under the path ``name``."""
        load = self._load(name, LoadKind.TMPFS_FILES, node)
        load.units += files
        return self._serve(load, files * -(-bytes_each // _PAGE), files * self.parameters.tmpfs_file_bytes / _PAGE)

    def disk_files(self, name: str, files: int, bytes_each: int = 0, node: int = 0) -> Demand:
        """Make files in a disk file system: inodes, dentries, inode tables; data as dirty page cache.

        Inodes of files with cached data cannot be dropped before the data is; those of empty files can.
        """
        p = self.parameters
        load = self._load(name, LoadKind.DISK_FILES, node)
        load.units += files
        each = (p.disk_file_data_bytes if bytes_each else p.disk_file_bytes) / _PAGE
        load.slab_per_unit = each
        data = files * -(-bytes_each // _PAGE)
        out = (
            self._serve(load, data, files * each, dirty=True) if data else self._serve(load, 0, 0.0, slab=files * each)
        )
        self._limit_dirty()
        return out

    def look_up_files(self, name: str) -> Demand:
        """Look at all files under the path ``name`` again: inodes that were dropped come back into memory."""
        pages = 0
        ooms: list[OomEvent] = []
        for load in [x for x in self.loads.values() if x.kind is LoadKind.DISK_FILES and _under(x.name, name)]:
            missing = load.units * load.slab_per_unit - load.kernel_pages()
            if missing >= 1:
                got = self._serve(load, 0, 0.0, slab=missing)
                pages += got.pages
                ooms += got.ooms
        return Demand(pages, 1.0, tuple(ooms))

    def processes(self, name: str, count: int, node: int = 0) -> Demand:
        """Start small processes that sleep."""
        p = self.parameters
        load = self._load(name, LoadKind.PROCESSES, node)
        load.units += count
        return self._serve(load, count * p.process_user_bytes // _PAGE, count * p.process_bytes / _PAGE)

    def page_tables(self, name: str, pages: int, node: int = 0) -> Demand:
        """Make a process use that many pages of page tables."""
        load = self._load(name, LoadKind.PAGE_TABLES, node)
        load.units += pages
        return self._serve(load, 0, pages * self.parameters.page_table_factor)

    def pipes(self, name: str, count: int, node: int = 0) -> Demand:
        """Open pipes and fill each with 64 KiB."""
        load = self._load(name, LoadKind.PIPES, node)
        load.units += count
        return self._serve(load, 0, count * self.parameters.pipe_bytes / _PAGE)

    def sockets(self, name: str, count: int, bytes_each: int = 0, node: int = 0) -> Demand:
        """Open unix socket pairs and queue ``bytes_each`` on each."""
        p = self.parameters
        load = self._load(name, LoadKind.SOCKETS, node)
        load.units += count
        return self._serve(load, 0, count * (p.socket_bytes + bytes_each * p.socket_data_factor) / _PAGE)

    def pin(self, name: str, pages: int, node: int = 0) -> Demand:
        """Pin pages for long: they lie in kernel zones and never move (mm/gup.c migrates them out of MOVABLE first)."""
        load = self._load(name, LoadKind.PINNED, node)
        load.units += pages
        return self._serve(load, 0, float(pages))

    def kernel_memory(self, name: str, pages: int, node: int = 0) -> Demand:
        """Use kernel memory that no process can be killed for: network buffers, drivers."""
        load = self._load(name, LoadKind.KERNEL, node)
        load.units += pages
        return self._serve(load, 0, float(pages))

    def named_loads(self) -> list[Load]:
        """Return the loads that were asked for, oldest first."""
        return [x for x in self.loads.values() if not x.name.startswith("(")]

    # Giving back.

    def kill(self, name: str) -> bool:
        """End the processes of a load; False if there are none of that name (any more)."""
        load = self.loads.get(name)
        if load is None or load.kind not in OWNED:
            return False
        self._free_load(load)
        return True

    def remove_files(self, path: str) -> int:
        """Remove a file, or everything under a directory; return how many loads went."""
        gone = [x for x in self.loads.values() if x.kind not in OWNED and _under(x.name, path)]
        for load in gone:
            self._free_load(load)
        return len(gone)

    def shrink(self, name: str, share: float) -> None:
        """Free a share (0 to 1) of a load, of its units too."""
        load = self.loads.get(name)
        if load is not None:
            self._free_part(load, share)
            load.units *= 1.0 - share

    def sync(self) -> None:
        """Write all dirty page cache to disk."""
        for load in self.loads.values():
            load.dirty = 0

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> int:
        """Drop clean page cache and reclaimable slab (/proc/sys/vm/drop_caches: 1, 2 and 3); return the pages freed."""
        before = sum(z.free for z in self.zones.values())
        zones = tuple(self.zones.values())
        if cache:
            self._reclaim_cache(sum(z.cache for z in zones), zones)
        self._ripen()
        if slab:
            self._reclaim_slab(sum(z.slab for z in zones), zones)
            self._slab_rested = True
        return sum(z.free for z in zones) - before

    # How a demand is served.

    def _load(self, name: str, kind: LoadKind, node: int) -> Load:
        load = self.loads.get(name)
        if load is None:
            p = self.parameters
            stay = {
                LoadKind.PIPES: p.stay_share_pipes,
                LoadKind.SOCKETS: p.stay_share_pipes,
                LoadKind.PROCESSES: p.stay_share_processes,
                LoadKind.TMPFS_FILES: p.stay_share_tmpfs,
                LoadKind.DISK_FILES: p.stay_share_disk,
            }.get(kind, p.stay_share_tables if kind in WHOLE_PAGES else p.stay_share)
            load = self.loads[name] = Load(name, kind, node, stay)
        elif load.kind is not kind:
            raise ValueError(f"load {name!r} is {load.kind.value} and cannot take {kind.value}")
        return load

    def _limit_dirty(self) -> None:
        """Let the oldest dirty pages reach the disk while there are more than the limit (mm/page-writeback.c)."""
        total = sum(x.dirty for x in self.loads.values())
        zones = self.zones.values()
        limit = int(self.parameters.dirty_share * (sum(z.free for z in zones) + sum(z.cache for z in zones)))
        for load in self.loads.values():
            if total <= limit:
                return
            n = min(load.dirty, total - limit)
            load.dirty -= n
            total -= n

    def _serve(self, load: Load, user: int, kernel: float, *, slab: float = 0.0, dirty: bool = False) -> Demand:
        """Serve a demand; kill while it cannot be met, stop when its own process is the victim or the guest dies.

        ``dirty``: user pages are written, and count as dirty from when they are there.
        """
        if self.died:
            return Demand(0, 0.0)
        self._ripen()
        whole = (user, round(kernel), round(slab))
        # Steps only where it may get tight: a demand that fits at once is served at once.
        roomy = self._fits(load.node, whole[0], whole[1] + whole[2])
        steps = 1 if roomy else _CHUNKS
        takes: tuple[Callable[[int], int], ...] = (
            lambda n: self._take_user(load, n),
            lambda n: self._take_kernel(load, n),
            lambda n: self._take_kernel(load, n, slab=True),
        )
        done = [0, 0, 0]
        ooms: list[OomEvent] = []
        total = sum(whole) or 1
        for step in range(1, steps + 1):
            for i in range(3):
                want = whole[i] * step // steps - done[i]
                while want > 0:
                    left = takes[i](want)
                    done[i] += want - left
                    if dirty and i == 0:
                        # Of more than there is room for at once, what came first may have reached the disk and gone.
                        load.dirty = min(load.dirty + want - left, load.user_pages())
                    want = left
                    if left:
                        kind = OomKind.GUEST_FULL if i == 0 else OomKind.KERNEL
                        event = self._oom(kind, sum(done) / total)
                        ooms.append(event)
                        if event.guest_died or load.name not in self.loads:
                            return Demand(sum(done), sum(done) / total, tuple(ooms))
            if load.dirty and steps > 1:
                self._limit_dirty()
        return Demand(sum(done), 1.0, tuple(ooms))

    def _fits(self, node: int, user: int, kernel: int) -> bool:
        """Say whether a demand finds room above the low watermarks with room to spare in the first zones it may use."""
        self._fresh_watermarks()
        for z in self._user_list(node):
            room = z.free - z.low - z.reserve_user
            if room > 0:
                user -= min(user, room)
        room = sum(max(0, z.free - z.low - z.reserve_kernel) for z in self._kernel_list(node))
        return user == 0 and kernel < room


def _under(name: str, path: str) -> bool:
    """Say whether ``name`` is ``path`` or lies under it."""
    path = path.rstrip("/")
    return name == path or name.startswith(path + "/")
