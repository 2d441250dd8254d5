"""``[machines.state]`` of an experiment file: what a machine starts from, in words of ``lsmem`` and ``zoneinfo``."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.experiment.table import Address, Flag, Integer, Size, Table, Text
from sim.faults import shown
from sim.machine.state import (
    DAX_WORDS,
    AttachedDevice,
    BlockRun,
    MachineState,
    PartlyPlugged,
    SeenRun,
    ZoneBounds,
    block_ranges,
)
from sim.memory.blocks import block_range
from sim.memory.zones import NR_ZONES, ZONE_BY_LABEL, ZONE_LABELS
from sim.plugins import values
from sim.record.run_result import SEVERAL_ZONES
from sim.units import MOST_NODES, format_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sim.devices.specs import DeviceSpec
    from sim.faults import Faults

_NUMBERS: Final = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?")
_ZONES_SEEN: Final = re.compile(r"[A-Za-z0-9]{1,16}(/[A-Za-z0-9]{1,16}){0,7}")
_SEVERAL: Final = "None"
_MOST_SUB_BLOCKS: Final = 1 << 11  # a block of 2 GiB in pageblocks of 1 MiB

_KINDS: Final[dict[str, type[DeviceSpec]]] = {"dimm": DimmSpec, "virtio-mem": VirtioMemSpec, "dax": DaxSpec}
_SIZES: Final = frozenset({"size", "max_size", "block_size", "requested", "gap", "bbm_block_size", "plugged", "usable"})


def _numbers(value: object) -> tuple[int, int]:
    """Return the first number and how many of ``33-40`` or ``33``."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = _NUMBERS.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise ValueError(f"{shown(value)} is neither one block nor a range such as '33-40'")
    return int(match[1]), int(match[2] or match[1]) - int(match[1]) + 1


def _mask(value: object) -> int:
    """Return a bitmap of ``0-3,7``."""
    mask = 0
    for part in value.split(",") if isinstance(value, str) and value else [] if value == "" else [value]:
        first, count = _numbers(part)
        if first + count > _MOST_SUB_BLOCKS:
            raise ValueError(f"{shown(value)} are more sub-blocks than a block has")
        mask |= (1 << count) - 1 << first
    return mask


Blocks = Annotated[
    tuple[int, int],
    BeforeValidator(_numbers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(-\d+)?$"}]}),
]
SubBlocks = Annotated[
    int, BeforeValidator(_mask), WithJsonSchema({"type": "string", "pattern": r"^(\d+(-\d+)?(,\d+(-\d+)?)*)?$"})
]


def _seen_zones(value: object) -> str:
    text = values.string(value)
    if _ZONES_SEEN.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is not what lsmem prints of zones, such as 'Normal' or 'Normal/Movable'")
    return text


SeenZones = Annotated[
    str, BeforeValidator(_seen_zones), WithJsonSchema({"type": "string", "pattern": f"^{_ZONES_SEEN.pattern}$"})
]

Node = Annotated[
    Integer,
    Field(ge=0, lt=MOST_NODES),
    WithJsonSchema({"type": "integer", "minimum": 0, "exclusiveMaximum": MOST_NODES}),
]


class BlockTable(Table):
    """Adjacent memory blocks that are alike."""

    blocks: Blocks = Field(description='One block, or a range such as "33-40", as lsmem numbers them.')
    zone: Literal["DMA", "DMA32", "Normal", "Movable", "None"] | None = Field(
        None, description="The zone that they are online in; None: in several. Left out: they are offline."
    )
    node: Node = Field(0, description="NUMA node.")
    boot: Flag | None = Field(
        None, description="Whether they were there at boot. Default: where they lie in no device."
    )


class ZoneTable(Table):
    """A zone as /proc/zoneinfo has it, in pages."""

    zone: Literal["DMA", "DMA32", "Normal", "Movable"] = Field(description="Its name.")
    node: Node = Field(0, description="NUMA node.")
    start_pfn: Integer = Field(description="First page frame.")
    spanned: Integer = Field(description="Pages of its span.")
    present: Integer = Field(description="Pages that are there.")
    managed: Integer | None = Field(None, description="Pages that the page allocator has. Default: not known.")
    cma: Integer | None = Field(None, description="Pages of CMA. Default: not known.")


def _name(value: object) -> str:
    """Return what can name a device, in steps and logs too."""
    text = values.string(value)
    if not text or text != text.strip() or not text.isprintable() or "," in text:
        raise ValueError(f"{shown(text)} is no name of a device: printable, no comma, no blanks at either end")
    return text


DeviceName = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "minLength": 1})]


