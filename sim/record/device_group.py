"""What memory group a device has, as far as what is recorded of a run needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class GroupKind(Enum):
    """Whether a device has a memory group, and of which kind."""

    NONE = auto()
    """No group: each of its blocks stands alone."""
    STATIC = auto()
    """The device is there as a whole or not at all, as a DIMM."""
    DYNAMIC = auto()
    """The device grows and shrinks by units, as a virtio-mem device."""


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """The memory group of one device; ``unit_pages`` are those of a unit of a dynamic group, 0 for other kinds."""

    kind: GroupKind
    unit_pages: int = 0


WITHOUT_GROUP: Final = DeviceGroup(GroupKind.NONE)
STATIC_GROUP: Final = DeviceGroup(GroupKind.STATIC)


def dynamic_group(unit_pages: int) -> DeviceGroup:
    """Return the dynamic group of a device with units of ``unit_pages`` pages."""
    return DeviceGroup(GroupKind.DYNAMIC, unit_pages)
