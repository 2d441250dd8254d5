"""The PSI governor in a modelled guest: a squeeze in which page cache was dropped ends, and its pressure with it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from workloads.contract import Workload
from workloads.parts.together import Together
from workloads.psi_governor import PsiGovernor

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from sim.guest.report import Pressure
    from workloads.contract import Host
    from workloads.contract import Streams as AnyStreams

SECOND = 1_000_000


class Squeeze(Workload):
    """Page cache, and from 60 s on a program that takes more than is left beside it, all at once."""

    name: ClassVar[str] = "squeeze"
    summary: ClassVar[str] = "a workload for this test"

    def __init__(self, cache: int, program: int) -> None:
        self._cache = cache
        self._program = program
        self.pressures: list[Pressure] = []

    def duration(self) -> float:
        return 900.0

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        del streams
        host.set_demand("/f", "page-cache", self._cache)
        yield host.env.timeout(60 * SECOND)
        host.set_demand("program", "anonymous", self._program)
        while True:
            report = host.report()
            assert report is not None
            self.pressures.append(report.pressure)
            yield host.env.timeout(10 * SECOND)


def test_an_emergency_of_dropped_page_cache_is_over_once_it_has_been_read_back() -> None:
    """8 GiB of cache wanted, 2 in use: gone, everybody waits in half of the time, until all is back a minute later.

    Meanwhile it has grown far beyond what leaves 45 percent, so that it gives half of its range back: with a range of
    60 GiB that is all it has, and the cache is gone again.
    """
    squeeze = Squeeze(8 * GIB, 3000 * MIB)
    work = Together(parts=[squeeze, PsiGovernor(maximum=60 * GIB)])
    guest = GuestSpec({"full_stall_share": 1.0})
    result = simulate(MachineSpec((NodeSpec(4 * GIB),)), OnlineMovable(), work, Streams(1, 0), guest=guest)
    assert not (result.events[:, 1] == EventKind.OOM).any()
    requests = result.events[result.events[:, 1] == EventKind.REQUEST][:, [0, 6]]
    sizes = [(int(at) // SECOND, int(size) * 4096 // MIB) for at, size in requests]
    growth = [at for (_, before), (at, size) in pairwise(sizes) if size > before]
    shrinks = [at for (_, before), (at, size) in pairwise(sizes) if size < before]
    assert len(shrinks) > 3
    for began, ended in pairwise([60, *shrinks]):
        emergency = [at for at in growth if began < at < ended]
        assert 60 < emergency[-1] - emergency[0] < 90
        # All that is asked for after it is what it gives back, once it has rested.
        assert ended - emergency[-1] == 62
    full = [pressure.full_avg10 for pressure in squeeze.pressures]
    assert max(full) > 50
    assert all(full[shrink // 10 - 6] < 1 for shrink in shrinks)
