"""Several workloads at once: each as it would be alone, none in the way of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

import pytest
import simpy

from sim.plugins.parameters import ParameterError
from sim.units import GIB
from tests.workloads.fake_host import CHARACTERS, Call, Character, FakeHost, RecordingStreams, calls, play
from workloads.contract import Host, Streams, Workload
from workloads.dimm_slots import DimmSlots
from workloads.hyperalloc import HyperAlloc
from workloads.parts.together import Together
from workloads.random_mix import RandomMix
from workloads.request_replay import RequestReplay
from workloads.virtio_mem_resize import VirtioMemResize

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np

PARTS = {
    "dimms": DimmSlots(sizes=[GIB, 2 * GIB], nodes=[1], duration=5000.0),
    "more dimms": DimmSlots(interval=45.0, ask_again=True, duration=3000.0),
    "vmem": VirtioMemResize(shape="diurnal", devices=2, duration=20_000.0),
    "mix": RandomMix(nodes=[2]),
    "log": RequestReplay(log="sail-2026"),
}


def of_part(requests: list[Call], name: str) -> list[tuple[int, str, str]]:
    return [
        (now, verb, device.removeprefix(f"{name}/"))
        for now, verb, device, _ in requests
        if device.startswith(f"{name}/")
    ]


class Alone:
    """The streams that a part has in a composition, for running it alone."""

    def __init__(self, name: str) -> None:
        self._streams = RecordingStreams(1)
        self._name = name

    def __call__(self, name: str) -> np.random.Generator:
        return self._streams(f"{self._name}/{name}")


@pytest.mark.parametrize("character", CHARACTERS)
def test_each_part_is_as_it_would_be_alone(character: Character) -> None:
    requests = calls(Together(parts=list(PARTS.values()), names=list(PARTS)), character)
    assert len(requests) == sum(len(of_part(requests, name)) for name in PARTS)
    for name, part in PARTS.items():
        env = simpy.Environment()
        host = FakeHost(env, character)
        env.run(until=env.process(part.run(host, Alone(name))))
        assert of_part(requests, name) == [call[:3] for call in host.calls]


def test_descriptions_carry_the_part_as_well() -> None:
    for _, verb, device, what in calls(Together(parts=list(PARTS.values()))):
        if verb == "plug":
            assert what.id == device  # type: ignore[attr-defined]


def test_another_part_shifts_nothing() -> None:
    few, many = (
        calls(Together(parts=[PARTS[name] for name in names], names=names))
        for names in (["dimms", "mix"], ["vmem", "dimms", "more dimms", "mix"])
    )
    assert of_part(few, "dimms") == of_part(many, "dimms")
    assert of_part(few, "mix") == of_part(many, "mix")


def test_parts_of_one_kind_differ() -> None:
    requests = calls(Together(parts=[DimmSlots(), DimmSlots()]))
    assert of_part(requests, "dimm-slots") != of_part(requests, "dimm-slots-2") != []


def test_duration_and_nodes_are_those_of_all() -> None:
    workload = Together(parts=list(PARTS.values()))
    assert workload.duration() == 20_000.0
    assert list(workload.node_capacity()) == [0, 1, 2]
    assert list(workload.parts) == ["dimm-slots", "dimm-slots-2", "virtio-mem-resize", "random-mix", "request-replay"]


def test_compositions_compose() -> None:
    inner = Together(parts=[PARTS["dimms"]], names=["in"])
    host, streams = play(Together(parts=[inner], names=["out"]))
    assert all(device.startswith("out/in/dimm") for _, _, device, _ in host.calls)
    assert all(name.startswith("out/in/dimm") for name in streams.names)


def test_demand_is_named_by_part() -> None:
    class Load(Workload):
        name = "load"
        summary = "asks for what the log verbs do not"

        def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
            host.set_demand("web", "anon", 5)
            host.resize("x", 7)
            answers = host.busy("x"), host.plugged("x"), host.requested("x")
            assert answers == (False, 0, 0)
            yield host.env.timeout(1)

        def duration(self) -> float:
            return 1.0

    assert calls(Together(parts=[Load()], names=["a"])) == [
        (0, "set_demand", "a/web", ("anon", 5)),
        (0, "resize", "a/x", 7),
    ]


def test_a_part_that_fails_is_not_hidden() -> None:
    class Broken(Workload):
        name = "broken"
        summary = "fails after a while"

        def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, Never]:
            yield host.env.timeout(5)
            raise RuntimeError("gone wrong")

        def duration(self) -> float:
            return 10.0

    with pytest.raises(RuntimeError, match="gone wrong"):
        play(Together(parts=[DimmSlots(), Broken()]))


@pytest.mark.parametrize(
    ("count", "names", "expected"),
    [
        (0, [], "parts: must be a list of at least one workload"),
        (2, ["a"], "names: must be one for each part, 2, but there are 1"),
        (2, ["a", "a"], "names: must all be different"),
        (2, ["a", "a/b"], "names: must all be different, not empty, and without a slash"),
    ],
)
def test_faults(count: int, names: list[str], expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        Together(parts=[DimmSlots()] * count, names=names)


def test_a_controller_without_an_end_of_its_own_looks_on_as_long_as_the_others_last() -> None:
    alone = HyperAlloc()
    assert alone.duration() == 0
    assert Together(parts=[alone, DimmSlots(duration=5000.0), HyperAlloc(duration=70.0)]).duration() == 5000
    assert Together(parts=[alone, HyperAlloc()]).duration() == 0
