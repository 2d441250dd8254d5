"""The demand of a recorded machine, played in the guest: its programs, its page cache, and its kernel's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.plugins.parameter_types import Flag, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import seconds_to_us
from workloads.parts.parameters import NODES, Speed, Tick
from workloads.parts.traces.columns import TraceColumns, opened
from workloads.parts.traces.kernel_relations import NO_RELATION, RELATIONS, Curve
from workloads.parts.traces.playing import End, Playing, Scale, Series, Start, Tail, TracedWorkload, TracePath
from workloads.parts.traces.programs import Programs, Restarts

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from workloads.contract import GuestReport, Host, Streams

_MOST_PROGRAMS: Final = 1000
_PROGRAMS: Final = {"page_tables": "page-tables", "kernel_stacks": "kernel-stacks"}
"""Quantities that are the programs', and die with them: their kinds of load."""
_SYSTEM: Final = {
    "page_cache": "page-cache",
    "slab_reclaimable": "slab",
    "slab_unreclaimable": "kernel",
    "kernel": "kernel",
}
"""Quantities that are the system's, whoever is killed."""
_PLAYED: Final = ("user", *_PROGRAMS, *_SYSTEM)
_KERNEL_PARTS: Final = ("slab_unreclaimable", "kernel_stacks", "page_tables")
"""What kernel zones must hold; a trace may tell it as one figure."""


