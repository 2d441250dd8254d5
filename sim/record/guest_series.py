"""What is sampled of a modelled guest, by column: the meaning of the guest's series in runs and result files."""

from __future__ import annotations

from typing import Final

from sim.record.series import SeriesColumn

GUEST_COLUMNS: Final = (
    SeriesColumn("t_us", "us", "simulated time of a sample; the values hold until the next sample"),
    SeriesColumn(
        "headroom",
        "pages",
        "kernel requests could still get that much before one fails, clean page cache and reclaimable slab given up "
        "for them",
    ),
    SeriesColumn("headroom_free", "pages", "the part of headroom that is free"),
    SeriesColumn("free_movable", "pages", "free in ZONE_MOVABLE"),
    SeriesColumn("mem_available", "pages", "MemAvailable of /proc/meminfo"),
    SeriesColumn("mem_total", "pages", "MemTotal of /proc/meminfo"),
    SeriesColumn(
        "returnable", "pages", "plugged memory that could be returned now, in units that its devices can give"
    ),
    SeriesColumn("user", "pages", "used by programs and page cache"),
    SeriesColumn("kernel", "pages", "used by the kernel, memmap and what it took at boot left out"),
    SeriesColumn("memmap", "pages", "used by the memmap of hotplugged memory"),
    SeriesColumn(
        "unserved",
        "pages",
        "demand not served: what programs would use, had nobody been killed and the guest not died, less what they "
        "use; pieces (files, processes, pipes, sockets) count with the bytes that the guest's parameters give each",
    ),
    SeriesColumn(
        "stalled_us",
        "us",
        "for how long somebody in the guest has waited for memory since the start: `some total` of "
        "/proc/pressure/memory",
    ),
)
"""In a dead guest all are 0 but the last five. Of many samples in one instant only the last holds for any time."""

GUEST_SERIES: Final = tuple(column.name for column in GUEST_COLUMNS[1:])
"""The columns beside the time, in the order in which they are sampled."""
