"""Rigs with a virtio-mem device in sub-block mode."""

from __future__ import annotations

from policies.fixed import Offline
from sim.devices.virtio_mem_sbm import SubBlockMode
from sim.memory.zones import OnlineType
from sim.units import MIB
from tests.devices.rig import BLOCK, FIRST, Rig

SUB = 2 * MIB
PER_BLOCK = 64
KERNEL_WORD, MOVABLE_WORD, OFFLINE_WORD = (
    int(OnlineType.ONLINE_KERNEL),
    int(OnlineType.ONLINE_MOVABLE),
    int(OnlineType.OFFLINE),
)


def mode_of(device: object) -> SubBlockMode:
    mode = getattr(device, "mode", None)
    assert isinstance(mode, SubBlockMode)
    return mode


def by_hand(zones: str, **options: object) -> Rig:
    """A rig with a device whose blocks were put online by hand, as ``zones`` says (``-``: left offline)."""
    rig = Rig(policy=Offline(), **options)  # type: ignore[arg-type]
    device = rig.virtio_mem()
    rig.devices["v"] = device
    device.resize(len(zones) * BLOCK)
    for block, letter in enumerate(zones):
        if letter != "-":
            rig.core.write_state(FIRST + block, KERNEL_WORD if letter == "N" else MOVABLE_WORD)
    rig.settle()
    assert device.plugged == len(zones) * BLOCK
    return rig
