"""What a policy that foresees is shown: the run as it will be, under whatever policy it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from policies.clairvoyant import Clairvoyant
from policies.fixed import OnlineKernel, OnlineMovable
from sim.analysis.regret import bound
from sim.engine import simulate
from sim.experiment.load import load
from sim.kernel.diary import Decided
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.experiment.examples import small
from tests.policies.scripted import BLOCK, Script, play, plugged_zones

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from policies.contract import Foresight, Policy
    from sim.kernel.diary import Note
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as AnyStreams

M, N = ZONE_MOVABLE, ZONE_NORMAL
SLOW = Timing(dimm_add=1_000_000, offline=300_000)
"""A second to add a block, 0.3 to take it away."""


class Drawing(Script):
    """Plugs a DIMM after a time that is drawn, and takes it away at second 10; remembers that it has been used."""

    def __init__(self) -> None:
        super().__init__([(1.0, "dimm", "a", 2 * BLOCK), (10.0, "unplug", "a", 0)])
        self.used = 0

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        self.used += 1
        if self.used > 1:
            raise RuntimeError("one run has left traces in another")
        yield host.env.timeout(int(streams("gap").integers(1_500_000, 5_000_000)))
        yield from super().run(host, streams)


class Looking(OnlineMovable):
    """Puts everything into MOVABLE, and has that and the opposite rehearsed before the run and during it."""

    def __init__(self) -> None:
        self.before: list[RunResult] = []
        self.within: list[RunResult] = []
        self.clock: list[int] = []

    def foresee(self, foresight: Foresight) -> None:
        self.foresight = foresight
        self.clock.append(foresight.now())
        self.before = [foresight.rehearse(policy) for policy in (OnlineMovable(), OnlineKernel(), OnlineMovable())]
        self.clock.append(foresight.now())

    def on_offline(self, node: int, zone: int, pages: int) -> None:
        self.clock.append(self.foresight.now())
        self.within.append(self.foresight.rehearse(OnlineMovable()))


def look(timing: Timing | None = SLOW, sample_every: float = 7.0) -> tuple[Looking, RunResult]:
    policy = Looking()
    machine = MachineSpec((NodeSpec(2 * GIB), NodeSpec(GIB)))
    spec = GuestSpec({"stay_share": 0.25}, sample_every)
    return policy, simulate(machine, policy, Drawing(), Streams(5, 3), timing=timing, guest=spec)


def rows(result: RunResult, *kinds: EventKind) -> list[tuple[int, int, int]]:
    """Return (microseconds after the DIMM was plugged, kind, zone) of events of these kinds."""
    events = Events.of(result.events)
    start = events.t_us[events.attached()][0]
    seen = events.where(events.of_kind(*kinds))
    return list(zip((seen.t_us - start).tolist(), seen.kind.tolist(), seen.zone.tolist(), strict=True))


def test_a_rehearsal_is_the_run_as_it_will_be_down_to_its_times_and_samples() -> None:
    policy, result = look()

    assert len(policy.before) == 3
    assert 1_500_000 <= result.events[0, 0] < 5_000_000
    assert policy.within
    for same in (policy.before[0], policy.before[2], *policy.within):
        assert np.array_equal(same.events, result.events)
        assert same.guest.keys() == result.guest.keys()
        assert all(np.array_equal(same.guest[name], result.guest[name]) for name in result.guest)
        assert (same.boot, same.duration_us, same.device_groups) == (
            result.boot,
            result.duration_us,
            result.device_groups,
        )
    other = policy.before[1]
    assert rows(other, EventKind.PLUG) == [(2_000_000, int(EventKind.PLUG), N)]
    assert rows(result, EventKind.PLUG) == [(2_000_000, int(EventKind.PLUG), M)]


def test_a_rehearsal_keeps_to_the_configured_timing() -> None:
    for timing, added in ((SLOW, 2_000_000), (Timing.instant(), 0), (None, 2 * 9_000)):
        policy, result = look(timing)
        for seen in (result, *policy.before):
            assert [at for at, _, _ in rows(seen, EventKind.PLUG)] == [added]


def test_a_rehearsal_samples_the_configured_guest() -> None:
    policy, result = look(sample_every=9.0)
    for seen in (result, *policy.before):
        assert set(range(0, 100, 9)) <= set((seen.guest["t_us"] // 1_000_000).tolist())
        assert 7_000_000 not in seen.guest["t_us"]


def test_the_clock_shows_the_time_of_the_run() -> None:
    policy, result = look()
    events = Events.of(result.events)
    offline = events.t_us[events.of_kind(EventKind.OFFLINE)].tolist()
    assert offline == [10_300_000, 10_600_000]
    assert policy.clock == [0, 0, *offline]


# Clairvoyant ----------------------------------------------------------------------------------------------------------


def plugged(policy: Policy, script: Script, *, guest: bool = True) -> list[int]:
    return plugged_zones(play(policy, script, guest=guest))


def twice(*demands: tuple[float, int]) -> Script:
    """Return a DIMM from second 0 to 20 and another one in its place from second 30; page tables of so many MiB."""
    loads = [(t, "page-tables", "tables", mib * MIB) for t, mib in demands]
    dimms = [(0.0, "dimm", "a", 2 * BLOCK), (20.0, "unplug", "a", 0), (30.0, "dimm", "b", 2 * BLOCK)]
    return Script([*dimms, *loads])


@pytest.mark.parametrize(
    ("demands", "zones"),
    [
        ([(25.0, 700), (40.0, 900)], [M, M, N, N]),
        ([(5.0, 900), (15.0, 0)], [N, N, M, M]),
        ([(5.0, 100)], [M, M, M, M]),
    ],
)
def test_what_it_foresees_of_a_place_it_foresees_for_a_time(demands: list[tuple[float, int]], zones: list[int]) -> None:
    assert plugged(Clairvoyant(), twice(*demands)) == zones


def test_what_it_knew_of_one_run_it_does_not_know_of_the_next() -> None:
    policy = Clairvoyant()
    assert plugged(policy, twice((5.0, 900))) == [N, N, M, M]
    assert plugged(policy, twice((5.0, 900)), guest=False) == [M] * 4
    assert plugged(policy, twice((5.0, 100))) == [M] * 4


def test_what_it_says_of_a_block_is_why() -> None:
    reasons: list[tuple[int, str]] = []

    def log(t_us: int, note: Note) -> None:
        if isinstance(note, Decided):
            reasons.append((t_us // 1_000_000, note.why.reason))

    policy = Clairvoyant()
    simulate(
        MachineSpec((NodeSpec(GIB),)),
        policy,
        twice((25.0, 700), (40.0, 900)),
        Streams(1, 0),
        timing=Timing.instant(),
        guest=GuestSpec(sample_every=1.0),
        log=log,
    )
    assert [(at, reason) for at, reason in reasons if reason.startswith("the")] == [
        (0, "the kernel will not need it: Movable"),
        (30, "the kernel will need it: Normal"),
    ]


class Counted:
    """Rehearses on a machine of 1 GiB, and counts."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.count = 0

    def now(self) -> int:
        return 0

    def rehearse(self, policy: Policy) -> RunResult:
        self.count += 1
        return play(policy, self.script)


