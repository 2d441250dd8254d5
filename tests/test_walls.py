"""How many MOVABLE DIMMs idle guests take with boot memory of their own making, and that the next one kills them.

The counts were recorded, but for those of which only a table tells (the last two, of kernels with the same parameters).
"""

from __future__ import annotations

from typing import Any

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.scores.registry import compute_scores
from sim.streams import Streams
from sim.units import MIB
from workloads.dimm_slots import DimmSlots


@pytest.mark.parametrize(
    ("boot_mib", "machine", "dimm_mib", "dimms"),
    [
        (512, {"kernel": "6.1"}, 512, 42),
        (512, {"kernel": "6.12"}, 512, 43),
        (512, {"kernel": "6.12", "swiotlb": "noforce"}, 512, 51),
        (256, {"kernel": "7.3"}, 256, 21),
        (512, {"kernel": "6.1"}, 1024, 21),
        (768, {"kernel": "6.1"}, 2048, 18),
        (1024, {"kernel": "7.3"}, 4096, 12),
    ],
)
def test_as_many_dimms_go_in_as_recorded(boot_mib: int, machine: dict[str, Any], dimm_mib: int, dimms: int) -> None:
    spec = MachineSpec((NodeSpec(boot_mib * MIB),), log_buf_len=4 * MIB, **machine)
    workload = DimmSlots(
        slots=60, sizes=[dimm_mib * MIB], grow_probability=1.0, spacing="fixed", interval=5, duration=310
    )
    scores = compute_scores(simulate(spec, OnlineMovable(), workload, Streams(1, 0), guest=GuestSpec()))
    assert scores["online_max"] == dimms * dimm_mib * MIB
    assert (scores["failed_adds"], scores["died"]) == (1, 1)
