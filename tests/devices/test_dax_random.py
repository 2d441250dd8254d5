"""Random doings to two dax devices, in the simulator and in the plain implementation: they agree block by block."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_LABELS, OnlineType
from sim.units import GIB
from tests.devices.rig import BLOCK, PAGES, FakeGuest, Rig
from tests.plain import dax as plain_dax
from tests.plain import linux
from tests.plain.machine import Block, BootZone, Knobs, LinuxError, Machine, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.devices.dax import Dax

WORDS = {kind.word: int(kind) for kind in OnlineType}
STATES = ("unplugged", "online", "online_kernel", "online_movable", "offline", "nonsense")
RANGES = (((0, 2), (3, 1)), ((5, 3),))
"""First block above boot memory and blocks of the ranges of each device."""


def plain_machine(rig: Rig) -> Machine:
    zones = [zone for node in rig.memory.nodes.values() for zone in node.zones if zone is not None]
    boot = [
        BootZone(zone.node, ZONE_LABELS[zone.type], zone.start, zone.end - zone.start, zone.present) for zone in zones
    ]
    blocks = []
    pages, geometry = rig.memory.block_pages, rig.memory.geometry
    for number in rig.memory.blocks.ids():
        first, end = number * pages, (number + 1) * pages
        zone = rig.memory.zone_of(number)
        parts = [
            Part(max(first, part.start), min(end, part.start + part.spanned), part.node, part.zone)
            for part in boot
            if part.start < end and first < part.start + part.spanned
            if zone is None or part.zone == ZONE_LABELS[zone.type]
        ]
        blocks.append(Block(number, 0, early=True, parts=tuple(parts)))
    return Machine(
        pages, pages, frozenset({0}), tuple(boot), tuple(blocks), Knobs(), subsection_pages=geometry.subsection_pages
    )


class Pair:
    """A device in each of two machines to which the same is done."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - nothing is kept secret
        self.guest = FakeGuest()
        self.rig = Rig(boot=GIB, kernel="7.3", guest=self.guest)
        self.first = self.rig.base // BLOCK
        self.plain = plain_machine(self.rig)
        self.set_policy()
        self.devices: list[tuple[Dax, plain_dax.Dax]] = []
        for ranges in RANGES:
            starts = [((self.first + start) * BLOCK, count * BLOCK) for start, count in ranges]
            fast = self.rig.unplugged_dax(*starts)
            pages = [((self.first + start) * PAGES, count * PAGES) for start, count in ranges]
            self.devices.append((fast, plain_dax.Dax(0, pages)))
        self.errors: set[str] = set()

    def set_policy(self) -> None:
        ratio = self.draw.choice((0, 20, 60, 301))
        name = self.draw.choice(("auto-movable", "contig-zones"))
        word = self.draw.choice(list(WORDS))
        self.rig.core.zone_choice.set_policy(AutoMovable(ratio=ratio) if name == "auto-movable" else ContigZones())
        self.rig.core.auto_online = WORDS[word]
        knobs = self.plain.knobs
        knobs.policy, knobs.ratio, knobs.auto_online = name, ratio, word

    def both(self, fast: Callable[[], str], plain: Callable[[], None]) -> None:
        try:
            plain()
            expected = ""
        except LinuxError as error:
            expected = error.name
        found = fast()
        assert found == expected
        self.errors.add(found)
        self.compare()

    def device_verb(self, device: Dax, start: Callable[[], None]) -> str:
        start()
        self.rig.settle()
        return "" if device.error is None else device.error.name

    def step(self) -> None:
        fast, plain = self.draw.choice(self.devices)
        blocks = sorted(self.plain.blocks)[8:]
        self.guest.refusing = {block for block in blocks if self.draw.random() < 0.1}
        match self.draw.choice(
            ("policy", "bind", "unbind", "state", "state", "state", "online", "block", "block", "block")
        ):
            case "policy":
                self.set_policy()
                self.compare()
            case "bind":
                self.both(lambda: self.device_verb(fast, fast.plug), lambda: plain_dax.bind(self.plain, plain))
            case "unbind":
                self.both(lambda: self.device_verb(fast, fast.unbind), lambda: plain_dax.unbind(self.plain, plain))
            case "state":
                word = self.draw.choice(STATES)
                self.both(
                    lambda: self.device_verb(fast, lambda: fast.write_state(word)),
                    lambda: plain_dax.write_state(self.plain, plain, word, self.guest.refusing),
                )
            case "online":
                word = self.draw.choice((*WORDS, "unplugged"))
                self.both(
                    lambda: self.device_verb(fast, lambda: fast.online_memory(word)),
                    lambda: plain_dax.online_memory(self.plain, plain, word),
                )
            case _ if blocks:
                block, word = self.draw.choice(blocks), self.draw.choice(("offline", *WORDS))
                self.both(
                    lambda: self.write(block, WORDS[word]),
                    lambda: linux.write_state(self.plain, block, word, refuse=block in self.guest.refusing),
                )

    def write(self, block: int, word: int) -> str:
        try:
            self.rig.core.write_state(block, word)
        except HotplugError as error:
            return error.name
        return ""

    def compare(self) -> None:
        memory = self.rig.memory
        found = {block: (memory.zone_label(block), memory.blocks.group[block]) for block in memory.blocks.ids()}
        expected = {
            block.number: (
                (block.zone or "none") if block.online else None,
                -1 if block.group is None else block.group,
            )
            for block in self.plain.blocks.values()
        }
        assert found == expected
        for fast, plain in self.devices:
            assert (fast.state, fast.lost) == (plain.state, plain.lost)


@pytest.mark.parametrize("seed", range(12))
def test_any_doings_leave_both_with_the_same_blocks_groups_and_states(seed: int) -> None:
    pair = Pair(seed)
    for _ in range(120):
        pair.step()
    assert {"", "EBUSY", "EINVAL"} <= pair.errors


def test_the_doings_reach_what_matters() -> None:
    """A device of two ranges lost with one of them, one refused as a whole, and one bound again."""
    lost = bound_again = refused = 0
    for seed in range(24):
        pair = Pair(seed)
        device, _ = pair.devices[0]
        for _ in range(120):
            before = device.state
            pair.step()
            bound_again += before is None and device.state is not None
            refused += device.error is not None and "cannot move" in str(device.error)
        lost += device.lost and len(device.added) == 1
    assert min(lost, bound_again - 24, refused) > 0
