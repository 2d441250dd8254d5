"""Random lives of a guest: whatever happens, no page is lost, and answers agree with what is then done.

A random test proves nothing about what it does not reach: the lives count what they did, and each kind has a floor.
``pytest -s`` prints the counts.
"""
# ruff: noqa: S108 - paths inside the simulated guest

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest
from tests.guest.watched import asked_one_by_one, watched

if TYPE_CHECKING:
    from sim.guest import GuestModel, OomEvent
    from sim.guest.zone import GuestZone

SUBS = 64
FULL = (1 << SUBS) - 1
HOSTED = BLOCK // 64
"""Pages of a block that holds its own memmap which its zone does not get."""
HOW = ("whole", "hosted", "partly", "hosted", "offline", "whole", "much")
AMOUNTS = (1, 90, 501, 1100, 2000)
LOADS = (
    "anonymous", "read", "write", "tmpfs", "tmpfs files", "disk files", "tables", "pins", "pipes", "sockets",
    "processes",
)  # fmt: skip
BOOT = st.sampled_from([512, 1024, 2048, 4096])
SERIES = st.sampled_from(["6.1", "6.12"])
ZONES = st.sampled_from([ZONE_NORMAL, ZONE_MOVABLE])
CMA = st.sampled_from([0, 0, 16, 200])
"""MiB of CMA."""
NODES = st.sampled_from([0, 0, 0, 1])

LIVES = 3
"""Which random lives are led, unless they are to be others on each run."""
REACHED: Counter[str] = Counter()
"""What all lives together did."""


def alive(life: GuestLife) -> bool:
    return not life.model.killer.guest_died


def cma_free(zone: GuestZone) -> int:
    return zone.cma.pages - sum(zone.cma.where.values()) if zone.cma is not None else 0


def check_report(model: GuestModel) -> None:
    """What a guest reports adds up: everything with a name, and what is free, is there only once.

    What is remembered of an earlier look is what there is.
    """
    report = model.figures.report()
    assert model.figures.seen() == model.figures.counted()
    assert report.total == sum(z.managed for z in model.zones.values()) * 4096
    assert (report.total, report.free) == tuple(map(sum, zip(*report.nodes, strict=True)))
    assert [total >= free >= 0 for total, free in report.nodes] == [True] * len(report.nodes)
    named = (
        report.cached, report.anonymous, report.slab_reclaimable, report.slab_unreclaimable, report.page_tables,
        report.kernel_stacks,
    )  # fmt: skip
    assert min(named) >= 0
    assert 0 <= report.free_huge <= report.free
    assert report.free + sum(named) <= report.total
    assert 0 <= report.available == model.meminfo.available() * 4096


