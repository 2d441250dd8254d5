"""How a machine grows and shrinks: which of its devices a controller has, and which controller that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.devices.specs import MOST_DIMM_SLOTS, DimmSpec, VirtioMemSpec
from sim.units import GIB, MIB, counted, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.devices.specs import DeviceSpec

KINDS: Final = ("virtio-mem", "dimm", "cxl")
"""What memory may come as, by the word of the command's option."""

VIRTIO_MEM, DIMM, CXL = KINDS

_DIMM_SIZES: Final = tuple(128 * MIB << power for power in range(13))
"""Sizes of DIMMs that are tried: 128 MiB to 512 GiB."""

_ROOM: Final = 1.5
"""How much larger than the demand's peak a machine is made whose files set no limit."""

_STEPS: Final = 32
"""Parts of a device by which it grows, at the finest."""

_SMALLEST_STEP: Final = 128 * MIB
_LARGEST_STEP: Final = GIB
_OF_BOOT: Final = 8
"""A step is at most this part of boot memory: a guest that is asked for more at once may not have the memmap for it."""


@dataclass(slots=True)
class Growth:
    """The tables of the controllers (parts of ``together``), the devices that stay as they are, and the most there is.

    ``most`` is boot memory and all devices in bytes. ``made_up``: no file tells of the device. ``said`` and ``assumed``
    are lines about it.
    """

    kind: str
    most: int
    controllers: list[dict[str, Any]]
    kept: list[DeviceSpec] = field(default_factory=list)
    made_up: bool = False
    said: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    needs_nodes: int = 0
    """Nodes that the machine must have at least."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a machine has: ``boot`` memory, the ``most`` there may be (None: not said), ``slots`` (None: not said).

    ``block`` are the bytes of a memory block; ``nodes`` their number.
    """

    boot: int
    most: int | None
    slots: int | None
    block: int
    nodes: int


def growth(limits: Limits, devices: Sequence[DeviceSpec], needed: int | None, kind: str | None = None) -> Growth:
    """Return how the machine grows: by the devices that it has, as its limits allow, or as ``kind`` says.

    ``needed`` is the demand's peak in bytes, None where there is none.
    """
    virtio = [device for device in devices if isinstance(device, VirtioMemSpec)]
    dimms = [device for device in devices if isinstance(device, DimmSpec)]
    others = [device for device in devices if not isinstance(device, (VirtioMemSpec, DimmSpec))]
    has_room = limits.most is not None and limits.most > limits.boot and bool(limits.slots)
    chosen = kind or (VIRTIO_MEM if virtio else DIMM if dimms or has_room else VIRTIO_MEM)
    if chosen == CXL:
        return _cards(limits, list(devices), needed)
    if chosen == DIMM:
        return _slots(limits, dimms, [*virtio, *others], needed)
    kept: list[DeviceSpec] = [*dimms, *others]
    made = [] if virtio else [_made_up(limits, kept, needed)]
    return _virtio(limits, virtio or made, kept, made_up=not virtio)


def _size(device: DeviceSpec) -> int:
    return device.requested if isinstance(device, VirtioMemSpec) else device.size


