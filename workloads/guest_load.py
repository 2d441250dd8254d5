"""Programs in the guest that use memory: the demand that hotplug exists for, made to measure."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Final

from sim.faults import shown
from sim.plugins.parameters import Parameter
from sim.units import GIB, MIB, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts import shapes
from workloads.parts.checks import Checker
from workloads.parts.demand import BYTE_KINDS, KINDS, PIECE_KINDS, GuestProcess, drive
from workloads.parts.draws import even_waits

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import simpy

    from workloads.parts.demand import Target

SHAPES: Final = ("constant", "ramp", "steps", "bursts")
KERNEL_KINDS: Final = ("page-tables", "pinned", "kernel")
MOST_PROCESSES: Final = 10_000
_DROP_CACHE: Final = 1
_DROP_SLAB: Final = 2


class GuestLoad(Workload):
    """One program, or several alike, whose memory goes over time as ``shape`` says.

    ``constant`` wants ``size`` from the start on; ``ramp`` grows to it at ``rate``; ``steps`` wants ``step`` more every
    ``interval``; ``bursts`` wants nothing, but now and then for a while some multiple of ``step`` up to ``size``. What
    is wanted is taken at ``rate`` and given back at once.

    Of a program's memory ``kernel_share`` is kernel memory of ``kernel_kind`` (page tables; pinned pages; slab, network
    buffers and the like as ``kernel``), ``cache_share`` page cache, and the rest of ``kind``. A program that the
    guest's out-of-memory killer ends stays away, except that a new burst starts it anew; ``kills`` counts them.

    With ``drop_caches`` an administrator's job writes that number to ``/proc/sys/vm/drop_caches`` every ``drop_every``:
    1 drops clean page cache, 2 reclaimable slab, 3 both.

    It needs a guest that is modelled; without one it asks for nothing. Times between steps and bursts are random where
    they are not fixed. Raises WorkloadInputError with everything that is wrong with the parameters.
    """

    name: ClassVar[str] = "guest-load"
    summary: ClassVar[str] = "programs in the guest that use memory: constant, ramp, steps or bursts, at a rate"
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter("shape", "|".join(SHAPES), "constant", "-", "how a program's memory goes over time"),
        Parameter("kind", "|".join(KINDS), "anonymous", "-", "what it is"),
        Parameter("size", "size", "1GiB", "bytes", "most that a program wants (pieces for files, processes, ...)"),
        Parameter("rate", "size", "0", "bytes/s", "how fast it takes what it wants; 0 stands for at once"),
        Parameter("step", "size", "256MiB", "bytes", "shapes steps and bursts: amounts are multiples of this"),
        Parameter("interval", "seconds", 1.0, "s", "shape steps: time between steps"),
        Parameter("jitter", "float", 0.0, "-", "shape steps: intervals are spread over interval * (1 +- jitter)"),
        Parameter("burst_gap", "seconds", 600.0, "s", "shape bursts: mean time from the end of one to the next"),
        Parameter("burst_length", "seconds", 60.0, "s", "shape bursts: mean length"),
        Parameter("kernel_share", "float", 0.0, "-", "share of its memory that is kernel memory"),
        Parameter("kernel_kind", "|".join(KERNEL_KINDS), "page-tables", "-", "what that is"),
        Parameter("cache_share", "float", 0.0, "-", "share of its memory that is page cache"),
        Parameter("processes", "int", 1, "-", "number of such programs"),
        Parameter("stagger", "seconds", 0.0, "s", "how much later each starts than the one before"),
        Parameter("start", "seconds", 0.0, "s", "when the first one starts"),
        Parameter("end", "seconds", 0.0, "s", "when all of them exit; 0 stands for never"),
        Parameter("drop_caches", "int", 0, "-", "what is written to drop_caches: 1, 2 or 3; 0 stands for nothing"),
        Parameter("drop_every", "seconds", 0.5, "s", "how often that is written"),
        Parameter("tick", "seconds", 0.1, "s", "the steps of time in which memory is taken"),
        Parameter("duration", "seconds", 3600.0, "s", "simulated time"),
        Parameter("load", "str", "load", "-", "program n is called this and n; begins the names of the streams"),
    )

    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        *,
        shape: str = "constant",
        kind: str = "anonymous",
        size: int = GIB,
        rate: int = 0,
        step: int = 256 * MIB,
        interval: float = 1.0,
        jitter: float = 0.0,
        burst_gap: float = 600.0,
        burst_length: float = 60.0,
        kernel_share: float = 0.0,
        kernel_kind: str = "page-tables",
        cache_share: float = 0.0,
        processes: int = 1,
        stagger: float = 0.0,
        start: float = 0.0,
        end: float = 0.0,
        drop_caches: int = 0,
        drop_every: float = 0.5,
        tick: float = 0.1,
        duration: float = 3600.0,
        load: str = "load",
    ) -> None:
        check = Checker()
        self._shape = check.choice("shape", shape, SHAPES)
        self._kind = check.choice("kind", kind, KINDS)
        self._size = check.size("size", size, unit=1)
        self._rate = check.size("rate", rate, zero=True, unit=1)
        if self._shape == "ramp" and not self._rate and check.good("rate"):
            check.fault("rate", "must be more than 0 for the shape ramp")
        self._step = check.size("step", step, unit=1)
        self._interval_us = check.time_us("interval", interval)
        self._jitter = check.number("jitter", jitter, 0.0, 1.0)
        self._burst_gap_us = check.time_us("burst_gap", burst_gap)
        self._burst_length_us = check.time_us("burst_length", burst_length)
        self._kernel_share = check.number("kernel_share", kernel_share, 0.0, 1.0)
        self._kernel_kind = check.choice("kernel_kind", kernel_kind, KERNEL_KINDS)
        self._cache_share = check.number("cache_share", cache_share, 0.0, 1.0)
        self._check_shares(check)
        self._processes = check.whole("processes", processes, 1, MOST_PROCESSES)
        self._stagger_us = check.time_us("stagger", stagger, zero=True)
        self._start_us = check.time_us("start", start, zero=True)
        self._end_us = check.time_us("end", end, zero=True)
        if self._end_us and check.good("start", "end") and self._end_us <= self._start_us:
            check.fault("end", f"must be after the start, {start:g}, but is {shown(end)}")
        self._drop = check.whole("drop_caches", drop_caches, 0, _DROP_CACHE | _DROP_SLAB)
        self._drop_us = check.time_us("drop_every", drop_every)
        self._tick_us = check.time_us("tick", tick)
        self._duration_us = check.time_us("duration", duration)
        self._load = check.word("load", load)
        check.done()
        self._programs: list[GuestProcess] = []

    @property
    def kills(self) -> int:
        """Programs that were killed in the last run, as far as they have noticed."""
        return sum(program.kills for program in self._programs)

    def _check_shares(self, check: Checker) -> None:
        shares = self._kernel_share + self._cache_share
        if not check.good("kernel_share", "cache_share", "kind"):
            return
        if shares > 1:
            check.fault("cache_share", f"makes more than 1 together with kernel_share, namely {shares:g}")
        elif shares and self._kind in PIECE_KINDS:
            kinds = ", ".join(BYTE_KINDS)
            check.fault("kernel_share", f"and cache_share are shares of bytes; kind must be one of {kinds}")

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> tuple[int, ...]:
        """No node: nothing is plugged."""
        return ()

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Run the programs until the duration is over."""
        self._programs = []
        if host.mem_available() is None:
            return
        env = host.env
        self._programs = [GuestProcess(host, self._parts(number)) for number in range(self._processes)]
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
        for at, amount in self._wanted(f"{self._load}{number}", start, streams):
            if self._end_us and at >= self._end_us:
                break
            yield at, amount
        if self._end_us:
            yield self._end_us, 0

    def _wanted(self, program: str, start: int, streams: Streams) -> Iterator[Target]:
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

    def _parts(self, number: int) -> list[tuple[str, str, float]]:
        program = f"{self._load}{number}"
        return [
            (program, self._kind, 1.0 - self._kernel_share - self._cache_share),
            (f"{program}-kernel", self._kernel_kind, self._kernel_share),
            (f"{program}-cache", "page-cache", self._cache_share),
        ]

    def _dropping(self, host: Host) -> Generator[simpy.Event, object, None]:
        for _ in range(self._duration_us // self._drop_us):
            yield host.env.timeout(self._drop_us)
            host.drop_caches(cache=bool(self._drop & _DROP_CACHE), slab=bool(self._drop & _DROP_SLAB))
