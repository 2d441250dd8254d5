"""What clairvoyant reads from a rehearsal, and what it makes of several: on rehearsals that are made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from policies.clairvoyant import Clairvoyant
from policies.clairvoyant.future import Outlook
from policies.clairvoyant.plan import Device, Item, Need, Plan
from policies.fixed import OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from sim.guest import OomKind
from sim.memory.errors import EBUSY, ENOMEM
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP, dynamic_group
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, RunResult
from tests.policies.stage import BLOCK, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from policies.contract import Policy
    from sim.record.device_group import DeviceGroup

M, N = ZONE_MOVABLE, ZONE_NORMAL
S = 1_000_000
END = 100 * S
PLUG, UNPLUG, FAILED, OOM = EventKind.PLUG, EventKind.UNPLUG, EventKind.FAILED, EventKind.OOM
Event = tuple[float, EventKind, int, int, int, int]
"""Second, kind, device, block, blocks, zone."""

TWO_DIMMS = (STATIC_GROUP, STATIC_GROUP)
NOTHING_USED = ((0.0, 0, 0, 0),)


def rehearsed(
    *events: Event,
    groups: Sequence[DeviceGroup] = TWO_DIMMS,
    samples: Sequence[tuple[float, int, int, int]] = NOTHING_USED,
) -> RunResult:
    """Return a run of 100 s; ``samples`` are (second, free for the kernel, free in MOVABLE, used by programs)."""
    rows = [(round(t * S), kind, *rest, rest[2] * BLOCK) for t, kind, *rest in events]
    table = np.array(samples, dtype=np.float64).reshape(-1, 4)
    return RunResult(
        events=np.array(rows, dtype=np.int64).reshape(-1, 7),
        device_names=tuple(f"d{number}" for number in range(len(groups))),
        device_nodes=(0,) * len(groups),
        device_groups=tuple(groups),
        block_pages=BLOCK,
        duration_us=END,
        boot=BootMemory((BootRun(0, 8, N, 0),), 8 * BLOCK, 0, 8 * BLOCK),
        configured_ratio=None,
        counters={},
        guest={
            "t_us": np.round(table[:, 0] * S).astype(np.int64),
            **{
                name: table[:, n].astype(np.int64)
                for n, name in enumerate(("headroom_free", "free_movable", "user"), 1)
            },
        },
    )


# One rehearsal --------------------------------------------------------------------------------------------------------


def test_what_comes_when_is_items_and_steps_of_devices() -> None:
    seen = Outlook(
        rehearsed(
            (1, PLUG, 0, 40, 2, N),
            (2, PLUG, 1, 64, 4, M),
            (3, PLUG, 1, 68, 2, N),
            (20, UNPLUG, 1, 64, 4, M),
            (30, UNPLUG, 0, 40, 2, N),
            groups=(STATIC_GROUP, dynamic_group(2 * BLOCK)),
        )
    )
    assert seen.future.items == (Item(1 * S, 30 * S, 2 * BLOCK),)
    steps = ((2 * S, 1), (2 * S, 1), (3 * S, 1), (20 * S, -1), (20 * S, -1))
    assert seen.future.devices == (Device(2 * BLOCK, steps),)
    assert seen.future.end_us == END
    assert seen.kinds() == {
        **{block: [(1 * S, True)] for block in (40, 41)},
        **{block: [(2 * S, False)] for block in (64, 65, 66, 67)},
        **{block: [(3 * S, True)] for block in (68, 69)},
    }
    planned = seen.kinds(Plan((False,), ((True, False, False),)))
    assert {block: kind for block, ((_, kind),) in planned.items()} == {
        **dict.fromkeys((64, 65), True),
        **dict.fromkeys((40, 41, 66, 67, 68, 69), False),
    }
    assert seen.movable_page_seconds == 18 * 4 * BLOCK


def test_what_the_kernel_needs_is_what_it_has_less_what_is_free_or_borrowed() -> None:
    """Two kernel blocks from second 1, a MOVABLE one from second 2. In doubt is a sixteenth of the smallest: 2048."""
    samples = (
        (0.5, 9000, 0, 700),
        (10.0, 1000, BLOCK - 400, 400),
        (11.0, 1000, BLOCK - 400, 500),
        (12.0, 1000, 0, BLOCK + 5000),
        (12.0, 3000, 0, BLOCK + 5000),
        (13.0, 2 * BLOCK - 2048, BLOCK, 0),
        (14.0, 2 * BLOCK - 2049, BLOCK, 0),
    )
    events = (1, PLUG, 0, 40, 2, N), (2, PLUG, 1, 50, 1, M)
    seen = Outlook(rehearsed(*events, groups=(STATIC_GROUP, dynamic_group(BLOCK)), samples=samples))
    has = 2 * BLOCK - 2048
    assert seen.needs() == [
        Need(S // 2, 0),
        Need(10 * S, has - 1000),
        Need(11 * S, has - 1000 - 100),
        Need(12 * S, has - 1000 - 5000),
        Need(13 * S, 0),
        Need(14 * S, 1),
    ]


def test_what_went_wrong_is_told_by_its_kind() -> None:
    seen = Outlook(
        rehearsed(
            (1, PLUG, 0, 40, 3, N),
            (2, PLUG, 1, 50, 2, M),
            (3, OOM, -1, 0, 1, int(OomKind.GUEST_FULL)),
            (3, OOM, -1, 0, 1, int(OomKind.MIGRATION)),
            (4, FAILED, 0, -1, 0, EBUSY),
            (5, FAILED, -1, -1, 0, ENOMEM),
            (6, UNPLUG, 0, 40, 1, N),
            (7, OOM, -1, 0, 1, int(OomKind.KERNEL)),
            (8, PLUG, 0, 60, 1, N),
            (9, FAILED, 1, -1, 0, ENOMEM),
        )
    )
    assert (seen.kernel_failures, seen.ooms) == (2, 3)
    # A page more than the two kernel blocks that were there, just before it went wrong.
    assert seen.failure == Need(7 * S - 1, 2 * BLOCK + 1)
    assert Outlook(rehearsed((0, FAILED, 1, -1, 0, ENOMEM))).failure == Need(0, 1)
    assert Outlook(rehearsed((3, OOM, -1, 0, 1, int(OomKind.GUEST_FULL)))).failure is None


# Several --------------------------------------------------------------------------------------------------------------


class Foreseen:
    """Rehearses by a function of the policy; notes where each plan would put the blocks of ``asked``."""

    def __init__(self, result: Callable[[Policy, int], RunResult], asked: Sequence[int] = ()) -> None:
        self.result = result
        self.asked = asked
        self.at = 0
        self.count = 0
        self.plans: list[list[int]] = []

    def now(self) -> int:
        return self.at

    def rehearse(self, policy: Policy) -> RunResult:
        self.count += 1
        if not isinstance(policy, (OnlineKernel, OnlineMovable, Headroom)):
            self.plans.append(zones(policy, self.asked))
        return self.result(policy, len(self.plans))


STAGE = Stage(BLOCK)


def zones(policy: Policy, blocks: Sequence[int]) -> list[int]:
    return [policy.zone_for(STAGE.request(block), STAGE.view) for block in blocks]


def test_that_the_kernel_has_enough_counts_more_than_that_nobody_is_killed() -> None:
    killed = [(float(t), OOM, -1, 0, 1, int(OomKind.GUEST_FULL)) for t in (5, 6, 7)]
    starved = (5, OOM, -1, 0, 1, int(OomKind.KERNEL))

    def result(policy: Policy, _: int) -> RunResult:
        if isinstance(policy, OnlineKernel):
            return rehearsed((1, PLUG, 0, 200, 1, N), *killed, samples=((0, 0, 0, 0),))
        return rehearsed((1, PLUG, 0, 200, 1, M), starved)

    foreseen = Foreseen(result, [200])
    policy = Clairvoyant()
    policy.foresee(foreseen)
    # The best plan seemed to be kernel memory, or after its failure the same; it is not what was rehearsed last.
    assert zones(policy, [200]) == [N]


def test_of_equally_good_ones_that_with_more_movable_memory_is_followed() -> None:
    def result(policy: Policy, _: int) -> RunResult:
        if isinstance(policy, OnlineMovable):
            return rehearsed((1, PLUG, 0, 200, 1, M), (9, PLUG, 1, 210, 1, N))
        if isinstance(policy, (OnlineKernel, Headroom)):
            return rehearsed((1, PLUG, 0, 200, 1, N), (9, PLUG, 1, 210, 1, M))
        return rehearsed((1, PLUG, 0, 200, 1, N), (9, PLUG, 1, 210, 1, N))

    policy = Clairvoyant()
    policy.foresee(Foreseen(result))
    assert zones(policy, [200, 210]) == [M, N]


@pytest.mark.parametrize(("second", "zone"), [(0, N), (1, N), (14, N), (17, M), (30, M), (99, M)])
def test_a_block_goes_where_it_went_at_the_nearest_time(second: int, zone: int) -> None:
    """It is kernel memory from second 1 to 20, and MOVABLE from second 30 on: the nearer one from 15.5 on."""
    events = (1, PLUG, 0, 200, 1, N), (20, UNPLUG, 0, 200, 1, N), (30, PLUG, 1, 200, 1, M)
    needed = ((0, 0, 0, 0), (5, 0, 0, 0), (25, BLOCK, 0, 0))
    foreseen = Foreseen(lambda *_: rehearsed(*events, samples=needed))
    policy = Clairvoyant()
    policy.foresee(foreseen)
    foreseen.at = second * S
    assert zones(policy, [200]) == [zone]
    assert zones(policy, [201]) == [M]


def test_a_failure_asks_for_more_at_its_moment_and_not_for_long() -> None:
    """Two DIMMs, one until second 20, one until the end; a failure at second 10 takes the one that costs less."""
    dimms = (1, PLUG, 0, 200, 1, M), (1, PLUG, 1, 210, 1, M), (20, UNPLUG, 0, 200, 1, M)

    def result(_: Policy, plans: int) -> RunResult:
        fails = [(10, OOM, -1, 0, 1, int(OomKind.KERNEL))] if plans == 1 else []
        events = sorted([*dimms, *fails], key=lambda event: event[0])
        return rehearsed(*events)

    foreseen = Foreseen(result, [200, 210])
    Clairvoyant().foresee(foreseen)
    assert foreseen.plans[:2] == [[M, M], [N, M]]


@pytest.mark.parametrize("most", [10, 12])
def test_it_rehearses_as_often_as_it_may_and_no_more(most: int) -> None:
    """Every plan fails for want of one more unit."""
    units = [(float(n + 1), PLUG, 0, 200 + n, 1, N) for n in range(20)]
    fails = (50, OOM, -1, 0, 1, int(OomKind.KERNEL))

    def result(policy: Policy, plans: int) -> RunResult:
        if isinstance(policy, OnlineKernel):
            return rehearsed(*units, groups=(dynamic_group(BLOCK),), samples=((0, 99 * BLOCK, 0, 0),))
        kernel = [(*unit[:5], N if n < plans else M) for n, unit in enumerate(units)]
        return rehearsed(*kernel, fails, groups=(dynamic_group(BLOCK),))

    foreseen = Foreseen(result, range(200, 220))
    Clairvoyant(rehearsals=most).foresee(foreseen)
    assert foreseen.count == most
    # One as the start, four reserves and all MOVABLE; then one plan after the other, each with a unit more.
    assert [plan.count(N) for plan in foreseen.plans] == [0, *range(2, most - 5)]
    # As late as it can be: the last units become kernel memory.
    assert foreseen.plans[-1] == [M] * (20 - (most - 6)) + [N] * (most - 6)
