"""Dropped page cache comes back in whole runs: the same whoever looks when, and in nobody's way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar
from unittest import mock

import numpy as np
import pytest

from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.guest.read_back import ReadBack
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.machine.test_changes import Programs
from workloads.contract import Workload
from workloads.parts.together import Together
from workloads.random_mix import RandomMix

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from policies.contract import Policy
    from sim.guest.report import GuestReport
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as AnyStreams

SECOND = 1_000_000


class Looks(Workload):
    """Somebody looks at the guest at random moments, at every whole second too, or at none."""

    name: ClassVar[str] = "looks"
    summary: ClassVar[str] = "a workload for this test"

    def __init__(self, seed: int | None) -> None:
        self._seed = seed

    def duration(self) -> float:
        return 200.0

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        del streams
        if self._seed is None:
            return
        random = np.random.default_rng(self._seed)
        while True:
            pause = int(random.choice((1, int(random.integers(1, 3 * SECOND)), SECOND - int(host.env.now) % SECOND)))
            yield host.env.timeout(pause)
            host.report()
            if random.random() < 0.3:
                host.changed()


@pytest.mark.parametrize("seed", range(2))
def test_a_run_is_the_same_whoever_looks_at_the_guest_and_when(seed: int) -> None:
    def run(looks: int | None) -> tuple[bytes, int]:
        parts = (RandomMix(maximum=6 * GIB, interval=9.0, duration=200.0), Programs(), Looks(looks))
        machine = MachineSpec((NodeSpec(2 * GIB),), kernel=("6.1", "6.12")[seed % 2])
        guest = GuestSpec({"cache_active_share": 0.9, "cache_reuse_seconds": 10.0})
        came = 0

        def tick(self: ReadBack) -> bool:
            nonlocal came
            some = plain(self)
            came += some
            return some

        with mock.patch.object(ReadBack, "tick", tick):
            result = simulate(machine, OnlineMovable(), Together(parts=parts), Streams(seed, 0), guest=guest)
        return result.events.tobytes() + b"".join(column.tobytes() for column in result.guest.values()), came

    plain = ReadBack.tick
    unlooked, came = run(None)
    assert came > 20
    assert run(seed) == (unlooked, came)


class AskedBack(Workload):
    """A file fills 4 GiB that were plugged, and all of it is asked back."""

    name: ClassVar[str] = "asked-back"
    summary: ClassVar[str] = "a workload for this test"

    def __init__(self, kind: str, looks: int) -> None:
        self._kind = kind
        self._looks = looks
        self.seen: list[tuple[GuestReport, int]] = []

    def duration(self) -> float:
        return 111.0 + 10 * self._looks

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        del streams
        virtio_mem = self._kind == "virtio-mem"
        host.plug(VirtioMemSpec("d", 4 * GIB, requested=4 * GIB) if virtio_mem else DimmSpec("d", 4 * GIB))
        yield host.env.timeout(100 * SECOND)
        host.set_demand("/f", "page-cache", 4 * GIB + 512 * MIB)
        yield host.env.timeout(10 * SECOND)
        if virtio_mem:
            host.resize("d", 0)
        else:
            host.unplug("d")
        for _ in range(self._looks):
            yield host.env.timeout(10 * SECOND)
            report = host.report()
            assert report is not None
            self.seen.append((report, host.plugged("d")))


def asked_back(
    kind: str, policy: Policy, share: float, timing: Timing | None = None, looks: int = 20
) -> tuple[AskedBack, RunResult]:
    workload = AskedBack(kind, looks)
    guest = GuestSpec({"cache_active_share": share})
    machine = MachineSpec((NodeSpec(2 * GIB),))
    return workload, simulate(machine, policy, workload, Streams(1, 0), timing=timing or Timing(), guest=guest)


@pytest.mark.parametrize("policy", [OnlineMovable(), OnlineKernel()], ids=lambda policy: policy.name)
@pytest.mark.parametrize("kind", ["virtio-mem", "dimm"])
def test_what_comes_back_keeps_no_memory_from_going_that_went_without_it(kind: str, policy: Policy) -> None:
    """However long a block takes to go: a second's pages are read back between one and the next."""
    slow = replace(Timing(), offline=700_000)
    runs = [(0.0, Timing()), (1.0, Timing()), (1.0, slow)]
    plugged = [asked_back(kind, policy, share, timing)[0].seen[-1][1] for share, timing in runs]
    assert len(set(plugged)) == 1
    assert policy.name != "online-movable" or plugged[0] == 0


def test_what_is_in_use_comes_back_into_what_is_left_and_then_pressure_fades() -> None:
    workload, result = asked_back("virtio-mem", OnlineMovable(), 0.25, looks=70)
    first, last = workload.seen[0][0], workload.seen[-1][0]
    assert first.pressure.some_avg10 > 5
    # A quarter of 4.5 GiB, and what the guest's kernel has from boot.
    assert GIB * 9 // 8 <= last.cached < GIB * 9 // 8 + 10 * MIB
    assert last.pressure.some_avg10 == 0
    assert [seen.pressure.some_avg10 < 1 for seen, _ in workload.seen] == [False] * 9 + [True] * 61
    # Page cache that was dropped is no demand that is not served: its programs have what they ask for, only later.
    assert not result.guest["unserved"].any()
