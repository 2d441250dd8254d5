"""What the host itself has of memory, and how much of it others use: controllers look before they give a guest more.

Others are all but the controller's own device: other guests, the guest's boot memory, the host's own programs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from sim.plugins.parameter_lists import ListOf, Row
from sim.plugins.parameter_types import Seconds, Size
from sim.units import seconds_to_us

if TYPE_CHECKING:
    from sim.plugins.parameters import Checker

HostTotal = Annotated[int, Size(zero=True), "memory of the host; 0 stands for more than is ever asked for"]
HostUse = Annotated[
    Sequence[Sequence[float]] | None,
    ListOf(Row((Seconds(zero=True), Size(zero=True))), "pair"),
    "what all but this device uses of the host: from each time on, so much, such as [[0, '60GiB'], [3600, '110GiB']]",
]


class HostMemory:
    """A host of ``total`` bytes (0: without end), of which others use what ``use`` says: pairs (seconds, bytes)."""

    def __init__(self, total: int, use: Sequence[Sequence[float]] | None) -> None:
        self._total = total
        pairs = [(seconds_to_us(at), int(size)) for at, size in use or ()]
        self._times = [at for at, _ in pairs]
        self._sizes = [size for _, size in pairs]

    @property
    def total(self) -> int:
        """Bytes that the host has; 0 where it has no end."""
        return self._total

    def used(self, now_us: int, own: int) -> int:
        """Return the bytes in use at ``now_us`` by others and the ``own`` device; nothing by others before a time."""
        at = bisect_right(self._times, now_us)
        return own + (self._sizes[at - 1] if at else 0)

    def available(self, now_us: int, own: int) -> int:
        """Return the bytes that are in nobody's use, where the host has an end."""
        return max(self._total - self.used(now_us, own), 0)


def check_host(check: Checker, total: int, use: Sequence[Sequence[float]] | None) -> None:
    """Find fault with a use of the host that comes without a host, or not in order of time."""
    if not use or not check.good("host_memory", "host_use"):
        return
    if not total:
        check.fault("host_use", "must not be given without host_memory, the memory that it is a part of")
    times = [at for at, _ in use]
    if any(after <= before for before, after in pairwise(times)):
        check.fault("host_use", "must be in order of time, no time twice")
