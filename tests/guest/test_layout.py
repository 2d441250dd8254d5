"""In which order blocks are filled, and which pages lie in them: by hand, and against a list of single pages."""

from __future__ import annotations

import random
from collections import Counter

from sim.guest.layout import Layout
from sim.guest.loads import Load, LoadKind


def load(name: str, kind: LoadKind = LoadKind.ANONYMOUS) -> Load:
    return Load(name, kind, 0, 0.0, {})


def online(layout: Layout, first: int, blocks: int, pages: int = 10) -> None:
    layout.fresh.add(first, blocks, pages)


def test_blocks_are_filled_in_the_order_in_which_they_went_online() -> None:
    layout = Layout(None)
    online(layout, 8, 2)
    online(layout, 2, 1)
    a = load("a")
    layout.put(a, 25)
    assert layout.where == {a: {8: 10, 9: 10, 2: 5}}
    assert layout.used == {8: 10, 9: 10, 2: 5}
    online(layout, 5, 1)
    layout.put(a, 10)
    assert layout.where[a] == {8: 10, 9: 10, 2: 10, 5: 5}


def test_what_was_freed_last_is_filled_first() -> None:
    layout = Layout(None)
    online(layout, 0, 9)
    a, b, c = load("a"), load("b"), load("c")
    layout.put(a, 20)
    layout.put(b, 15)
    layout.take_all(a)
    layout.put(c, 12)
    assert layout.where == {b: {2: 10, 3: 5}, c: {1: 10, 0: 2}}
    layout.take(b, 7)  # its youngest
    layout.put(c, 20)
    assert layout.where[c] == {1: 10, 0: 10, 2: 2, 3: 10}


def test_of_page_cache_the_oldest_goes() -> None:
    layout = Layout(None)
    online(layout, 0, 9)
    a = load("a")
    layout.put(a, 25)
    layout.take(a, 12, oldest=True)
    assert layout.where[a] == {1: 8, 2: 5}


def test_pages_beyond_the_blocks_are_adrift_and_go_first() -> None:
    layout = Layout(None)
    online(layout, 0, 1)
    a = load("a")
    layout.put(a, 14)
    assert (layout.where[a], layout.adrift) == ({0: 10}, {a: 4})
    layout.take(a, 5)
    assert (layout.where[a], layout.adrift) == ({0: 9}, {})


def test_a_block_with_less_plugged_is_overfull_by_what_does_not_fit() -> None:
    layout = Layout(None)
    online(layout, 0, 3)
    a, b = load("a"), load("b")
    layout.put(a, 4)
    layout.put(b, 3)
    layout.unplug(0, 3)
    assert layout.overfull([0, 1]) == 0
    layout.unplug(0, 5)
    assert layout.overfull([0]) == 5
    assert layout.holders(0) == [b, a]
    layout.unplug(2, 4)
    assert list(layout.fresh) == [(1, 1, 10), (2, 1, 6)]
    layout.plug(2, 1, again=True)
    assert list(layout.fresh) == [(1, 1, 10), (2, 1, 7)]


def test_blocks_that_go_are_forgotten_wherever_they_stand() -> None:
    layout = Layout(None)
    online(layout, 0, 6)
    online(layout, 10, 4)
    a = load("a")
    layout.put(a, 15)
    layout.take(a, 5)  # block 1 is empty again, 2 to 5 were never used
    layout.remove(1, 3)
    layout.remove(11, 2)
    layout.put(a, 50)
    assert layout.where[a] == {0: 10, 4: 10, 5: 10, 10: 10, 13: 10}
    assert layout.adrift == {a: 10}
    online(layout, 20, 1)
    layout.remove(20, 1)
    assert layout.next() is None


class Pages:
    """The same with a list of single free pages, each the number of its block; the next to be used stands last."""

    def __init__(self, loads: list[Load]) -> None:
        self.free: list[int] = []
        self.held: dict[Load, list[int]] = {one: [] for one in loads}
        self.blocks = set[int]()

    def online(self, block: int) -> None:
        self.blocks.add(block)
        self.free[:0] = [block] * 10

    def offline(self, block: int) -> None:
        self.blocks.remove(block)
        self.free = [b for b in self.free if b != block]

    def put(self, one: Load, pages: int) -> None:
        for _ in range(pages):
            self.held[one].append(self.free.pop())

    def take(self, one: Load, pages: int, *, youngest: bool) -> None:
        mine = self.held[one]
        order = list(dict.fromkeys(mine))
        for block in reversed(order) if youngest else order:
            part = min(pages, mine.count(block))
            pages -= part
            for _ in range(part):
                mine.remove(block)
            if part:
                together = [b for b in self.free if b == block] + [block] * part
                self.free = [b for b in self.free if b != block] + together


def test_layout_is_as_single_pages_in_a_list() -> None:
    draw = random.Random(2)  # noqa: S311 - any numbers will do
    loads = [load(str(number)) for number in range(4)]
    layout, plain = Layout(None), Pages(loads)
    done = Counter[str]()
    for _ in range(3000):
        one = draw.choice(loads)
        mine = plain.held[one]
        what = draw.choice(["put", "put", "take", "all", "online", "online", "offline"])
        if what == "put" and plain.free:
            pages = min(len(plain.free), draw.randrange(1, 30))
            layout.put(one, pages)
            plain.put(one, pages)
        elif what == "take" and mine:
            pages = draw.randrange(1, len(mine) + 1)
            youngest = draw.random() < 0.5
            layout.take(one, pages, oldest=not youngest)
            plain.take(one, pages, youngest=youngest)
        elif what == "all":
            layout.take_all(one)
            plain.take(one, len(mine), youngest=False)
        elif what == "online":
            block = draw.randrange(40)
            if block not in plain.blocks:
                layout.fresh.add(block, 1, 10)
                plain.online(block)
        elif what == "offline":
            unused = sorted(plain.blocks - {block for pages in plain.held.values() for block in pages})
            if unused:
                block = draw.choice(unused)
                layout.remove(block, 1)
                plain.offline(block)
        done[what] += 1
        assert layout.where == {one: Counter(pages) for one, pages in plain.held.items() if pages}
        assert not layout.adrift
    assert min(done.values()) > 300
