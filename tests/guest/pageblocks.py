"""A zone's pageblocks for tests: blocks of 8 pageblocks that come and go, and user pages in them."""

from __future__ import annotations

from sim.guest.kernel_pages import KernelPages
from sim.guest.layout import Layout
from sim.guest.loads import Load, LoadKind


def blocks(*runs: tuple[int, int], fill: float = 1.0, left_half: float = 1e9) -> KernelPages:
    """Return the pageblocks of a zone with these runs (first block, blocks) online."""
    out = KernelPages(8, fill, left_half)
    out.layout = Layout(out)
    for first, nr in runs:
        add(out, first, nr)
    return out


def add(k: KernelPages, first: int, nr: int) -> None:
    """Put blocks online."""
    assert k.layout is not None
    k.layout.fresh.add(first, nr, 8 * 512)
    k.insert(first, nr)


def go(k: KernelPages, first: int, nr: int) -> None:
    """Take blocks offline."""
    assert k.layout is not None
    k.layout.remove(first, nr)
    k.delete(first, nr)


def users(k: KernelPages, pages: int, name: str = "u") -> Load:
    """Put user pages into the zone."""
    load = Load(name, LoadKind.ANONYMOUS, 0, 0.0, {})
    assert k.layout is not None
    k.layout.put(load, pages)
    return load
