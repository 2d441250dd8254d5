"""A machine's memory blocks at one moment, as ``lsmem`` sees them: what readers find, and what ``show`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sim.readers.facts import BlockView, ZoneView


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
