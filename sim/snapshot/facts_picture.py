"""What files say of a machine's blocks, as a picture; what is concluded from them is said in its remarks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sim.faults import Fault, InputError
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE
from sim.pages import PAGE_SIZES, SMALLEST_PAGE
from sim.snapshot.picture import DeviceView, Picture, Ratio
from sim.snapshot.zone_totals import OFFLINE, SEVERAL, block_totals
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.readers.facts import BlockView, DeviceFacts, Facts, ZoneView

_MOVABLE = ZONE_LABELS[ZONE_MOVABLE]
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
    source = next((each for each in facts if each.zones), None)
    nodes = {zone.node for zone in source.zones} if source else set()
    if len(nodes) == 1 and all(view.node is None for view in blocks):
        blocks = tuple(view._replace(node=min(nodes)) for view in blocks)
    picture = Picture(
        block_size=first.block_size or 0,
        blocks=blocks,
        zones=() if source is None else source.zones,
        auto_movable_ratio=_configured(facts),
        devices=tuple(_device(device) for each in facts for device in each.devices),
    )
    untold = _untold(picture)
    remarks = [f"{source.file} does not tell of zone {', '.join(untold)}."] if source and untold else []
    page_size, of_pages = _page_size(facts, picture, complete=not untold)
    remarks += of_pages
    picture = dataclasses.replace(picture, page_size=page_size)
    total, of_total = _mem_total(facts, () if untold else picture.zones, picture.page_size)
    ratio, of_ratio = _ratio(picture, by_zones=source is not None and not untold)
    return dataclasses.replace(picture, ratio=ratio, mem_total=total, remarks=(*remarks, *of_total, *of_ratio))


def _untold(picture: Picture) -> list[str]:
    """Return the zones that blocks are in and of which it is not known how many pages they have."""
    return [
        total.zone if total.node is None else f"{total.zone} of node {total.node}"
        for total in block_totals(picture)
        if total.zone not in {SEVERAL, OFFLINE, ""} and total.view is None
    ]


def _page_size(facts: Sequence[Facts], picture: Picture, *, complete: bool) -> tuple[int, list[str]]:
    """Return what a page is, and what is to be said of it.

    That is as a file says, else, where the zones are ``complete``, the largest with which they hold no more than all
    blocks.
    """
    for each in facts:
        if each.page_size:
            return each.page_size, []
    pages = sum(zone.present or 0 for zone in picture.zones)
    if not pages:
        return SMALLEST_PAGE, []
    if not complete:
        return SMALLEST_PAGE, [f"Pages are taken to be of {format_size(SMALLEST_PAGE)}: no file tells."]
    there = len(picture.blocks) * picture.block_size
    size = max((size for size in PAGE_SIZES if pages * size <= there), default=SMALLEST_PAGE)
    return size, [f"Pages of {format_size(size)}: with larger ones the zones would hold more than all blocks."]


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


def _ratio(picture: Picture, *, by_zones: bool) -> tuple[Ratio | None, list[str]]:
    """Return MOVABLE against KERNEL, by the zones' pages or else in whole blocks, and what is to be said of it."""
    if by_zones:
        present = [(zone.zone, zone.present or 0) for zone in picture.zones]
        movable = sum(pages for zone, pages in present if zone == _MOVABLE) * picture.page_size
        return Ratio(movable, sum(pages for _, pages in present) * picture.page_size - movable), []
    totals = [total for total in block_totals(picture) if total.zone not in {"", OFFLINE}]
    if not totals:
        return None, []
    movable = sum(total.blocks for total in totals if total.zone == _MOVABLE) * picture.block_size
    kernel = sum(total.blocks for total in totals) * picture.block_size - movable
    told = "The ratio is of whole blocks, those in several zones counted as the kernel's: pages by zone are not known."
    return Ratio(movable, kernel), [told]
