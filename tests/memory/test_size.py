"""A terabyte of blocks takes little memory, however the blocks came."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.units import GIB, MIB, TIB
from tests.devices.rig import Rig

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec

BLOCKS = 8192


@pytest.mark.parametrize(
    "spec",
    [
        VirtioMemSpec("v", TIB, requested=TIB),
        VirtioMemSpec("v", TIB, block_size=256 * MIB, requested=TIB),
        DimmSpec("d", TIB),
    ],
    ids=["sub-block mode", "big-block mode", "DIMM"],
)
def test_a_block_takes_under_200_bytes(spec: DeviceSpec) -> None:
    rig = Rig(boot=64 * GIB)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert rig.host.plug(spec)
        rig.env.run()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert rig.host.plugged(spec.id) == TIB
    assert used / BLOCKS < 200
