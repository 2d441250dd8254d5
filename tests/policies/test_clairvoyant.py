"""Clairvoyant in runs: held against all zones there are, and against its rivals."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from policies.clairvoyant import Clairvoyant
from policies.clairvoyant.tree import Outcome
from policies.contract import Policy, UserSpaceRule, UserSpaceRules
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.testkit import check_policy
from sim.api import run as run_experiment
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, OnlineType
from sim.plugins import lookup
from sim.record.run_result import Foreseen
from sim.scores.registry import compute_scores
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.policies.brute_force import Case
from tests.policies.scripted import BLOCK, Script, play, plugged_zones
from workloads.guest_load import GuestLoad
from workloads.parts.together import Together
from workloads.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from policies.contract import Foresight, ZoneRequest
    from sim.memory.view import MemoryView
    from sim.record.run_result import RunResult


def worth(result: RunResult) -> float:
    return compute_scores(result)["movable_byte_seconds"]


# All zones there are --------------------------------------------------------------------------------------------------


def check_against_all_zones(seed: int) -> bool:
    """Whether zones are proved to be the best; that none are better, nor any pass the bound, has to be so anyway."""
    case = Case(random.Random(seed), random.Random(seed + 1000).randint(2, 8))  # noqa: S311
    mine = case.run(Clairvoyant())
    assert mine.foreseen is not None
    limit = mine.foreseen.bound_byte_seconds
    best = max(worth(result) for _, result in case.every_way())
    assert worth(mine) == best, seed
    assert limit is None or limit >= best, seed
    assert not mine.foreseen.proved or limit == best, seed
    return mine.foreseen.proved


@pytest.mark.parametrize("seed", [4, 16, 17, 23, 26, 27])
def test_no_zones_of_a_few_decisions_are_better(seed: int) -> None:
    """Among them five in which a plan for what the kernel seems to need misses the best."""
    assert check_against_all_zones(seed)


@pytest.mark.slow
def test_no_zones_of_up_to_eight_decisions_are_better() -> None:
    proved = [check_against_all_zones(seed) for seed in range(200)]
    assert sum(proved) >= 198


# Rivals ---------------------------------------------------------------------------------------------------------------


class Moody(Policy):
    """Decides by all that a policy may be told: how often it was asked, what has gone offline, what ran short."""

    name = "moody"
    summary = "remembers everything"

    def __init__(self) -> None:
        self.asked = self.gone = self.short = 0

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        self.asked += 1
        if (self.asked + self.gone) % 3 == 0 or self.short:
            return memory.default_kernel_zone(request.node, request.first_page, request.pages)
        return ZONE_MOVABLE

    def on_offline(self, node: int, zone: int, pages: int) -> None:
        self.gone += 1

    def on_pressure(self, node: int, kernel_headroom: int) -> None:
        self.short += 1


class Late(Moody):
    """Has user space put blocks online, a second and a half after they appear."""

    name = "late"
    auto_online = OnlineType.OFFLINE
    user_space = UserSpaceRules((UserSpaceRule(OnlineType.ONLINE, 1_500_000),))


class Broken(Policy):
    """Raises when it is asked."""

    name = "broken"
    summary = "raises"

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        raise RuntimeError("out of order")


def against(policy: Policy, script: Script, rivals: Sequence[Callable[[], Policy]] = (), **parts: Any) -> RunResult:  # noqa: ANN401
    machine = MachineSpec((NodeSpec(GIB),), slots=64)
    spec = GuestSpec(sample_every=10.0)
    return simulate(machine, policy, script, Streams(1, 0), timing=Timing(), guest=spec, rivals=rivals, **parts)


COMES_AND_GOES = Script(
    [
        *((3.0 * n, "dimm", f"d{n}", 4 * BLOCK) for n in range(9)),
        *((40.0 + n, "unplug", f"d{n}", 0) for n in range(4)),
        *((float(n), "kernel", "k", 10 * n * MIB) for n in range(1, 90, 4)),
        (60.0, "dimm", "late", 8 * BLOCK),
    ]
)


@pytest.mark.parametrize("rival", [Moody, Late, partial(Headroom, reserve=GIB // 2)])
def test_it_is_no_worse_than_a_rival_whatever_the_rival_does(
    rival: Callable[[], Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it finds nothing by itself: then the run is the rival's, event for event."""
    alone = against(rival(), COMES_AND_GOES)
    assert worth(against(Clairvoyant(rehearsals=10), COMES_AND_GOES, [Broken, rival])) >= worth(alone)
    monkeypatch.setattr("policies.clairvoyant.policy._SIMPLE", ())
    monkeypatch.setattr("policies.clairvoyant.policy.find_best", lambda *_: Outcome(proved=False, bound=None))
    followed = against(Clairvoyant(), COMES_AND_GOES, [OnlineKernel, Broken, rival, Offline])
    assert worth(alone) > 0
    assert np.array_equal(followed.events, alone.events)
    assert followed.foreseen == Foreseen(proved=False, rehearsals=4, bound_byte_seconds=None)


