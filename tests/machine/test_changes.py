"""What a host is told of changes: of every one, and of nothing else, as somebody sees who looks after every event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from policies.udev import Udev
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.guest.pressure import PERIOD_US
from sim.guest.report import Pressure
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.host import MachineHost
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, MIB
from workloads.contract import Workload
from workloads.parts.together import Together
from workloads.random_mix import RandomMix

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from policies.contract import Policy
    from workloads.contract import Host
    from workloads.contract import Streams as AnyStreams


@pytest.fixture(autouse=True)
def _by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have runs go step by step, so that somebody can look after each."""
    monkeypatch.setattr("sim.engine.run_until", lambda env, end: env.run(until=end))


def said(host: MachineHost) -> object:
    """What a host can see, looked up plainly, but for pressure."""
    report = host.report()
    figures = None if report is None else replace(report, pressure=Pressure())
    return figures, {name: (host.plugged(name), host.busy(name)) for name in host.devices}


def averages(host: MachineHost) -> tuple[float, ...]:
    """The averages of pressure that a host can see; of a dead guest there are none."""
    report = host.report()
    shown = Pressure() if report is None else report.pressure
    return tuple(getattr(shown, f"{what}_avg{seconds}") for what in ("some", "full") for seconds in (10, 60, 300))


class Looked(Workload):
    """Plays ``inner``; meanwhile somebody looks after every single event, and others wait for changes."""

    name: ClassVar[str] = "looked"
    summary: ClassVar[str] = "a workload for this test"

    def __init__(self, inner: Workload, waiting: int = 1) -> None:
        self._inner = inner
        self._waiting = waiting
        self.changed: set[int] = set()
        self.told: list[list[int]] = [[] for _ in range(waiting)]
        self.events = 0

    def duration(self) -> float:
        return self._inner.duration()

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        assert isinstance(host, MachineHost)
        env = host._context.env  # noqa: SLF001  the environment itself, which makes the steps
        plain, now, pressure = env.step, said(host), averages(host)

        def step() -> None:
            nonlocal now, pressure
            plain()
            self.events += 1
            before, now = now, said(host)
            was, pressure = pressure, averages(host)
            if now != before or any(new > old for new, old in zip(pressure, was, strict=True)):
                self.changed.add(int(env.now))

        env.step = step  # type: ignore[method-assign]
        env.process(self._at_every_period(env))
        for number in range(self._waiting):
            host.env.process(self._wait(host, self.told[number]))
        yield from self._inner.run(host, streams)

    @staticmethod
    def _at_every_period(env: simpy.Environment) -> Generator[simpy.Event, object, None]:
        """Let averages be looked at whenever they can have changed."""
        while True:
            yield env.timeout(PERIOD_US)

    @staticmethod
    def _wait(host: Host, told: list[int]) -> Generator[simpy.Event, object, None]:
        while True:
            yield host.changed()
            told.append(int(host.env.now))


