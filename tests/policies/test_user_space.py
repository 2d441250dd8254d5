"""Rules of user space as an experiment writes them: what they come to, what they miss, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from policies.contract import UserSpaceRule, UserSpaceRules
from policies.user_space import ARCHITECTURES, DEVICES, UserSpace
from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.devices.virtio_mem import VirtioMem
from sim.experiment import build
from sim.experiment.load import load
from sim.faults import InputError
from sim.kernel.user_space import OF_NO_DEVICE
from sim.machine.architecture import ARCHITECTURES as MODELLED
from sim.machine.spec import ColdDimms, MachineSpec, NodeSpec
from sim.memory.zones import OnlineType
from sim.plugins.parameters import ParameterError
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.support.cells import Script, rows, run

if TYPE_CHECKING:
    from sim.record.run_result import RunResult


def test_a_rule_says_what_it_is_given_and_applies_to_all_else() -> None:
    policy = UserSpace(
        rules=[
            {"state": "offline", "architectures": ["s390x", "ppc64"]},
            {"state": "online_movable", "delay": 2.5, "nodes": [1, 2], "devices": ["dax", "none"], "bare_metal": False},
        ],
        after=60,
        buffer=256,
        tries=100,
        try_again=0.05,
    )
    assert policy.user_space == UserSpaceRules(
        (
            UserSpaceRule(OnlineType.OFFLINE, 10_000, architectures=("s390x", "ppc64")),
            UserSpaceRule(OnlineType.ONLINE_MOVABLE, 2_500_000, (1, 2), ("dax", "none"), bare_metal=False),
        ),
        begins_us=60_000_000,
        buffer=256,
        tries=100,
        try_again_us=50_000,
    )
    assert UserSpace().user_space == UserSpaceRules((UserSpaceRule(OnlineType.ONLINE, 10_000),), try_again_us=50_000)


def test_its_words_are_those_that_devices_and_machines_go_by() -> None:
    assert {*DEVICES} == {Dimm.kind, VirtioMem.kind, Dax.kind, OF_NO_DEVICE}
    assert {*MODELLED} <= {*ARCHITECTURES}


def test_what_rules_leave_alone_the_kernel_decides_as_it_was_told() -> None:
    """Only blocks that the kernel leaves offline are any of user space's business."""
    rules = [{"state": "online_movable"}]
    left = run(UserSpace(rules=rules), Script(DimmSpec("d", GIB)))
    assert [row[5] for row in rows(left, EventKind.ONLINE)] == [3] * 8
    kernel = run(UserSpace(rules=rules, default_state="online_kernel"), Script(DimmSpec("d", GIB)))
    assert [row[4:6] for row in rows(kernel, EventKind.PLUG)] == [(8, 2)]
    assert rows(kernel, EventKind.ONLINE) == []
    asked = UserSpace(online_policy="auto-movable", auto_movable_ratio=77)
    assert asked.configured_ratio == 77
    assert [row[5] for row in rows(run(asked, Script(DimmSpec("d", 2 * GIB))), EventKind.ONLINE)] == [3] * 16
    assert [row[5] for row in rows(run(asked, Script(DimmSpec("d", 4 * GIB))), EventKind.ONLINE)] == [2] * 32


def test_each_kind_of_device_can_have_a_rule_of_its_own() -> None:
    policy = UserSpace(
        rules=[
            {"state": "online_movable", "devices": ["dax"], "delay": 30},
            {"state": "online_kernel", "devices": ["dimm"]},
        ]
    )
    result = run(policy, Script(DimmSpec("d", GIB), DaxSpec("x", GIB), VirtioMemSpec("v", 4 * GIB, requested=4 * GIB)))
    online = rows(result, EventKind.ONLINE)
    names = {name: number for number, name in enumerate(result.device_names)}
    assert {row[5] for row in online if row[2] == names["d"]} == {2}
    assert {row[5] for row in online if row[2] == names["x"]} == {3}
    assert min(row[0] for row in online if row[2] == names["x"]) > 31_000_000
    # Nobody puts virtio-mem's blocks online: its driver stops at 1 GiB that is offline.
    assert not [row for row in online if row[2] == names["v"]]
    assert len([row for row in rows(result, EventKind.ADD) if row[2] == names["v"]]) == 8


