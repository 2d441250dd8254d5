"""Sizes by the clock: when they are asked for, as what, and what is asked again because it was not reached."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import simpy

from policies.fixed import OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams as SeededStreams
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.fake_host import CHARACTERS, Character, FakeHost, calls, play
from workloads.scheduled import KINDS, Scheduled

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tests.workloads.fake_host import Call
    from workloads.contract import Host, Streams

HOUR = 3600
NIGHTLY = (("22:00", 4 * GIB), ("02:00", 2 * GIB), ("06:00", 0))


def told(found: Sequence[Call]) -> list[tuple[float, str, str, object]]:
    """Return (hours, verb, device, GiB or None) of each request."""
    return [
        (at / MICROSECONDS / HOUR, verb, device, what // GIB if isinstance(what, int) else None)
        for at, verb, device, what in found
    ]


def test_a_virtio_mem_device_has_its_size_from_the_beginning_on() -> None:
    found = calls(Scheduled(sizes=NIGHTLY, begins="2026-11-23T23:00", duration=10 * HOUR, node=1, device="v"))
    assert found[0] == (0, "plug", "v", VirtioMemSpec("v", 4 * GIB, 1, 2 * MIB, 4 * GIB))
    assert told(found[1:]) == [(3, "resize", "v", 2), (7, "resize", "v", 0)]


@pytest.mark.parametrize(("kind", "spec"), [("dimm", DimmSpec), ("dax", DaxSpec)])
def test_whole_devices_come_in_order_and_the_last_goes_first(kind: str, spec: type[DimmSpec | DaxSpec]) -> None:
    work = Scheduled(sizes=NIGHTLY, kind=kind, address=4 * GIB, duration=27 * HOUR)
    found = calls(work)
    assert found[1][3] == spec("mem1", GIB, 0, 5 * GIB)
    assert told(found) == [
        (0, "plug", "mem0", None), (0, "plug", "mem1", None), (0, "plug", "mem2", None), (0, "plug", "mem3", None),
        (2, "unplug", "mem3", None), (2, "unplug", "mem2", None),
        (6, "unplug", "mem1", None), (6, "unplug", "mem0", None),
        (22, "plug", "mem0", None), (22, "plug", "mem1", None), (22, "plug", "mem2", None), (22, "plug", "mem3", None),
        (26, "unplug", "mem3", None), (26, "unplug", "mem2", None),
    ]  # fmt: skip


def test_the_default_is_office_hours() -> None:
    week = told(calls(Scheduled()))
    assert [(at % 24, size) for at, _, _, size in week[1:]] == [(8, 8), (18, 0)] * 5


def at_minutes(found: Sequence[Call], verb: str) -> list[tuple[float, str]]:
    return [(at / MICROSECONDS / 60, device) for at, each, device, _ in found if each == verb]


def test_a_dimm_that_stays_is_asked_back_again_until_it_is_wanted_again() -> None:
    work = Scheduled(sizes=[("00:00", GIB), ("00:10", 0), ("00:13", GIB)], kind="dimm", duration=1000.0)
    found = calls(work, "stubborn")
    assert at_minutes(found, "unplug") == [(10, "mem0"), (11, "mem0"), (12, "mem0")]
    assert at_minutes(found, "keep") == [(13, "mem0")]
    assert at_minutes(found, "plug") == [(0, "mem0")]


def test_with_zero_nothing_is_asked_again() -> None:
    work = Scheduled(sizes=[("00:00", GIB), ("00:10", 0)], kind="dimm", duration=1000.0, ask_again=0.0)
    assert at_minutes(calls(work, "stubborn"), "unplug") == [(10, "mem0")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_host_refuses_is_plugged_again(kind: str) -> None:
    work = Scheduled(sizes=[("00:00", GIB)], kind=kind, duration=185.0)
    assert [at for at, _ in at_minutes(calls(work, "refusing"), "plug")] == [0, 1, 2, 3]


def test_a_guest_at_work_is_not_hurried() -> None:
    """Every request takes it 45 seconds; asked again after 20."""
    work = Scheduled(sizes=[("00:00", GIB), ("00:10", 0)], kind="dimm", duration=800.0, ask_again=20.0)
    found = calls(work, "slow")
    assert at_minutes(found, "unplug") == [(10, "mem0")]


class ShortHost(FakeHost):
    """A guest that never reaches a smaller size, whatever it is told."""

    def plugged(self, device: str) -> int:
        return max(self.sizes.get(device, 0), GIB)


def test_a_virtio_mem_device_that_stays_short_is_told_its_size_again() -> None:
    env = simpy.Environment()
    host = ShortHost(env)
    work = Scheduled(sizes=[("00:00", GIB), ("00:10", 0), ("00:13", 2 * GIB)], duration=1000.0)
    env.run(until=env.process(work.run(host, SeededStreams(1, 0))))
    assert at_minutes(host.calls, "resize") == [(10, "mem"), (11, "mem"), (12, "mem"), (13, "mem")]


class HalfGoneHost(FakeHost):
    """A guest of which half of a device goes offline when it is asked back, and the device stays."""

    def __init__(self, env: simpy.Environment, *, busy_for: int) -> None:
        super().__init__(env, "stubborn")
        self.left: dict[str, int] = {}
        self.busy_for = busy_for

    def unplug(self, device: str) -> bool:
        self.left[device] = GIB // 2
        self._busy_until[device] = int(self.env.now) + self.busy_for * MICROSECONDS
        return super().unplug(device)

    def online_memory(self, device: str, word: str) -> bool:
        self.left.pop(device)
        return super().online_memory(device, word)

    def offline(self, device: str) -> int:
        return self.left.get(device, 0)


def test_what_has_gone_offline_of_a_dax_device_that_stays_comes_back_by_the_clock() -> None:
    """Once the guest is done with the removal; of a DIMM the kernel sees to that itself."""
    back = [(3 / 60, "online_memory", "mem1", None)]
    for kind, busy_for, then in (
        ("dax", 0, back),
        ("dax", 90, [(3 / 60, "keep", "mem1", None), (4 / 60, "online_memory", "mem1", None)]),
        ("dimm", 0, [(3 / 60, "keep", "mem1", None)]),
    ):
        env = simpy.Environment()
        host = HalfGoneHost(env, busy_for=busy_for)
        sizes = [("00:00", 2 * GIB), ("00:02", GIB), ("00:03", 2 * GIB)]
        work = Scheduled(sizes=sizes, kind=kind, duration=400.0, ask_again=60.0)
        env.run(until=env.process(work.run(host, SeededStreams(1, 0))))
        asked = [call for call in told(host.calls) if call[1] != "plug"]
        assert asked == [(2 / 60, "unplug", "mem1", None), *then]
        assert {what for _, verb, _, what in host.calls if verb == "online_memory"} <= {"online"}


class FailingHost(FakeHost):
    """A guest that cannot add the first DIMM that it gets."""

    def plugged(self, device: str) -> int:
        tries = sum(verb == "plug" for _, verb, _, _ in self.calls)
        return 0 if tries == 1 else super().plugged(device)


def test_a_dimm_that_the_guest_could_not_add_is_taken_out_and_plugged_again() -> None:
    env = simpy.Environment()
    host = FailingHost(env)
    work = Scheduled(sizes=[("00:00", GIB)], kind="dimm", duration=1000.0)
    env.run(until=env.process(work.run(host, SeededStreams(1, 0))))
    assert told(host.calls) == [
        (0, "plug", "mem0", None), (1 / 60, "unplug", "mem0", None), (2 / 60, "plug", "mem0", None)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("character", CHARACTERS)
def test_random_schedules_stay_within_bounds_and_an_obliging_guest_has_what_the_clock_says(
    kind: str, character: Character
) -> None:
    for seed in range(84):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        sizes = [
            (f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}", rng.randrange(9) * GIB)
            for _ in range(rng.randint(1, 6))
        ]
        sizes[0] = (sizes[0][0], (1 + rng.randrange(8)) * GIB)
        duration = rng.uniform(1, 30 * HOUR)
        work = Scheduled(
            sizes=sizes, kind=kind, duration=duration, ask_again=1800.0, begins=f"2026-11-23T{rng.randrange(24):02}:00"
        )
        host, _ = play(work, character)
        largest = max(size for _, size in sizes)
        for _, verb, device, what in host.calls:
            assert verb != "resize" or what in {size for _, size in sizes}
            assert kind == "virtio-mem" or int(device.removeprefix("mem")) < largest // GIB
        if character == "obliging":
            last = work._plan[-1][1]  # noqa: SLF001  checked against a clock in test_calendar
            has = {name: host.plugged(name) for name in host.devices}
            assert sum(has.values()) == last
            asked = [call for call in host.calls if call[1] != "plug" or kind != "virtio-mem"]
            times = {at * MICROSECONDS for at, _ in work._plan}  # noqa: SLF001
            assert {call[0] for call in asked} <= times, "nothing is asked again where all is reached"


class Seen(Scheduled):
    """Notes every ten minutes what the guest has."""

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        self.seen: list[int] = []
        host.env.process(self._note(host))
        yield from super().run(host, streams)

    def _note(self, host: Host) -> Generator[simpy.Event, object, None]:
        while True:
            yield host.env.timeout(600 * MICROSECONDS)
            self.seen.append(sum(host.plugged(f"mem{number}") for number in ("", 0, 1, 2, 3)) // GIB)


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_machine_has_the_sizes_at_their_times(kind: str) -> None:
    work = Seen(sizes=[("00:05", 4 * GIB), ("00:35", GIB)], duration=3600.0, kind=kind)
    simulate(MachineSpec(nodes=(NodeSpec(4 * GIB),)), OnlineMovable(), work, SeededStreams(1, 0))
    assert work.seen[:5] == [4, 4, 4, 1, 1]
