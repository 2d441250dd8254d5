"""What is asked: which machine, which policies, which steps, what is asked back, and what is wrong with all that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.faults import InputError
from sim.what_if.plan import answer
from sim.what_if.question import Question, question
from sim.what_if.sources import Source

MACHINE: dict[str, Any] = {"machines": [{"boot_memory": "4GiB"}], "policies": [{"name": "contig-zones"}]}
WITH_GUEST = {**MACHINE, "guest": {"model": "linux"}}


def asked(*steps: str, tables: dict[str, Any] | None = None, **options: Any) -> Question:  # noqa: ANN401
    pairs = [(op, text) for op, _, text in (step.partition(" ") for step in steps)]
    return question(Source(tables or MACHINE, "guest.toml", Path()), pairs, **options)


def faults(*steps: str, **options: Any) -> list[str]:  # noqa: ANN401
    with pytest.raises(InputError) as caught:
        asked(*steps, **options)
    return [f"{caught.value.source}: {fault}" for fault in caught.value.faults]


def labels(found: Question) -> list[str]:
    return found.experiment.policies


def test_what_is_added_is_asked_back_last_things_first() -> None:
    found = asked("plug dimm:1GiB", "plug virtio-mem:1GiB,max=8GiB", "resize new-vmem0:4GiB", "plug dax:2GiB")
    assert found.back == 4
    assert found.steps == (
        "plug dimm:1GiB@0,id=new-dimm0",
        "plug virtio-mem:1GiB@0,max=8GiB,id=new-vmem0",
        "resize new-vmem0:4GiB",
        "plug dax:2GiB@0,id=new-dax0",
        "unplug new-dax0",
        "resize new-vmem0:1GiB",
        "resize new-vmem0:0B",
        "unplug new-dimm0",
    )


@pytest.mark.parametrize(
    ("steps", "back"),
    [
        (["plug dimm:1GiB", "unplug new-dimm0"], []),
        (["plug dimm:1GiB", "unplug new-dimm0", "plug dimm:2GiB,id=new-dimm0"], ["unplug new-dimm0"]),
        (["plug virtio-mem:4GiB", "resize new-vmem0:1GiB"], ["resize new-vmem0:0B"]),
        (
            ["plug virtio-mem:1GiB,max=9GiB", "resize new-vmem0:4GiB", "resize new-vmem0:512MiB"],
            ["resize new-vmem0:0B"],
        ),
        (["plug virtio-mem:1GiB,max=9GiB", "resize new-vmem0:0"], []),
    ],
)
def test_what_a_step_took_back_is_not_asked_back_again(steps: list[str], back: list[str]) -> None:
    found = asked(*steps)
    assert list(found.steps[len(steps) :]) == back


def test_without_steps_all_devices_are_asked_back() -> None:
    tables = {**MACHINE, "machines": [{"boot_memory": "4GiB", "cold_dimms": [{"size": "1GiB", "count": 2}]}]}
    assert asked(tables=tables).steps == ("unplug cold1", "unplug cold0")
    tables = {**tables, "guest": {"model": "linux"}}
    assert asked("demand kernel:1GiB", tables=tables).steps[1:] == ("unplug cold1", "unplug cold0")
    assert asked("unplug cold1", tables=tables).steps == ("unplug cold1",)
    assert faults() == [
        "guest.toml: nothing is asked: name a step, such as --plug dimm:16GiB; the machine has no devices to ask back"
    ]


def test_a_name_of_the_machine_is_not_given_to_another_device() -> None:
    tables = {**MACHINE, "machines": [{"boot_memory": "4GiB", "cold_dimms": [{"size": "1GiB"}]}]}
    assert asked("unplug cold0", "plug dimm:1GiB", tables=tables).steps[-1] == "unplug new-dimm0"
    assert faults("plug dimm:1GiB,id=cold0", tables=tables) == [
        "the steps: 'plug dimm:1GiB,id=cold0': device: 'cold0' is plugged already"
    ]


def test_devices_are_those_of_the_start_whatever_it_is() -> None:
    cold = {"id": "vm0", "kind": "virtio-mem", "max_size": "8GiB", "requested": "1GiB"}
    tables = {"machines": [{"boot_memory": "4GiB", "cold_devices": [cold]}], "policies": [{"name": "contig-zones"}]}
    assert asked("resize vm0:4GiB", tables=tables).steps == ("resize vm0:4GiB", "resize vm0:1GiB")
    assert asked(tables=tables).steps == ("resize vm0:0B",)
    assert "at most the device's max, 8GiB, but is 9GiB" in faults("resize vm0:9GiB", tables=tables)[0]
    state = {
        "blocks": [{"blocks": "0-23", "zone": "DMA32"}, {"blocks": "40-47", "zone": "Movable"}],
        "devices": [{"id": "dimm0", "kind": "dimm", "size": "1GiB", "address": "0x140000000"}],
    }
    started = {"machines": [{"block_size": "128MiB", "state": state}], "policies": [{"name": "contig-zones"}]}
    assert asked(tables=started).steps == ("unplug dimm0",)
    assert asked("plug dimm:1GiB", tables=started).steps == ("plug dimm:1GiB@0,id=new-dimm0", "unplug new-dimm0")


def test_a_machine_without_slots_says_so() -> None:
    tables = {**MACHINE, "machines": [{"boot_memory": "4GiB", "architecture": "s390x"}]}
    assert faults("plug dimm:1GiB", tables=tables) == [
        "the steps: 'plug dimm:1GiB': machines of s390x have no DIMMs; they can have virtio-mem devices"
    ]


def test_a_guest_that_is_drawn_is_told_to_be_one_of_many() -> None:
    tables = {**MACHINE, "guest": {"model": "linux", "draw": True}}
    assert asked("plug dimm:1GiB", tables=tables).remarks == (
        "the guest is drawn: this is the one of the first replication, and others differ",
    )


def test_a_machine_that_cannot_be_simulated_is_a_fault() -> None:
    tables = {**MACHINE, "machines": [{"nodes": [{"boot_memory": "128MiB"}] * 300}]}
    with pytest.raises(InputError, match="zones; 253 at most can be simulated"):
        answer(asked("plug dimm:1GiB", tables=tables))
    assert "zones; 253 at most can be simulated" in faults("plug dimm:1GiB", tables=tables, guest=True)[0]


def test_all_faults_of_the_steps_are_told_at_once() -> None:
    nowhere = "the machine has none, and no step before this one plugs one"
    right = "write a number of bytes or a string such as '512MiB' or '4GiB'"
    powers = "memory comes in powers of two, such as MiB and GiB"
    unknown = "there is no guest that could use memory; add --guest, or [guest] to the file"
    steps = "plug dimm:1GB", "resize dimm7:1GiB", "plug dax:1GiB@3", "demand kernel:1GiB", "unplug new-dax1"
    assert faults(*steps) == [
        f"the steps: 'plug dimm:1GB': size: '1GB' is not a size: {right}; {powers}",
        f"the steps: 'resize dimm7:1GiB': no device 'dimm7'; {nowhere}",
        "the steps: 'plug dax:1GiB@3': there is no node 3; the machine has node 0 only",
        f"the steps: 'demand kernel:1GiB': {unknown}",
        "the steps: 'unplug new-dax1': unknown device 'new-dax1'; did you mean 'new-dax0'? Valid: new-dax0",
    ]
    cold = {**MACHINE, "machines": [{"boot_memory": "4GiB", "cold_dimms": [{"size": "1GiB"}]}]}
    assert faults("resize cold0:1GiB", "unplug cld0", tables=cold) == [
        "the steps: 'resize cold0:1GiB': 'cold0' is no virtio-mem device; only those can be resized",
        "the steps: 'unplug cld0': unknown device 'cld0'; did you mean 'cold0'? Valid: cold0",
    ]
    assert faults("plug virtio-mem:1GiB", "unplug new-vmem0") == [
        "the steps: 'unplug new-vmem0': virtio-mem device 'new-vmem0' cannot be unplugged; resize it to 0"
    ]


def test_a_single_policy_is_the_machines_own_and_gets_others_beside_it() -> None:
    found = asked("plug dimm:1GiB")
    assert (found.own, labels(found)) == ("contig-zones", ["contig-zones", "auto-movable 301", "online-movable"])
    tables = {**MACHINE, "policies": [{"name": "auto-movable", "label": "ours"}]}
    found = asked("plug dimm:1GiB", tables=tables)  # 301 is the default ratio
    assert (found.own, labels(found)) == ("ours", ["ours", "contig-zones", "online-movable"])
    tables = {**MACHINE, "policies": [{"name": "auto-movable", "ratio": 401}]}
    assert labels(asked("plug dimm:1GiB", tables=tables))[0] == "auto-movable"
    assert len(labels(asked("plug dimm:1GiB", tables=tables))) == 4


def test_several_policies_are_compared_with_each_other() -> None:
    tables = {**MACHINE, "policies": [{"name": "offline"}, {"name": "online-movable"}], "baseline": "offline"}
    found = asked("plug dimm:1GiB", tables=tables)
    assert (found.own, labels(found)) == (None, ["offline", "online-movable"])


def test_policies_can_be_named_with_parameters() -> None:
    found = asked("plug dimm:1GiB", policies=["auto-movable:ratio=401", "contig-zones", "headroom:reserve=64MiB"])
    assert (found.own, labels(found)) == (
        "contig-zones",
        ["auto-movable, ratio 401", "contig-zones", "headroom, reserve 64MiB"],
    )
    parameters = [each.policy.parameters for each in found.experiment.combinations]
    assert (parameters[0]["ratio"], parameters[2]["reserve"]) == (401, 64 << 20)
    assert faults("plug dimm:1GiB", policies=["auto-movable:401"]) == [
        "--policy: 'auto-movable:401': '401' is not key=value, as ratio=401 is"
    ]
    assert "unknown policy 'contig'; did you mean" in faults("plug dimm:1GiB", policies=["contig"])[0]


def test_one_of_several_machines_has_to_be_named() -> None:
    tables = {**MACHINE, "machines": [{"boot_memory": "1GiB"}, {"label": "big", "boot_memory": "64GiB"}]}
    assert faults("plug dimm:1GiB", tables=tables) == [
        "guest.toml: has several machines; choose one with --machine: 1GiB, big"
    ]
    assert faults("plug dimm:1GiB", tables=tables, machine="bigger") == [
        "--machine: unknown machine 'bigger'; did you mean 'big'? Valid: 1GiB, big"
    ]
    found = asked("plug dimm:1GiB", tables=tables, machine="big")
    assert found.machine.boot_memory == 64 << 30


def test_what_the_file_sweeps_or_asks_plays_no_part() -> None:
    tables = {
        **WITH_GUEST,
        "sweep": ({"product": {"machines": {"4GiB": {"kernel": ["6.1", "6.12"]}}}},),
        "workloads": ({"name": "no-such-workload"},),
        "replications": 30,
    }
    found = asked("plug dimm:1GiB", tables=tables)
    assert len(found.cells) == 3
    assert found.machine.kernel == "6.1"
    assert found.remarks == ("what the file sweeps is left out: every value is the one in its own table",)


def test_the_policy_of_a_command_line_is_the_machines_own() -> None:
    cmdline = "memhp_default_state=online memory_hotplug.online_policy=auto-movable movable_node quiet"
    found = asked("plug dimm:1GiB", tables={"machines": [{"boot_memory": "4GiB", "cmdline": cmdline}]})
    assert (found.own, labels(found)[0], len(labels(found))) == ("as booted", "as booted", 4)
    parameters = found.experiment.combinations[0].policy.parameters
    assert (parameters["default_state"], parameters["online_policy"]) == ("online", "auto-movable")
    assert found.machine.movable_node


def test_a_machine_alone_boots_as_the_kernel_does_by_default() -> None:
    found = asked("plug dimm:1GiB", tables={"machines": [{"boot_memory": "4GiB"}]})
    assert (found.own, found.experiment.combinations[0].policy.plugin) == ("as booted", "kernel")


def test_a_fault_of_the_file_is_told_as_one() -> None:
    assert faults("plug dimm:1GiB", tables={**MACHINE, "machines": [{"boot_memory": "4GB"}]})[0].startswith(
        "guest.toml: machines[0].boot_memory: "
    )
