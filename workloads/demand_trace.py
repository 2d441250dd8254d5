"""A host whose requests follow a measured demand, as an autoscaler's do, from a series such as the public VM traces.

Nothing runs in the guest; for that see :mod:`workloads.load_trace`.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.faults import shown
from sim.pages import SMALLEST_PAGE
from sim.plugins.parameter_types import FilePath, Name, Number, Seconds, Size, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MEMORY_LIMIT, MIB, format_size, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.parameters import LONGEST_US, NODE, PAGES, PLACE, DeviceBlock, check_multiples, check_slots
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

    Nothing is random here. Raises ParameterError with all faults of the file at once, with line numbers.
    """

    name: ClassVar[str] = "demand-trace"
    summary: ClassVar[str] = (
        "grows and shrinks a guest after a time series of memory demand, with headroom and hold time"
    )

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        path: Annotated[str, FilePath(), "the CSV file"],
        time_column: Annotated[str, Name(), "the column of times"] = "t_s",
        time_unit: Annotated[float, Seconds(), "what a time of 1 stands for (hours: 3600)"] = 1.0,
        demand_column: Annotated[str, Name(), "the column of demands"] = "mib",
        demand_unit: Annotated[int, Size(), "what a demand of 1 stands for"] = MIB,
        series_column: Annotated[
            str | None, Name(), "the column that tells series apart, if the file holds several"
        ] = None,
        series: Annotated[str | None, Name(), "the series that is taken"] = None,
        kind: Annotated[str, Word(KINDS), "what the memory is plugged as"] = "virtio-mem",
        boot_memory: Annotated[
            int, Size(zero=True, multiple_of=SMALLEST_PAGE), "demand that the guest's boot memory serves"
        ] = GIB,
        headroom: Annotated[
            float, Number(0.0, 100.0), "memory kept beyond the demand, as a share of the demand"
        ] = 0.25,
        step: Annotated[int, Size(), "sizes are multiples of this; the size of a DIMM"] = 128 * MIB,
        maximum: Annotated[int, PAGES, "most memory that is asked for"] = 16 * GIB,
        hold: Annotated[float, Seconds(zero=True), "how long a size that was wanted is kept"] = 900.0,
        device_block: Annotated[int, DeviceBlock(), "kind virtio-mem: block size of the device"] = 2 * MIB,
        address: Annotated[int, PLACE, "of the device, or of the first DIMM; 0 stands for where there is room"] = 0,
        node: Annotated[int, NODE, "NUMA node"] = 0,
        speed: Annotated[float, Number(1e-6, 1e6), "times as fast as recorded (hold times are of recorded time)"] = 1.0,
        tail: Annotated[float, Seconds(), "simulated time after the last sample"] = 60.0,
    ) -> None:
        columns = [time_column, demand_column]
        if (series is None) != (series_column is None):
            check.fault("series", "must be given together with series_column")
        elif series_column is not None:
            columns.append(series_column)
        if kind != "virtio-mem":
            check_multiples(check, SMALLEST_PAGE, step=step)
        elif check.good("device_block"):
            check_multiples(check, device_block, step=step, address=address)
        if check.good("step", "maximum") and maximum < step:
            check.fault("maximum", f"must be at least the step, {format_size(step)}, but is {format_size(maximum)}")
        if kind == "dimm":
            check_slots(check, step, maximum=maximum)
        check.done()
        self._kind = kind
        self._block = device_block
        self._step = step
        self._top = maximum // step
        self._node = node
        self._address = address
        self._speed = speed
        samples = _samples(Path(path), columns, series, seconds_to_us(time_unit))
        factor = 1.0 + headroom
        levels = ((t_us, math.ceil((demand * demand_unit * factor - boot_memory) / step)) for t_us, demand in samples)
        bounded = ((t_us, min(max(level, 0), self._top)) for t_us, level in levels)
        self._levels = list(held(bounded, seconds_to_us(hold)))
        self._end_us = round(samples[-1][0] / speed) + seconds_to_us(tail)

    def duration(self) -> float:
        """Seconds of simulated time: the series at its speed, and the tail."""
        return us_to_seconds(self._end_us)

    def node_capacity(self) -> Iterable[int]:
        """The one node that memory is plugged into."""
        return (self._node,)

    def needs_dimms(self) -> bool:
        """With kind ``dimm``."""
        return self._kind == "dimm"

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Ask for what is wanted until the series is over."""
        return follow(host, self.plan(), self._end_us)

    def plan(self) -> Iterator[Step]:
        """Yield what is wanted and when."""
        asks = self._virtio_mem if self._kind == "virtio-mem" else self._dimm
        now_us = level = 0
        if self._kind == "virtio-mem":
            size = self._top * self._step
            yield 0, (("vmem0", self._device(size)),)
        for t_us, next_level in self._levels:
            if next_level != level:
                then_us = round(t_us / self._speed)
                yield then_us - now_us, asks(level, next_level)
                now_us, level = then_us, next_level

    def _virtio_mem(self, before: int, after: int) -> Sequence[Ask]:
        return (("vmem0", after * self._step),)

    def _device(self, size: int) -> VirtioMemSpec:
        return VirtioMemSpec("vmem0", size, self._node, self._block, address=self._address or None)

    def _slot(self, slot: int) -> Ask:
        """Return the request for the DIMM of ``slot``, which lies behind those before it where an address is given."""
        address = self._address + slot * self._step if self._address else None
        return f"dimm{slot}", DimmSpec(f"dimm{slot}", self._step, self._node, address)

    def _dimm(self, before: int, after: int) -> Sequence[Ask]:
        if after > before:
            return [self._slot(slot) for slot in range(before, after)]
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
        demand = _number(row, columns[1], MEMORY_LIMIT, line, faults)
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
