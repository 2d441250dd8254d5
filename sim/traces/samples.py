"""What a demand trace holds: for each series (a VM, a job, a run) samples in order of time, of some quantities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

QUANTITIES: Final[Mapping[str, str]] = {
    "user": "memory that programs use: anonymous memory, or whatever the trace calls used",
    "page_cache": "page cache",
    "slab_reclaimable": "reclaimable slab",
    "slab_unreclaimable": "unreclaimable slab",
    "page_tables": "page tables",
    "kernel_stacks": "kernel stacks",
    "kernel": "kernel memory as one figure, where the trace does not tell its parts",
    "capacity": "how much memory the machine has",
    "free": "free memory",
    "free_huge": "the part of the free memory that lies in free chunks of 2 MiB or more",
    "resident": "memory that the host has given the guest (its process's RSS)",
}
"""Quantities by the name that a mapping of columns gives them, with their meaning. All in bytes once read."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Some consecutive samples of one series.

    ``t_us``: int64 of shape (n,), microseconds since the trace's origin, not falling. ``values``: for each quantity
    that the trace has an int64 array of shape (n,) in bytes; -1 stands for a missing value.
    """

    t_us: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.int64]]


class Trace(Protocol):
    """A trace that was opened: its faults have been told, and what is read from it is right."""

    @property
    def quantities(self) -> Sequence[str]:
        """The quantities that its samples have, in the order of :data:`QUANTITIES`."""
        ...

    @property
    def series(self) -> Sequence[str]:
        """The names of all series, in the order in which they first come; ``("",)`` where none are told apart."""
        ...

    def samples(self, series: str) -> Iterator[Samples]:
        """Yield the samples of ``series`` in order of time, some at a time, so that memory is bounded."""
        ...

    def span_us(self, series: str) -> tuple[int, int]:
        """Return the times of the first and the last sample of ``series``."""
        ...

    def told(self, series: str) -> Sequence[str]:
        """Return the quantities of which any sample of ``series`` has a value."""
        ...