def _wanted(limits: Limits, kept: Sequence[DeviceSpec], needed: int | None) -> int:
    """Return how much memory a device is made with of which no file tells: whole GiB."""
    there = limits.boot + sum(map(_size, kept))
    if limits.most is not None and limits.most > there:
        return limits.most - there
    wanted = max(int(_ROOM * needed) - there, GIB) if needed is not None else 3 * limits.boot
    return -(-wanted // GIB) * GIB


def _made_up(limits: Limits, kept: Sequence[DeviceSpec], needed: int | None) -> VirtioMemSpec:
    size = _wanted(limits, kept, needed)
    return VirtioMemSpec("virtiomem0", max(limits.block, size // limits.block * limits.block))


def _virtio(limits: Limits, devices: Sequence[VirtioMemSpec], kept: list[DeviceSpec], *, made_up: bool) -> Growth:
    controllers = []
    for number, device in enumerate(devices):
        step = _step(device, limits)
        table: dict[str, Any] = {"name": "watermark"}
        table["label"] = "controller" if len(devices) == 1 else f"controller of {device.id}"
        table |= {
            "device": device.id,
            "maximum": format_size(device.max_size),
            "device_block": format_size(device.block_size),
            "low": "20%",
            "target": "30%",
            "high": "45%",
            "step": format_size(step),
            "shrink_step": "0",
            "period": 1,
        }
        if device.node:
            table["node"] = device.node
        if number:
            table["start"] = number / len(devices)
        controllers.append(table)
    most = limits.boot + sum(device.max_size for device in devices) + sum(map(_size, kept))
    found = Growth(VIRTIO_MEM, most, controllers, kept, made_up)
    names = ", ".join(device.id for device in devices)
    sizes = format_size(sum(device.max_size for device in devices))
    if made_up:
        found.assumed.append(
            f"no file tells of a device that could grow the machine: it is given a virtio-mem device of {sizes}"
            " (to say otherwise: --device dimm, or the device in the files)"
        )
    else:
        found.said.append(f"{names} ({sizes}): a watermark controller grows and shrinks it, from nothing at boot")
    if kept:
        found.said.append(f"{counted(len(kept), 'other device')} there from boot on")
    return found


def _step(device: VirtioMemSpec, limits: Limits) -> int:
    """Return by how much a device grows at a time: whole memory blocks where the device has them, a power of two."""
    step = _SMALLEST_STEP
    while step * 2 <= min(device.max_size // _STEPS, _LARGEST_STEP, limits.boot // _OF_BOOT):
        step *= 2
    while step > device.max_size // 2 or step > limits.boot // 2:
        step //= 2
    return max(step // device.block_size, 1) * device.block_size


def _slots(limits: Limits, dimms: Sequence[DimmSpec], kept: list[DeviceSpec], needed: int | None) -> Growth:
    there = limits.boot + sum(map(_size, kept))
    room = limits.most - there if limits.most is not None and limits.most > there else _wanted(limits, kept, needed)
    slots = limits.slots or (len(dimms) if dimms else 16)
    slots = min(slots, MOST_DIMM_SLOTS)
    sizes = list(dict.fromkeys(dimm.size for dimm in dimms))
    said = []
    assumed = []
    if len(sizes) == 1:
        (size,) = sizes
        said.append(f"DIMM slots: filled and emptied by need with DIMMs of {format_size(size)}, as are there now")
    else:
        wanted = min(room, max(int(1.25 * needed) - there, limits.block)) if needed is not None else room
        usual = [each for each in _DIMM_SIZES if not each % limits.block]
        size = next((each for each in usual if each * slots >= wanted), usual[-1])
        while size > limits.block and size > room:
            size //= 2
        assumed.append(
            f"DIMMs are of {format_size(size)}, the smallest usual size of which {counted(slots, 'slot')} hold what is"
            " needed (to say otherwise: sizes of the controller)"
        )
        said.append("DIMM slots: filled and emptied by need")
    slots = max(1, min(slots, room // size))
    nodes = sorted({dimm.node for dimm in dimms}) or [0]
    table: dict[str, Any] = {
        "name": "dimm-controller",
        "label": "controller",
        "slots": slots,
        "sizes": [format_size(size)],
        "low_share": 0.25,
        "period": 5,
        "hold": 60,
    }
    if nodes != [0]:
        table["nodes"] = nodes
    return Growth(
        DIMM,
        there + slots * size,
        [table],
        kept,
        made_up=not dimms and not limits.slots,
        said=said,
        assumed=assumed,
    )


def _cards(limits: Limits, kept: list[DeviceSpec], needed: int | None) -> Growth:
    there = limits.boot + sum(map(_size, kept))
    room = _wanted(limits, kept, needed)
    size = max(limits.block, -(-room // 4 // limits.block) * limits.block)
    cards = 4
    table = {
        "name": "cxl-cards",
        "label": "controller",
        "cards": cards,
        "size": format_size(size),
        "node": limits.nodes,
        "low_share": 0.25,
        "hold": 60,
    }
    return Growth(
        CXL,
        there + cards * size,
        [table],
        kept,
        made_up=True,
        said=["CXL cards: each comes and goes as a whole, on a node of its own"],
        assumed=[f"{cards} cards of {format_size(size)} (to say otherwise: cards and size of the controller)"],
        needs_nodes=limits.nodes + 1,
    )
