"""Memory that follows a measured demand, as an autoscaler has it, from a time series such as the public VM traces."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from sim.devices.specs import MOST_DIMM_SLOTS, DimmSpec, VirtioMemSpec
from sim.faults import shown
from sim.plugins.parameters import Parameter
from sim.units import GIB, MIB, PAGE_SIZE, format_size, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.checks import LARGEST_SIZE, LONGEST_US, Checker
from workloads.parts.plan import follow
from workloads.parts.table import TableFaults, read_text, rows

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import simpy

    from workloads.parts.plan import Ask, Step

KINDS: Final = ("virtio-mem", "dimm")


class DemandTrace(Workload):
    """Asks for the memory that a demand read from a CSV file needs beyond the guest's boot memory.

    At each sample, wanted is demand * (1 + ``headroom``) - ``boot_memory``, rounded up to a multiple of ``step`` and
    cut off at 0 and ``maximum``. Growth is asked for at once, less memory only after a while: what is asked for is the
    largest size that was wanted at a sample less than ``hold`` seconds ago. With kind ``virtio-mem`` that is the
    requested size of one device, with kind ``dimm`` so many DIMMs of size ``step``, the newest of which go first.

    The file has a column of times and one of demands (see :mod:`workloads.parts.table` for the rest), rows in order of
    time; time 0 is the first row that is taken. With ``series`` only rows that have this text in the column
    ``series_column`` are taken, so that a file of many VMs serves.

    Nothing is random here. Raises WorkloadInputError with all faults of the file at once, with line numbers.
    """

    name: ClassVar[str] = "demand-trace"
    summary: ClassVar[str] = (
        "grows and shrinks a guest after a time series of memory demand, with headroom and hold time"
    )
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter("path", "path", None, "-", "the CSV file"),
        Parameter("time_column", "str", "t_s", "-", "the column of times"),
        Parameter("time_unit", "seconds", 1.0, "s", "what a time of 1 stands for (hours: 3600)"),
        Parameter("demand_column", "str", "mib", "-", "the column of demands"),
        Parameter("demand_unit", "size", "1MiB", "bytes", "what a demand of 1 stands for"),
        Parameter("series_column", "str", None, "-", "the column that tells series apart, if the file holds several"),
        Parameter("series", "str", None, "-", "the series that is taken"),
        Parameter("kind", "|".join(KINDS), "virtio-mem", "-", "what the memory is plugged as"),
        Parameter("boot_memory", "size", "1GiB", "bytes", "demand that the guest's boot memory serves"),
        Parameter("headroom", "float", 0.25, "-", "memory kept beyond the demand, as a share of the demand"),
        Parameter("step", "size", "128MiB", "bytes", "sizes are multiples of this; the size of a DIMM"),
        Parameter("maximum", "size", "16GiB", "bytes", "most memory that is asked for"),
        Parameter("hold", "seconds", 900.0, "s", "how long a size that was wanted is kept"),
        Parameter("device_block", "size", "2MiB", "bytes", "kind virtio-mem: block size of the device"),
        Parameter("node", "int", 0, "-", "NUMA node"),
        Parameter("speed", "float", 1.0, "-", "times as fast as recorded (hold times are of recorded time)"),
        Parameter("tail", "seconds", 60.0, "s", "simulated time after the last sample"),
    )

    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        *,
        path: str,
        time_column: str = "t_s",
        time_unit: float = 1.0,
        demand_column: str = "mib",
        demand_unit: int = MIB,
        series_column: str | None = None,
        series: str | None = None,
        kind: str = "virtio-mem",
        boot_memory: int = GIB,
        headroom: float = 0.25,
        step: int = 128 * MIB,
        maximum: int = 16 * GIB,
        hold: float = 900.0,
        device_block: int = 2 * MIB,
        node: int = 0,
        speed: float = 1.0,
        tail: float = 60.0,
    ) -> None:
        check = Checker()
        file = Path(check.word("path", path))
        columns = [check.word("time_column", time_column), check.word("demand_column", demand_column)]
        time_unit_us = check.time_us("time_unit", time_unit)
        unit = check.size("demand_unit", demand_unit, unit=1)
        if (series is None) != (series_column is None):
            check.fault("series", "must be given together with series_column")
        elif series is not None:
            columns.append(check.word("series_column", series_column))
            check.word("series", series)
        self._kind = check.choice("kind", kind, KINDS)
        boot = check.size("boot_memory", boot_memory, zero=True)
        factor = 1.0 + check.number("headroom", headroom, 0.0, 100.0)
        self._block = check.device_block("device_block", device_block)
        self._step = check.size("step", step, unit=self._block if self._kind == "virtio-mem" else PAGE_SIZE)
        most = check.size("maximum", maximum)
        self._top = most // self._step
        if check.good("step", "maximum"):
            if self._top == 0:
                check.fault(
                    "maximum", f"must be at least the step, {format_size(self._step)}, but is {format_size(most)}"
                )
            elif self._kind == "dimm" and self._top > MOST_DIMM_SLOTS:
                dimms = f"{self._top} DIMMs of {format_size(self._step)}"
                check.fault("maximum", f"makes {dimms}, but {MOST_DIMM_SLOTS} is the most")
        hold_us = check.time_us("hold", hold, zero=True)
        self._node = check.whole("node", node, 0, 1023)
        self._speed = check.number("speed", speed, 1e-6, 1e6)
        self._tail_us = check.time_us("tail", tail)
        check.done()
        samples = _samples(file, columns, series, time_unit_us)
        wanted = ((t_us, math.ceil((demand * unit * factor - boot) / self._step)) for t_us, demand in samples)
        bounded = ((t_us, min(max(level, 0), self._top)) for t_us, level in wanted)
        self._levels = list(held(bounded, hold_us))
        self._end_us = round(samples[-1][0] / self._speed) + self._tail_us

    def duration(self) -> float:
        """Seconds of simulated time: the series at its speed, and the tail."""
        return us_to_seconds(self._end_us)

    def node_capacity(self) -> Iterable[int]:
        """The one node that memory is plugged into."""
        return (self._node,)

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Ask for what is wanted until the series is over."""
        return follow(host, self.plan(), self._end_us)

    def plan(self) -> Iterator[Step]:
        """Yield what is wanted and when."""
        asks = self._virtio_mem if self._kind == "virtio-mem" else self._dimm
        now = level = 0
        if self._kind == "virtio-mem":
            size = self._top * self._step
            yield 0, (("vmem0", VirtioMemSpec("vmem0", size, node=self._node, block_size=self._block)),)
        for t_us, wanted in self._levels:
            if wanted != level:
                then = round(t_us / self._speed)
                yield then - now, asks(level, wanted)
                now, level = then, wanted

    def _virtio_mem(self, before: int, after: int) -> Sequence[Ask]:
        return (("vmem0", after * self._step),)

    def _dimm(self, before: int, after: int) -> Sequence[Ask]:
        if after > before:
            return [(f"dimm{slot}", DimmSpec(f"dimm{slot}", self._step, self._node)) for slot in range(before, after)]
        return [(f"dimm{slot}", None) for slot in range(before - 1, after - 1, -1)]


