"""What can be plugged: one frozen description per device kind, in bytes. The verbs of the host take these."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Final

from sim.units import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DIMM_SLOTS: Final = 256
"""Slots for DIMMs that QEMU offers at most (ACPI_MAX_RAM_SLOTS)."""

DAX_STATE_SINCE: Final = (7, 3)
"""Kernel series from which on a dax device has the attribute ``state``."""

UNPLUGGED: Final = "unplugged"
ONLINE: Final = "online"
ONLINE_WORDS: Final = (ONLINE, "online_kernel", "online_movable")
"""What puts memory online: the policy decides on the first, the others say which zone."""
DAX_STATES: Final = (UNPLUGGED, *ONLINE_WORDS)
"""What can be written to ``state`` of a dax device. It can be read as ``offline``, too."""


@dataclass(frozen=True, slots=True)
class DimmSpec:
    """An ACPI memory device. ``size`` bytes on ``node``; ``address`` is chosen by the machine where None.

    ``ranges`` splits the device into several address ranges (lengths in bytes, in firmware order, laid out one after
    the other with ``gap`` bytes between them); empty means one range of ``size``.
    """

    id: str
    size: int
    node: int = 0
    address: int | None = None
    slot: int | None = None
    ranges: tuple[int, ...] = ()
    gap: int = 0

    def __post_init__(self) -> None:
        _make_whole(self, "size", "node", "address", "slot", "gap")
        object.__setattr__(self, "ranges", tuple(map(index, self.ranges)))


@dataclass(frozen=True, slots=True)
class VirtioMemSpec:
    """virtio-mem: ``max_size`` bytes on ``node`` in device blocks of ``block_size``; first request ``requested``.

    ``unplug_online``, ``force_bbm`` and ``bbm_block_size`` (bytes, 0: as small as possible) are the guest driver's
    module parameters.
    """

    id: str
    max_size: int
    node: int = 0
    block_size: int = 2 * MIB
    requested: int = 0
    address: int | None = None
    unplug_online: bool = True
    force_bbm: bool = False
    bbm_block_size: int = 0

    def __post_init__(self) -> None:
        _make_whole(self, "max_size", "node", "block_size", "requested", "address", "bbm_block_size")


@dataclass(frozen=True, slots=True)
class DaxSpec:
    """A dax device bound to kmem (persistent or CXL memory): ``size`` bytes on ``node``.

    ``ranges`` splits it into several address ranges (lengths in bytes, laid out one after the other with ``gap`` bytes
    between them); empty means one range of ``size``. All of them are one device, and one group. ``address`` may lie in
    boot memory that the machine keeps for such devices (``soft_reserved``).
    ``bytes_for_pages`` is the bug of kernels before commit 46e66dab8565 (2023), which registered the device's group
    with its size in bytes where pages are meant; ``self_host`` the device attribute that asks for its memmap on
    itself (6.8 and later).
    """

    id: str
    size: int
    node: int = 0
    address: int | None = None
    bytes_for_pages: bool = False
    self_host: bool = False
    ranges: tuple[int, ...] = ()
    gap: int = 0

    def __post_init__(self) -> None:
        _make_whole(self, "size", "node", "address", "gap")
        object.__setattr__(self, "ranges", tuple(map(index, self.ranges)))


def possible(spec: DimmSpec | VirtioMemSpec | DaxSpec) -> bool:
    """Whether there is such a device."""
    return next(impossible(spec), None) is None


def impossible(spec: DimmSpec | VirtioMemSpec | DaxSpec) -> Iterator[str]:
    """Yield why there is no such device: of virtio-mem all is in device blocks, a power of two of at least 1 MiB."""
    if not isinstance(spec, VirtioMemSpec):
        if spec.size <= 0 or spec.gap < 0 or any(length < 0 for length in spec.ranges):
            yield "has no size, or a negative one in it"
        return
    block = spec.block_size
    if block < MIB or block & (block - 1):
        yield f"has device blocks of {format_size(block)}, not a power of two of 1MiB and more"
        return
    for name, size in (("a region", spec.max_size), ("a request", spec.requested), ("an address", spec.address or 0)):
        if size % block:
            yield f"has {name} of {format_size(size)}, not a multiple of its blocks ({format_size(block)})"
    if not 0 <= spec.requested <= spec.max_size or not spec.max_size:
        yield f"is asked for {format_size(spec.requested)} of {format_size(spec.max_size)}"


def ranges_of(spec: DimmSpec | DaxSpec, address: int) -> list[tuple[int, int]]:
    """Return (start, length) in bytes of each range of a device that lies at ``address``."""
    ranges = []
    for length in spec.ranges or (spec.size,):
        ranges.append((address, length))
        address += length + spec.gap
    return ranges


def span(spec: DimmSpec | VirtioMemSpec | DaxSpec) -> int:
    """Return the bytes of addresses that a device takes, gaps between its ranges included."""
    if isinstance(spec, VirtioMemSpec):
        return spec.max_size
    return max(spec.size, sum(spec.ranges) + spec.gap * max(0, len(spec.ranges) - 1))


def _make_whole(spec: object, *names: str) -> None:
    """Make plain integers of fields: a size drawn by NumPy is one of its numbers, which go wrong far from here.

    Raises TypeError for what is no whole number.
    """
    for name in names:
        value = getattr(spec, name)
        if value is not None and type(value) is not int:
            object.__setattr__(spec, name, index(value))


DeviceSpec = DimmSpec | VirtioMemSpec | DaxSpec