class ColdDeviceTable(Table):
    """A memory device that is there when the kernel starts. Which keys it takes goes by its kind."""

    id: DeviceName = Field(description="Name of the device.")
    kind: Literal["dimm", "virtio-mem", "dax"] = Field(description="What it is.")
    node: Node = Field(0, description="NUMA node.")
    address: Address | None = Field(
        None, description='First byte, such as "5GiB" or "0x140000000". Default: the lowest that is free.'
    )
    size: Size | None = Field(None, description="Bytes of a DIMM or dax device.")
    slot: Integer | None = Field(None, description="Slot of a DIMM. Default: the lowest that is free.")
    ranges: tuple[Size, ...] | None = Field(None, description="Lengths of the ranges of a DIMM or dax device.")
    gap: Size | None = Field(None, description="Bytes between the ranges.")
    max_size: Size | None = Field(None, description="Bytes of a virtio-mem device's region.")
    block_size: Size | None = Field(None, description="Device block of a virtio-mem device. Default 2MiB.")
    requested: Size | None = Field(None, description="Bytes that the host asks of a virtio-mem device. Default 0.")
    unplug_online: Flag | None = Field(None, description="Parameter of the virtio_mem module. Default true.")
    force_bbm: Flag | None = Field(None, description="Parameter of the virtio_mem module. Default false.")
    bbm_block_size: Size | None = Field(None, description="Parameter of the virtio_mem module. Default 0.")
    self_host: Flag | None = Field(None, description="Attribute memmap_on_memory of a dax device.")
    bytes_for_pages: Flag | None = Field(None, description="Bug of kernels before 6.6 with dax devices.")


class PartlyTable(Table):
    """A block of a virtio-mem device of which not all is plugged."""

    block: Integer = Field(description="The block.")
    sub_blocks: SubBlocks = Field(description='The sub-blocks that are plugged, such as "0-3,7".')


class DeviceTable(ColdDeviceTable):
    """A memory device that is attached, with what the guest has of it. Which keys it takes goes by its kind."""

    address: Address = Field(description='First byte, such as "5GiB" or "0x140000000".')
    plugged: Size | None = Field(
        None, description="Bytes of a virtio-mem device that the guest has. Default: all of its blocks."
    )
    usable: Size | None = Field(None, description="Bytes of its region that may be used. Default: by the request.")
    partly: tuple[PartlyTable, ...] | None = Field(
        None, description="Its blocks that are plugged in part. Default: where plugged is less, the highest."
    )
    state: Text | None = Field(
        None,
        description=f"Attribute of a dax device: {', '.join(DAX_WORDS)}. Default: online, or unbound without blocks.",
    )


class SeenTable(Table):
    """Adjacent blocks of which lsmem printed something else than it would of this state."""

    blocks: Blocks = Field(description='One block, or a range such as "33-40".')
    removable: Flag | None = Field(None, description="What REMOVABLE was. Default: true.")
    zones: SeenZones | None = Field(
        None, description='What ZONES was, such as "Normal/Movable". Default: as it follows.'
    )


