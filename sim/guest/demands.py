"""The verbs by which demand reaches the guest: memory asked for, by kind, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import Demand, OomEvent, OomKind
from sim.guest.loads import OWNED, Load, LoadKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest.allocation import Allocation
    from sim.guest.changes import Changes
    from sim.guest.loads import Loads
    from sim.guest.oom import OomKiller
    from sim.guest.parameters import GuestParameters
    from sim.guest.reclaim import Reclaim
    from sim.guest.write_back import WriteBack

_STEPS = 64
"""Steps in which a demand is served that may not fit: the resolution of ``done_share``."""


class Demands:
    """What processes, files and the administrator do. Amounts are pages unless named otherwise.

    Every verb that asks for memory takes the load's name (asking again under a name adds to it) and the node it
    runs on, and returns a :class:`~sim.guest.contract.Demand`.
    """

    def __init__(
        self,
        changes: Changes,
        loads: Loads,
        allocation: Allocation,
        reclaim: Reclaim,
        write_back: WriteBack,
        killer: OomKiller,
        parameters: GuestParameters,
    ) -> None:
        self._changes = changes
        self._loads = loads
        self._allocation = allocation
        self._write_back = write_back
        self._killer = killer
        self._parameters = parameters
        self._page_size = parameters.geometry.size
        self._reclaim = reclaim

    def anonymous(self, name: str, pages: int, node: int = 0, *, huge: bool = False) -> Demand:
        """Touch anonymous memory.

        With ``huge`` pages placement and page tables are the same; only CPU lists stay untouched.
        """
        load = self._loads.get(name, LoadKind.ANONYMOUS, node)
        load.huge = huge
        load.units += pages
        return self._serve(load, pages, pages * self._parameters.anon_table_share)

    def anonymous_only(self, name: str, pages: int, node: int = 0) -> Demand:
        """Touch anonymous memory whose page tables are asked for beside it."""
        load = self._loads.get(name, LoadKind.ANONYMOUS, node)
        load.units += pages
        return self._serve(load, pages, 0.0)

    def read_file(self, name: str, pages: int, node: int = 0) -> Demand:
        """Read a file: clean page cache, and index nodes."""
        load = self._loads.get(name, LoadKind.PAGE_CACHE, node)
        load.index_share = self._parameters.cache_slab_share
        load.want(pages)
        return self._serve(load, pages, pages * load.index_share)

    def page_cache_only(self, name: str, pages: int, node: int = 0) -> Demand:
        """Read a file whose index nodes are asked for beside it."""
        load = self._loads.get(name, LoadKind.PAGE_CACHE, node)
        load.units += pages
        return self._serve(load, pages, 0.0)

    def write_file(self, name: str, pages: int, node: int = 0) -> Demand:
        """Write a file of a disk file system: page cache, dirty up to the limit."""
        load = self._loads.get(name, LoadKind.PAGE_CACHE, node)
        load.index_share = self._parameters.cache_slab_share
        load.want(pages)
        demand = self._serve(load, pages, pages * load.index_share, dirty=True)
        self._write_back.limit()
        return demand

    def tmpfs_data(self, name: str, pages: int, node: int = 0) -> Demand:
        """Write a file in tmpfs."""
        load = self._loads.get(name, LoadKind.TMPFS_DATA, node)
        load.units += pages
        return self._serve(load, pages, pages * self._parameters.tmpfs_index_share)

    def tmpfs_files(self, name: str, files: int, bytes_each: int = 0, node: int = 0) -> Demand:
        """Make files in tmpfs under the path ``name``."""
        load = self._loads.get(name, LoadKind.TMPFS_FILES, node)
        load.units += files
        data = files * -(-bytes_each // self._page_size)
        return self._serve(load, data, files * self._parameters.tmpfs_file_bytes / self._page_size)

    def disk_files(self, name: str, files: int, bytes_each: int = 0, node: int = 0) -> Demand:
        """Make files in a disk file system: inodes, dentries, inode tables; data as dirty page cache.

        Inodes of files with cached data cannot be dropped before the data is; those of empty files can.
        """
        parameters = self._parameters
        load = self._loads.get(name, LoadKind.DISK_FILES, node)
        load.units += files
        each = (parameters.disk_file_data_bytes if bytes_each else parameters.disk_file_bytes) / self._page_size
        load.slab_per_unit = each
        data = files * -(-bytes_each // self._page_size)
        if data:
            demand = self._serve(load, data, files * each, dirty=True)
        else:
            demand = self._serve(load, 0, 0.0, slab=files * each)
        self._write_back.limit()
        return demand

    def slab(self, name: str, pages: int, node: int = 0) -> Demand:
        """Have slab that can be given up."""
        load = self._loads.get(name, LoadKind.SLAB, node)
        load.units += pages
        return self._serve(load, 0, 0.0, slab=pages)

    def look_up_files(self, name: str) -> Demand:
        """Look at all files under the path ``name`` again: inodes that were dropped come back into memory."""
        pages = 0
        ooms: list[OomEvent] = []
        for load in self._under(name):
            if load.kind is not LoadKind.DISK_FILES:
                continue
            missing = load.units * load.slab_per_unit - load.kernel_pages()
            if missing >= 1:
                demand = self._serve(load, 0, 0.0, slab=missing)
                pages += demand.pages
                ooms += demand.ooms
        return Demand(pages, 1.0, tuple(ooms))

    def processes(self, name: str, count: int, node: int = 0) -> Demand:
        """Start small processes that sleep."""
        return self._processes(LoadKind.PROCESSES, name, count, node)

    def workers(self, name: str, count: int, node: int = 0) -> Demand:
        """Start such processes that die with their parent, and so all together."""
        return self._processes(LoadKind.WORKERS, name, count, node)

    def _processes(self, kind: LoadKind, name: str, count: int, node: int) -> Demand:
        load = self._loads.get(name, kind, node)
        load.units += count
        user = count * self._parameters.process_user_bytes // self._page_size
        return self._serve(load, user, count * self._parameters.process_bytes / self._page_size)

    def page_tables(self, name: str, pages: int, node: int = 0) -> Demand:
        """Make a process use that many pages of page tables."""
        load = self._loads.get(name, LoadKind.PAGE_TABLES, node)
        load.units += pages
        return self._serve(load, 0, pages * self._parameters.page_table_factor)

    def kernel_stacks(self, name: str, pages: int, node: int = 0) -> Demand:
        """Have threads of whose kernel memory only the stacks are counted."""
        load = self._loads.get(name, LoadKind.KERNEL_STACKS, node)
        load.units += pages
        return self._serve(load, 0, float(pages))

    def pipes(self, name: str, count: int, node: int = 0) -> Demand:
        """Open pipes and fill each with 64 KiB."""
        load = self._loads.get(name, LoadKind.PIPES, node)
        load.units += count
        return self._serve(load, 0, count * self._parameters.pipe_bytes / self._page_size)

    def sockets(self, name: str, count: int, bytes_each: int = 0, node: int = 0) -> Demand:
        """Open unix socket pairs and queue ``bytes_each`` on each."""
        load = self._loads.get(name, LoadKind.SOCKETS, node)
        load.units += count
        pair = self._parameters.socket_bytes + bytes_each * self._parameters.socket_data_factor
        return self._serve(load, 0, count * pair / self._page_size)

    def pin(self, name: str, pages: int, node: int = 0) -> Demand:
        """Pin pages for long: they lie in kernel zones and never move (mm/gup.c migrates them out of MOVABLE first)."""
        load = self._loads.get(name, LoadKind.PINNED, node)
        load.units += pages
        return self._serve(load, 0, float(pages))

    def kernel_memory(self, name: str, pages: int, node: int = 0) -> Demand:
        """Use kernel memory that no process can be killed for: network buffers, drivers."""
        load = self._loads.get(name, LoadKind.KERNEL, node)
        load.units += pages
        return self._serve(load, 0, float(pages))

    def named_loads(self) -> list[Load]:
        """Return the loads that were asked for, oldest first: not those that the kernel makes by itself."""
        return [load for load in self._loads.by_name.values() if not load.name.startswith("(")]

    def kernel_memory_asked(self) -> int:
        """Return the pages that were asked for by :meth:`kernel_memory` and are still in use."""
        return sum(round(load.units) for load in self._loads.unowned.values() if not load.name.startswith("("))

    # Giving back ----------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> bool:
        """End the processes of a load; False if there are none of that name (any more)."""
        load = self._loads.by_name.get(name)
        if load is None or load.kind not in OWNED:
            return False
        self._changes.count += 1
        self._loads.free(load)
        return True

    def remove_files(self, path: str) -> int:
        """Remove a file, or everything under a directory; return how many loads went."""
        self._changes.count += 1
        files = [load for load in self._under(path) if load.kind not in OWNED]
        for load in files:
            self._loads.free(load)
        return len(files)

    def shrink(self, name: str, share: float) -> None:
        """Free a share (0 to 1) of a load, of its units too."""
        load = self._loads.by_name.get(name)
        if load is not None:
            self._changes.count += 1
            self._loads.free_part(load, share)
            load.want(-share * load.units)

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> int:
        """Drop what can be given up, see :meth:`sim.guest.reclaim.Reclaim.drop_caches`; return how many pages went."""
        self._changes.count += 1
        return self._reclaim.drop_caches(cache=cache, slab=slab)

    def sync(self) -> None:
        """Write all dirty page cache to disk."""
        self._changes.count += 1
        self._write_back.sync()

    def _under(self, path: str) -> list[Load]:
        """Return the loads whose name is ``path`` or lies under it."""
        path = path.rstrip("/")
        loads = self._loads.by_name.values()
        return [load for load in loads if load.name == path or load.name.startswith(path + "/")]

    # How a demand is served -----------------------------------------------------------------------------------------

    def _serve(self, load: Load, user: int, kernel: float, *, slab: float = 0.0, dirty: bool = False) -> Demand:
        """Serve a demand; kill while it cannot be met, stop when its own process is the victim or the guest dies.

        ``dirty``: user pages are written, and count as dirty from when they are there.
        """
        self._changes.count += 1
        if self._killer.guest_died:
            return Demand(0, 0.0)
        self._loads.ripen()
        whole = (user, round(kernel), round(slab))
        placed = self._allocation.take_at_once(load, *whole)
        if placed is None:
            return self._serve_in_steps(load, whole, (0, 0, 0), _STEPS, dirty=dirty)
        if dirty and placed[0]:
            self._write_back.wrote(load, placed[0])
        if placed == whole:
            return Demand(sum(whole))
        return self._serve_in_steps(load, whole, placed, 1, dirty=dirty)

    def _serve_in_steps(
        self, load: Load, whole: tuple[int, ...], placed: tuple[int, ...], steps: int, *, dirty: bool
    ) -> Demand:
        """Serve the rest of a demand of so many user, kernel and slab pages, in ``steps`` where it may get tight."""
        takes: tuple[Callable[[int], int], ...] = (
            lambda pages: self._allocation.take_user(load, pages),
            lambda pages: self._allocation.take_kernel(load, pages),
            lambda pages: self._allocation.take_kernel(load, pages, slab=True),
        )
        done = list(placed)
        ooms: list[OomEvent] = []
        total = sum(whole) or 1
        for step in range(1, steps + 1):
            for i in range(3):
                due = whole[i] * step // steps - done[i]
                while due > 0:
                    unplaced = takes[i](due)
                    done[i] += due - unplaced
                    if dirty and i == 0:
                        self._write_back.wrote(load, due - unplaced)
                    due = unplaced
                    if unplaced and self._can_wait(load) and self._loads.ripen():
                        continue
                    if unplaced:
                        kind = OomKind.GUEST_FULL if i == 0 else OomKind.KERNEL
                        ooms += self._killer.kill(kind, sum(done) / total, asker=load)
                        if load.name not in self._loads.by_name or ooms[-1].guest_died:
                            return Demand(sum(done), sum(done) / total, tuple(ooms))
            if load.dirty and steps > 1:
                self._write_back.limit()
        return Demand(sum(done), 1.0, tuple(ooms))

    def _can_wait(self, load: Load) -> bool:
        """Whether inodes of data that this demand has dropped can go before anybody dies.

        A file system cannot wait for them in the middle of its work. But where there is no process to kill it does: it
        is late, and no guest dies of files alone.
        """
        return load.kind is not LoadKind.DISK_FILES or not self._killer.finds_somebody()
