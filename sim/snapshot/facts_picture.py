"""What files say of a machine's blocks, as a picture: nothing is concluded that does not stand in one of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sim.faults import Fault, InputError
from sim.snapshot.picture import DeviceView, Picture, Ratio
from sim.snapshot.zone_totals import block_totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.snapshot.facts import DeviceFacts, Facts
    from sim.snapshot.picture import BlockView, ZoneView

MOVABLE = "Movable"
_ATTRIBUTES = ("zones", "node", "removable", "phys_device")


def picture_of_facts(facts: Sequence[Facts]) -> Picture | None:
    """Return the blocks that ``facts``, all of one machine, tell of; None where none of them has any.

    What the first file with blocks leaves out is taken from the next ones. Raises InputError where files have different
    blocks.
    """
    found = [each for each in facts if each.blocks and each.block_size]
    if not found:
        return None
    first = found[0]
    blocks = first.blocks
    for other in found[1:]:
        if other.block_size != first.block_size or [(b.block, b.state) for b in other.blocks] != [
            (b.block, b.state) for b in blocks
        ]:
            what = f"has other memory blocks than {first.file}: show one machine at one moment at a time"
            raise InputError(other.file, [Fault("", what)])
        blocks = tuple(_filled(own, more) for own, more in zip(blocks, other.blocks, strict=True))
    zones = next((each.zones for each in facts if each.zones), ())
    page_size = next((each.page_size for each in facts if each.page_size), 4096)
    total, remarks = _mem_total(facts, zones, page_size)
    picture = Picture(
        block_size=first.block_size or 0,
        blocks=blocks,
        page_size=page_size,
        zones=zones,
        mem_total=total,
        auto_movable_ratio=_configured(facts),
        devices=tuple(_device(device) for each in facts for device in each.devices),
    )
    ratio, counted = _ratio(picture)
    return dataclasses.replace(picture, ratio=ratio, remarks=(*remarks, *counted))


def _filled(own: BlockView, more: BlockView) -> BlockView:
    return own._replace(**{name: getattr(more, name) for name in _ATTRIBUTES if getattr(own, name) is None})


def _mem_total(facts: Sequence[Facts], zones: Sequence[ZoneView], page_size: int) -> tuple[int | None, list[str]]:
    """Return MemTotal in bytes, and what is to be said of where it is from."""
    for each in facts:
        if "MemTotal" in each.meminfo:
            return each.meminfo["MemTotal"], []
        if "total" in each.free:
            return each.free["total"], []
    managed = [zone.managed for zone in zones]
    if managed and None not in managed:
        return sum(pages or 0 for pages in managed) * page_size, ["MemTotal: the sum of what the zones manage."]
    return None, []


def _configured(facts: Sequence[Facts]) -> int | None:
    for each in facts:
        text = each.parameters.get("auto_movable_ratio", "")
        if each.parameters.get("online_policy") == "auto-movable" and text.isdigit():
            return int(text)
    return None


def _device(device: DeviceFacts) -> DeviceView:
    """Return what the host says of a device: a DIMM is plugged as a whole, a virtio-mem device as it is said to be."""
    if device.kind == "virtio-mem":
        return DeviceView(device.id, device.node, device.requested, device.plugged)
    return DeviceView(device.id, device.node, device.size, device.size)


def _ratio(picture: Picture) -> tuple[Ratio | None, list[str]]:
    """Return MOVABLE against KERNEL: by zones where they are known, else in whole blocks; and what to say of it."""
    present = [(zone.zone, zone.present) for zone in picture.zones if zone.present is not None]
    if present:
        movable = sum(pages for zone, pages in present if zone == MOVABLE) * picture.page_size
        return Ratio(movable, sum(pages for _, pages in present) * picture.page_size - movable), []
    totals = [total for total in block_totals(picture) if total.zone not in {"", "offline"}]
    if not totals:
        return None, []
    movable = sum(total.blocks for total in totals if total.zone == MOVABLE) * picture.block_size
    kernel = sum(total.blocks for total in totals) * picture.block_size - movable
    return Ratio(movable, kernel), [
        "The ratio is of whole blocks, those of several zones among the kernel's: no file tells the zones' sizes."
    ]
