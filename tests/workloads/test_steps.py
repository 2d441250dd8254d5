"""Steps: what their words mean, what is refused and with which words, and when they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.contig_zones import ContigZones
from policies.udev import Udev
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins.parameters import ParameterError
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.workloads.fake_host import calls
from workloads.parts.requests.request import Request
from workloads.parts.requests.step_words import OPS, StepReader, read_steps, written
from workloads.steps import Steps

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec


def test_every_step() -> None:
    steps = [
        "plug dimm:16GiB",
        "plug dimm:1GiB@1,id=spare,address=0x140000000",
        "plug dax:1GiB+1.5GiB@2,gap=512MiB",
        "plug virtio-mem:4GiB@1,max=16GiB,block=8MiB,id=vm0",
        "plug virtio-mem:4GiB",
        "plug dimm:2GiB",
        "resize vm0:64MiB",
        "unplug spare",
        "resize of-the-machine:1GiB",
        "demand anonymous:3GiB",
        "demand sockets:200,id=many",
    ]
    assert calls(Steps(steps=steps, pause=1.0)) == [
        (1_000_000, "plug", "new-dimm0", DimmSpec("new-dimm0", 16 * GIB)),
        (2_000_000, "plug", "spare", DimmSpec("spare", GIB, 1, 0x140000000)),
        (
            3_000_000,
            "plug",
            "new-dax0",
            DaxSpec("new-dax0", 5 * GIB // 2, 2, ranges=(GIB, 3 * GIB // 2), gap=512 * MIB),
        ),
        (4_000_000, "plug", "vm0", VirtioMemSpec("vm0", 16 * GIB, 1, 8 * MIB, 4 * GIB)),
        (5_000_000, "plug", "new-vmem0", VirtioMemSpec("new-vmem0", 4 * GIB, requested=4 * GIB)),
        (6_000_000, "plug", "new-dimm1", DimmSpec("new-dimm1", 2 * GIB)),
        (7_000_000, "resize", "vm0", 64 * MIB),
        (8_000_000, "unplug", "spare", None),
        (9_000_000, "resize", "of-the-machine", GIB),
        (10_000_000, "set_demand", "anonymous", ("anonymous", 3 * GIB)),
        (11_000_000, "set_demand", "many", ("sockets", 200)),
    ]


def test_names_of_the_machine_are_not_given_out_again() -> None:
    reader = StepReader([DimmSpec("new-dimm0", GIB), VirtioMemSpec("new-vmem0", 4 * GIB), DimmSpec("new-dimm2", GIB)])
    requests = [*reader.read("plug", "dimm:1GiB"), *reader.read("plug", "dimm:1GiB")]
    assert [request.device for request in requests] == ["new-dimm1", "new-dimm3"]
    assert reader.read("resize", "new-vmem0:5GiB") == []
    assert reader.faults == ["'resize new-vmem0:5GiB': size: must be at most the device's max, 4GiB, but is 5GiB"]


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("plg dimm:1GiB", "unknown step 'plg'; did you mean 'plug'?"),
        ("plug dimm", "is not plug KIND:SIZE[@NODE][,id=NAME], such as dimm:16GiB@0"),
        ("plug 16GiB", "is not plug KIND:SIZE"),
        ("plug dim:16GiB", "kind: unknown word 'dim'; did you mean 'dimm'?"),
        ("plug dimm:16GB", "size: '16GB' is not a size"),
        ("plug dimm:0", "size: must be"),
        ("plug dimm:1GiB@x", "node: must be a whole number, but is 'x'"),
        ("plug dimm:1GiB,max=2GiB", "max: must be empty with a dimm device"),
        ("plug dimm:1GiB,adress=1", "'adress=1' is not known; behind a comma may stand id=, address=, gap="),
        ("plug virtio-mem:3GiB,max=2GiB", "size: must be at most the device's max, 2GiB, but is 3GiB"),
        ("plug virtio-mem:3MiB", "must be a multiple of 2MiB, but is"),
        ("resize vm0", "is not resize ID:SIZE, such as vmem0:64GiB"),
        ("resize vm0:4GiB@1", "is not resize ID:SIZE"),
        ("resize :4GiB", "is not resize ID:SIZE"),
        ("unplug", "device: must be a name"),
        ("unplug new-dimm0,now=1", "'now=1' is not known; no comma"),
        ("demand memory:1GiB", "kind: unknown word 'memory'"),
    ],
)
def test_what_is_no_step_is_told_with_what_would_be(step: str, what: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Steps(steps=[step, "unplug new-dimm0"])
    (fault,) = caught.value.faults
    assert fault.startswith("steps: '")
    assert what in fault


def test_steps_are_held_against_those_before() -> None:
    with pytest.raises(ParameterError) as caught:
        Steps(
            steps=[
                "plug dimm:1GiB",
                "plug dax:1GiB",
                "resize new-dimm0:1GiB",
                "plug dimm:1GiB,id=new-dax0",
                "unplug new-vmem0",
            ]
        )
    assert [fault.partition(": ")[2] for fault in caught.value.faults] == [
        "'resize new-dimm0:1GiB': 'new-dimm0' is no virtio-mem device; only those can be resized",
        "'plug dimm:1GiB,id=new-dax0': device: 'new-dax0' is plugged already",
    ]


SIZES = st.integers(1, 64).map(lambda n: n * 32 * MIB)
NAMES = st.sampled_from(["a", "new-dimm0", "vm-1", "ua-x"])
NODES = st.integers(0, 3)
PLUGS: tuple[st.SearchStrategy[DeviceSpec], ...] = (
    st.builds(DimmSpec, NAMES, SIZES, NODES, st.none() | SIZES),
    st.builds(
        lambda name, parts, gap, node: DaxSpec(name, sum(parts), node, ranges=tuple(parts), gap=gap),
        NAMES,
        st.lists(SIZES, min_size=2, max_size=3),
        SIZES,
        NODES,
    ),
    st.builds(
        lambda name, size, more, block, node: VirtioMemSpec(name, size + more, node, block, size),
        NAMES,
        SIZES,
        SIZES,
        st.sampled_from([2 * MIB, 32 * MIB]),
        NODES,
    ),
)


@given(st.one_of(PLUGS), SIZES)
def test_what_is_written_is_read_back(spec: DeviceSpec, size: int) -> None:
    requests = [
        Request(0, "plug", spec.id, spec=spec),
        Request(0, "unplug", "other"),
        Request(0, "resize", "third", size=size),
        Request(0, "demand", "load", size=size, kind="kernel"),
    ]
    assert {request.op for request in requests} == set(OPS)
    assert read_steps(map(written, requests)) == (requests, [])


def test_a_step_waits_for_the_one_before_and_the_run_ends_with_the_last() -> None:
    """16 GiB of virtio-mem are 128 blocks of 26.5 ms, plugged after 3.392 s: seen at the next whole second."""
    steps = Steps(steps=["plug virtio-mem:16GiB", "resize new-vmem0:0", "unplug gone"], pause=5.0)
    result = simulate(MachineSpec((NodeSpec(4 * GIB),)), ContigZones(), steps, Streams(1, 0))
    events = Events.of(result.events)
    asked = events.t_us[events.of_kind(EventKind.REQUEST, EventKind.FAILED)].tolist()
    # 128 blocks go in 128 * 18 ms = 2.304 s; what is not there keeps nobody waiting.
    assert asked == [5_000_000, 5_000_000 + 4_000_000 + 5_000_000, 14_000_000 + 3_000_000 + 5_000_000]
    assert result.duration_us == 22_000_000 + 5_000_000


def test_a_step_that_takes_too_long_is_waited_for_no_longer() -> None:
    steps = Steps(steps=["plug virtio-mem:16GiB", "resize new-vmem0:0"], pause=1.0, patience=2.0)
    result = simulate(MachineSpec((NodeSpec(4 * GIB),)), ContigZones(), steps, Streams(1, 0))
    events = Events.of(result.events)
    assert events.t_us[events.of_kind(EventKind.REQUEST)].tolist() == [1_000_000, 4_000_000]
    assert result.duration_us == 7_000_000


def test_user_space_is_waited_for_as_long_as_it_is_at_work() -> None:
    """72 ms until the blocks are there, 7.5 s until the rule acts, 8 * 5 ms: done at 8.612 s, seen at 9 s."""
    steps = Steps(steps=["plug dimm:1GiB", "plug dimm:1GiB"], pause=1.0)
    result = simulate(MachineSpec((NodeSpec(4 * GIB),)), Udev(delay=7.5), steps, Streams(1, 0))
    events = Events.of(result.events)
    assert events.t_us[events.of_kind(EventKind.REQUEST)].tolist() == [1_000_000, 10_000_000]
    assert result.duration_us == 19_000_000


def test_without_steps_nothing_is_asked() -> None:
    assert calls(Steps()) == []
    result = simulate(MachineSpec((NodeSpec(4 * GIB),)), ContigZones(), Steps(), Streams(1, 0))
    assert result.duration_us == 1_000_000
    assert not len(result.events)


def test_no_step_is_passed_over_or_half_read() -> None:
    faults = {
        "plug virtio-mem:0": "a device that has nothing yet needs max=, such as max=64GiB",
        "plug virtio-mem:0,block=3MiB": "block: must be a power of two from 1MiB to 1TiB, but is 3MiB",
        "plug virtio-mem:1MiB": "size: must be a multiple of 2MiB, but is 1MiB; the nearest is 2MiB",
        "plug dimm:1GiB,id=a,id=b": "id= stands there twice",
        "plug dimm:1GiB,address=4GiB,address=8GiB": "address= stands there twice",
        "plug dimm:1GiB,address=": "address= says nothing",
        "plug dimm:1GiB@": "is not plug KIND:SIZE[@NODE][,id=NAME], such as dimm:16GiB@0",
    }
    for step, fault in faults.items():
        assert read_steps([step]) == ([], [f"'{step}': {fault}"])
    ((request,), wrong) = read_steps(["plug virtio-mem:0,max=64GiB"])
    assert (request.spec, wrong) == (VirtioMemSpec("new-vmem0", 64 * GIB), [])