def held(samples: Iterable[tuple[int, int]], hold_us: int) -> Iterator[tuple[int, int]]:
    """Yield each sample (time, level) with its level raised to the largest one less than ``hold_us`` old."""
    # Levels that still count, falling: a level that a later one reaches can never be the largest again.
    recent: deque[tuple[int, int]] = deque()
    for t_us, level in samples:
        while recent and recent[-1][1] <= level:
            recent.pop()
        recent.append((t_us, level))
        while len(recent) > 1 and recent[0][0] + hold_us <= t_us:
            recent.popleft()
        yield t_us, recent[0][1]


def _samples(path: Path, columns: Sequence[str], series: str | None, time_unit_us: int) -> list[tuple[int, float]]:
    """Return (microseconds since the first sample, demand in the file's unit) of every row that is taken."""
    faults = TableFaults("path", path.name)
    samples: list[tuple[int, float]] = []
    start = last = 0
    for line, row in rows(read_text(path, faults), columns, None, faults):
        if series is not None and row[columns[2]] != series:
            continue
        time = _number(row, columns[0], LONGEST_US / time_unit_us, line, faults)
        demand = _number(row, columns[1], LARGEST_SIZE, line, faults)
        if time is None or demand is None:
            continue
        now = round(time * time_unit_us)
        if now < last:
            faults.add(line, f"{columns[0]}: must not be before the row above, but is {shown(row[columns[0]])}")
            continue
        if not samples:
            start = now
        last = now
        samples.append((now - start, demand))
    faults.done()
    if not samples:
        faults.add(0, "holds no sample" if series is None else f"holds no sample of {columns[2]} {shown(series)}")
        faults.done()
    return samples


def _number(row: dict[str, str], column: str, high: float, line: int, faults: TableFaults) -> float | None:
    text = row[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 <= value <= high:
        return value
    faults.add(line, f"{column}: must be a number from 0 to {high:g}, but is {shown(text)}")
    return None
