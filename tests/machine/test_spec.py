from __future__ import annotations

import dataclasses

import pytest

from sim.experiment.schema import MachineTable
from sim.faults import InputError
from sim.machine.boot_layout import lay_out
from sim.machine.spec import ColdDimms, MachineSpec, NodeSpec
from sim.units import GIB, MIB, TIB


def test_a_plain_machine() -> None:
    machine = MachineSpec(nodes=(NodeSpec(4 * GIB), NodeSpec(0)), kernel="6.12")

    assert machine.boot_memory == 4 * GIB
    assert machine.kernel_series == (6, 12)
    assert machine.kernel_series > MachineSpec(nodes=(NodeSpec(GIB),), kernel="6.6").kernel_series


@pytest.mark.parametrize(
    ("asked", "made"),
    [(0, 0), (4096, 4096), (3 * MIB, 4 * MIB), (4 * MIB, 4 * MIB), (4 * MIB + 4096, 8 * MIB), (3 * GIB, 2 * GIB)],
)
def test_a_log_buffer_is_a_power_of_two_up_to_two_gib(asked: int, made: int) -> None:
    machine = MachineSpec(nodes=(NodeSpec(4 * GIB),), log_buf_len=asked)
    assert machine.log_buffer == made
    assert lay_out(machine).options.log_buf_len == made


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
        ({"cold_dimms": (ColdDimms(MIB),)}, "cold_dimms[0].size"),
        ({"cold_dimms": (ColdDimms(GIB), ColdDimms(0))}, "cold_dimms[1].size"),
        ({"cold_dimms": (ColdDimms(GIB),), "architecture": "s390x"}, "cold_dimms"),
        ({"max_memory": GIB}, "max_memory"),
    ],
)
def test_what_no_kernel_would_boot_with_is_a_fault(changed: dict[str, object], where: str) -> None:
    fields: dict[str, object] = {"nodes": (NodeSpec(4 * GIB),), **changed}

    with pytest.raises(InputError) as caught:
        MachineSpec(**fields)  # type: ignore[arg-type]

    assert [fault.key for fault in caught.value.faults] == [where]


def test_all_faults_come_at_once() -> None:
    with pytest.raises(InputError) as caught:
        MachineSpec(nodes=(NodeSpec(-4096),), block_size=1, kernel="x", slots=-1, cma=1)

    assert {fault.key for fault in caught.value.faults} == {
        "nodes[0].boot_memory", "nodes", "block_size", "kernel", "slots", "cma",
    }  # fmt: skip


def test_every_field_can_be_written_in_an_experiment() -> None:
    fields = {field.name for field in dataclasses.fields(MachineSpec)}

    assert fields | {"label", "boot_memory", "cmdline"} == set(MachineTable.model_fields)


@pytest.mark.parametrize(
    "changed",
    [
        {"nodes": (NodeSpec(64 * TIB),)},
        {"nodes": (NodeSpec(64 * TIB),), "max_memory": 64 * TIB},
        {"nodes": (NodeSpec(GIB),) * 1024},
        {"kernelcore": 4 * GIB, "movablecore": 4 * GIB},
        {"max_memory": 4 * GIB},
        {"max_memory": 64 * TIB},
        {"slots": 0},
        {"slots": 4096},
        {"block_size": 2 * GIB},
        {"block_size": 128 * MIB, "section_size": 128 * MIB},
        {"kernel": "5.15"},
        {"kernel": "6.0"},
    ],
    ids=str,
)
def test_what_is_exactly_at_its_limit_is_a_machine(changed: dict[str, object]) -> None:
    fields: dict[str, object] = {"nodes": (NodeSpec(4 * GIB),), **changed}

    machine = MachineSpec(**fields)  # type: ignore[arg-type]

    assert {name: getattr(machine, name) for name in changed} == changed


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"nodes": (NodeSpec(64 * TIB + 4096),)}, "nodes"),
        ({"nodes": (NodeSpec(GIB),) * 1025}, "nodes"),
        ({"kernelcore": 4 * GIB + 4096}, "kernelcore"),
        ({"max_memory": 4 * GIB - 4096}, "max_memory"),
        ({"max_memory": 64 * TIB + 4096}, "max_memory"),
        ({"kernel": "5.14"}, "kernel"),
        ({"kernel": "4.20"}, "kernel"),
    ],
    ids=str,
)
def test_what_is_a_page_beyond_is_none(changed: dict[str, object], where: str) -> None:
    fields: dict[str, object] = {"nodes": (NodeSpec(4 * GIB),), **changed}

    with pytest.raises(InputError) as caught:
        MachineSpec(**fields)  # type: ignore[arg-type]

    assert [fault.key for fault in caught.value.faults] == [where]


def test_a_machine_has_the_slots_of_qemu_unless_told() -> None:
    assert MachineSpec(nodes=(NodeSpec(GIB),)).slots == 256
