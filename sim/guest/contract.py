"""What a guest offers to the rest of the simulator: one protocol, and the outcomes of its verbs.

A guest knows zones as (node, zone number of :mod:`sim.memory.zones`), blocks by kernel block id, and amounts in base
pages. It knows nothing of devices and policies: whoever calls turns moved pages into time and rates into amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from sim.guest.at_once import AtOnce


class DemandKind(StrEnum):
    """What a load can be asked to use more or less of: the words of workloads, tables of demand and request logs."""

    ANONYMOUS = "anonymous"
    ANONYMOUS_ONLY = "anonymous-only"
    """Anonymous memory without the page tables that it needs: where those are known, and asked for beside it."""
    PAGE_CACHE = "page-cache"
    PAGE_CACHE_ONLY = "page-cache-only"
    """Page cache without its index nodes: where reclaimable slab is known, and asked for beside it."""
    TMPFS = "tmpfs"
    PAGE_TABLES = "page-tables"
    KERNEL_STACKS = "kernel-stacks"
    """Stacks of threads, without the rest of what a process costs the kernel."""
    SLAB = "slab"
    """Slab that can be given up, and nothing else."""
    PINNED = "pinned"
    KERNEL = "kernel"
    TMPFS_FILES = "tmpfs-files"
    DISK_FILES = "disk-files"
    WRITTEN_FILES = "written-files"
    PROCESSES = "processes"
    WORKERS = "workers"
    """Processes that have asked to die with their parent (PR_SET_PDEATHSIG): where one is killed, all are."""
    PIPES = "pipes"
    SOCKETS = "sockets"

    @property
    def in_pieces(self) -> bool:
        """Whether its amount is a number of pieces, and not of bytes."""
        return self in _IN_PIECES


_IN_PIECES: Final = frozenset(
    {
        DemandKind.TMPFS_FILES, DemandKind.DISK_FILES, DemandKind.WRITTEN_FILES, DemandKind.PROCESSES,
        DemandKind.WORKERS, DemandKind.PIPES, DemandKind.SOCKETS,
    }
)  # fmt: skip


class OomKind(IntEnum):
    """Why the out-of-memory killer ran."""

    KERNEL = 0
    """A kernel allocation failed: every kernel zone at its minimum. MOVABLE may be empty of use."""
    GUEST_FULL = 1
    """A user page found no place in any zone."""
    MIGRATION = 2
    """Pages of memory that was asked back found no place elsewhere."""

    @property
    def shown(self) -> str:
        """What people call it, in tables and files."""
        return _SHOWN[self]


_SHOWN: Final = {OomKind.KERNEL: "kernel", OomKind.GUEST_FULL: "guest full", OomKind.MIGRATION: "return"}


class ZoneUse(NamedTuple):
    """Pages of one zone by use, at one moment.

    ``free`` includes ``pcp``, the free pages on CPU lists that MemFree leaves out.

    Invariant: ``free + user + kernel + memmap + reserved == managed``. ``reserved`` is what the kernel took for
    itself at boot.
    """

    node: int
    zone: int
    managed: int
    free: int
    pcp: int
    user: int
    kernel: int
    memmap: int
    reserved: int
    min: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class OomEvent:
    """One run of the out-of-memory killer.

    ``done_share`` is the part of the demand that had been satisfied by then (0 to 1; 0 for a migration). ``victim``
    is the name of the load that lost a process, None when there was nobody to kill: then ``guest_died``. ``zones``
    is the state at failure. ``tie`` other loads had a process that counts as much as the victim, to within two pages,
    and lost none: where there are any, it was chance that it was this one. ``equals`` are those of them that lie in
    other zones: what is free where from then on is chance too. ``second``: killed because the one before was not gone
    yet, as in seven of eight recorded cases; in the eighth it lived.
    """

    kind: OomKind
    victim: str | None
    guest_died: bool
    done_share: float
    zones: tuple[ZoneUse, ...]
    mem_available: int
    tie: int = 0
    equals: tuple[str, ...] = ()
    second: bool = False

    @property
    def told(self) -> str:
        """One line for a person: whom the out-of-memory killer took, and whether that was chance."""
        what = f"out of memory ({self.kind.shown}): "
        if self.victim is None:
            return what + "nobody left to kill, the guest dies"
        chance = f"; by chance, {self.tie} others are as big" if self.tie > 1 else "; by chance, another one is as big"
        return f"{what}{self.victim!r} loses a process{chance * (self.tie > 0)}"


class OfflineOutcome(NamedTuple):
    """What became of an offline request.

    ``refused`` are the block ids that stay online; ``moved`` pages had to be migrated or were dropped; ``ooms`` the
    kills on the way.
    """

    refused: tuple[int, ...] = ()
    moved: int = 0
    ooms: tuple[OomEvent, ...] = ()


class SubblockOutcome(NamedTuple):
    """What became of a request for sub-blocks: ``mask`` of those given up, pages ``moved``, the kills on the way."""

    mask: int
    moved: int = 0
    ooms: tuple[OomEvent, ...] = ()


class Demand(NamedTuple):
    """What became of a demand: pages got (user and kernel), the share of the request that was met, kills on the way."""

    pages: int
    share: float = 1.0
    ooms: tuple[OomEvent, ...] = ()


class Guest(Protocol):
    """The hotplug side of a guest: all that memory and devices call. See :class:`sim.guest.model.GuestModel`.

    ``at_once`` takes runs of blocks that come or go one after the other; None where each has to be told of by itself.
    """

    @property
    def at_once(self) -> AtOnce | None:
        """Who takes runs of blocks."""

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """Take the memmap of a range being added; False where kernel memory does not suffice.

        What whole pieces were taken by then stays taken.
        """
        ...

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Give back the memmap of a range that was added with the same arguments, or of a part of it."""
        ...

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Hand the pages of a run of blocks to a zone.

        ``pages_per_block``: plugged pages of each, self-hosted memmap (``altmap``) included: the guest takes that
        off itself.
        """
        ...

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        """Say whether a block would go offline, without changing anything."""
        ...

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        """Take a run of blocks out of their zone, all that go; ``pages_per_block`` as they are plugged now.

        ``drop_cache``: clean page cache in them is dropped, as for virtio-mem, and not moved.
        """
        ...

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give up at most ``most`` sub-blocks of an online block, highest first; those with kernel pages stay."""
        ...

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Take sub-blocks of an online block into use."""
        ...
