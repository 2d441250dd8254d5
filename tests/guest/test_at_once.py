"""That runs of blocks taken at once leave a guest as if it had been told of each block, and the books they stand in."""

from __future__ import annotations

import random
from copy import deepcopy
from itertools import groupby
from typing import TYPE_CHECKING

from sim.guest.fresh_runs import FreshRuns
from sim.guest.memmap_table import MemmapTable
from sim.guest.zone import GuestZone
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest, plug
from tests.guest.test_shortcuts import lived_in, state

if TYPE_CHECKING:
    from sim.guest.layout import Layout
    from sim.guest.model import GuestModel

# ruff: noqa: S311, SLF001 - any numbers will do; the parts of a guest are its own

FAR = FIRST + 300
SUB_PAGES = 512
ALL = (1 << BLOCK // SUB_PAGES) - 1


def ahead(layout: Layout) -> list[tuple[int, int, int]]:
    """Return the runs of untouched blocks in the order in which they are used."""
    return [*reversed(layout._front), *layout.fresh]


def books(model: GuestModel) -> object:
    """Return all that a guest knows, untouched blocks one by one, and where memmap lies."""
    untouched = [
        [(block, pages) for first, count, pages in ahead(zone.layout) for block in range(first, first + count)]
        for zone in model.zones.values()
        if zone.layout is not None
    ]
    memmap = sorted((zone.node, zone.type, pages, pieces) for zone, pages, pieces in model.memmaps.parts())
    spread = deepcopy(model)
    for zone in spread.zones.values():
        if zone.layout is not None:
            zone.layout.fresh.set([])
            zone.layout._front = []
    return untouched, memmap, model._settled.due, state(spread)


def fill_up(zone: GuestZone, left: int) -> None:
    """Leave so few whole pageblocks that memmap has to lie in blocks that come later."""
    assert zone.pageblocks is not None
    assert zone.layout is not None
    while zone.pageblocks.untouched() > left and zone.layout.next() is not None:
        zone.pageblocks.hold_one()


def plug_one_by_one(model: GuestModel, runs: list[tuple[int, int]]) -> None:
    block = FAR
    for count, zone in runs:
        for _ in range(count):
            assert model.add_memory(0, block, 1, altmap=False)
            model.online(zone, 0, block, 1, BLOCK)
            block += 1


def unplug_one_by_one(model: GuestModel, zone: int, pieces: list[tuple[int, int]]) -> None:
    for first, count in pieces:
        for block in range(first + count - 1, first - 1, -1):
            assert model.give_subblocks(zone, 0, block, ALL, SUB_PAGES, BLOCK // SUB_PAGES) == (ALL, 0, ())
            assert model.offline(zone, 0, block, 1, 0, drop_cache=True) == ((), 0, ())
            model.remove_memory(block, 1)


def of_zone(runs: list[tuple[int, int]], zone: int) -> list[tuple[int, int]]:
    """Return the blocks of a zone as (first, blocks), the highest first."""
    zones = [its for count, its in runs for _ in range(count)]
    found = []
    for its, blocks in groupby(range(len(zones)), key=zones.__getitem__):
        if its == zone:
            numbers = list(blocks)
            found.append((FAR + numbers[0], len(numbers)))
    return found[::-1]


def test_runs_that_come_and_go_at_once_are_as_if_each_block_had() -> None:
    draw = random.Random(7)
    came = went = stayed = 0
    for _ in range(40):
        at_once = lived_in(draw)
        kernel = at_once.zones.get((0, ZONE_NORMAL))
        if kernel is not None and draw.random() < 0.3:
            fill_up(kernel, draw.randrange(1, 5))
        one_by_one = deepcopy(at_once)
        runs = [(draw.randrange(1, 12), draw.choice([ZONE_MOVABLE, ZONE_NORMAL])) for _ in range(draw.randrange(1, 6))]
        wanted = sum(count for count, _ in runs)
        if at_once.at_once.most(0, wanted) < wanted or not at_once.at_once.plug(0, FAR, runs):
            assert books(at_once) == books(one_by_one), "nothing was done"
            continue
        came += wanted
        plug_one_by_one(one_by_one, runs)
        assert books(at_once) == books(one_by_one)
        if draw.random() < 0.6:
            amount = draw.choice([300, 3000]) * MIB
            for model in (at_once, one_by_one):
                model.demands.anonymous("later", amount)
                if wanted % 2:
                    model.demands.kill("later")
        for zone in (ZONE_MOVABLE, ZONE_NORMAL):
            pieces = of_zone(runs, zone)
            if pieces:
                gone = at_once.at_once.unplug(zone, 0, pieces)
                blocks = sum(count for _, count in gone)
                went, stayed = went + blocks, stayed + sum(count for _, count in pieces) - blocks
                unplug_one_by_one(one_by_one, zone, gone)
                assert books(at_once) == books(one_by_one)
        at_once.check()
    assert min(came, went) > 300
    assert stayed > 15


def test_a_kernel_zone_that_has_no_memory_gets_its_first_block_alone() -> None:
    model = guest(1024)
    runs = [(4, ZONE_MOVABLE), (4, ZONE_NORMAL)]
    assert not model.at_once.plug(0, FAR, runs)
    plug(model, 128, ZONE_NORMAL, FIRST)
    model.vacate(ZONE_NORMAL, 0, FIRST)
    assert not model.offline(ZONE_NORMAL, 0, FIRST, 1, BLOCK).refused
    model.remove_memory(FIRST, 1)
    assert not model.at_once.plug(0, FAR, runs)
    assert model.at_once.plug(0, FAR, runs[:1])


def test_untouched_runs_are_kept_in_their_order_however_they_came() -> None:
    draw = random.Random(3)
    for _ in range(25):
        runs, plain = FreshRuns(), list[tuple[int, int, int]]()
        for _ in range(40):
            taken = {block for first, count, _ in plain for block in range(first, first + count)}
            first, count = draw.randrange(60), draw.randrange(1, 5)
            what = draw.random()
            if what < 0.5:
                if taken.isdisjoint(range(first, first + count)):
                    plain.append((first, count, draw.choice([64, 64, 64, 32])))
                    runs.add(*plain[-1])
            elif what < 0.6 and plain:
                assert runs.pop() == plain.pop(0)
            elif what < 0.7 and plain:
                at = draw.randrange(len(plain))
                plain[at] = (*plain[at][:2], plain[at][2] - 8)
                runs.replug(plain[at][0], plain[at][2])
            elif plain:
                at = draw.randrange(len(plain))
                start, blocks, pages = plain[at]
                gone = draw.randrange(1, blocks + 1)
                assert runs.cut(start, gone) is (gone == blocks) or gone == blocks == 1
                if gone < blocks:
                    assert runs.cut(start + blocks - gone, gone, pages + 1) is False
                    assert runs.cut(start + blocks - gone, gone, pages) is True
                    plain[at] = (start, blocks - gone, pages)
                else:
                    del plain[at]
            assert list(runs) == plain
            assert bool(runs) == bool(plain)
            for block in range(64):
                its = next(((start, *rest) for start, *rest in plain if start <= block < start + rest[0]), None)
                assert runs.start_of(block) == (its[0] if its else None)
                assert runs.get(block) == (its[1:] if its and its[0] == block else None)
            assert runs.cut(200, 1) is None


def test_the_table_of_memmap_gives_back_what_was_put_in() -> None:
    draw = random.Random(5)
    zones = [GuestZone(node, ZONE_NORMAL, None) for node in range(3)]
    for _ in range(60):
        table, plain = MemmapTable(8), dict[int, tuple[GuestZone, int, int]]()
        for _ in range(30):
            first, zone = draw.randrange(40), draw.choice(zones)
            if draw.random() < 0.5:
                pieces = [(draw.randrange(90), draw.randrange(1, 256)) for _ in range(draw.randrange(1, 3))]
                bits = [(home, 1 << at) for home, mask in pieces for at in range(8) if mask >> at & 1]
                if len(bits) == 1:
                    table.put_one(first, zone, *bits[0])
                else:
                    assert table.put(first, zone, pieces) == len(bits)
                plain.update({first + at: (zone, *bit) for at, bit in enumerate(bits)})
            elif first in plain and draw.random() < 0.5:
                assert table.pop(first) == plain.pop(first)
            else:
                count = draw.randrange(1, 20)
                expected = []
                for block in range(first, first - count, -1):
                    if block not in plain:
                        break
                    expected.append(plain.pop(block))
                found = [
                    (zone, home, 1 << at)
                    for zone, pieces in table.pop_down(first, count)
                    for home, mask in pieces
                    for at in reversed(range(8))
                    if mask >> at & 1
                ]
                assert found == expected
            assert list(table) == [(block, *plain[block]) for block in sorted(plain)]
            assert [table.holds(block) for block in range(60)] == [block in plain for block in range(60)]
            assert table.any(first, 5) == any(block in plain for block in range(first, first + 5))