def test_the_run_is_the_best_rehearsal_event_for_event() -> None:
    seen: list[RunResult] = []

    class Watched(Clairvoyant):
        def foresee(self, foresight: Foresight) -> Policy | None:
            return super().foresee(Watching(foresight, seen))

    result = against(Watched(rehearsals=20), COMES_AND_GOES)
    assert len(seen) > 10
    same = [each for each in seen if np.array_equal(each.events, result.events)]
    assert same
    assert worth(result) == max(worth(replace(each, guest=result.guest)) for each in seen) > 0


class Watching:
    """Hands on what is asked of ``foresight``, and keeps what it shows."""

    def __init__(self, foresight: Foresight, seen: list[RunResult]) -> None:
        self.now = foresight.now
        self.rivals = foresight.rivals
        self._rehearse = foresight.rehearse
        self._seen = seen

    def rehearse(self, policy: Policy, *, brief: bool = False) -> RunResult:
        self._seen.append(self._rehearse(policy, brief=brief))
        return self._seen[-1]


OTHERS = [{"name": name} for name in lookup.names(lookup.POLICY) if name != "clairvoyant"]


def check_against_shipped_policies(seed: int, folder: Path) -> None:
    """Random traffic and load of many decisions, in an experiment with every policy there is."""
    rng = random.Random(seed)  # noqa: S311
    duration = 300
    dimms = {"name": "dimm-slots", "sizes": ["256MiB", "512MiB"], "slots": 40, "interval": 6, "grow_probability": 0.8}
    resizes = {"name": "virtio-mem-resize", "shape": "saw-tooth", "maximum": "4GiB", "step": "256MiB", "interval": 12}
    mix = {"name": "random-mix", "interval": 5, "virtio_mem_size": "4GiB", "dax_devices": 0, "dax_share": 0}
    reacts = {"name": "watermark", "low": "384MiB"}
    memory: dict[str, Any] = rng.choice((dimms, dimms, resizes, mix, reacts)) | {"duration": duration}
    load = {
        "name": "guest-load", "shape": rng.choice(("ramp", "bursts", "steps")), "duration": duration, "tick": 5,
        "size": f"{rng.randint(20, 60) * 100}MiB", "rate": f"{rng.randint(8, 40)}MiB",
        "kernel_share": rng.choice((0.03, 0.08, 0.15)), "kernel_kind": rng.choice(("kernel", "kernel", "page-tables")),
    }  # fmt: skip
    tables = {
        "seed": seed,
        "machines": [{"boot_memory": rng.choice(("768MiB", "1GiB", "1GiB")), "slots": 64}],
        "policies": [
            *OTHERS,
            {"name": "clairvoyant", "rehearsals": 40},
            {"name": "headroom", "label": "low", "reserve": "24MiB"},
            {"name": "auto-movable", "label": "high", "ratio": rng.choice((50, 600, 1200))},
        ],
        "workloads": [{"label": "w", "together": [memory, load]}],
        "guest": {"model": "linux"},
    }  # fmt: skip
    results = run_experiment(tables, folder, workers=1)
    runs = results.runs().set_index("policy")
    assert (runs["status"] == "completed").all(), runs["error"].dropna().tolist()
    worths = runs["movable_byte_seconds"].to_dict()
    assert worths["clairvoyant"] == max(worths.values()), seed
    assert (results.regret()["regret"] >= 0).all()
    limit = runs["plan_bound_byte_seconds"].to_dict()["clairvoyant"]
    assert np.isnan(limit) or limit >= worths["clairvoyant"]
    assert runs["plan_rehearsals"].notna().tolist() == [label == "clairvoyant" for label in runs.index]