class GuestTrace(TracedWorkload):
    """Uses in the guest what a trace says: user memory, page cache, and the kernel's slab, page tables and stacks.

    What the trace tells is used as told. Where a series tells no kernel memory, or only some kinds of it, the others
    follow from the programs' memory by the relation ``kernel``. The kernel that has booted uses some memory already: of
    each kind as much as the guest reports at the start is taken off. So is, with ``includes_system``, all that the
    guest uses then and the kernel memory that is asked for beside, from user memory; it is for traces of all memory
    that a machine used. Where page tables are told, or follow, the guest model gives anonymous memory none of its own;
    where reclaimable slab is told, page cache no index nodes.

    User memory is that of ``programs`` alike, on ``nodes`` in turn; the rest is on the first of the nodes. Page tables,
    stacks and what follows by a relation beyond the system's own are the programs'. Growth of user memory is taken at
    ``rate``, everything else at once. A program that the guest's out-of-memory killer ends gives all of that back, and
    is started again ``restart`` later, with what the trace says then, and after twice that the next time, up to
    ``restart_most``: Kubernetes' delays, 10 s to 5 minutes. Until it has all, it is demand not served. So it is when
    the guest dies, from then on: nobody boots it again. ``kills`` counts programs that were killed.

    Values that are missing are as before. It needs a guest that is modelled; without one it asks for nothing. Nothing
    is random here: replication k plays the k-th series. Raises ParameterError with all faults of trace and parameters.
    """

    name: ClassVar[str] = "guest-trace"
    summary: ClassVar[str] = "programs, page cache and kernel memory in the guest, as a demand trace says"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        path: TracePath,
        columns: TraceColumns,
        series: Series = None,
        kernel: Annotated[
            str, Word((NO_RELATION, *RELATIONS)), "the relation by which kernel memory follows that is not told"
        ] = "machines",
        includes_system: Annotated[
            bool, Flag(), "user memory in the trace is all that the machine used, its system's own too"
        ] = False,
        programs: Annotated[int, Whole(1, _MOST_PROGRAMS), "number of programs that the user memory belongs to"] = 1,
        nodes: Annotated[Sequence[int], NODES, "NUMA nodes that they run on, in turn"] = (0,),
        rate: Annotated[
            int, Size(zero=True, unit="bytes/s"), "how fast user memory is taken; 0 stands for at once"
        ] = 0,
        restart: Annotated[
            float,
            Seconds(zero=True),
            "how long after a kill a program is started again, twice as long the next time; 0 stands for never",
        ] = 10.0,
        restart_most: Annotated[
            float, Seconds(), "the longest it is away; once it has lived for ten minutes, delays begin anew"
        ] = 300.0,
        scale: Scale = 1.0,
        speed: Speed = 1.0,
        start: Start = 0.0,
        end: End = 0.0,
        tick: Tick = 0.1,
        tail: Tail = 60.0,
    ) -> None:
        if check.good("restart", "restart_most") and restart_most < restart:
            check.fault("restart_most", f"must be at least restart, {restart:g}, but is {restart_most:g}")
        check.done()
        trace = opened(path, columns)
        told = [quantity for quantity in _PLAYED if quantity in trace.quantities]
        self._open(check, trace, series, Playing.of(scale, speed, start, end, tail), _PLAYED)
        if not told:
            check.fault("columns", f"tell nothing that can be used in a guest: {', '.join(_PLAYED)}")
        parts = [quantity for quantity in _KERNEL_PARTS if quantity in told]
        if "kernel" in told and parts:
            check.fault("columns", f"tell the kernel's memory as one figure (kernel), and {', '.join(parts)} beside it")
        check.done()
        self._relation = RELATIONS[kernel].curves if kernel != NO_RELATION else {}
        self._whole_machine = includes_system
        self._nodes = [nodes[number % len(nodes)] for number in range(programs)]
        self._rate = max(1, rate // programs) if rate else 0
        self._restarts = Restarts(seconds_to_us(restart), seconds_to_us(restart_most))
        self._tick_us = seconds_to_us(tick)
        self._programs: Programs | None = None

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Nothing is plugged."""
        del pace
        return parameters

    @property
    def kills(self) -> int:
        """Programs that were killed in the last run."""
        return 0 if self._programs is None else self._programs.kills

    def node_capacity(self) -> tuple[int, ...]:
        """The nodes that programs run on; nothing is plugged into them."""
        return tuple(sorted(set(self._nodes)))

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Play the series until its end, and the tail."""
        self._programs = None
        boot = host.report()
        if boot is None:
            return
        env, end_us, moments = host.env, self.end_us, self.moments()
        told = self._trace.told(self._series)  # a recorded machine may lack what others of the trace have
        curves = {quantity: curve for quantity, curve in self._relation.items() if quantity not in told}
        curves = {} if "kernel" in told else curves
        shares = _Shares(boot, told, curves, whole_machine=self._whole_machine)
        tables_apart = {"page_tables", "kernel"}.intersection((*told, *curves))
        self._programs = programs = Programs(
            host,
            "anonymous-only" if tables_apart else "anonymous",
            self._nodes,
            rate=self._rate,
            restarts=self._restarts,
            follows=shares.of_programs,
        )
        system = _System(host, self._nodes[0])
        at, values = next(moments)
        while True:
            now = int(env.now)
            until = min(at, end_us)
            if now >= until:
                if now >= end_us:
                    return
                amounts = shares.of_system(values)
                system.use(amounts, growing=False)
                programs.want(shares.user(values), shares.told_of_programs(values))
                if system.use(amounts, growing=True):
                    programs.look()
                at, values = next(moments, (end_us, {}))
            elif programs.growing:
                pause = min(self._tick_us, until - now)
                yield env.timeout(pause)
                programs.take(pause)
            elif programs.alive or programs.back_us is not None:
                wake = until if programs.back_us is None else min(until, programs.back_us)
                yield host.changed() | env.timeout(wake - now)
                if env.now < until and not programs.look() and env.now < wake:  # else what is wanted then comes first
                    # Memory comes and goes in hundreds of pieces; who is killed meanwhile is seen a tick later.
                    yield env.timeout(min(self._tick_us, wake - int(env.now)))
            else:
                yield env.timeout(until - now)


class _Shares:
    """Who uses what of a sample, less what the guest that has booted used already, as ``boot`` says."""

    def __init__(
        self, boot: GuestReport, told: Sequence[str], curves: Mapping[str, Curve], *, whole_machine: bool
    ) -> None:
        self._boot = {
            "page_cache": boot.cached,
            "slab_reclaimable": boot.slab_reclaimable,
            "slab_unreclaimable": boot.slab_unreclaimable,
            "page_tables": boot.page_tables,
            "kernel_stacks": boot.kernel_stacks,
            "kernel": boot.slab_unreclaimable + boot.page_tables + boot.kernel_stacks,
        }
        slab_apart = {"page_cache": "page-cache-only"} if "slab_reclaimable" in told else {}
        self._system = {**_SYSTEM, **slab_apart}
        self._curves = curves
        self._base = {quantity: self._following(quantity, 0) for quantity in curves}
        self._whole_machine = whole_machine
        self._boot_used = boot.total - boot.free - boot.cached

    def of_programs(self, user: int) -> dict[str, int]:
        """Return the kernel memory, by kind of load, that follows from the programs' memory beyond the system's own."""
        return {
            _PROGRAMS.get(quantity, "kernel"): self._following(quantity, user) - base
            for quantity, base in self._base.items()
        }

    def told_of_programs(self, values: Mapping[str, int]) -> dict[str, int]:
        """Return the programs' kernel memory that a sample tells, by kind of load."""
        return {kind: self._told(values, quantity) for quantity, kind in _PROGRAMS.items() if quantity in values}

    def of_system(self, values: Mapping[str, int]) -> dict[str, int]:
        """Return what belongs to nobody in particular, by kind of load."""
        amounts = {"kernel": sum(self._base.values())} if self._base else {}
        for quantity, kind in self._system.items():
            if quantity in values:
                amounts[kind] = amounts.get(kind, 0) + self._told(values, quantity)
        return amounts

    def user(self, values: Mapping[str, int]) -> int:
        """Return the programs' own memory."""
        user = values.get("user", 0)
        if not self._whole_machine:
            return user
        kernel = sum(self._told(values, quantity) for quantity in ("kernel", *_KERNEL_PARTS) if quantity in values)
        rest = max(0, user - self._boot_used - kernel)
        # What follows from the programs' memory grows with it: the most that leaves room for that, by halving.
        low, high = 0, rest if self._curves else 0
        while low < high:
            middle = (low + high + 1) // 2
            if middle + sum(self._following(quantity, middle) for quantity in self._curves) <= rest:
                low = middle
            else:
                high = middle - 1
        return low if self._curves else rest

    def _told(self, values: Mapping[str, int], quantity: str) -> int:
        return max(0, values[quantity] - self._boot[quantity])

    def _following(self, quantity: str, user: int) -> int:
        return max(0, self._curves[quantity].bytes_beside(user) - self._boot[quantity])


class _System:
    """Memory in the guest that no program owns: a load for each kind, of its name."""

    def __init__(self, host: Host, node: int) -> None:
        self._host = host
        self._node = node
        self._used: dict[str, int] = {}

    def use(self, amounts: Mapping[str, int], *, growing: bool) -> bool:
        """Use these ``amounts`` from now on, those that grow or those that do not; return whether any is another."""
        asked = False
        for kind, amount in amounts.items():
            before = self._used.get(kind, 0)
            if amount != before and (amount > before) == growing:
                self._host.set_demand(f"system-{kind}", kind, amount, node=self._node)
                self._used[kind] = amount
                asked = True
        return asked
