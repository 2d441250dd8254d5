"""Random lives of a guest: whatever happens, no page is lost, and answers agree with what is then done."""
# ruff: noqa: S108 - paths inside the simulated guest

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sim.guest.contract import MOVABLE, NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest

if TYPE_CHECKING:
    from sim.guest import GuestModel

SUBS = 64
FULL = (1 << SUBS) - 1
NAMES = st.sampled_from(["a", "b", "c"])
SIZES = st.integers(1, 1500)


class GuestLife(RuleBasedStateMachine):
    """Blocks come and go, wholly and in parts, while loads grow and go."""

    model: GuestModel

    def __init__(self) -> None:
        super().__init__()
        self.added: set[int] = set()
        self.hosted: set[int] = set()
        self.online: dict[int, tuple[int, int, int]] = {}
        """(node, zone, mask of plugged sub-blocks) by block."""

    @initialize(boot=st.sampled_from([512, 1024, 2048, 4096]), series=st.sampled_from(["6.1", "6.12"]))
    def boot(self, boot: int, series: str) -> None:
        self.model = guest(boot, series)

    @rule(start=st.integers(0, 60), nr=st.integers(1, 12), node=st.integers(0, 1), altmap=st.booleans())
    def add(self, start: int, nr: int, node: int, altmap: bool) -> None:  # noqa: FBT001
        blocks = range(FIRST + start, FIRST + start + nr)
        if self.added.isdisjoint(blocks):
            before = [z.memmap for z in self.model.zones.values()]
            if self.model.add_memory(node, blocks[0], nr, altmap):
                self.added.update(blocks)
                if altmap:
                    self.hosted.update(blocks)  # only DIMMs host their own memmap: they have no sub-blocks
            else:
                assert [z.memmap for z in self.model.zones.values()] == before

    @rule(zone=st.sampled_from([NORMAL, MOVABLE]), node=st.integers(0, 1), nr=st.integers(1, 8), partly=st.booleans())
    def put_online(self, zone: int, node: int, nr: int, partly: bool) -> None:  # noqa: FBT001
        for block in sorted(self.added - self.online.keys())[: nr if not partly else 1]:
            plugged = 20 if partly and block not in self.hosted else SUBS
            self.model.online(zone, node, block, 1, plugged * 512)
            self.online[block] = (node, zone, (1 << plugged) - 1)

    @precondition(lambda self: self.online)
    @rule(data=st.data())
    def put_offline(self, data: st.DataObject) -> None:
        block = data.draw(st.sampled_from(sorted(self.online)))
        node, zone, mask = self.online[block]
        could = self.model.can_offline(zone, node, block)
        died = self.model.died
        outcome = self.model.offline(zone, node, block, 1, mask.bit_count() * 512)
        if not (died or self.model.died):
            assert bool(outcome.refused) != could or self.model.can_offline(zone, node, block)
        if not outcome.refused:
            del self.online[block]

    @precondition(lambda self: self.online.keys() - self.hosted)
    @rule(data=st.data(), want=st.integers(1, SUBS))
    def give(self, data: st.DataObject, want: int) -> None:
        block = data.draw(st.sampled_from(sorted(self.online.keys() - self.hosted)))
        node, zone, mask = self.online[block]
        given = self.model.give_subblocks(zone, node, block, mask, 512, want)
        assert given.mask & ~mask == 0
        assert given.mask.bit_count() <= want
        self.online[block] = (node, zone, mask & ~given.mask)

    @precondition(lambda self: self.online.keys() - self.hosted)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        block = data.draw(st.sampled_from(sorted(self.online.keys() - self.hosted)))
        node, zone, mask = self.online[block]
        missing = FULL & ~mask
        if missing:
            self.model.take_subblocks(zone, node, block, missing, 512)
            self.online[block] = (node, zone, FULL)

    @rule()
    def remove(self) -> None:
        for block in sorted(self.added - self.online.keys())[:6]:
            self.model.remove_memory(block, 1)
            self.added.discard(block)
            self.hosted.discard(block)

    @rule(name=NAMES, mib=SIZES, node=st.integers(0, 1))
    def anonymous(self, name: str, mib: int, node: int) -> None:
        self.model.anonymous("anon " + name, mib * MIB, node)

    @rule(name=NAMES, mib=SIZES, write=st.booleans())
    def cache(self, name: str, mib: int, write: bool) -> None:  # noqa: FBT001
        (self.model.write_file if write else self.model.read_file)("/mnt/" + name, mib * MIB)

    @rule(name=NAMES, files=st.integers(1, 60_000), size=st.sampled_from([0, 4096]), disk=st.booleans())
    def files(self, name: str, files: int, size: int, disk: bool) -> None:  # noqa: FBT001
        if disk:
            self.model.disk_files("/mnt/d/" + name, files, size)
        else:
            self.model.tmpfs_files("/tmp/" + name, files, size)

    @rule(name=NAMES, mib=st.integers(1, 600))
    def page_tables(self, name: str, mib: int) -> None:
        self.model.page_tables("pt " + name, mib * MIB)

    @rule(name=NAMES, count=st.integers(1, 3000))
    def pipes_and_processes(self, name: str, count: int) -> None:
        self.model.pipes("pipes " + name, count)
        self.model.processes("procs " + name, count)

    @rule(kind=st.sampled_from(["anon ", "pt ", "pipes ", "procs "]), name=NAMES)
    def kill(self, kind: str, name: str) -> None:
        self.model.kill(kind + name)

    @rule(path=st.sampled_from(["/mnt", "/tmp", "/mnt/a", "/mnt/d/b"]))
    def remove_files(self, path: str) -> None:
        self.model.remove_files(path)

    @rule(cache=st.booleans(), slab=st.booleans(), sync=st.booleans())
    def drop(self, cache: bool, slab: bool, sync: bool) -> None:  # noqa: FBT001
        if sync:
            self.model.sync()
        free = sum(z.free for z in self.model.zones.values())
        assert self.model.drop_caches(cache=cache, slab=slab) == sum(z.free for z in self.model.zones.values()) - free

    @invariant()
    def consistent(self) -> None:
        if not hasattr(self, "model"):
            return
        self.model.check()
        plugged: dict[tuple[int, int], int] = {}
        for block, (node, zone, mask) in self.online.items():
            hosted = 512 if block in self.hosted else 0
            plugged[node, zone] = plugged.get((node, zone), 0) + mask.bit_count() * 512 - hosted
        for key, pages in plugged.items():
            if key[1] == MOVABLE:
                assert self.model.zones[key].managed == pages
        assert 0 <= self.model.returnable_pages() <= sum(plugged.values()) + BLOCK
        assert self.model.kernel_headroom() >= 0
        assert self.model.mem_available() >= 0


TestGuestLife = GuestLife.TestCase
