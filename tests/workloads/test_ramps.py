"""Controllers that look now and then beside programs that take memory all the time, in guests that are modelled."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB, MICROSECONDS
from tests.support.pages import PAGE_SIZE
from tests.workloads.watched_guest import poll
from workloads.guest_load import GuestLoad
from workloads.parts.controllers.watch import watch
from workloads.parts.together import Together
from workloads.psi_governor import PsiGovernor
from workloads.watermark import Watermark

if TYPE_CHECKING:
    from sim.record.run_result import RunResult
    from workloads.contract import Workload


def run(controller: Workload, load: GuestLoad, boot: int) -> RunResult:
    work = Together(parts=[controller, load])
    return simulate(MachineSpec(nodes=(NodeSpec(boot),)), OnlineMovable(), work, Streams(1, 0), guest=GuestSpec())


def lives(controller: Workload, rate: int, boot: int = 4 * GIB) -> bool:
    """Whether a program lives that takes ``rate`` bytes a second until it has three times the boot memory."""
    load = GuestLoad(shape="ramp", start=300.0, size=3 * boot, rate=rate, duration=360.0 + 3 * boot / rate)
    return not (run(controller, load, boot).events[:, 1] == EventKind.OOM).any()


def requests(result: RunResult) -> list[tuple[float, int]]:
    """Return (seconds, MiB) of what was asked for."""
    events = result.events[result.events[:, 1] == EventKind.REQUEST]
    return [(at / MICROSECONDS, pages * PAGE_SIZE // MIB) for at, pages in events[:, [0, 6]].tolist()]


def test_the_psi_governor_keeps_up_with_four_percent_of_a_guest_a_second() -> None:
    """It sees 20 percent five seconds late, and 8 percent two seconds late."""
    assert lives(PsiGovernor(maximum=16 * GIB), 4 * GIB // 25)
    assert not lives(PsiGovernor(maximum=16 * GIB), 4 * GIB // 12)


def test_a_leak_of_47_mib_a_second_is_followed_by_the_governor_and_outgrows_512_mib_a_minute() -> None:
    assert lives(PsiGovernor(maximum=16 * GIB), 47 * MIB)
    assert not lives(Watermark(preset="proxmox", maximum=16 * GIB), 47 * MIB)
    assert lives(Watermark(preset="proxmox", maximum=16 * GIB), 8 * MIB)


def test_a_sandbox_of_512_mib_swings_in_a_modelled_guest_too() -> None:
    load = GuestLoad(size=300 * MIB, duration=600.0)
    assert requests(run(PsiGovernor(duration=600.0), load, 512 * MIB)) == [
        (10.0, 256), (72.0, 0), (193.0, 256), (255.0, 0), (376.0, 256), (438.0, 0), (559.0, 256)
    ]  # fmt: skip


def test_a_host_that_takes_whole_blocks_only_refuses_most_growths_of_the_governor() -> None:
    """As Cloud Hypervisor does: the size that would be 45 percent is no whole number of device blocks."""
    load = GuestLoad(size=GIB + 700 * MIB, duration=400.0)
    result = run(PsiGovernor(unaligned="refused", duration=400.0), load, 2 * GIB)
    assert requests(result) == []
    failed = result.events[result.events[:, 1] == EventKind.FAILED]
    assert len(failed) == result.counters["failed_requests"] > 3


def random_loads(seed: int) -> tuple[int, list[GuestLoad]]:
    """Boot memory, and loads that wait for memory, give up cache and are killed now and then."""
    rng = random.Random(seed)  # noqa: S311  not for secrets
    boot = rng.choice((512 * MIB, GIB, 2 * GIB))
    return boot, [
        GuestLoad(
            kind=rng.choice(("anonymous", "page-cache")), shape=rng.choice(("constant", "ramp", "bursts", "steps")),
            size=int(boot * rng.uniform(0.2, 1.6)) // MIB * MIB, rate=rng.choice((20, 50, 200)) * MIB,
            start=rng.choice((0.0, 10.0, 17.3)), end=rng.choice((200.0, 299.9)), duration=400.0, load=name,
        )
        for name in "abc"
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 2, 5, 6, 11])
def test_skipped_looks_make_no_difference_to_a_modelled_guest_under_pressure(seed: int) -> None:
    """Its pressure rises after what caused it, and falls by itself; neither is told as a change."""
    boot, loads = random_loads(seed)
    found = []
    for watching in (watch, poll):
        with mock.patch("workloads.parts.controllers.controller.watch", watching):
            work = Together(parts=[PsiGovernor(), *loads])
            found.append(
                simulate(MachineSpec(nodes=(NodeSpec(boot),)), OnlineMovable(), work, Streams(1, 0), guest=GuestSpec())
            )
    assert requests(found[0])
    assert found[0].events.tobytes() == found[1].events.tobytes()
