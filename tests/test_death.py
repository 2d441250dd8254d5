"""When a guest dies, the run ends for it: whatever is under way stops, and whatever is asked of it stays unanswered."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from policies.udev import Udev
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.guest.contract import OomKind
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.scores.definition import Question
from sim.scores.registry import SCORES, compute_scores
from sim.streams import Streams
from sim.units import GIB, KIB, MIB
from tests.devices.books import check_result
from tests.support.reach import LONG, Reach
from workloads.contract import Workload
from workloads.guest_load import GuestLoad
from workloads.parts.together import Together

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from policies.contract import Policy
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

SECOND = 1_000_000
SECONDS = 120
BLOCK = 128 * MIB
SLOW = Timing(dimm_add=2_000_000, virtio_mem_plug=500_000, virtio_mem_unplug=500_000, offline=1_000_000,
              refused=1_000_000, online=500_000, migrate=1_000_000)  # fmt: skip
"""Microseconds a GiB: work lasts for seconds, and one waits for the lock of the other."""

BY_THE_HOST = {EventKind.REQUEST, EventKind.FAILED, EventKind.DEVICE}
POLICIES = (OnlineMovable, OnlineKernel, AutoMovable, lambda: Udev(delay=0.7))


class Traffic(Workload):
    """All verbs of a host, with arguments drawn at random; it notes what it sees of a dead guest."""

    name = "traffic"
    summary = "anything"

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311  nothing is kept secret
        self.names: list[str] = []
        self.host: Host | None = None
        self.busy_at_death: set[str] | None = None

    def duration(self) -> float:
        return SECONDS

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        self.host, rng = host, self._rng
        # Some hosts change much, some programs do; a guest without processes has nobody to be killed.
        asks, wants = rng.choice(((0.9, ("kernel",)), (0.5, ("anonymous", "kernel", "tmpfs")), (0.8, ("tmpfs",))))
        filled = 0
        while True:
            yield host.env.timeout(rng.choice((0, 1, 100_000, SECOND, 3 * SECOND)))
            if rng.random() < asks and (len(self.names) < 8 or rng.random() < 0.7):
                self.ask(host)
            else:
                name = rng.choice(wants)
                filled += 4 * (host.mem_available() or 0) // 5  # never more than there is: only a return can be deadly
                amount = filled if wants == ("tmpfs",) else rng.randrange(8) * 256 * MIB
                alive = not host.died
                assert not host.set_demand(name, name, amount) or alive
            if host.died:
                self.look(host)

    def ask(self, host: Host) -> None:
        rng = self._rng
        if not self.names or (len(self.names) < 8 and rng.random() < 0.4):
            name = f"d{len(self.names)}"
            dimm = DimmSpec(name, rng.choice((1, 4, 9, 512)) * BLOCK)
            sub_blocks, blocks = (VirtioMemSpec(name, 16 * BLOCK, block_size=size) for size in (2 * MIB, 2 * BLOCK))
            spec = rng.choice((dimm, DaxSpec(name, 4 * BLOCK), sub_blocks, blocks))
            self.names.append(name)
            assert host.plug(spec)
        else:
            name = rng.choice(self.names)
            rng.choice((
                lambda: host.unplug(name),
                lambda: host.unplug(name),
                lambda: host.keep(name),
                lambda: host.resize(name, rng.randrange(9) * 2 * BLOCK),
            ))()  # fmt: skip

    def look(self, host: Host) -> None:
        busy = {name for name in self.names if host.busy(name)}
        assert busy >= (self.busy_at_death or set()), "what is asked of the dead is never answered"
        self.busy_at_death = busy
        assert host.mem_available() is None
        assert not host.drop_caches()


def run(seed: int) -> tuple[RunResult, Traffic]:
    rng = random.Random(seed)  # noqa: S311
    policy: Policy = rng.choice(POLICIES)()
    traffic = Traffic(seed)
    guest = GuestSpec(sample_every=rng.choice((0.0, 0.5)))
    machine = MachineSpec((NodeSpec(GIB),))
    timing = rng.choice((SLOW, SLOW, Timing()))
    result = simulate(machine, policy, traffic, Streams(seed, 0), timing=timing, guest=guest)
    assert traffic.host is not None
    check_result(result, traffic.host)
    return result, traffic


def until(result: RunResult, row: int) -> RunResult:
    """Return the run as it would be if it had ended at the death, which is event ``row``."""
    t_us = int(result.events[row, 0])
    samples = result.guest["t_us"] <= t_us
    return replace(
        result,
        events=result.events[: row + 1],
        duration_us=t_us,
        guest={name: values[samples] for name, values in result.guest.items()},
    )


REACH = Reach({
    "kernel": 10, "guest full": 5, "return": 5, "lives": 5, "asked of the dead": 30, "attached to the dead": 10,
    "work under way": 20, "amid an add": 3, "amid a return": 5, "user space": 3,
})  # fmt: skip


def test_nothing_happens_in_a_dead_guest_and_no_score_gets_better() -> None:
    for seed in range(600 if LONG else 120):
        result, traffic = run(seed)
        rows = result.events.tolist()
        deaths = [number for number, row in enumerate(rows) if row[1] == EventKind.DEATH]
        if not deaths:
            REACH("lives")
            continue
        (death,) = deaths
        t, _, *_, cause, available = rows[death]
        assert rows[death - 1] == [t, EventKind.OOM, -1, 0, 1, cause, available], "who was killed last is nobody"
        REACH(OomKind(cause).shown)
        REACH("amid an add", rows[death - 2][:2] == [t, EventKind.FAILED])
        REACH("amid a return", cause == OomKind.MIGRATION)
        after = rows[death + 1 :]
        assert {row[1] for row in after} <= BY_THE_HOST
        assert not any(row[1] == EventKind.DEVICE and row[4] == 0 for row in after), "nobody lets a device go"
        REACH("asked of the dead", sum(row[1] == EventKind.REQUEST for row in after))
        REACH("attached to the dead", sum(row[1] == EventKind.DEVICE for row in after))
        REACH("work under way", bool(traffic.busy_at_death))
        REACH("user space", any(row[1] == EventKind.ADD for row in rows))
        dead = result.guest["t_us"] > t
        for name in ("headroom", "free_movable", "mem_available", "returnable"):
            assert not result.guest[name][dead].any(), name
            assert result.guest[name][result.guest["t_us"] <= t][-1] == 0, "from the very instant on"
        for name in ("user", "kernel", "memmap"):
            assert len(set(result.guest[name][dead])) <= 1, "what it held it holds"
        then, end = compute_scores(until(result, death)), compute_scores(result)
        for name in WORSE:
            better = 1 if SCORES[name].better == "higher" else -1
            assert math.isnan(then[name]) or better * end[name] <= better * then[name], name
        assert end["movable_byte_seconds"] == 0
        assert (end["died"], end["death_time"]) == (1, t / SECOND)
    REACH.check()


class Dimms(Workload):
    """60 DIMMs of 256 MiB, four a minute, all of them asked back after half an hour."""

    name = "dimms"
    summary = "there and back"

    def duration(self) -> float:
        return 2400

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        for number in range(60):
            host.plug(DimmSpec(f"d{number}", 2 * BLOCK))
            yield host.env.timeout(15 * SECOND)
        yield host.env.timeout(900 * SECOND)
        for number in reversed(range(60)):
            host.unplug(f"d{number}")


@pytest.mark.parametrize("policy", [OnlineMovable(), AutoMovable(ratio=1000)], ids=["online-movable", "ratio 1000"])
def test_a_guest_that_dies_while_it_grows_gives_nothing_back(policy: Policy) -> None:
    """Both let the kernel starve at 446 s; a dead kernel once gave 29 DIMMs back and looked best of all."""
    grows: dict[str, Any] = {"shape": "ramp", "tick": 1.0, "duration": 2400.0}
    programs = GuestLoad(processes=8, size=1280 * MIB, rate=1400 * KIB, end=1500.0, **grows)
    kernel = GuestLoad(kernel_share=1.0, kernel_kind="kernel", size=1536 * MIB, rate=1700 * KIB, **grows)
    load = Together(parts=[Dimms(), programs, kernel], names=["dimms", "programs", "kernel"])
    result = simulate(MachineSpec((NodeSpec(GIB),)), policy, load, Streams(1, 0), guest=GuestSpec())
    seen, scores = Events.of(result.events), compute_scores(result)
    assert seen.death is not None
    assert (round(seen.death.t_us / SECOND), seen.death.cause) == (446, OomKind.KERNEL)
    after = seen.where(seen.t_us > seen.death.t_us)
    assert {EventKind(kind) for kind in after.kind.tolist()} == {EventKind.DEVICE, EventKind.REQUEST}
    assert after.attached().sum() == 30
    assert (after.kind == EventKind.REQUEST).sum() == 30 + 60, "each device is wanted, and asked back"
    assert scores["returned"] == 0
    assert scores["not_given_end"] == 60 * 2 * BLOCK, "what a dead guest never took counts too"


WORSE = [
    name
    for name, score in SCORES.items()
    if score.better != "neither"
    and score.question in (Question.RETURNS, Question.WALL)
    # What the host wants again is no longer missing.
    and name != "not_given_end"
]
"""Scores about returning, sharing and headroom."""


def test_the_list_of_such_scores_is_no_empty_one() -> None:
    assert {"returned", "headroom_min", "headroom_mean", "not_given_byte_seconds"} <= set(WORSE)
