"""What policies get of memory: everything that is counted, as it is now, and nothing that they could change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.groups import GroupView
from sim.memory.hotplug import Memory
from sim.memory.view import MemoryUse, MemoryView
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, TotalsView

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 32768
PLAIN = (int, str, type(None))
CHANGERS = {"add", "append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "sort", "update"}


class Guest:
    """Says how many pages the kernel has left, and who uses the rest."""

    __slots__ = ()

    def kernel_headroom(self, node: int | None = None) -> int:
        return 7 if node is None else node

    def use(self, node: int | None = None) -> MemoryUse:
        return MemoryUse(1, 2, 3 if node is None else node)


def two_nodes() -> Memory:
    """Two nodes with boot memory, a DIMM and a virtio-mem device."""
    memory = Memory(block_pages=PAGES, section_pages=PAGES, nodes=(0, 1))
    for node in (0, 1):
        start = node * 8 * PAGES
        add_boot_zone(
            memory, node, ZONE_NORMAL, start=start, end=start + 4 * PAGES, present=4 * PAGES, managed=4 * PAGES
        )
        add_boot_blocks(memory, node, node * 8, 4, ZONE_NORMAL)
    memory.add(20, 2, node=0, group_id=memory.groups.register_static(0, 2 * PAGES).id)
    memory.add(30, 3, node=1, group_id=memory.groups.register_dynamic(1, PAGES).id)
    memory.online(20, ZONE_NORMAL, 2)
    memory.online(30, ZONE_MOVABLE, 3)
    return memory


def public(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def reachable(thing: object, path: str, seen: set[int]) -> Iterator[tuple[str, object]]:
    """Yield all that can be reached from ``thing`` by public attributes, by items and by asking for groups."""
    if isinstance(thing, PLAIN) or id(thing) in seen:
        return
    seen.add(id(thing))
    yield path, thing
    if isinstance(thing, tuple | Mapping):
        items = thing.items() if isinstance(thing, Mapping) else enumerate(thing)
        for key, value in items:
            yield from reachable(value, f"{path}[{key}]", seen)
        return
    if isinstance(thing, MemoryView):
        yield from reachable(thing.groups(), f"{path}.groups()", seen)
        yield from reachable(thing.group(0), f"{path}.group(0)", seen)
    for name in public(thing):
        yield from reachable(getattr(thing, name), f"{path}.{name}", seen)


def state(memory: Memory) -> object:
    groups = [vars(group) | {"blocks": group.blocks} for group in memory.groups]
    return groups, vars(memory.system).copy(), [vars(node.totals).copy() for node in memory.nodes.values()]


def test_nothing_that_can_be_reached_from_the_view_can_be_changed() -> None:
    memory = two_nodes()
    view = MemoryView(memory, meminfo=Guest())
    before = state(memory)
    reached = dict(reachable(view, "view", set()))
    assert {"view", "view.system", "view.nodes[0]", "view.nodes[1]", "view.groups()[0]", "view.groups()[1]"} <= set(
        reached
    )
    for path, thing in reached.items():
        for name in (*public(thing), "something_new"):
            with pytest.raises(AttributeError):
                setattr(thing, name, 5)
            with pytest.raises(AttributeError):
                delattr(thing, name)
        assert not CHANGERS & set(public(thing)), path
        for changed in ("__setitem__", "__delitem__", "__iadd__"):
            assert not hasattr(thing, changed), path
        assert not {name for name in public(thing) if name.startswith(("register", "unregister", "settle"))}, path
    assert state(memory) == before


def test_what_cannot_be_changed_says_so() -> None:
    view = MemoryView(two_nodes())
    for thing, name in ((view, "movable_node"), (view.system, "movable"), (view.groups()[0], "kernel")):
        with pytest.raises(AttributeError, match=f"^{name} may be looked at, and not set$"):
            setattr(thing, name, 0)
        with pytest.raises(AttributeError, match=f"^{name} may be looked at, and not deleted$"):
            delattr(thing, name)


def test_the_view_follows_memory() -> None:
    memory = two_nodes()
    view = MemoryView(memory, movable_node=True)
    system, second, (dimm, device) = view.system, view.nodes[1], view.groups()
    assert (system.movable, system.kernel, system.early_kernel, system.dynamic_movable) == (
        3 * PAGES, 10 * PAGES, 8 * PAGES, 3 * PAGES,
    )  # fmt: skip
    assert (second.movable, second.kernel, second.early_kernel) == (3 * PAGES, 4 * PAGES, 4 * PAGES)
    memory.offline(31)
    memory.offline(8)
    memory.add(40, 1, node=0, group_id=device.id)
    memory.online(40, ZONE_NORMAL)
    assert (system.movable, system.kernel, system.early_kernel, system.dynamic_movable) == (
        2 * PAGES, 10 * PAGES, 7 * PAGES, 2 * PAGES,
    )  # fmt: skip
    assert (second.movable, second.kernel, second.early_kernel) == (2 * PAGES, 4 * PAGES, 3 * PAGES)
    assert (dimm.kernel, dimm.movable, dimm.max_pages, dimm.unit_pages) == (2 * PAGES, 0, 2 * PAGES, 0)
    assert (device.kernel, device.movable, device.max_pages, device.unit_pages) == (PAGES, 2 * PAGES, 0, PAGES)
    assert [(group.id, group.node, group.is_dynamic) for group in view.groups()] == [(0, 0, False), (1, 1, True)]
    assert (view.movable_node, view.several_nodes) == (True, True)
    assert view.kernel_headroom is None
    assert view.use is None


def test_a_zone_that_is_not_there_has_no_span_and_no_pages() -> None:
    view = MemoryView(Memory(block_pages=PAGES, section_pages=PAGES, nodes=range(1)))
    assert not view.movable_node
    assert [view.span(0, zone) for zone in (ZONE_NORMAL, ZONE_MOVABLE)] == [(0, 0)] * 2
    assert view.zones_present(0) == (0, 0, 0, 0)
    assert view.managed(0, ZONE_MOVABLE) == 0


def test_groups_are_found_by_their_id_and_listed_by_it() -> None:
    memory = two_nodes()
    view = MemoryView(memory)
    for _ in range(3):
        memory.groups.register_static(0, PAGES)
    memory.groups.unregister(2)
    memory.groups.unregister(3)
    assert [group.id for group in view.groups()] == [0, 1, 4]
    assert memory.groups.register_static(1, 5 * PAGES).id == 2
    assert [group.id for group in view.groups()] == [0, 1, 2, 4]
    group = view.group(2)
    assert group is not None
    assert (group.id, group.node, group.max_pages) == (2, 1, 5 * PAGES)
    assert view.group(2) is group is view.groups()[2]
    assert view.group(3) is view.group(-1) is None


def test_a_view_shows_what_its_type_promises_and_no_more() -> None:
    view = MemoryView(two_nodes())
    assert set(vars(view.groups()[0])) == set(public(GroupView))
    assert set(vars(view.system)) == set(public(TotalsView))
    assert repr(view.groups()[0]) == (
        f"ReadOnly(id=0, node=0, is_dynamic=False, max_pages={2 * PAGES}, unit_pages=0, kernel={2 * PAGES}, movable=0)"
    )
