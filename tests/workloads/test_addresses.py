"""Addresses of devices that workloads plug: where each lies, and what becomes of one that is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from policies.fixed import OnlineKernel
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import ENOSPC
from sim.plugins.parameters import ParameterError
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.workloads.fake_host import calls
from workloads.demand_trace import DemandTrace
from workloads.dimm_slots import DimmSlots
from workloads.grow_and_return import GrowAndReturn
from workloads.virtio_mem_resize import VirtioMemResize
from workloads.watermark import Watermark

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.contract import Workload

PLACE = 0x140000000


def places(workload: Workload) -> dict[str, int | None]:
    """By device: where the workload wants it, each time the same."""
    found: dict[str, int | None] = {}
    for _, verb, device, spec in calls(workload):
        if verb == "plug" and isinstance(spec, (DimmSpec, VirtioMemSpec)):
            assert found.setdefault(device, spec.address) == spec.address
    return found


def test_slots_lie_one_behind_the_other() -> None:
    workload = DimmSlots(slots=4, sizes=(GIB, 2 * GIB), initial=4, duration=1000, address=PLACE)
    assert places(workload) == {f"dimm{slot}": PLACE + slot * 2 * GIB for slot in range(4)}
    assert set(places(DimmSlots(slots=4, initial=4, duration=1000)).values()) == {None}


def test_devices_lie_one_region_behind_the_other() -> None:
    workload = VirtioMemResize(devices=2, maximum=GIB, region=4 * GIB, step=GIB, duration=100, address=PLACE)
    assert places(workload) == {"vmem0": PLACE, "vmem1": PLACE + 4 * GIB}
    with pytest.raises(ParameterError, match="address: must be a multiple of 4MiB"):
        VirtioMemResize(device_block=4 * MIB, address=PLACE + 2 * MIB)


@pytest.mark.parametrize(("device", "first"), [("dimm", "dimm0"), ("virtio-mem", "vmem0")])
def test_what_grows_and_returns_lies_where_it_is_told_to(device: str, first: str) -> None:
    workload = GrowAndReturn(device=device, size=GIB, step=256 * MIB, address=PLACE)
    steps = 4 if device == "dimm" else 1
    assert list(places(workload).items())[:1] == [(first, PLACE)]
    assert list(places(workload).values()) == [PLACE + number * 256 * MIB for number in range(steps)]


def test_single_devices_lie_where_they_are_told_to(tmp_path: Path) -> None:
    path = tmp_path / "demand.csv"
    path.write_text("t_s,mib\n0,4096\n10,6144\n")
    trace: dict[str, Any] = {"path": str(path), "columns": {"time": "t_s", "user": {"column": "mib", "unit": MIB}}}
    assert places(DemandTrace(**trace, address=PLACE)) == {"vmem0": PLACE}
    dimms = places(DemandTrace(**trace, kind="dimm", step=GIB, address=PLACE))
    assert list(dimms.items())[:2] == [("dimm0", PLACE), ("dimm1", PLACE + GIB)]
    assert places(Watermark(address=PLACE)) == {"vmem0": PLACE}


def test_an_address_that_is_taken_or_outside_is_refused_by_the_host_and_told() -> None:
    """2 GiB of boot memory: devices lie from 4 GiB on. Of four slots from 3 GiB on the first is none."""
    machine = MachineSpec((NodeSpec(2 * GIB),))
    workload = DimmSlots(slots=4, initial=4, duration=1, interval=100, address=3 * GIB)
    result = simulate(machine, OnlineKernel(), workload, Streams(1, 0))
    added = [(int(row[3]), int(row[4])) for row in result.events if row[1] == EventKind.PLUG]
    assert added == [(32, 8), (40, 8), (48, 8)]
    assert [int(row[5]) for row in result.events if row[1] == EventKind.FAILED] == [ENOSPC]
    assert result.counters["failed_requests"] == 1
