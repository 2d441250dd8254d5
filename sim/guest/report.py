"""What a guest reports of its memory to whoever looks after it: an agent's figures, a balloon's statistics, PSI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure stall information of memory, ``/proc/pressure/memory`` (kernel/sched/psi.c).

    Percent of the last 10, 60 and 300 seconds in which somebody (``some``) or everybody (``full``) waited for memory,
    as the kernel averages them; ``*_total_us`` since boot.
    """

    some_avg10: float = 0.0
    some_avg60: float = 0.0
    some_avg300: float = 0.0
    some_total_us: int = 0
    full_avg10: float = 0.0
    full_avg60: float = 0.0
    full_avg300: float = 0.0
    full_total_us: int = 0


@dataclass(frozen=True, slots=True)
class GuestReport:
    """The figures of one moment, in bytes, by their names in ``/proc/meminfo``; ``pressure`` is from PSI.

    ``total`` (MemTotal), ``free`` (MemFree), ``available`` (MemAvailable), ``cached`` (Cached and Buffers, tmpfs among
    it), ``anonymous`` (AnonPages), ``slab_reclaimable``, ``slab_unreclaimable``, ``page_tables``, ``kernel_stacks``.
    ``free_huge`` is the part of the free memory that lies in free chunks of a huge page (2 MiB on x86-64) or more, from
    ``/proc/buddyinfo``. ``nodes`` holds (MemTotal, MemFree) by number of the node, up to the last one that has memory;
    one without has zeros.
    """

    total: int
    free: int
    available: int
    cached: int
    anonymous: int = 0
    slab_reclaimable: int = 0
    slab_unreclaimable: int = 0
    page_tables: int = 0
    kernel_stacks: int = 0
    free_huge: int = 0
    pressure: Pressure = Pressure()
    nodes: tuple[tuple[int, int], ...] = ()

    def node(self, number: int) -> tuple[int, int]:
        """Return MemTotal and MemFree of a node: zeros where it has no memory."""
        return self.nodes[number] if number < len(self.nodes) else (0, 0)
