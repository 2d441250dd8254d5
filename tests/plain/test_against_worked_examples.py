"""The plain implementation gives every worked example that is about decisions and accounting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.worked_examples import BLOCK, EXAMPLES, GIB, STAGES, PlugExample, plug_examples, spell_out
from tests.plain import decide, dimm, linux
from tests.plain.machine import (
    DMA32,
    MOVABLE,
    NORMAL,
    Block,
    BootZone,
    Knobs,
    LinuxError,
    Machine,
    Part,
)

FIRST_BOOT_BLOCK = 32


def boot_machine(boot_pages: tuple[int, ...], knobs: Knobs, cma_pages: tuple[int, ...] = ()) -> Machine:
    """A machine whose nodes have only a Normal zone, each beginning on a whole block."""
    zones: list[BootZone] = []
    blocks: list[Block] = []
    number = FIRST_BOOT_BLOCK
    for node, pages in enumerate(boot_pages):
        start = number * BLOCK
        cma = cma_pages[node] if cma_pages else 0
        zones.append(BootZone(node, NORMAL, start, pages, pages, cma))
        for _ in range(-(-pages // BLOCK)):
            part = Part(number * BLOCK, (number + 1) * BLOCK, node, NORMAL)
            missing = part.end > start + pages
            blocks.append(Block(number, node, early=True, parts=(part,), has_holes=missing))
            number += 1
    return Machine(BLOCK, BLOCK, frozenset(range(len(boot_pages))), tuple(zones), tuple(blocks), knobs)


class Host:
    """Plugs devices one above the other, each starting at a multiple of 8 GiB."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.device_first_block: dict[str, int] = {}
        self.group: dict[str, int] = {}
        self.highest: dict[str, int] = {}

    def room(self) -> int:
        top = max((*self.machine.blocks, *self.highest.values(), *self.device_first_block.values()), default=0)
        return (top // 64 + 1) * 64 + 64 * 1024 * len(self.device_first_block)

    def plug(self, node: int, pages: int) -> str:
        first = self.room()
        dimm.plug(self.machine, dimm.Dimm(node, [(first * BLOCK, pages)]))
        return zones(self.machine, first, pages // BLOCK)

    def create(self, name: str, node: int, unit: int) -> None:
        self.device_first_block[name] = self.room()
        self.highest[name] = self.device_first_block[name] - 1
        self.group[name] = linux.register_dynamic(self.machine, node, unit)

    def grow(self, name: str, pages: int) -> str:
        """Free blocks below the highest one so far first, then new ones, unit by unit."""
        unit = self.machine.groups[self.group[name]].unit_pages
        assert unit is not None
        out = ""
        step = unit // BLOCK
        for _ in range(pages // unit):
            first = self.device_first_block[name]
            while first in self.machine.blocks:
                first += step
            linux.add(self.machine, first * BLOCK, unit, group=self.group[name])
            self.highest[name] = max(self.highest[name], first + step - 1)
            out += zones(self.machine, first, step)
        return out

    def shrink(self, name: str, pages: int) -> None:
        """MOVABLE blocks from the top, then kernel ones."""
        mine = sorted(b.number for b in self.machine.blocks_of(self.group[name]))[::-1]
        order = [n for n in mine if self.machine.blocks[n].zone == MOVABLE]
        order += [n for n in mine if n not in order]
        for number in order[: pages // BLOCK]:
            linux.offline_and_remove(self.machine, number * BLOCK, BLOCK)


def zones(machine: Machine, first: int, count: int) -> str:
    letters = ""
    for number in range(first, first + count):
        block = machine.blocks.get(number)
        letters += "." if block is None else "M" if block.zone == MOVABLE else "N"
    return letters


def auto_movable(ratio: int, *, stage: str = "C", numa_aware: bool = True, auto_online: str = "online") -> Knobs:
    return Knobs(policy="auto-movable", ratio=ratio, numa_aware=numa_aware, auto_online=auto_online, stage=stage)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("example", plug_examples(), ids=lambda example: example.name)
def test_plugging(example: PlugExample, stage: str) -> None:
    knobs = auto_movable(example.ratio, stage=stage, numa_aware=example.numa_aware)
    machine = boot_machine(example.boot_pages, knobs, example.cma_pages)
    for number in range(example.boot_blocks_taken_offline):
        linux.write_state(machine, FIRST_BOOT_BLOCK + number, "offline")
    host = Host(machine)
    found = []
    for step in example.steps:
        if "dimm" in step:
            found.append(host.plug(step["node"], step["dimm"]))
        elif "device" in step:
            host.create(step["device"], step["node"], step["unit"])
        else:
            found.append(host.grow(step["grow"], step["pages"]))
    assert found == example.expected[stage]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["W21", "W22"])
def test_totals(name: str) -> None:
    largest: dict[tuple[int, int], int] = {}
    rows = [
        (row[0], EXAMPLES["W21"]["ratio"], *row[1:]) if name == "W21" else (EXAMPLES["W22"]["boot"], row[0], *row[1:])
        for row in EXAMPLES[name]["rows"]
    ]
    for boot, ratio, total, _, _ in rows:
        largest[boot, ratio] = max(total, largest.get((boot, ratio), 0))
    grown = {
        (boot, ratio): grow_one_device(boot * GIB, ratio, (total - boot) * GIB)
        for (boot, ratio), total in largest.items()
    }
    assert rows == [
        (
            boot,
            ratio,
            total,
            grown[boot, ratio][: (total - boot) * 8].count("M") / 8,
            grown[boot, ratio][: (total - boot) * 8].count("N") / 8,
        )
        for boot, ratio, total, _, _ in rows
    ]


def grow_one_device(boot_pages: int, ratio: int, pages: int) -> str:
    host = Host(boot_machine((boot_pages,), auto_movable(ratio)))
    host.create("v", 0, BLOCK)
    return host.grow("v", pages)


def test_growing_and_shrinking() -> None:
    example = EXAMPLES["W23"]
    host = Host(boot_machine((example["boot_pages"],), auto_movable(example["ratio"])))
    host.create("v", 0, BLOCK)
    first = host.device_first_block["v"]
    size = example["after_grow16"]["pages"] // BLOCK
    assert host.grow("v", example["after_grow16"]["pages"]) == spell_out(example["after_grow16"]["zones"])
    host.shrink("v", -example["after_shrink12"]["pages"])
    assert zones(host.machine, first, size) == spell_out(example["after_shrink12"]["zones"])
    host.grow("v", example["after_regrow12"]["pages"])
    assert zones(host.machine, first, size) == spell_out(example["after_regrow12"]["zones"])
    assert host.grow("v", example["after_grow4"]["pages"]) == spell_out(example["after_grow4"]["zones"])


def test_rounding_slack() -> None:
    example = EXAMPLES["W24"]
    grown = grow_one_device(example["boot_pages"], example["ratio"], 375 * BLOCK)
    start = len(spell_out("Mx96"))
    offset = grown.index("MMMM", start)
    assert offset == example["device_block_offset"]
    assert grown[:offset].count("N") == example["after_kernel_block_number"]


def test_integers() -> None:
    example = EXAMPLES["W25"]
    ratio = example["ratio"]
    machine = boot_machine((example["early_pages"],), auto_movable(ratio, auto_online="online_movable"))
    assert decide.kernel_early_pages(machine, None) == example["early_pages"]
    limit = example["limit_pages"]
    assert round(limit / BLOCK, 2) == example["limit_blocks"]
    assert [decide.fits(machine, None, None, want) for want in (limit, limit + 1)] == [True, False]

    host = Host(machine)
    host.create("v", 0, BLOCK)
    group = machine.groups[host.group["v"]]
    host.grow("v", 96 * BLOCK)
    assert decide.reserved_early_pages(machine, group) == example["reserved_by_96_movable_blocks"]
    left = example["early_left_for_others"]
    assert example["early_pages"] - example["reserved_by_96_movable_blocks"] == left
    more = example["movable_pages_others_may_add"]
    assert [decide.fits(machine, None, None, want) for want in (more, more + 1)] == [True, False]
    machine.knobs.auto_online = "online_kernel"
    for now in example["limit_pages_after_kernel_blocks"]:
        host.grow("v", BLOCK)
        want = now - 96 * BLOCK
        assert [decide.fits(machine, None, group, n) for n in (want, want + 1)] == [True, False]

    enough = example["fewest_early_pages_for_12_gib"]
    for pages, expected in ((enough, True), (enough - 1, False)):
        assert decide.fits(boot_machine((pages,), auto_movable(ratio)), None, None, 12 * GIB) is expected


def test_self_hosted_memmap() -> None:
    example = EXAMPLES["W28"]
    machine = boot_machine((GIB,), auto_movable(301))
    memmap = example["memmap_pages"]
    dimm.plug(machine, dimm.Dimm(0, [(64 * BLOCK, BLOCK)]), memmap_pages=memmap)
    assert machine.present(0, MOVABLE) == example["present_change"]
    assert machine.managed_by_hotplug(0, MOVABLE) == example["managed_change"]
    assert machine.group_movable(0) == example["present_change"]
    assert machine.block_pages - memmap == example["pages_given_to_online_step"]


def test_bytes_for_pages() -> None:
    """A static group told 4096 times its pages, as dax/kmem did; the device's own blocks are 64 GiB."""
    example = EXAMPLES["W29"]
    pages = example["device_bytes"] // 4096
    for max_pages, zone in (
        (example["max_pages_before"], example["zone_before"]),
        (example["max_pages_after"], example["zone_after"]),
    ):
        machine = boot_machine((example["boot_pages"],), auto_movable(example["ratio"]))
        group = linux.register_static(machine, 0, max_pages)
        first = 64 * (max(machine.blocks) // 64 + 1)
        machine.knobs.auto_online = "offline"
        linux.add(machine, first * BLOCK, pages, group=group)
        assert linux.valid_zones(machine, first)[0] == zone
        limit = example["largest_movable_device_bytes_before"]
        assert limit == example["limit_pages"]
        assert [decide.fits(machine, None, None, want) for want in (limit, limit + 1)] == [True, False]


@pytest.mark.parametrize("case", EXAMPLES["W32"]["cases"], ids=lambda case: case["name"])
def test_contig_zones(case: dict[str, str]) -> None:
    machine = boot_machine((16 * BLOCK,), Knobs(movable_node=bool(case["movable_node"])))
    linux.add(machine, 48 * BLOCK, 13 * BLOCK, node=0)
    if case["kernel_60"]:
        linux.write_state(machine, 60, "online_kernel")
    linux.write_state(machine, 48, "online")
    linux.write_state(machine, 52, "online_movable")
    linux.write_state(machine, 55, "online_movable")
    linux.write_state(machine, 53, "online")
    assert machine.blocks[48].zone == case["zone_of_48"]
    assert machine.blocks[53].zone == case["zone_of_53"]


@pytest.mark.parametrize("key", ["plain", "left_over_word_on_first_block"])
def test_refused_removal(key: str) -> None:
    example = EXAMPLES["W33"]
    machine = boot_machine((example["boot_pages"],), auto_movable(example["ratio"], auto_online="offline"))
    count = example["dimm_blocks"]
    device = dimm.Dimm(0, [(64 * BLOCK, count * BLOCK)])
    dimm.plug(machine, device)
    last = 64 + count - 1
    for number in range(64, last):
        linux.write_state(machine, number, "online_movable")
    linux.write_state(machine, last, "online_kernel")
    if key != "plain":
        with pytest.raises(LinuxError, match="EINVAL"):
            linux.write_state(machine, 64, "online_movable")
    with pytest.raises(LinuxError, match="EBUSY"):
        dimm.eject(machine, device, refusing={last})
    assert zones(machine, 64, count) == spell_out(example[key])
    dimm.eject(machine, device)
    assert machine.groups == {}
    assert not any(number >= 64 for number in machine.blocks)


@pytest.mark.parametrize("case", EXAMPLES["W36"]["cases"], ids=lambda case: case["name"])
def test_default_kernel_zone(case: dict[str, Any]) -> None:
    start, end = case["dma32"]
    hole = range(*case["hole"])
    numbers = [n for n in range(1, end // BLOCK) if n * BLOCK not in hole]
    blocks = [Block(n, 0, early=True, parts=(Part(n * BLOCK, (n + 1) * BLOCK, 0, DMA32),)) for n in numbers]
    present = len(blocks) * BLOCK + BLOCK - start  # the rest of block 0, which DMA shares
    zone = BootZone(0, DMA32, start, end - start, present)
    machine = Machine(BLOCK, BLOCK, frozenset({0}), (zone,), tuple(blocks))
    number = case["block"]
    linux.add(machine, number * BLOCK, BLOCK, node=0)
    for word in ("online", "online_kernel"):
        linux.write_state(machine, number, word)
        assert machine.blocks[number].zone == case["zone"]
        linux.write_state(machine, number, "offline")