class StateTable(Table):
    """What a machine starts from instead of from boot."""

    blocks: Annotated[
        tuple[BlockTable, ...], Field(min_length=1, description="The memory blocks, ascending, as lsmem lists them.")
    ]
    devices: tuple[DeviceTable, ...] = Field((), description="The memory devices that are attached.")
    zones: tuple[ZoneTable, ...] = Field((), description="What is known of zones.")
    seen: tuple[SeenTable, ...] = Field((), description="What lsmem printed, where memhp-sim show would print other.")


def read_state(table: StateTable, block_bytes: int | None, faults: Faults) -> MachineState | None:
    """Return the state that ``table`` describes of a machine with blocks of so many bytes (None: not said)."""
    devices = [_device(entry, faults.below("devices", number)) for number, entry in enumerate(table.devices)]
    known = [device for device in devices if device is not None]
    covered = _Covered([device.spec for device in known], block_bytes or 0)
    runs = [_run(entry, covered, faults.below("blocks", number)) for number, entry in enumerate(table.blocks)]
    if faults:
        return None
    zones = tuple(
        ZoneBounds(entry.node, int(ZONE_BY_LABEL[entry.zone]), entry.start_pfn, *_pages(entry)) for entry in table.zones
    )
    seen = tuple(SeenRun(*entry.blocks, entry.removable, entry.zones) for entry in table.seen)
    return MachineState(tuple(runs), zones, tuple(known), seen)


def _pages(entry: ZoneTable) -> tuple[int, int, int | None, int | None]:
    return entry.spanned, entry.present, entry.managed, entry.cma


def _run(entry: BlockTable, covered: _Covered, faults: Faults) -> BlockRun:
    first, blocks = entry.blocks
    state = NR_ZONES if entry.zone is None else SEVERAL_ZONES if entry.zone == _SEVERAL else ZONE_BY_LABEL[entry.zone]
    boot = covered.default_boot(first, blocks) if entry.boot is None else entry.boot
    if boot is None:
        faults.below("blocks").add("lie in a device in part: give those in it an entry of their own, or say boot")
    return BlockRun(first, blocks, entry.node, int(state), bool(boot))


def _device(entry: DeviceTable, faults: Faults) -> AttachedDevice | None:
    beside = {"virtio-mem": ("plugged", "usable", "partly"), "dax": ("state",)}.get(entry.kind, ())
    spec = _described(entry, faults, beside)
    if spec is None:
        return None
    partly = tuple(PartlyPlugged(part.block, part.sub_blocks) for part in entry.partly or ())
    return AttachedDevice(spec, entry.plugged, entry.usable, partly, entry.state)


def read_cold_device(entry: ColdDeviceTable, faults: Faults) -> DeviceSpec | None:
    """Return the device that ``entry`` describes; None where it has faults."""
    return _described(entry, faults, ())


def _described(entry: ColdDeviceTable, faults: Faults, beside: Collection[str]) -> DeviceSpec | None:
    """Return what ``entry`` describes, which may have keys ``beside`` those of a description."""
    kind = _KINDS[entry.kind]
    own = set(kind.__dataclass_fields__)
    given = {name: value for name in type(entry).model_fields if (value := getattr(entry, name)) is not None}
    for name in given.keys() - own - {*beside} - {"kind"}:
        faults.below(name).add(f"is no key of a device of kind {entry.kind!r}")
    size = "max_size" if entry.kind == "virtio-mem" else "size"
    if size not in given:
        faults.below(size).add(f"is missing: {ColdDeviceTable.model_fields[size].description}")
    return None if faults else kind(**{name: value for name, value in given.items() if name in own})


