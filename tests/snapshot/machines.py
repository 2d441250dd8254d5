"""Facts of machines made by hand, as readers find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.readers.facts import BlockView, DeviceFacts, Facts, NodeFacts
from sim.snapshot.assembly import Imported, put_together
from sim.snapshot.wishes import Wishes
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

BLOCK = 128 * MIB


def blocks(*runs: tuple[int, int, str | None], node: int | None = 0) -> tuple[BlockView, ...]:
    """Return blocks from ``(first, last, zones)``; zones ``offline`` for such as are."""
    return tuple(
        BlockView(block, "offline", None, node) if zones == "offline" else BlockView(block, "online", zones, node)
        for first, last, zones in runs
        for block in range(first, last + 1)
    )


def lsmem(views: Iterable[BlockView], block_size: int = BLOCK, **more: Any) -> Facts:  # noqa: ANN401
    """Return what lsmem says."""
    return Facts("lsmem.txt", "lsmem", {"blocks": "line 2"}, block_size=block_size, blocks=tuple(views), **more)


def xml(boot_memory: int, *devices: DeviceFacts, cells: tuple[int, ...] = (), **more: Any) -> Facts:  # noqa: ANN401
    """Return what a domain's XML says."""
    nodes = tuple(NodeFacts(number, cpus=not number, boot_memory=size) for number, size in enumerate(cells))
    return Facts(
        "guest.xml",
        "libvirt",
        {"boot_memory": "/domain/memory"},
        boot_memory=boot_memory,
        nodes=nodes,
        devices=devices,
        bare_metal=False,
        **more,
    )


def dimm(name: str, size: int = GIB, address: int | None = None, node: int = 0) -> DeviceFacts:
    """Return a DIMM."""
    return DeviceFacts(name, "dimm", size, node, address, where="/domain/devices/memory")


def virtio_mem(
    name: str,
    size: int,
    address: int | None = None,
    *,
    requested: int | None = None,
    plugged: int | None = None,
    node: int = 0,
) -> DeviceFacts:
    """Return a virtio-mem device."""
    where = "/domain/devices/memory"
    return DeviceFacts(name, "virtio-mem", size, node, address, 2 * MIB, requested, plugged, where=where)


def imported(*facts: Facts, **wishes: Any) -> Imported:  # noqa: ANN401
    """Return what becomes of ``facts``."""
    return put_together(facts, Wishes(**wishes))