class GuestLife(RuleBasedStateMachine):
    """Blocks come and go, wholly and in parts, while loads grow and go; a guest that died boots again."""

    model: GuestModel

    def __init__(self) -> None:
        super().__init__()
        self.added: set[int] = set()
        self.hosted: set[int] = set()
        self.online: dict[int, tuple[int, int, int]] = {}
        """(node, zone, mask of plugged sub-blocks) by block."""
        self.boot_managed: dict[tuple[int, int], int] = {}

    @initialize(boot=BOOT, series=SERIES, cma=CMA)
    def boot(self, boot: int, series: str, cma: int) -> None:
        self.added, self.hosted, self.online = set(), set(), {}
        self.model = watched(guest(boot, series, cma))
        self.boot_managed = {key: z.managed for key, z in self.model.zones.items()}

    @precondition(lambda self: self.model.killer.guest_died)
    @rule(boot=BOOT, series=SERIES, cma=CMA)
    def reboot(self, boot: int, series: str, cma: int) -> None:
        REACHED["died"] += 1
        self.boot(boot, series, cma)

    def note(self, ooms: tuple[OomEvent, ...]) -> None:
        for event in ooms:
            REACHED[f"killed: {event.kind.name.lower()}"] += 1

    # Blocks ---------------------------------------------------------------------------------------------------------

    def add_range(self, first: int, nr: int, node: int, *, altmap: bool) -> bool:
        """Add those of a range that are not there yet, from its first block up to one that is."""
        blocks = range(first, next((b for b in range(first, first + nr) if b in self.added), first + nr))
        if not blocks:
            return False
        before = [z.memmap for z in self.model.zones.values()]
        if not self.model.add_memory(node, first, len(blocks), altmap=altmap):
            self.note_failed_add(before, len(blocks))
            return False
        assert altmap is ([z.memmap for z in self.model.zones.values()] == before)
        self.added.update(blocks)
        if altmap:
            self.hosted.update(blocks)  # only DIMMs host their own memmap: they have no sub-blocks
        REACHED["added, hosted" if altmap else "added"] += 1
        return True

    def bring_online(self, block: int, node: int, zone: int, plugged: int) -> None:
        self.model.online(zone, node, block, 1, plugged * 512)
        self.online[block] = (node, zone, (1 << plugged) - 1)
        REACHED["online" + (", hosted" if block in self.hosted else ", partly" if plugged < SUBS else "")] += 1

    @precondition(alive)
    @rule(start=st.integers(0, 60), nr=st.integers(1, 8), node=NODES, zone=ZONES, how=st.sampled_from(HOW))
    def plug(self, start: int, nr: int, node: int, zone: int, how: str) -> None:
        """Add a range; its blocks go online wholly or in part, stay offline, or hold their own memmap."""
        if how == "much":
            self.add_much(node)
            return
        if self.add_range(FIRST + start, nr, node, altmap=how == "hosted"):
            for block in sorted(self.added - self.online.keys()) if how != "offline" else ():
                whole = how != "partly" or block in self.hosted
                self.bring_online(block, node, zone, SUBS if whole else 20)

    def add_much(self, node: int) -> None:
        """Add 50 GiB, whose 800 MiB of memmap may find no room, and take them away at once."""
        before = [z.memmap for z in self.model.zones.values()]
        if self.model.add_memory(node, FIRST + 1000, 400, altmap=False):
            assert sum(z.memmap for z in self.model.zones.values()) == sum(before) + 400 * HOSTED
            self.model.remove_memory(FIRST + 1000, 400)
            REACHED["much added and removed"] += 1
            assert [z.memmap for z in self.model.zones.values()] == before
        else:
            self.note_failed_add(before, 400)

    def note_failed_add(self, before: list[int], blocks: int) -> None:
        """Whole pieces stay taken, less than were needed."""
        taken = [z.memmap - had for z, had in zip(self.model.zones.values(), before, strict=True)]
        assert all(pages >= 0 and pages % 512 == 0 for pages in taken)
        assert sum(taken) < blocks * HOSTED
        REACHED["no room for memmap"] += 1

    @precondition(lambda self: alive(self) and self.added - self.online.keys())
    @rule(zone=ZONES, node=NODES, nr=st.integers(1, 8), back=st.booleans())
    def online_or_remove(self, zone: int, node: int, nr: int, back: bool) -> None:  # noqa: FBT001
        for block in sorted(self.added - self.online.keys())[:nr]:
            if back:
                self.take_away(block)
            else:
                self.bring_online(block, node, zone, SUBS)

    @precondition(lambda self: alive(self) and self.online)
    @rule(data=st.data(), hosted=st.booleans(), nr=st.integers(1, 6), remove=st.booleans())
    def unplug(self, data: st.DataObject, hosted: bool, nr: int, remove: bool) -> None:  # noqa: FBT001
        """Take blocks offline, those with their own memmap or others, and away if they go."""
        of_kind = sorted(self.online.keys() & self.hosted if hosted else self.online.keys() - self.hosted)
        first = data.draw(st.sampled_from(of_kind or sorted(self.online)))
        for block in [b for b in sorted(self.online) if b >= first][:nr]:
            if not self.take_offline(block):
                return
            if remove:
                self.take_away(block)

    def take_offline(self, block: int) -> bool:
        node, zone, mask = self.online[block]
        held = self.model.zones[node, zone].pageblocks
        if held is None or not held.thinning:
            assert self.model.can_offline(zone, node, block) is (held is None or not held.busy(block))
        could = self.model.can_offline(zone, node, block)
        outcome = self.model.offline(zone, node, block, 1, mask.bit_count() * 512)
        self.note(outcome.ooms)
        if self.model.killer.guest_died:
            return False
        assert bool(outcome.refused) != could or self.model.can_offline(zone, node, block)
        REACHED["refused" if outcome.refused else "offline"] += 1
        if outcome.refused:
            return False
        REACHED["moved"] += outcome.moved > 0
        del self.online[block]
        return True

    def take_away(self, block: int) -> None:
        REACHED["removed, hosted" if block in self.hosted else "removed"] += 1
        self.model.remove_memory(block, 1)
        self.added.discard(block)
        self.hosted.discard(block)

    @precondition(lambda self: alive(self) and self.online.keys() - self.hosted)
    @rule(data=st.data(), want=st.integers(1, SUBS))
    def resize(self, data: st.DataObject, want: int) -> None:
        """Give up sub-blocks of a block that has them all, take back those of another."""
        block = data.draw(st.sampled_from(sorted(self.online.keys() - self.hosted)))
        node, zone, mask = self.online[block]
        if mask != FULL and want % 2:
            self.model.take_subblocks(zone, node, block, FULL & ~mask, 512)
            self.online[block] = (node, zone, FULL)
            REACHED["took"] += 1
            return
        given = self.model.give_subblocks(zone, node, block, mask, 512, want)
        self.note(given.ooms)
        assert given.mask & ~mask == 0
        assert given.mask.bit_count() <= want
        self.online[block] = (node, zone, mask & ~given.mask)
        REACHED["gave" if given.mask else "gave nothing"] += 1
        REACHED["gave, and pages moved"] += given.moved > 0

    # Loads ----------------------------------------------------------------------------------------------------------

    @precondition(alive)
    @rule(kind=st.sampled_from(LOADS), number=st.integers(0, 2), mib=st.sampled_from(AMOUNTS), node=NODES)
    def demand(self, kind: str, number: int, mib: int, node: int) -> None:
        """Ask for about ``mib`` MiB of user memory, or half as much of the kernel's."""
        model, name, half = self.model, f"{kind} {number}", mib * MIB // 2
        found = {
            "anonymous": lambda: model.demands.anonymous(name, mib * MIB, node, huge=bool(mib % 2)),
            "read": lambda: model.demands.read_file(f"/mnt/{number}", mib * MIB, node),
            "write": lambda: model.demands.write_file(f"/mnt/{number}", mib * MIB, node),
            "tmpfs": lambda: model.demands.tmpfs_data(f"/tmp/{number}", mib * MIB, node),
            "tmpfs files": lambda: model.demands.tmpfs_files(f"/tmp/d/{number}", mib * 40, 4096 * (mib % 2), node),
            "disk files": lambda: model.demands.disk_files(f"/mnt/d/{number}", mib * 80, 4096 * (mib % 2), node),
            "tables": lambda: model.demands.page_tables(name, half, node),
            "pins": lambda: model.demands.pin(name, half, node),
            "pipes": lambda: model.demands.pipes(name, mib * 2, node),
            "sockets": lambda: model.demands.sockets(name, mib * 2, 65_536, node),
            "processes": lambda: (
                model.demands.workers(f"workers {number}", mib // 2 + 1, node)
                if mib % 2
                else model.demands.processes(name, mib // 2 + 1, node)
            ),
        }[kind]()
        REACHED[f"demand met: {kind}" if found.share == 1.0 else "demand cut short"] += 1
        self.note(found.ooms)
        if kind == "write":
            dirty = sum(load.dirty for load in model.loads.values())
            assert dirty <= 0.2 * sum(z.free + z.cache for z in model.zones.values())
            REACHED["dirty"] += dirty > 0

    @precondition(lambda self: alive(self) and len(self.model.demands.named_loads()) > 2)
    @rule(data=st.data(), share=st.sampled_from([0.3, 1.0]))
    def shrink_or_end(self, data: st.DataObject, share: float) -> None:
        load = data.draw(st.sampled_from(self.model.demands.named_loads()))
        if share < 1.0:
            self.model.demands.shrink(load.name, share)
            REACHED["shrunk"] += 1
        elif load.name.startswith("/"):
            path = data.draw(st.sampled_from([load.name, load.name.rsplit("/", 1)[0]]))
            there = sum(name == path or name.startswith(path + "/") for name in self.model.loads)
            assert self.model.demands.remove_files(path) == there
            REACHED["files removed"] += there
        else:
            assert self.model.demands.kill(load.name)
            REACHED["ended"] += 1

    @precondition(lambda self: alive(self) and any(name.startswith("/mnt") for name in self.model.loads))
    @rule(cache=st.booleans(), slab=st.booleans(), sync=st.booleans(), again=st.booleans())
    def drop(self, cache: bool, slab: bool, sync: bool, again: bool) -> None:  # noqa: FBT001
        if sync:
            self.model.demands.sync()
        free = sum(z.free for z in self.model.zones.values())
        dropped = self.model.demands.drop_caches(cache=cache, slab=slab)
        assert dropped == sum(z.free for z in self.model.zones.values()) - free
        REACHED["caches dropped"] += dropped > 0
        if again:
            found = self.model.demands.look_up_files("/mnt")
            self.note(found.ooms)
            REACHED["looked up again"] += found.pages > 0

    # What holds after every step ------------------------------------------------------------------------------------

    @invariant()
    def consistent(self) -> None:
        if not hasattr(self, "model"):
            return
        model = self.model
        model.check()
        REACHED["steps"] += 1
        REACHED["CMA partly used"] += any(
            z.cma is not None and 0 < z.cma_free < z.cma.pages for z in model.zones.values()
        )
        plugged: dict[tuple[int, int], int] = dict(self.boot_managed)
        for block, (node, zone, mask) in self.online.items():
            pages = mask.bit_count() * 512 - (HOSTED if block in self.hosted else 0)
            plugged[node, zone] = plugged.get((node, zone), 0) + pages
        if not model.killer.guest_died:  # a guest that died of a shrink gave what it could
            assert {key: z.managed for key, z in model.zones.items() if z.managed} == {
                k: v for k, v in plugged.items() if v
            }
        check_report(model)
        model.meminfo.uses()
        dirty = dict.fromkeys(model.zones.values(), 0)
        for load in model.loads.values():
            left = load.dirty
            for z in reversed(load.user):
                dirty[z] += min(left, load.user[z])
                left -= min(left, load.user[z])
        room = sum(max(0, z.free + z.cache - dirty[z] + z.slab - z.min - z.reserve_user) for z in model.zones.values())
        if not model.killer.guest_died:
            assert model.meminfo.room_for_user_pages() == room
        assert model.meminfo.kernel_headroom_free() == sum(
            max(0, z.free - cma_free(z) - int(z.min * model.parameters.kernel_min_share) - z.reserve_kernel)
            for z in model.zones.values()
            if z.pageblocks is not None
        )
        assert model.meminfo.sums() == asked_one_by_one(model)
        assert 0 <= model.meminfo.available() <= sum(z.free + z.user + z.kernel for z in model.zones.values())


FLOORS = {
    "CMA partly used": 50,
    "added": 9,
    "added, hosted": 3,
    "removed": 4,
    "removed, hosted": 3,
    "online": 27,
    "online, hosted": 26,
    "online, partly": 22,
    "offline": 26,
    "refused": 5,
    "moved": 4,
    "gave": 6,
    "gave, and pages moved": 1,
    "took": 3,
    "much added and removed": 1,
    "no room for memmap": 1,
    "demand met: anonymous": 18,
    "demand met: disk files": 4,
    "demand met: pins": 5,
    "demand met: pipes": 2,
    "demand met: processes": 5,
    "demand met: read": 5,
    "demand met: sockets": 4,
    "demand met: tables": 1,
    "demand met: tmpfs": 5,
    "demand met: tmpfs files": 1,
    "demand met: write": 5,
    "demand cut short": 5,
    "killed: guest_full": 30,
    "killed: kernel": 30,
    "dirty": 5,
    "ended": 2,
    "shrunk": 18,
    "files removed": 6,
    "caches dropped": 7,
    "looked up again": 2,
    "steps": 500,
}
"""What the lives must do at least, of each kind: a tenth of what they did when this was written. It is as little as
that because any change of the model changes which lives are tried."""


def test_random_lives_keep_the_books_and_reach_every_kind_of_event() -> None:
    REACHED.clear()
    if settings.default is not None and settings.default.derandomize:
        # Or the lives would be others as soon as a line of the class above is written differently.
        seed(LIVES)(GuestLife)
    run_state_machine_as_test(GuestLife)
    print(dict(sorted(REACHED.items())))  # noqa: T201 - what is reached is of interest
    missed = {name: (REACHED[name], floor) for name, floor in FLOORS.items() if REACHED[name] < floor}
    assert not missed, f"(times, floor): {missed}"
