"""What can be plugged: one frozen description per device kind, in bytes. The verbs of the host take these."""

from __future__ import annotations

from dataclasses import dataclass

from sim.units import MIB


@dataclass(frozen=True, slots=True)
class DimmSpec:
    """An ACPI memory device. ``size`` bytes on ``node``; ``address`` is chosen by the machine where None.

    ``ranges`` splits the device into several address ranges (lengths in bytes, in firmware order, laid out one after the other
    with ``gap`` bytes between them); empty means one range of ``size``.
    """

    id: str
    size: int
    node: int = 0
    address: int | None = None
    slot: int | None = None
    ranges: tuple[int, ...] = ()
    gap: int = 0


@dataclass(frozen=True, slots=True)
class VirtioMemSpec:
    """A virtio-mem device: a region of ``max_size`` bytes on ``node`` in device blocks of ``block_size``, first request ``requested``."""

    id: str
    max_size: int
    node: int = 0
    block_size: int = 2 * MIB
    requested: int = 0
    address: int | None = None


@dataclass(frozen=True, slots=True)
class DaxSpec:
    """A dax device bound to kmem (persistent or CXL memory): ``size`` bytes on ``node``."""

    id: str
    size: int
    node: int = 0
    address: int | None = None


DeviceSpec = DimmSpec | VirtioMemSpec | DaxSpec