class Programs(Workload):
    """Loads of every kind that come, go and are killed, and caches that are dropped."""

    name: ClassVar[str] = "programs"
    summary: ClassVar[str] = "a workload for this test"

    def duration(self) -> float:
        return 400.0

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        random = streams("programs")
        kinds = ("anonymous", "anonymous", "page-cache", "tmpfs", "page-tables", "pinned", "kernel", "written-files")
        amounts = [0, MIB, 100 * MIB, 100 * MIB, 700 * MIB, GIB]
        while True:
            yield host.env.timeout(int(random.integers(0, 9_000_000)))
            if random.random() < 0.1:
                host.drop_caches(cache=bool(random.integers(2)), slab=bool(random.integers(2)))
                continue
            kind = kinds[int(random.integers(len(kinds)))]
            amount = amounts[int(random.integers(len(amounts)))] // (4096 if kind == "written-files" else 1)
            host.set_demand(f"{kind} {random.integers(2)}", kind, amount if kind != "kernel" else amount // 10)


POLICIES: dict[str, Callable[[], Policy]] = {
    "movable": OnlineMovable,
    "kernel": OnlineKernel,
    "auto-movable": AutoMovable,
    "udev": Udev,
}
TIMINGS = {"slow": Timing(), "at once": Timing.instant()}


@pytest.mark.parametrize("seed", range(8))
def test_a_change_is_told_at_every_moment_at_which_one_is_seen_and_at_no_other(seed: int) -> None:
    kernel = ("6.1", "6.12")[seed % 2]
    guest = GuestSpec() if seed < 7 else None
    mix = RandomMix(
        virtio_mem_size=2 * GIB, dimm_sizes=(GIB,), dax_sizes=(GIB,), maximum=6 * GIB, interval=9.0, duration=400.0
    )
    looked = Looked(Together(parts=(mix, Programs())), waiting=2)
    policy = list(POLICIES.values())[seed % 4]()
    machine = MachineSpec((NodeSpec(GIB), NodeSpec(GIB)), kernel=kernel)
    timing = list(TIMINGS.values())[seed // 4]
    simulate(machine, policy, looked, Streams(seed, 0), timing=timing, guest=guest)
    told = sorted(looked.changed)
    assert looked.events > 2 * len(told) > 60
    assert [sorted(set(moments)) for moments in looked.told] == [told, told]


@pytest.mark.parametrize("guest", [GuestSpec(), None])
def test_who_waits_changes_nothing(guest: GuestSpec | None) -> None:
    def run(*, waits: bool) -> bytes:
        mix: Workload = Together(parts=(RandomMix(maximum=6 * GIB, interval=9.0, duration=400.0), Programs()))
        workload = Looked(mix) if waits else mix
        machine = MachineSpec((NodeSpec(2 * GIB),), kernel="6.12")
        result = simulate(machine, AutoMovable(), workload, Streams(5, 0), guest=guest)
        return result.events.tobytes() + b"".join(column.tobytes() for column in result.guest.values())

    assert run(waits=True) == run(waits=False)


class Scripted(Workload):
    """Calls functions of the host at their microseconds; notes when it is told of a change."""

    name: ClassVar[str] = "scripted"
    summary: ClassVar[str] = "a workload for this test"

    def __init__(self, **at: Callable[[Host], object]) -> None:
        self._at = {int(name[1:]): what for name, what in at.items()}
        self.told: list[int] = []

    def duration(self) -> float:
        return 100.0

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        del streams
        host.plug(VirtioMemSpec("vm", 4 * GIB))
        host.env.process(Looked._wait(host, self.told))  # noqa: SLF001
        for at, what in self._at.items():
            yield host.env.timeout(at - int(host.env.now))
            what(host)


def told(kernel: str = "6.1", timing: Timing | None = None, **at: Callable[[Host], object]) -> list[int]:
    """Return the microseconds at which a change is told; by default hotplug takes no time."""
    script = Scripted(**at)
    machine = MachineSpec((NodeSpec(2 * GIB),), kernel=kernel)
    timing = timing or Timing.instant()
    simulate(machine, OnlineMovable(), script, Streams(1, 0), timing=timing, guest=GuestSpec())
    return script.told


def test_the_same_demand_once_more_is_no_change() -> None:
    def ask(host: Host) -> None:
        host.set_demand("a", "anonymous", 100 * MIB)

    assert told(_10=ask, _20=ask, _30=ask, _40=lambda host: host.set_demand("a", "anonymous", 0)) == [10, 40]


def test_a_size_that_the_device_has_already_is_no_change() -> None:
    def ask(host: Host) -> None:
        host.resize("vm", GIB)

    assert told(_10=ask, _20=ask, _30=lambda host: host.resize("vm", 0)) == [10, 30]


def test_what_the_host_refuses_is_no_change() -> None:
    assert told(_10=lambda host: host.unplug("nothing"), _20=lambda host: host.resize("vm", 9 * GIB)) == []


def test_caches_are_dropped_once() -> None:
    def drop(host: Host) -> None:
        host.drop_caches()

    moments = told(_10=lambda host: host.set_demand("f", "page-cache", GIB), _20=drop, _30=drop)
    assert moments[:2] == [10, 20]
    # From then on programs wait for what they read again, and averages rise, until all is back after a minute.
    assert [at for at in moments[2:] if at % 1_000_000] == [PERIOD_US * number for number in range(1, 31)]
    assert [at for at in moments[2:] if at % 1_000_000 == 0] == [1_000_000 * number for number in range(1, 61)]


def test_a_device_that_comes_and_goes_is_told_of() -> None:
    """Where nothing takes time, a DIMM that goes leaves the guest as it was: but nobody waits between two events."""
    assert told(_10=lambda host: host.plug(DimmSpec("d", GIB)), _20=lambda host: host.unplug("d")) == [10, 20]


def test_what_cpu_lists_give_back_is_told_second_by_second() -> None:
    """Linux 6.12 gives back 7.9 MiB a second of what lists have beyond the low watermark."""

    def fill(host: Host) -> None:
        host.set_demand("a", "anonymous", GIB)

    def free(host: Host) -> None:
        host.set_demand("a", "anonymous", 0)

    seconds = told("6.12", _10=fill, _500000=free)[2:]
    assert seconds == [1_000_000 * number for number in range(1, len(seconds) + 1)]
    assert len(seconds) > 3
    assert told("6.1", _10=fill, _500000=free) == [10, 500_000]


def test_who_has_seen_a_change_waits_for_the_next_one() -> None:
    later: list[simpy.Event] = []

    def ask(host: Host) -> None:
        host.set_demand("a", "anonymous", GIB)
        later.append(host.changed())

    assert told(_10=ask) == [10]
    assert [event.triggered for event in later] == [False]


def test_all_who_wait_since_the_last_change_wait_for_the_same() -> None:
    events: list[simpy.Event] = []

    def wait(host: Host) -> None:
        events.append(host.changed())

    told(_10=wait, _20=wait, _30=lambda host: host.set_demand("a", "anonymous", GIB), _40=wait)
    assert events[0] is events[1]
    assert events[2] is not events[0]
    assert [event.triggered for event in events] == [True, True, False]


def test_death_is_told_of_and_nothing_after_it() -> None:
    """Nobody owns files in memory: where their pages find no place when memory is asked back, the guest dies."""

    def fill(host: Host) -> None:
        host.set_demand("f", "tmpfs", 5 * GIB // 2)

    def ask(host: Host) -> None:
        host.unplug("d")

    def later(host: Host) -> None:
        assert host.died
        host.set_demand("a", "anonymous", 0)

    slow = replace(Timing.instant(), offline=1000)
    moments = told(timing=slow, _10=lambda host: host.plug(DimmSpec("d", GIB)), _20=fill, _30=ask, _90000000=later)
    assert moments[:3] == [10, 20, 30]
    assert moments[-1] < 90_000_000