def test_it_rehearses_no_more_often_than_it_may_and_ends_when_plans_repeat() -> None:
    steps = [(0.0, "virtio-mem", "v", GIB), *((2.0 * n, "resize", "v", (n + 1) * BLOCK) for n in range(8))]
    loads = [(20.0 + n, "page-tables", f"t{n}", 150 * MIB) for n in range(12)]
    foresight = Counted(Script([*steps, *loads]))
    Clairvoyant(rehearsals=60).foresee(foresight)
    assert 6 < foresight.count < 60
    easy = Counted(Script(steps))
    Clairvoyant(rehearsals=60).foresee(easy)
    # All kernel, all MOVABLE and four reserves; the plan; and the same plan again is not tried.
    assert easy.count == 7


@pytest.mark.parametrize(
    ("policies", "label"),
    [
        ([{"name": "clairvoyant"}, {"name": "headroom"}], "clairvoyant"),
        ([{"name": "headroom"}, {"name": "clairvoyant", "label": "knows all"}], "knows all"),
        ([{"name": "headroom", "label": "clairvoyant"}], None),
        ([{"name": "headroom", "label": "clairvoyant"}, {"name": "clairvoyant", "label": "best"}], "best"),
        (
            [
                {"name": "clairvoyant", "label": "b", "rehearsals": 12},
                {"name": "clairvoyant", "label": "a"},
                {"name": "clairvoyant", "label": "c"},
            ],
            "b",
        ),
    ],
)
def test_regret_is_against_clairvoyant_whatever_it_is_called(policies: list[dict[str, object]], label: str) -> None:
    assert bound(load(small(policies=policies))) == label


def test_a_swept_clairvoyant_is_found_too() -> None:
    swept = {"product": {"policies": {"best": {"rehearsals": [20, 10]}}}}
    experiment = load(small(policies=[{"name": "clairvoyant", "label": "best"}], sweep=[swept]))
    assert bound(experiment) == "best, rehearsals 20"
