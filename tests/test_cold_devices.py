"""Devices that are there when the kernel starts: plugged in their order, and virtio-mem begins with its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from policies.contig_zones import ContigZones
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.experiment.load import load
from sim.faults import InputError
from sim.machine.spec import ColdDimms, MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.experiment.examples import small
from tests.support.cells import Script, rows

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec

FIRST = 40
DEVICES = (
    VirtioMemSpec("vm0", GIB, requested=256 * MIB),
    DimmSpec("dimm0", 128 * MIB, node=1, slot=3),
)


def machine(*devices: DeviceSpec, **options: Any) -> MachineSpec:  # noqa: ANN401  fields of a machine
    return MachineSpec((NodeSpec(3 * GIB), NodeSpec(GIB)), cold_devices=devices, **options)


def test_they_lie_in_their_order_and_virtio_mem_plugs_what_it_is_asked_for_in_time() -> None:
    result = simulate(machine(*DEVICES), ContigZones(), Script(), Streams(1, 0))
    assert result.device_names == ("vm0", "dimm0")
    assert result.device_nodes == (0, 1)
    plugs = [(time, device, block, count) for time, _, device, block, count, *_ in rows(result, EventKind.PLUG)]
    assert plugs[0] == (0, 1, FIRST + 8, 1)  # the DIMM lies behind the whole region of vm0
    assert [(device, block) for _, device, block, _ in plugs[1:]] == [(0, FIRST), (0, FIRST + 1)]
    assert all(time > 0 for time, *_ in plugs[1:])


def test_they_come_after_cold_dimms_and_before_anything_else() -> None:
    spec = machine(DimmSpec("a", 128 * MIB), cold_dimms=(ColdDimms(128 * MIB),))
    result = simulate(spec, ContigZones(), Script(DimmSpec("d", 128 * MIB)), Streams(1, 0))
    assert result.device_names == ("cold0", "a", "d")
    assert [row[3] for row in rows(result, EventKind.PLUG)] == [FIRST, FIRST + 1, FIRST + 2]


@pytest.mark.parametrize(
    ("devices", "options", "says"),
    [
        ((DimmSpec("a", GIB), DimmSpec("a", GIB)), {}, "cold_devices[1].id: 'a' is taken"),
        ((DimmSpec("cold0", GIB),), {"cold_dimms": (ColdDimms(GIB),)}, "cold_devices[0].id: 'cold0' is taken"),
        (
            (VirtioMemSpec("v", GIB, block_size=3 * MIB),),
            {},
            "cold_devices[0]: has device blocks of 3MiB, not a power of two of 1MiB and more",
        ),
        ((DaxSpec("d", GIB, node=2),), {}, "cold_devices[0].node: there is no node 2; the last one is 1"),
        (
            (DimmSpec("a", GIB), DimmSpec("b", GIB)),
            {"slots": 2, "cold_dimms": (ColdDimms(GIB),)},
            "cold_devices: 3 DIMMs are more than the machine's slots, 2",
        ),
        (
            (VirtioMemSpec("v", 2 * GIB),),
            {"max_memory": 5 * GIB},
            "cold_devices: with them there are 6GiB, more than max_memory",
        ),
    ],
)
def test_what_no_machine_has_is_a_fault(devices: tuple[DeviceSpec, ...], options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        machine(*devices, **options)
    assert [str(fault) for fault in caught.value.faults] == [says]


def test_an_experiment_file_has_them_by_the_keys_of_their_kind() -> None:
    table = {"id": "vm0", "kind": "virtio-mem", "max_size": "8GiB", "requested": "1GiB", "address": "0x180000000"}
    found = load(small(machines=[{"boot_memory": "4GiB", "cold_devices": [table]}])).combinations[0].machine
    assert found.spec.cold_devices == (VirtioMemSpec("vm0", 8 * GIB, requested=GIB, address=6 * GIB),)
    assert found.identity()["cold_devices"][0]["requested"] == GIB
    wrong = [{"id": "a", "kind": "dimm", "requested": "1GiB"}, {"id": "b", "kind": "dimm", "size": 1, "plugged": 0}]
    with pytest.raises(InputError) as caught:
        load(small(machines=[{"boot_memory": "4GiB", "cold_devices": wrong}]))
    keys = {fault.key for fault in caught.value.faults}
    assert "machines[0].cold_devices[1].plugged" in keys
