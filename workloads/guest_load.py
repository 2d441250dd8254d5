"""Programs in the guest that use memory: the demand that hotplug exists for, made to measure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.faults import shown
from sim.plugins.parameter_types import Name, Number, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts import shapes
from workloads.parts.demand import (
    BYTE_KINDS,
    DROP_CACHE,
    DROP_SLAB,
    KERNEL_KINDS,
    KINDS,
    PIECE_KINDS,
    GuestProcess,
    drive,
    write_drop_caches,
)
from workloads.parts.draws import even_waits
from workloads.parts.mixes import MIXES, parts_of
from workloads.parts.parameters import NODES, Duration, Tick, check_tick

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    import simpy

    from workloads.parts.demand import Target

SHAPES: Final = ("constant", "ramp", "steps", "bursts")
MOST_PROCESSES: Final = 10_000


class GuestLoad(Workload):
    """One program, or several alike, whose memory goes over time as ``shape`` says.

    ``constant`` wants ``size`` from the start on; ``ramp`` grows to it at ``rate``; ``steps`` wants ``step`` more every
    ``interval``; ``bursts`` wants nothing, but now and then for a while some multiple of ``step`` up to ``size``. What
    is wanted is taken at ``rate`` and given back at once.

    ``kind`` may be a load by name, ``database``, ``build`` or ``web-server``: then amounts are its anonymous memory,
    and processes, page tables, slab, files and page cache come with it as on measured machines.

    Of a program's memory ``kernel_share`` is kernel memory of ``kernel_kind`` (page tables; pinned pages; slab, network
    buffers and the like as ``kernel``), ``cache_share`` page cache, and the rest of ``kind``. Programs run on ``nodes``
    in turn, by default all on node 0: their memory comes from there as long as there is any. A program that the guest's
    out-of-memory killer ends stays away, except that a new burst starts it anew; ``kills`` counts them.

    With ``drop_caches`` an administrator's job writes that number to ``/proc/sys/vm/drop_caches`` every ``drop_every``:
    1 drops clean page cache, 2 reclaimable slab, 3 both.

    It needs a guest that is modelled; without one it asks for nothing. Times between steps and bursts are random where
    they are not fixed. Raises ParameterError with everything that is wrong with the parameters.
    """

    name: ClassVar[str] = "guest-load"
    summary: ClassVar[str] = "programs in the guest that use memory: constant, ramp, steps or bursts, at a rate"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        shape: Annotated[str, Word(SHAPES), "how a program's memory goes over time"] = "constant",
        kind: Annotated[str, Word((*KINDS, *MIXES)), "what it is, or a load by name"] = "anonymous",
        size: Annotated[int, Size(), "most that a program wants (pieces for files, processes, ...)"] = GIB,
        rate: Annotated[
            int, Size(zero=True, unit="bytes/s"), "how fast it takes what it wants; 0 stands for at once"
        ] = 0,
        step: Annotated[int, Size(), "shapes steps and bursts: amounts are multiples of this"] = 256 * MIB,
        interval: Annotated[float, Seconds(), "shape steps: time between steps"] = 1.0,
        jitter: Annotated[
            float, Number(0.0, 1.0), "shape steps: intervals are spread over interval * (1 +- jitter)"
        ] = 0.0,
        burst_gap: Annotated[float, Seconds(), "shape bursts: mean time from the end of one to the next"] = 600.0,
        burst_length: Annotated[float, Seconds(), "shape bursts: mean length"] = 60.0,
        kernel_share: Annotated[float, Number(0.0, 1.0), "share of its memory that is kernel memory"] = 0.0,
        kernel_kind: Annotated[str, Word(KERNEL_KINDS), "what that is"] = "page-tables",
        cache_share: Annotated[float, Number(0.0, 1.0), "share of its memory that is page cache"] = 0.0,
        processes: Annotated[int, Whole(1, MOST_PROCESSES), "number of such programs"] = 1,
        nodes: Annotated[Sequence[int], NODES, "NUMA nodes that they run on, in turn"] = (0,),
        stagger: Annotated[float, Seconds(zero=True), "how much later each starts than the one before"] = 0.0,
        start: Annotated[float, Seconds(zero=True), "when the first one starts"] = 0.0,
        end: Annotated[float, Seconds(zero=True), "when all of them exit; 0 stands for never"] = 0.0,
        drop_caches: Annotated[
            int, Whole(0, DROP_CACHE | DROP_SLAB), "what is written to drop_caches: 1, 2 or 3; 0 stands for nothing"
        ] = 0,
        drop_every: Annotated[float, Seconds(), "how often that is written"] = 0.5,
        tick: Tick = 0.1,
        duration: Duration = 3600.0,
        load: Annotated[str, Name(), "program n is called this and n; begins the names of the streams"] = "load",
    ) -> None:
        if check.good("shape", "rate") and shape == "ramp" and not rate:
            check.fault("rate", "must be more than 0 for the shape ramp")
        if check.good("kernel_share", "cache_share", "kind"):
            shares = kernel_share + cache_share
            if shares > 1:
                check.fault("cache_share", f"makes more than 1 together with kernel_share, namely {shares:g}")
            elif shares and kind in PIECE_KINDS:
                kinds = ", ".join(BYTE_KINDS)
                check.fault("kernel_share", f"and cache_share are shares of bytes; kind must be one of {kinds}")
        if check.good("start", "end") and 0 < seconds_to_us(end) <= seconds_to_us(start):
            check.fault("end", f"must be after the start, {start:g}, but is {shown(end)}")
        check_tick(check, tick, duration)
        check.done()
        self._shape = shape
        self._kind = kind
        self._size = size
        self._rate = rate
        self._step = step
        self._interval_us = seconds_to_us(interval)
        self._jitter = jitter
        self._burst_gap_us = seconds_to_us(burst_gap)
        self._burst_length_us = seconds_to_us(burst_length)
        self._kernel_share = kernel_share
        self._kernel_kind = kernel_kind
        self._cache_share = cache_share
        self._processes = processes
        self._nodes = tuple(nodes)
        self._stagger_us = seconds_to_us(stagger)
        self._start_us = seconds_to_us(start)
        self._end_us = seconds_to_us(end)
        self._drop = drop_caches
        self._drop_us = seconds_to_us(drop_every)
        self._tick_us = seconds_to_us(tick)
        self._duration_us = seconds_to_us(duration)
        self._load = load
        self._programs: list[GuestProcess] = []

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Nothing is plugged."""
        del pace
        return parameters

    @property
    def kills(self) -> int:
        """Programs that were killed in the last run, as far as they have noticed."""
        return sum(program.kills for program in self._programs)

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> tuple[int, ...]:
        """The nodes that programs run on; nothing is plugged into them."""
        return tuple(sorted(set(self._nodes)))

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Run the programs until the duration is over."""
        self._programs = []
        if host.mem_available() is None:
            return
        env = host.env
        self._programs = [self._process(host, number) for number in range(self._processes)]
        running = [
            env.process(
                drive(
                    host,
                    program,
                    self.targets(number, streams),
                    rate=self._rate,
                    tick_us=self._tick_us,
                    end_us=self._duration_us,
                )
            )
            for number, program in enumerate(self._programs)
        ]
        if self._drop:
            running.append(env.process(self._dropping(host)))
        yield env.all_of(running)

    def targets(self, number: int, streams: Streams) -> Iterator[Target]:
        """Yield from when on program ``number`` wants how much; drawn from ``streams`` alone."""
        start = self._start_us + number * self._stagger_us
        for at, amount in self._amounts(f"{self._load}{number}", start, streams):
            if self._end_us and at >= self._end_us:
                break
            yield at, amount
        if self._end_us:
            yield self._end_us, 0

    def _amounts(self, program: str, start: int, streams: Streams) -> Iterator[Target]:
        top = -(-self._size // self._step)  # the last step may be a shorter one
        levels: Iterator[tuple[int, int]]
        if self._shape == "steps":
            levels = shapes.ramp(even_waits(streams(f"{program}/waits"), self._interval_us, self._jitter), top)
        elif self._shape == "bursts":
            draws = [streams(f"{program}/{name}") for name in ("gaps", "lengths", "heights")]
            levels = shapes.bursts(top, self._burst_gap_us, self._burst_length_us, *draws)
        else:
            return iter([(start, self._size)])
        moves = accumulate(levels, lambda before, move: (before[0] + move[0], move[1]), initial=(start, 0))
        return ((at, min(level * self._step, self._size)) for at, level in moves)

    def _process(self, host: Host, number: int) -> GuestProcess:
        program = f"{self._load}{number}"
        parts = [
            *parts_of(program, self._kind, 1.0 - self._kernel_share - self._cache_share),
            (f"{program}-kernel", self._kernel_kind, self._kernel_share),
            (f"{program}-cache", "page-cache", self._cache_share),
        ]
        return GuestProcess(host, parts, self._nodes[number % len(self._nodes)])

    def _dropping(self, host: Host) -> Generator[simpy.Event, object, None]:
        for _ in range(self._duration_us // self._drop_us):
            yield host.env.timeout(self._drop_us)
            write_drop_caches(host, self._drop)