# What was seen of a 4 GiB guest that got a DIMM of 128 GiB: kata-containers/agent issue 813.
DIMM = {
    "name": "dimm-slots",
    "slots": 1,
    "sizes": ["128GiB"],
    "initial": 1,
    "grow_probability": 1.0,
    "duration": 60,
}
LOST: dict[str, Any] = {
    "machines": [{"boot_memory": "4GiB"}],
    "guest": {"model": "linux"},
    "policies": [{"name": "user-space", "label": "agent", "buffer": 256}],
    "workloads": [DIMM],
}


def results_of(tables: dict[str, Any]) -> list[RunResult]:
    return [build.simulation(cell)() for cell in load(tables).cells()]


def online_blocks(result: RunResult) -> set[int]:
    """Return the device blocks that are online at the end."""
    online: set[int] = set()
    for _, kind, _, first, count, *_ in rows(result):
        if kind in (EventKind.PLUG, EventKind.ONLINE):
            online.update(range(first, first + count))
    return online


def test_of_1024_blocks_that_appear_at_once_an_agent_with_room_for_256_events_puts_256_online() -> None:
    """32 of 128 GiB, the lowest, as reported. Its blocks began at 32; here boot memory ends at 5 GiB, not at 4."""
    (result,) = results_of(LOST)
    online = online_blocks(result)
    assert len(online) == 256
    assert max(online) - min(online) == 255
    assert len(online) * result.block_pages * result.page_size == 32 * GIB
    (added,) = rows(result, EventKind.ADD)
    assert (added[3], added[4]) == (min(online), 1024)


def test_its_runtime_therefore_plugs_32_gib_at_a_time() -> None:
    """kata-containers/runtime issue 2872: four DIMMs, one after the other, and nothing is lost."""
    one_by_one = {"slots": 4, "sizes": ["32GiB"], "initial": 0, "interval": 30, "spacing": "fixed", "duration": 300}
    (result,) = results_of(LOST | {"workloads": [DIMM | one_by_one]})
    assert len(online_blocks(result)) == 1024


def test_dimms_that_are_there_at_boot_need_no_events() -> None:
    """32 GiB in 256 blocks, found by the program when it begins; a GiB more comes later, of which it has to hear."""
    machine = MachineSpec((NodeSpec(4 * GIB),), cold_dimms=(ColdDimms(32 * GIB),))
    result = run(UserSpace(buffer=8), Script(DimmSpec("d", GIB)), machine=machine)
    assert len(rows(result, EventKind.ONLINE)) == 256 + 8
    result = run(UserSpace(buffer=7), Script(DimmSpec("d", GIB)), machine=machine)
    assert len(rows(result, EventKind.ONLINE)) == 256 + 7


def test_the_buffer_can_be_swept_and_rules_can_be_given_in_a_file() -> None:
    rules = [{"state": "offline", "nodes": [1]}, {"state": "online_movable", "devices": ["dimm"]}]
    swept = LOST | {
        "policies": [{"name": "user-space", "label": "agent", "rules": rules}],
        "sweep": [{"product": {"policies": {"agent": {"buffer": [1, 100, 1024]}}}}],
    }
    assert [len(online_blocks(result)) for result in results_of(swept)] == [1, 100, 1024]


def test_what_is_wrong_with_a_rule_is_told_at_its_key() -> None:
    rules: list[Any] = [{"state": "movable"}, {"delay": 1}, {"state": "online", "device": ["dimm"], "nodes": [-1]}, 5]
    with pytest.raises(InputError) as wrong:
        load(LOST | {"policies": [{"name": "user-space", "rules": rules}]})
    told = [fault.key for fault in wrong.value.faults]
    assert told == [
        "policies[0].rules[0].state",
        "policies[0].rules[1].state",
        "policies[0].rules[2].device",
        "policies[0].rules[3]",
    ]
    with pytest.raises(ParameterError) as refused:
        UserSpace(rules=[{"state": "online", "nodes": [-1]}], buffer=0, tries=0)
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["rules", "buffer", "tries"]


@pytest.mark.parametrize(("bare_metal", "zone"), [(True, 3), (False, 2)])
def test_one_rule_file_decides_by_the_machine(bare_metal: bool, zone: int) -> None:  # noqa: FBT001
    rules: list[dict[str, Any]] = [{"state": "online_movable", "bare_metal": True}, {"state": "online"}]
    machine = MachineSpec((NodeSpec(4 * GIB),), bare_metal=bare_metal)
    result = run(UserSpace(rules=rules), Script(DimmSpec("d", 256 * MIB)), machine=machine)
    assert [row[5] for row in rows(result, EventKind.ONLINE)] == [zone] * 2
