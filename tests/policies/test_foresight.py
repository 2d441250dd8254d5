"""What a policy that foresees is shown: the run as it will be, under whatever policy it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from policies.clairvoyant import Clairvoyant
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.udev import Udev
from sim.analysis.regret import bound
from sim.engine import simulate
from sim.experiment.load import load
from sim.kernel.diary import Decided
from sim.kernel.guest_link import GuestSpec
from sim.kernel.policy_answers import PolicyError
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.experiment.examples import small
from tests.policies.scripted import BLOCK, Script, Step, play, plugged_zones

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

    def foresee(self, foresight: Foresight) -> Policy | None:
        self.foresight = foresight
        self.clock.append(foresight.now())
        self.before = [foresight.rehearse(policy) for policy in (OnlineMovable(), OnlineKernel(), OnlineMovable())]
        self.clock.append(foresight.now())
        return None

    def on_offline(self, node: int, zone: int, pages: int) -> None:
        self.clock.append(self.foresight.now())
        self.within.append(self.foresight.rehearse(OnlineMovable()))


def look(timing: Timing | None = SLOW, sample_every: float = 7.0) -> tuple[Looking, RunResult]:
    policy = Looking()
    machine = MachineSpec((NodeSpec(2 * GIB), NodeSpec(GIB)))
    spec = GuestSpec({"regrow_keep_share": 0.25}, sample_every)
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
        # Kernel memory that has been asked back and cannot go serves too, and costs nothing that the host wants.
        ([(25.0, 700), (40.0, 900)], [N, N, M, M]),
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
        (0, "the kernel will need it: Normal"),
        (30, "the kernel will not need it: Movable"),
    ]


def test_a_brief_rehearsal_is_the_same_up_to_its_first_failure_and_has_no_samples() -> None:
    """Page tables find no room at second 5, an add at second 8; killed for want of user memory is no failure."""

    class Brief(OnlineMovable):
        def foresee(self, foresight: Foresight) -> Policy | None:
            self.whole, self.brief = (foresight.rehearse(OnlineMovable(), brief=brief) for brief in (False, True))
            return None

    def both(*steps: Step) -> tuple[RunResult, RunResult]:
        policy = Brief()
        play(policy, Script([(0.0, "dimm", "a", 2 * BLOCK), *steps, (9.0, "dimm", "z", BLOCK)]), boot=512 * MIB)
        assert len(policy.brief.guest["t_us"]) == 0 < len(policy.whole.guest["t_us"])
        assert np.array_equal(policy.brief.events, policy.whole.events[: len(policy.brief.events)])
        return policy.whole, policy.brief

    whole, brief = both((1.0, "anonymous", "u", 2 * GIB))
    assert Events.of(whole.events).ooms().any()
    assert len(brief.events) == len(whole.events)
    # The first one ends it, though others would follow in the same instant.
    for step in ((5.0, "page-tables", "t", GIB), (5.0, "kernel", "k", GIB), (5.0, "dimm", "huge", 64 * GIB)):
        whole, brief = both(step)
        assert len(brief.events) < len(whole.events)
        ends = Events.of(brief.events)
        assert ends.t_us[-1] == 5_000_000
        assert ends.kind[-1] in (EventKind.OOM, EventKind.FAILED, EventKind.DEATH)


def test_a_policy_may_have_another_decide_in_the_run() -> None:
    class Deputy(OnlineMovable):
        def __init__(self, deputy: object) -> None:
            self.deputy = deputy

        def foresee(self, foresight: Foresight) -> Policy | None:
            return self.deputy  # type: ignore[return-value]

    script = Script([(1.0, "dimm", "a", BLOCK)])
    for deputy in (OnlineKernel(), Udev(state="online_kernel", delay=2.0), Offline()):
        assert np.array_equal(play(Deputy(deputy), script).events, play(deputy, script).events)
    assert play(Deputy(AutoMovable(ratio=77)), script).configured_ratio is None, "that is of who was asked for"
    with pytest.raises(PolicyError, match="answered 'nobody' in foresee, which is no policy"):
        play(Deputy("nobody"), script)


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
