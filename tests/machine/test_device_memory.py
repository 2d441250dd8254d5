"""Places for devices against a plain search of all that is there, with devices of mixed sizes that come and go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sim.machine.device_memory import DeviceMemory
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import HotplugError
from sim.units import GIB, MIB
from tests.plain import boot

SLOTS = 5
ROOM = 20 * GIB
RESERVED = (4 * GIB, 2 * GIB)
MACHINE = MachineSpec((NodeSpec(8 * GIB),), slots=SLOTS, max_memory=8 * GIB + ROOM, soft_reserved=(RESERVED,))
END = MACHINE.boot_memory + GIB + ROOM + SLOTS * GIB
"""Boot memory, which has a hole of a GiB below 4 GiB, the room, and a GiB for each slot."""


class Ask(NamedTuple):
    """A device: its number, what it asks for, or that it leaves."""

    device: int
    stays: bool
    size: int
    align: int
    address: int | None
    in_slot: bool
    slot: int | None
    reserved_too: bool


ASKS = st.builds(
    Ask,
    st.integers(0, 9),
    st.sampled_from((True, True, False)),
    st.sampled_from((128 * MIB, 256 * MIB, 384 * MIB, GIB, 3 * GIB)),
    st.sampled_from((1, 128 * MIB, 512 * MIB, 2 * GIB)),
    st.none() | st.integers(30, 90).map(lambda at: at * 256 * MIB),
    st.booleans(),
    st.none() | st.integers(0, SLOTS),
    st.booleans(),
)


@dataclass
class PlainArea:
    """The same, with a walk over everything for each answer; what is not possible is None."""

    base: int
    places: dict[int, tuple[int, int, int | None, bool]] = field(default_factory=dict)
    """Address, size, slot, and whether it lies in boot memory."""

    def attach(self, ask: Ask) -> int | None:
        """Return the address of a device, which is noted."""
        taken = [place[:2] for place in self.places.values()]

        def free(address: int) -> bool:
            return all(address + ask.size <= start or start + size <= address for start, size in taken)

        start, length = RESERVED
        if ask.reserved_too and ask.address is not None and start <= ask.address <= start + length - ask.size:
            if not free(ask.address):
                return None
            self.places[ask.device] = (ask.address, ask.size, None, True)
            return ask.address
        slots = [number for number in range(SLOTS) if number not in {place[2] for place in self.places.values()}]
        if ask.in_slot and (not slots if ask.slot is None else ask.slot not in slots):
            return None
        if sum(place[1] for place in self.places.values() if not place[3]) + ask.size > ROOM:
            return None
        align = max(ask.align, 2 * MIB)
        address = boot.place(self.base, taken, ask.size, align) if ask.address is None else ask.address
        if ask.size % align or address % align or not self.base <= address <= END - ask.size or not free(address):
            return None
        slot = (slots[0] if ask.slot is None else ask.slot) if ask.in_slot else None
        self.places[ask.device] = (address, ask.size, slot, False)
        return address


@given(st.lists(ASKS, min_size=1, max_size=60))
def test_each_device_gets_the_place_that_a_search_of_everything_finds(asks: list[Ask]) -> None:
    area = DeviceMemory(MACHINE)
    plain = PlainArea(area.base)
    for ask in asks:
        name = str(ask.device)
        if ask.device in plain.places:
            if not ask.stays:
                area.detach(name)
                del plain.places[ask.device]
            continue
        try:
            found: int | None = area.attach(
                name,
                ask.size,
                align=ask.align,
                address=ask.address,
                in_slot=ask.in_slot,
                slot=ask.slot,
                reserved_too=ask.reserved_too,
            )
        except HotplugError:
            found = None
        assert found == plain.attach(ask)
