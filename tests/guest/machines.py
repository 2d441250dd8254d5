"""Guests of a given boot size for tests, without a recording."""

from __future__ import annotations

from sim.guest import GuestModel, default_boot, parameters_for
from sim.guest.contract import DMA, DMA32, NORMAL

BLOCK = 32768
"""Pages of a block of 128 MiB."""
MIB = 256
"""Pages of a MiB."""
FIRST = 1024
"""A block id above all boot memory used here."""


def guest(boot_mib: int, series: str = "6.1") -> GuestModel:
    """Return an idle guest with one node of ``boot_mib`` MiB, laid out like a PC: below 3 GiB, the rest from 4 GiB."""
    model = GuestModel(parameters_for(series), block_pages=BLOCK)
    low = min(boot_mib, 3072) if boot_mib >= 3584 else boot_mib
    present = [(0, DMA, 3998, ()), (0, DMA32, low * MIB - 4128, ((0, -(-low // 128)),))]
    if boot_mib > low:
        present.append((0, NORMAL, (boot_mib - low) * MIB, ((32, (boot_mib - low) // 128),)))
    model.boot(default_boot(present, model.parameters))
    return model


def plug(model: GuestModel, mib: int, zone: int, first: int, node: int = 0) -> bool:
    """Add a DIMM of ``mib`` MiB and put it online in ``zone``; False if its memmap does not fit."""
    blocks = mib // 128
    if not model.add_memory(node, first, blocks, altmap=False):
        return False
    model.online(zone, node, first, blocks, BLOCK)
    return True
