from __future__ import annotations

import dataclasses

import pytest

from sim.experiment.schema import MachineTable
from sim.faults import InputError
from sim.machine import MachineSpec, NodeSpec
from sim.units import GIB, MIB, TIB


def test_a_plain_machine() -> None:
    machine = MachineSpec(nodes=(NodeSpec(4 * GIB), NodeSpec(0)), kernel="6.12")

    assert machine.boot_memory == 4 * GIB
    assert machine.kernel_series == (6, 12)
    assert machine.kernel_series > MachineSpec(nodes=(NodeSpec(GIB),), kernel="6.6").kernel_series


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"nodes": ()}, "nodes"),
        ({"nodes": (NodeSpec(0),)}, "nodes"),
        ({"nodes": (NodeSpec(4097),)}, "nodes[0].boot_memory"),
        ({"nodes": (NodeSpec(65 * TIB),)}, "nodes"),
        ({"block_size": 96 * MIB}, "block_size"),
        ({"block_size": 64 * MIB}, "block_size"),
        ({"block_size": 4 * GIB}, "block_size"),
        ({"section_size": 3}, "section_size"),
        ({"kernel": "5.14"}, "kernel"),
        ({"kernel": "6"}, "kernel"),
        ({"slots": -1}, "slots"),
        ({"slots": 4097}, "slots"),
        ({"memmap_on_memory": "yes"}, "memmap_on_memory"),
        ({"kernelcore": 5 * GIB}, "kernelcore"),
        ({"movablecore": -4096}, "movablecore"),
        ({"cma": 100}, "cma"),
        ({"max_memory": GIB}, "max_memory"),
    ],
)
def test_what_no_kernel_would_boot_with_is_a_fault(changed: dict[str, object], where: str) -> None:
    fields: dict[str, object] = {"nodes": (NodeSpec(4 * GIB),), **changed}

    with pytest.raises(InputError) as caught:
        MachineSpec(**fields)  # type: ignore[arg-type]

    assert [fault.where for fault in caught.value.faults] == [where]


def test_all_faults_come_at_once() -> None:
    with pytest.raises(InputError) as caught:
        MachineSpec(nodes=(NodeSpec(-4096),), block_size=1, kernel="x", slots=-1, cma=1)

    assert {fault.where for fault in caught.value.faults} == {
        "nodes[0].boot_memory", "nodes", "block_size", "kernel", "slots", "cma",
    }  # fmt: skip


def test_every_field_can_be_written_in_an_experiment() -> None:
    fields = {field.name for field in dataclasses.fields(MachineSpec)}

    assert fields | {"label", "boot_memory"} == set(MachineTable.model_fields)