class _Covered:
    """Which blocks devices cover."""

    def __init__(self, specs: Iterable[DeviceSpec], block_bytes: int) -> None:
        ranges = (each for spec in specs for each in block_ranges(spec, block_bytes)) if block_bytes else ()
        self._ranges: list[list[int]] = []
        for first, end in sorted(ranges):
            if first >= end:
                continue
            if self._ranges and first <= self._ranges[-1][1]:
                self._ranges[-1][1] = max(end, self._ranges[-1][1])
            else:
                self._ranges.append([first, end])

    def default_boot(self, first: int, blocks: int) -> bool | None:
        """Whether blocks lie in no device; None where some do and some do not."""
        end = first + blocks
        at = bisect_right(self._ranges, [first, 1 << 62]) - 1
        if at >= 0 and self._ranges[at][1] >= end:
            return False
        touched = (at >= 0 and self._ranges[at][1] > first) or (
            at + 1 < len(self._ranges) and self._ranges[at + 1][0] < end
        )
        return None if touched else True


def state_tables(state: MachineState, block_bytes: int) -> dict[str, Any]:
    """Return the tables that :func:`read_state` makes this ``state`` of, as TOML can hold them."""
    covered = _Covered([device.spec for device in state.devices], block_bytes)
    tables: dict[str, Any] = {"blocks": [_block_table(run, covered) for run in state.blocks]}
    if state.devices:
        tables["devices"] = [_device_table(device) for device in state.devices]
    if state.zones:
        tables["zones"] = [_zone_table(zone) for zone in state.zones]
    if state.seen:
        tables["seen"] = [_seen_table(run) for run in state.seen]
    return tables


def _block_table(run: BlockRun, covered: _Covered) -> dict[str, Any]:
    table: dict[str, Any] = {"blocks": block_range(run.first, run.blocks)}
    if run.state != NR_ZONES:
        table["zone"] = _SEVERAL if run.state == SEVERAL_ZONES else ZONE_LABELS[run.state]
    if run.node:
        table["node"] = run.node
    if run.boot is not covered.default_boot(run.first, run.blocks):
        table["boot"] = run.boot
    return table


def _seen_table(run: SeenRun) -> dict[str, Any]:
    said = {name: value for name in ("removable", "zones") if (value := getattr(run, name)) is not None}
    return {"blocks": block_range(run.first, run.blocks), **said}


def _zone_table(zone: ZoneBounds) -> dict[str, Any]:
    table: dict[str, Any] = {"zone": ZONE_LABELS[zone.zone]}
    if zone.node:
        table["node"] = zone.node
    table |= {"start_pfn": zone.start, "spanned": zone.spanned, "present": zone.present}
    return table | {name: value for name in ("managed", "cma") if (value := getattr(zone, name)) is not None}


def device_table(spec: DeviceSpec) -> dict[str, Any]:
    """Return the table that :func:`read_cold_device` makes this description of, as TOML can hold it."""
    kind = next(word for word, each in _KINDS.items() if isinstance(spec, each))
    table: dict[str, Any] = {"id": spec.id, "kind": kind}
    if spec.address is not None:
        table["address"] = f"{spec.address:#x}"
    for name, field in spec.__dataclass_fields__.items():
        value = getattr(spec, name)
        if name not in (*table, "address") and value != field.default:
            table[name] = _written(name, value)
    return table


def _device_table(device: AttachedDevice) -> dict[str, Any]:
    table = device_table(device.spec)
    for name in ("plugged", "usable", "state"):
        value = getattr(device, name)
        if value is not None:
            table[name] = _written(name, value)
    if device.partly:
        table["partly"] = [{"block": block, "sub_blocks": ",".join(_bit_ranges(mask))} for block, mask in device.partly]
    return table


def _written(name: str, value: Any) -> Any:  # noqa: ANN401  whatever a description holds
    if name == "ranges":
        return [format_size(length) for length in value]
    return format_size(value) if name in _SIZES else value


def _bit_ranges(mask: int) -> Sequence[str]:
    ranges = []
    at = 0
    while mask >> at:
        start = at + ((mask >> at) & -(mask >> at)).bit_length() - 1
        run = mask >> start
        length = ((run + 1) & ~run).bit_length() - 1
        ranges.append(block_range(start, length))
        at = start + length
    return ranges