def test_no_policy_of_an_experiment_is_better(tmp_path: Path) -> None:
    check_against_shipped_policies(0, tmp_path)


@pytest.mark.slow
def test_no_policy_that_ships_is_better_in_a_hundred_experiments(tmp_path: Path) -> None:
    for seed in range(100):
        check_against_shipped_policies(seed, tmp_path / str(seed))


# The rest -------------------------------------------------------------------------------------------------------------

VIRTIO = [(0.0, "virtio-mem", "v", GIB), *((5.0 + 10 * n, "resize", "v", (n + 1) * BLOCK) for n in range(8))]


def test_it_keeps_kernel_memory_only_for_what_is_to_come() -> None:
    script = Script([*VIRTIO, (50.0, "page-tables", "tables", 1000 * MIB)])
    movable = compute_scores(play(OnlineMovable(), script))
    kernel = compute_scores(play(OnlineKernel(), script))
    scores = compute_scores(play(Clairvoyant(), script))
    assert movable["kernel_ooms"] == 1
    assert kernel["kernel_ooms"] == scores["kernel_ooms"] == 0
    assert scores["movable_share_mean"] > 70 > kernel["movable_share_mean"] == 0
    assert scores["headroom_min"] < BLOCK < kernel["headroom_min"]


def test_it_keeps_to_the_contract_of_policies() -> None:
    assert check_policy(Clairvoyant, machines=10).decisions > 1_000


def test_without_a_guest_everything_is_movable() -> None:
    result = play(Clairvoyant(), Script([(1.0, "dimm", "d", GIB)]), guest=False)
    assert set(plugged_zones(result)) == {ZONE_MOVABLE}
    assert result.foreseen is not None
    assert result.foreseen.proved


def test_the_same_run_gives_the_same_bytes() -> None:
    script = Script([*VIRTIO, (50.0, "page-tables", "tables", 1000 * MIB)])
    first, second = play(Clairvoyant(), script), play(Clairvoyant(), script)
    assert np.array_equal(first.events, second.events)
    assert first.foreseen == second.foreseen


def test_where_no_zones_suffice_that_is_proved_and_it_fails_as_late_as_can_be() -> None:
    script = Script(
        [(0.0, "dimm", "d", 2 * BLOCK), (3.0, "page-tables", "t", 900 * MIB), (5.0, "kernel", "k", 3 * GIB)]
    )
    result = play(Clairvoyant(), script)
    assert result.foreseen is not None
    assert (result.foreseen.proved, result.foreseen.bound_byte_seconds, worth(result)) == (True, 0, 0)
    assert compute_scores(result)["kernel_oom_first"] == 5


def test_where_what_is_asked_for_depends_on_the_zones_nothing_is_said_to_be_proved() -> None:
    """A host that reacts to MemAvailable asks for other sizes at other times under every policy."""

    def outcome(policy: Policy) -> RunResult:
        memory = Watermark(low=512 * MIB, step=256 * MIB, maximum=8 * GIB, duration=600.0)
        load = GuestLoad(shape="bursts", size=4 * GIB, rate=100 * MIB, kernel_share=0.25, burst_gap=40.0, tick=1.0)
        both = Together(parts=[memory, load], names=["memory", "load"])
        spec = GuestSpec(sample_every=10.0)
        rivals = [partial(Headroom, reserve=96 * MIB)]
        return simulate(MachineSpec((NodeSpec(GIB),)), policy, both, Streams(3, 0), guest=spec, rivals=rivals)

    mine = outcome(Clairvoyant(rehearsals=10))
    assert mine.foreseen == Foreseen(proved=False, rehearsals=10 + 6, bound_byte_seconds=None)
    assert worth(mine) >= max(worth(outcome(Headroom(reserve=96 * MIB))), worth(outcome(Headroom()))) > 0


def test_it_needs_some_rehearsals() -> None:
    with pytest.raises(ValueError, match=r"^rehearsals: must be at least 10, but is 9$"):
        Clairvoyant(rehearsals=9)
