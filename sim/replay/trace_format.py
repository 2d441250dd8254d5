"""The files that recorded kernels come in: what they hold, checked on reading.

A recording is JSON: the machine, the policy, a snapshot at boot and the steps, each with a snapshot of every memory
block and zone after it. ``tests/data/kernel-traces/README.md`` describes the format for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from sim.faults import MemhpSimError, shown
from sim.opening import UnreadableError, read_json, read_regular
from sim.pages import SMALLEST_PAGE, PageGeometry
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

ADDRESSABLE: Final = 1 << 46
"""Bytes that x86-64 can address (``MAX_PHYSMEM_BITS``): no block lies above."""


_LARGEST: Final = 128 << 20
"""Bytes of a recording: a million entries take less."""


Whole = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
"""A number that fits into 64 bits, as all that kernels count do. More said of a field would take the place of this."""
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Positive = Annotated[int, Field(gt=0, lt=1 << 63)]


class TraceError(MemhpSimError, ValueError):
    """A file is no recording that can be replayed; the message is one line that says why."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ZoneSnapshot(_Model):
    """A zone with present or spanned pages. Pages; ``start_pfn`` and ``spanned_pages`` give the span."""

    node: Whole
    zone: str
    present_pages: Whole
    managed_pages: Whole = 0
    spanned_pages: Whole
    start_pfn: Whole
    cma_pages: Whole = 0
    free_pages: Whole | None = None
    pcp_pages: Whole | None = None


@dataclass(config=ConfigDict(extra="ignore"), frozen=True, slots=True)
class BlockRun:
    """``count`` adjacent blocks from ``start`` that are alike; ``zone`` is None where they are offline."""

    start: Count
    count: Positive
    state: str
    zone: str | None = None
    node: Whole | None = None
    valid_zones: str | None = None


class Snapshot(_Model):
    """The guest's memory at one moment. ``mem_total`` and ``mem_free`` in bytes."""

    zones: list[ZoneSnapshot]
    blocks: list[BlockRun]
    policy: dict[str, str] = Field(default_factory=dict)
    mem_total: Whole | None = None
    mem_free: Whole | None = None
    block_use: list[list[Whole]] | None = None
    meminfo: dict[str, Whole] | None = None
    vmstat: dict[str, Whole] | None = None


class RangeEntry(_Model):
    """The whole blocks inside one of several ranges of a device."""

    block_start: Count = 0
    block_count: Count = 0


class DeviceEntry(_Model):
    """A device as the recorder saw it; all sizes and addresses in bytes.

    ``ranges`` are those of a device that has several. ``dax_state`` is None where it is not bound to kmem, and absent
    where the kernel has none.
    """

    id: str
    type: str
    node: Whole = 0
    addr: Whole | None = None
    memaddr: Whole | None = None
    size: Whole | None = None
    max_size: Whole | None = None
    block_size: Whole | None = None
    requested_size: Whole | None = None
    block_start: Count | None = None
    block_count: Count | None = None
    ranges: list[RangeEntry] | None = None
    dax_state: str | None = None

    @property
    def start(self) -> int | None:
        """Where the device lies, None where that is not recorded."""
        return self.addr if self.memaddr is None else self.memaddr


