"""A recorded machine's demand in a modelled guest: what the guest reports then is what the trace says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.guest.contract import OomKind
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.events import Events
from sim.streams import Streams
from sim.units import GIB, MIB
from workloads.contract import Workload
from workloads.guest_trace import GuestTrace
from workloads.parts.together import Together
from workloads.parts.traces.kernel_relations import RELATIONS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import simpy

    from sim.guest.report import GuestReport
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as AnyStreams

QUANTITIES = ("user", "page_cache", "slab_reclaimable", "slab_unreclaimable", "page_tables", "kernel_stacks")
COLUMNS = {"time": "t", **{name: {"column": name, "unit": MIB} for name in QUANTITIES}}
MACHINE = MachineSpec((NodeSpec(8 * GIB),), kernel="6.12")


class Looks(Workload):
    """Looks at the guest before the first sample, and in the middle between any two of them."""

    name: ClassVar[str] = "looks"
    summary: ClassVar[str] = "a workload for this test"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.reports: list[GuestReport] = []

    def duration(self) -> float:
        return self._seconds

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        for wait in (0, 30, *[60] * (round(self._seconds) // 60 - 1)):
            if wait:
                yield host.env.timeout(wait * 1_000_000)
            report = host.report()
            if report is not None:
                self.reports.append(report)


def played(
    tmp_path: Path,
    text: str,
    machine: MachineSpec = MACHINE,
    **given: Any,  # noqa: ANN401  parameters
) -> tuple[Looks, RunResult, GuestTrace]:
    """Play a trace of samples a minute apart, and look at the guest. Looks come first in a microsecond."""
    path = tmp_path / "trace.csv"
    path.write_text(text, "utf-8")
    trace = GuestTrace(path=str(path), columns=given.pop("columns", COLUMNS), **given)
    looks = Looks(trace.duration())
    result = simulate(machine, OnlineMovable(), Together(parts=[looks, trace]), Streams(1, 0), guest=GuestSpec())
    return looks, result, trace


def test_what_a_trace_tells_is_what_the_guest_reports(tmp_path: Path) -> None:
    rows = [
        (1000, 500, 100, 80, 30, 12),
        (3000, 900, 300, 120, 60, 20),
        (3500, 200, 80, 150, 70, 25),
        (200, 100, 60, 60, 10, 6),
    ]
    text = "t," + ",".join(QUANTITIES) + "\n"
    text += "".join(f"{60 * n}," + ",".join(map(str, row)) + "\n" for n, row in enumerate(rows))
    looks, _, _ = played(tmp_path, text)
    boot, *reports = looks.reports
    for row, report in zip(rows, reports, strict=True):
        told = dict(zip(QUANTITIES, row, strict=True))
        # User memory is the programs', what the system has booted with beside it.
        assert (report.anonymous - boot.anonymous) / MIB == pytest.approx(told["user"], abs=0.01)
        assert report.cached / MIB == pytest.approx(told["page_cache"], abs=0.1)
        assert report.slab_reclaimable / MIB == pytest.approx(told["slab_reclaimable"], abs=0.1)
        assert report.slab_unreclaimable / MIB == pytest.approx(told["slab_unreclaimable"], abs=0.1)
        assert report.page_tables / MIB == pytest.approx(told["page_tables"], rel=0.004)
        assert report.kernel_stacks / MIB == pytest.approx(told["kernel_stacks"], abs=0.01)


@pytest.mark.parametrize("kernel", RELATIONS)
def test_kernel_memory_that_follows_is_what_the_relation_says(tmp_path: Path, kernel: str) -> None:
    columns = {"time": "t", "user": {"column": "user", "unit": MIB}}
    looks, _, _ = played(tmp_path, "t,user\n0,1024\n60,4096\n", columns=columns, kernel=kernel)
    boot, *reports = looks.reports
    parts = ("slab_unreclaimable", "page_tables", "kernel_stacks")
    for gib, report in zip((1, 4), reports, strict=True):
        expected = 0.0
        for quantity in parts:
            curve, least = RELATIONS[kernel].curves.get(quantity), getattr(boot, quantity) / MIB
            expected += least if curve is None else max(least, curve.base + curve.rate * gib**curve.power)
        assert sum(getattr(report, quantity) for quantity in parts) / MIB == pytest.approx(expected, rel=0.002)


def test_whole_machines_use_is_that_of_the_guest(tmp_path: Path) -> None:
    columns = {"time": "t", "user": {"column": "used", "unit": MIB}}
    text = "t,used\n0,700\n60,4000\n120,20\n"
    for kernel in ("none", *RELATIONS):
        looks, _, _ = played(tmp_path, text, columns=columns, kernel=kernel, includes_system=True)
        boot, *reports = looks.reports
        # Without a relation the guest's own page tables, 2.1 MiB in the GiB, come on top; so does what CPU lists hold.
        for report, used in zip(reports, (700, 4000), strict=False):
            assert (report.total - report.free - report.cached) / MIB == pytest.approx(used, abs=20)
        assert reports[2].anonymous == boot.anonymous


@pytest.mark.parametrize(("programs", "restart", "kills"), [(1, 10.0, 5), (1, 0.0, 1), (4, 0.0, 2)])
def test_programs_that_do_not_fit_are_killed_and_tried_again(
    tmp_path: Path, programs: int, restart: float, kills: int
) -> None:
    columns = {"time": "t", "user": {"column": "user", "unit": MIB}}
    text = "t,user\n0,400\n60,1600\n240,400\n"
    small = MachineSpec((NodeSpec(GIB),))
    _, result, trace = played(
        tmp_path, text, small, columns=columns, kernel="none", programs=programs, restart=restart, tail=60.0
    )
    assert trace.kills == Events.of(result.events).ooms(OomKind.GUEST_FULL).sum() == kills
    unserved = dict(zip(result.guest["t_us"].tolist(), result.guest["unserved"].tolist(), strict=True))
    # One alone tries at 60, 70, 90, 130 and 210 s, and not again before the end.
    assert unserved[max(unserved)] == (400 if programs == 1 else 200) * MIB // 4096
