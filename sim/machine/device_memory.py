"""Where memory devices lie: the area above boot memory and the slots, handed out as QEMU does.

``hw/mem/memory-device.c`` (``memory_device_pre_plug``, ``memory_device_get_free_addr``) and ``pc-dimm.c``
(``pc_dimm_get_free_slot``). Memory blocks of the guest do not matter to it.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.devices.specs import DaxSpec, DimmSpec, span
from sim.machine.address_map import device_base
from sim.machine.free_addresses import FreeAddresses
from sim.memory.errors import EINVAL, ENOSPC, HotplugError
from sim.memory.hotplug import MAX_PHYSICAL_BYTES
from sim.units import GIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.devices.specs import DeviceSpec
    from sim.machine.spec import MachineSpec

_ROOM_FOR_ALIGNMENT: Final = GIB
"""Bytes for each slot by which the area is larger than what may be plugged (``enforce_aligned_dimm``)."""


class _Place(NamedTuple):
    address: int
    size: int
    slot: int | None
    reserved: bool = False
    """Whether it lies in boot memory that is kept for such devices."""


class DeviceMemory:
    """The area for memory devices of one machine, and its slots. Addresses and sizes in bytes."""

    def __init__(self, machine: MachineSpec) -> None:
        self.base: Final = device_base(machine)
        self._machine = machine
        self._architecture = architecture = machine.built_for
        self._slots = machine.slots if architecture.dimms else 0
        self._room = None if machine.max_memory is None else machine.max_memory - machine.boot_memory
        self._end = (
            MAX_PHYSICAL_BYTES
            if self._room is None
            else min(MAX_PHYSICAL_BYTES, self.base + self._room + self._slots * _ROOM_FOR_ALIGNMENT)
        )
        self._places: dict[str, _Place] = {}
        self._free = FreeAddresses()
        self._plugged = 0
        """Bytes of all devices that are not in boot memory."""
        self._used_slots: set[int] = set()
        self._fresh_slot = 0
        """From here on no slot was handed out for being the lowest."""
        self._left_slots: list[int] = []
        """A heap of the slots below that were left; some may be used again, as they were wished for."""

    def attach(
        self,
        name: str,
        size: int,
        *,
        align: int = 1,
        address: int | None = None,
        in_slot: bool = False,
        slot: int | None = None,
        reserved_too: bool = False,
    ) -> int:
        """Give device ``name`` a place, and a slot where it goes ``in_slot``; return its address.

        The lowest free address and slot, where none is wished. With ``reserved_too`` it may be wished into boot memory
        that is kept for such devices, of which any page may be its first and its last. Raises HotplugError: ENOSPC
        where no slot or no room is left, or the wished one is taken or outside the area; EINVAL where size or address
        are not aligned.
        """
        if reserved_too and address is not None and self._is_reserved(address, size):
            self._refuse_clash(address, size)
            self._note(name, _Place(address, size, None, reserved=True))
            return address
        slot = self._free_slot(slot) if in_slot else None
        if self._room is not None and self._plugged + size > self._room:
            raise HotplugError(ENOSPC, f"no {format_size(size)} are left of max_memory")
        align = max(align, self._architecture.device_align)
        if size <= 0 or size % align or (address is not None and address % align):
            raise HotplugError(EINVAL, f"size and address are no multiples of {format_size(align)}")
        place = _Place(self._wished(address, size) if address is not None else self._lowest(size, align), size, slot)
        self._note(name, place)
        return place.address

    def find(self, specs: Iterable[DeviceSpec]) -> None:
        """Note the places of devices that are there when a run starts, wherever that is, and their slots.

        DIMMs whose slot is not known have the lowest that are left.
        """
        dimms_last = sorted(specs, key=lambda spec: isinstance(spec, DimmSpec) and spec.slot is None)
        for spec in dimms_last:
            address, size = spec.address or 0, span(spec)
            slot = self._free_slot(spec.slot) if isinstance(spec, DimmSpec) else None
            reserved = isinstance(spec, DaxSpec) and self._is_reserved(address, size)
            self._note(spec.id, _Place(address, size, slot, reserved))

    def placed(self, spec: DeviceSpec, node: int) -> DeviceSpec:
        """Return the description of a device that is there, with its place filled in, and the kernel's ``node``."""
        place = self._places[spec.id]
        if isinstance(spec, DimmSpec):
            return replace(spec, address=place.address, slot=place.slot, node=node)
        return replace(spec, address=place.address, node=node)

    def detach(self, name: str) -> None:
        """Take back the place and the slot of ``name``; nothing where it has none."""
        place = self._places.pop(name, None)
        if place is None:
            return
        self._free.give_back(place.address, place.size)
        if not place.reserved:
            self._plugged -= place.size
        if place.slot is not None:
            self._used_slots.discard(place.slot)
            if place.slot < self._fresh_slot:
                heappush(self._left_slots, place.slot)

    def _note(self, name: str, place: _Place) -> None:
        """Have ``name`` be in a ``place`` that is free."""
        self.detach(name)
        self._places[name] = place
        self._free.take(place.address, place.size)
        if not place.reserved:
            self._plugged += place.size
        if place.slot is not None:
            self._used_slots.add(place.slot)

    def _is_reserved(self, address: int, size: int) -> bool:
        """Whether the range lies in boot memory that is kept for dax devices."""
        ranges = self._machine.soft_reserved
        return size > 0 and any(start <= address and address + size <= start + length for start, length in ranges)

    def _free_slot(self, wished: int | None) -> int:
        if not self._architecture.dimms:
            raise HotplugError(ENOSPC, f"machines of {self._architecture.name} have no DIMMs")
        if wished is None:
            return self._lowest_slot()
        if wished in self._used_slots or not 0 <= wished < self._slots:
            raise HotplugError(ENOSPC, f"slot {wished} is taken, or is none")
        return wished

    def _lowest_slot(self) -> int:
        used, left = self._used_slots, self._left_slots
        while left and left[0] in used:
            heappop(left)
        if left:
            return left[0]
        while self._fresh_slot in used:
            self._fresh_slot += 1
        if self._fresh_slot >= self._slots:
            raise HotplugError(ENOSPC, "no slot is left")
        return self._fresh_slot

    def _wished(self, address: int, size: int) -> int:
        if address < self.base or address + size > self._end:
            raise HotplugError(ENOSPC, f"{address:#x} is not from {self.base:#x} to {self._end:#x}")
        self._refuse_clash(address, size)
        return address

    def _refuse_clash(self, address: int, size: int) -> None:
        if self._free.is_free(address, size):
            return
        for other, place in self._places.items():
            if address < place.address + place.size and place.address < address + size:
                raise HotplugError(ENOSPC, f"{other} lies at {place.address:#x}")

    def _lowest(self, size: int, align: int) -> int:
        address = self._free.lowest(size, align, self.base)
        if address + size > self._end:
            raise HotplugError(ENOSPC, f"no gap of {format_size(size)} is left")
        return address
