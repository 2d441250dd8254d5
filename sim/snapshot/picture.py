"""A machine's memory blocks at one moment, as ``lsmem`` sees them: what readers find, and what ``show`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class BlockView(NamedTuple):
    """One memory block as sysfs shows it; None where a source does not say.

    ``state`` is ``online``, ``offline`` or ``going-offline``. ``zones`` is what ``valid_zones`` reads, words separated
    by ``/`` as ``lsmem`` prints them: an online block's zone or ``None`` (several zones), an offline block's choices.
    """

    block: int
    state: str
    zones: str | None = None
    node: int | None = None
    removable: bool | None = None
    phys_device: int | None = None


class ZoneView(NamedTuple):
    """A zone as ``/proc/zoneinfo`` shows it, in pages; None where a source does not say."""

    node: int
    zone: str
    free: int | None = None
    min: int | None = None
    low: int | None = None
    high: int | None = None
    spanned: int | None = None
    present: int | None = None
    managed: int | None = None
    start: int | None = None
    cma: int | None = None


class DeviceView(NamedTuple):
    """A memory device, in bytes: what the host asks of it, what is plugged of it, and what of that is online."""

    id: str
    node: int | None = None
    requested: int | None = None
    plugged: int | None = None
    online: int | None = None


class Ratio(NamedTuple):
    """ZONE_MOVABLE against the kernel zones, each of the same unit."""

    movable: int
    kernel: int

    @property
    def percent(self) -> float | None:
        """MOVABLE in percent of KERNEL; None where there is no kernel memory."""
        return 100 * self.movable / self.kernel if self.kernel else None


@dataclass(frozen=True, slots=True)
class Picture:
    """A machine's memory at one moment. ``block_size``, ``page_size`` and ``mem_total`` in bytes.

    ``blocks`` ascend. ``ratio`` is of present memory, ``auto_movable`` as that policy counts it, and
    ``auto_movable_ratio`` what it aims at, in percent. ``remarks`` say what is not known, or not seen but concluded.
    """

    block_size: int
    blocks: tuple[BlockView, ...]
    page_size: int = 4096
    zones: tuple[ZoneView, ...] = ()
    mem_total: int | None = None
    ratio: Ratio | None = None
    auto_movable: Ratio | None = None
    auto_movable_ratio: int | None = None
    devices: tuple[DeviceView, ...] = ()
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What ``memhp-sim show`` prints of it."""
        from sim.snapshot.picture_text import picture_text

        return picture_text(self)