class Step(_Model):
    """One request and what the machine looked like after it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    op: str
    result: str | None = None
    detail: Any = None
    id: str | None = None
    node: Whole | None = None
    size: Whole | None = None
    requested_size: Whole | None = None
    max_size: Whole | None = None
    block_size: Whole | None = None
    block: Count | None = None
    device: str | None = None
    index: Whole | None = None
    count: Positive | None = None
    seconds: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)
    interval: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)
    ids: list[str] | None = None
    reverse: bool | None = None
    state: str | None = None
    command: str | None = None
    oom_count: Whole | None = None
    devices: list[DeviceEntry] | None = None
    after: Snapshot | None = None

    def recorded(self, key: str) -> Any:  # noqa: ANN401 - whatever the recorder wrote
        """Return a key that this model does not name, None where the step has none."""
        return (self.model_extra or {}).get(key)


class NodeEntry(_Model):
    """A node and its boot memory in bytes."""

    nid: int = Field(ge=0, le=1023)
    boot_memory: Count


class ColdDimm(_Model):
    """A DIMM that was there when the kernel started; ``size`` in bytes."""

    id: str
    size: Positive
    node: Whole = 0


class MachineEntry(_Model):
    """The recorded machine."""

    nodes: list[NodeEntry] = Field(min_length=1)
    cold_dimms: list[ColdDimm] = Field(default_factory=list)
    max_memory: Whole = 0
    slots: Whole = 0


class PolicyEntry(_Model):
    """The policy at boot, or after a step that changed it."""

    online_policy: Literal["auto-movable", "contig-zones"] = "contig-zones"
    auto_movable_ratio: int = Field(default=301, ge=0, lt=1 << 32)
    auto_movable_numa_aware: bool = True
    auto_online_blocks: Literal["offline", "online", "online_kernel", "online_movable"] = "online"
    memmap_on_memory: bool | Literal["force"] = False


class Trace(_Model):
    """A recording."""

    name: str = ""
    about: str = ""
    kernel: str
    kernel_series: str | None = None
    kernel_cmdline: str = ""
    machine: MachineEntry
    memory_block_size: Positive
    section_size: Positive
    page_size: Literal[4096, 16384, 65536] = 4096
    policy: PolicyEntry
    boot: Snapshot
    steps: list[Step]
    load: bool = False
    guest_died: bool = False
    block_use_columns: list[str] | None = None

    @model_validator(mode="after")
    def _of_whole_pageblocks(self) -> Self:
        """Refuse memory blocks that no kernel has: the guest model and the replay count in whole ones."""
        pageblock = self.geometry.pageblock_pages * self.page_size
        if self.memory_block_size < pageblock or self.memory_block_size.bit_count() != 1:
            size = format_size(self.memory_block_size)
            raise ValueError(
                f"memory_block_size: {size} is not a power of two from a pageblock ({format_size(pageblock)}) on"
            )
        return self

    @model_validator(mode="after")
    def _to_its_end(self) -> Self:
        """Refuse a step of which nothing was recorded, unless the guest died of it: then it is the last."""
        for number, step in enumerate(self.steps[:-1]):
            if step.after is None:
                raise ValueError(
                    f"step {number}: 'after' is missing, which only the last step of a guest that died has not"
                )
        return self

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        """Refuse block numbers that no machine has, before anybody counts through them."""
        end = ADDRESSABLE // self.memory_block_size
        for where, first, count in self._block_ranges():
            if first + count > end:
                raise ValueError(f"{where}: blocks {first} + {count} lie beyond {end}, all that x86-64 addresses")
        return self

    def _block_ranges(self) -> Iterator[tuple[str, int, int]]:
        """Yield every range of blocks that the file names: where it stands, its first block and how many."""
        for number, step in enumerate((None, *self.steps), start=-1):
            where = "boot" if step is None else f"step {number}"
            snapshot = self.boot if step is None else step.after
            for run in snapshot.blocks if snapshot is not None else ():
                yield f"{where}: blocks", run.start, run.count
            if step is None:
                continue
            yield where, step.block or 0, step.count or 1
            for entry in step.devices or ():
                yield f"{where}: device {entry.id}", entry.block_start or 0, entry.block_count or 0
                for part in entry.ranges or ():
                    yield f"{where}: device {entry.id}: ranges", part.block_start, part.block_count

    @property
    def geometry(self) -> PageGeometry:
        """What a page of the recorded machine is."""
        return PageGeometry(self.page_size, huge_memmap=self.page_size == SMALLEST_PAGE)

    @property
    def series(self) -> tuple[int, int]:
        """The kernel series, such as (6, 1)."""
        major, _, rest = self.kernel.partition(".")
        minor = rest.partition(".")[0]
        return int(major), int(minor)

    @property
    def has_load(self) -> bool:
        """Whether commands were run in the guest, as they are in recordings of guests under load."""
        return self.load or any(step.op == "exec" for step in self.steps)


def read_trace(path: Path) -> Trace:
    """Read a recording. Raises TraceError, with one line for a person, where the file cannot be read or is none.

    Its name is that of the file: unique, which the name inside is not where a scenario was recorded on several kernels.
    """
    try:
        trace = Trace.model_validate_json(read_regular(path, _LARGEST))
    except UnreadableError as error:
        raise TraceError(f"{path}: {error}") from error
    except (ValueError, RecursionError):
        trace = _with_words(path)
    try:
        _ = trace.series
    except ValueError as error:
        raise TraceError(f"{path}: kernel {shown(trace.kernel)} does not start with a series such as 6.1") from error
    return trace.model_copy(update={"name": path.stem})


def _with_words(path: Path) -> Trace:
    """Read a recording the long way, which says what is wrong with it."""
    try:
        data = read_json(path, _LARGEST)
    except UnreadableError as error:
        hint = "; a recording is a JSON file with 'boot' and 'steps'" if str(error) == "is empty" else ""
        raise TraceError(f"{path}: {error}{hint}") from error
    if not isinstance(data, dict):
        raise TraceError(f"{path}: is JSON, but no recording of a kernel: the top level must be an object")
    missing = [key for key in ("machine", "policy", "boot", "steps", "kernel", "memory_block_size") if key not in data]
    if missing:
        raise TraceError(f"{path}: is no recording of a kernel: {', '.join(map(repr, missing))} missing")
    try:
        return Trace.model_validate(data)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise TraceError(f"{path}: is nested too deeply") from error
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        says = first["msg"].removeprefix("Value error, ")  # of a check of our own, which says where by itself
        raise TraceError(f"{path}: {place}{': ' if place else ''}{says}{more}") from error
