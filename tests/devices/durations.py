"""What tests of durations share: a rig in which every kind of work has a length of its own, and what it looks like.

Blocks are of 256 MiB, so that a duration which is not scaled shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.fixed import OnlineMovable
from sim.kernel.timing import Timing
from sim.units import MIB
from tests.devices.rig import Rig

if TYPE_CHECKING:
    from policies.contract import Policy
    from tests.devices.rig import FakeGuest

BLOCK = 256 * MIB
SUB = 2 * MIB
FIRST = 20
"""First block above the boot memory of a machine of 4 GiB."""
ADD, OFFLINE, REFUSED = 140, 100, 14
"""Microseconds for a block: added to a DIMM or dax device, taken offline, and what a refusal takes on top."""
PLUG, UNPLUG = 12_800, 1_280
"""Microseconds for a whole block of virtio-mem."""
PLUG_SUB, UNPLUG_SUB = 100, 10
"""Microseconds for a sub-block of virtio-mem, of which a block has 128."""

TIMING = Timing(
    virtio_mem_plug=PLUG // 2,
    virtio_mem_unplug=UNPLUG // 2,
    dimm_add=ADD // 2,
    offline=OFFLINE // 2,
    refused=REFUSED // 2,
    migrate=32_768,  # a microsecond for a page
)


def rig_of(guest: FakeGuest | None = None, policy: Policy | None = None, kernel: str = "6.1") -> Rig:
    return Rig(block=BLOCK, section=BLOCK, timing=TIMING, guest=guest, policy=policy or OnlineMovable(), kernel=kernel)


def at(block: int) -> int:
    return (FIRST + block) * BLOCK


def plug_a_dimm_in(rig: Rig, us: int, block: int = 100) -> None:
    """Have a DIMM of one block far above ask for the lock ``us`` microseconds from now."""
    dimm = rig.unplugged_dimm("late", (at(block), BLOCK))
    rig.env.timeout(us).callbacks.append(lambda _event: dimm.plug())


def timeline(rig: Rig, since: int) -> list[tuple[int, str, int]]:
    """(microseconds after ``since``, kind, block above boot memory) of all but requests."""
    return [
        (t - since, kind, block - FIRST if block >= 0 else -1)
        for t, kind, _, block, _, _ in rig.events()
        if t > since and kind != "REQUEST"
    ]


def time_until_rest(rig: Rig) -> int:
    """Let everything happen and return how many microseconds that took."""
    before = int(rig.env.now)
    rig.env.run()
    return int(rig.env.now) - before
