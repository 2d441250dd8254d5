"""What kernels logged beside what the simulation makes of the same requests: sizes in their order, and times.

Logged times are facts from the sources named in ``workloads/data`` and in the profiles of :mod:`sim.kernel.timing`.
Those that a profile was taken from are marked: there the two agree because they were made to.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, NamedTuple

from policies.contig_zones import ContigZones
from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import PROFILES
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.events import PLUGGED_SIGN
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from workloads.request_replay import RequestReplay
from workloads.steps import Steps

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.record.run_result import RunResult
    from workloads.contract import Workload

Sort = Literal["measured", "at most", "taken from it"]


class Row(NamedTuple):
    """A time from a request (or from another block) on, in milliseconds, as logged and as simulated."""

    log: str
    what: str
    logged_ms: float
    sort: Sort
    simulated_ms: float

    @property
    def factor(self) -> float:
        """How many times one is the other; of an upper bound the simulated share of it."""
        ratio = self.simulated_ms / self.logged_ms
        return ratio if self.sort == "at most" else max(ratio, 1 / ratio)

    def markdown(self) -> str:
        """The row as the page has it."""
        cells = (
            f"`{self.log}`",
            self.what,
            f"{self.logged_ms:.1f}",
            self.sort,
            f"{self.simulated_ms:.1f}",
            f"{self.factor:.2f}",
        )
        return f"| {' | '.join(cells)} |"


class Run:
    """A run of one device."""

    def __init__(self, boot: int, workload: Workload, profile: str, policy: Policy | None = None) -> None:
        machine = MachineSpec((NodeSpec(boot),))
        self.result: RunResult = simulate(
            machine,
            policy or OnlineMovable(),
            workload,
            Streams(1, 0),
            timing=PROFILES[profile].timing(),
            guest=GuestSpec(),
        )
        self.events = self.result.events.tolist()

    def after(self, request_us: int, until_us: int) -> tuple[float, float, int]:
        """Return when the first and the last block came or went after a request (ms), and what is plugged then."""
        signs = PLUGGED_SIGN.tolist()
        changes = [row[0] for row in self.events if signs[row[1]] and request_us <= row[0] < until_us]
        plugged = sum(signs[row[1]] * row[6] for row in self.events if row[0] < until_us) * self.result.page_size
        return (changes[0] - request_us) / 1e3, (changes[-1] - request_us) / 1e3, plugged

    def times(self, kind: EventKind) -> list[float]:
        """Return the times (ms) of all events of a kind."""
        return [row[0] / 1e3 for row in self.events if row[1] == kind]


def requested(log: str) -> list[tuple[int, int]]:
    """Return the microseconds and sizes of a shipped log's requests, and the end."""
    workload = RequestReplay(log=log)
    sizes = [(request.t_us, request.size) for _, request in workload.timeline() if request.op == "resize"]
    return [*sizes, (round(workload.duration() * 1e6), 0)]


def sizes_reached(log: str, boot: int) -> list[tuple[int, int]]:
    """Return, for each request of a log, what it asked for and what was there when the next one came."""
    run, asked = Run(boot, RequestReplay(log=log), log), requested(log)
    return [(size, run.after(t_us, until)[2]) for (t_us, size), (until, _) in itertools.pairwise(asked)]


def neonvm() -> list[Row]:
    """PR 705: the kernel rebuilds its zone lists when a zone's first pages come and when its last ones go."""
    asked = requested("neonvm-pr705")
    run = Run(GIB, RequestReplay(log="neonvm-pr705"), "neonvm-pr705")
    found = [run.after(t_us, until) for (t_us, _), (until, _) in itertools.pairwise(asked)]
    rows = []
    for cycle, logged in ((0, 14.547), (1, 10.525), (2, 9.721)):
        sort: Sort = "taken from it" if cycle == 1 else "measured"
        rows.append(Row("neonvm-pr705", f"growth {cycle + 1}: first block online", logged, sort, found[2 * cycle][0]))
    for cycle, logged in ((0, 6826.918), (1, 6790.241)):
        sort = "taken from it" if cycle == 1 else "measured"
        rows.append(Row("neonvm-pr705", f"shrink {cycle + 1}: last block gone", logged, sort, found[2 * cycle + 1][1]))
    for number, what in ((0, "growth 1"), (1, "shrink 1"), (2, "growth 2"), (3, "shrink 2")):
        until = (asked[number + 1][0] - asked[number][0]) / 1e3
        rows.append(Row("neonvm-pr705", f"{what}: complete", until, "at most", found[number][1]))
    return rows


def sail() -> list[Row]:
    """The stepped run: MemTotal rises between two samples; and each request was reached when the next one came."""
    asked = requested("sail-2026")
    run = Run(1976 * MIB, RequestReplay(log="sail-2026"), "sail-2026")
    found = [run.after(t_us, until) for (t_us, _), (until, _) in itertools.pairwise(asked)]
    rows = [
        Row("sail-2026", "growth 1: MemTotal's jump", 300.0, "at most", found[0][1]),
        Row("sail-2026", "growth 2: MemTotal's jump", 200.0, "taken from it", found[1][1]),
    ]
    for number, what in enumerate(("growth 1", "growth 2", "shrink 1", "shrink 2")):
        until = (asked[number + 1][0] - asked[number][0]) / 1e3
        rows.append(Row("sail-2026", f"{what}: complete", until, "at most", found[number][1]))
    return rows


def dimms() -> list[Row]:
    """Two removals of a DIMM of eight blocks: the default time to take a block offline is that of the first."""
    free = Run(4 * GIB, Steps(steps=["plug dimm:1GiB,id=d", "unplug d"]), "neon")
    held = Run(GIB, Steps(steps=["plug dimm:1GiB,id=d", "unplug d"]), "neon", ContigZones())
    gone, went = free.times(EventKind.OFFLINE), held.times(EventKind.OFFLINE)
    refused = [at for at in held.times(EventKind.REFUSED) if at > went[-1]]
    return [
        Row(
            "nemu-71", "from the first of five blocks offline to the fifth", 16.111, "taken from it", went[4] - went[0]
        ),
        Row("nemu-71", "from there to the refusal", 3.327, "measured", refused[0] - went[-1]),
        Row(
            "linux-mm-2013", "from the first of eight blocks offline to the last", 29.878, "measured", gone[7] - gone[0]
        ),
    ]


def hyperalloc(profile: str) -> tuple[float, float]:
    """Return the seconds in which 18 GiB come and go on an idle guest of 2 GiB."""
    steps = Steps(steps=["plug virtio-mem:0,id=v,max=18GiB", "resize v:18GiB", "resize v:0"], pause=5.0)
    run = Run(2 * GIB, steps, profile)
    grow, shrink = [row[0] for row in run.events if row[1] == EventKind.REQUEST][-2:]
    return run.after(grow, shrink)[1] / 1e3, run.after(shrink, run.result.duration_us)[1] / 1e3


def table() -> list[Row]:
    """All that can be compared."""
    return [*neonvm(), *sail(), *dimms()]
