"""Every worked example, through the simulator's own memory model, policies and device drivers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.virtio_mem import VirtioMem
from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.errors import HotplugError
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.units import GIB, MIB, MICROSECONDS
from tests.kernel.worked_examples import BLOCK, EXAMPLES, STAGES, PlugExample, plug_examples, spell_out
from tests.plain.machine import Knobs
from tests.support.fast_machine import FastMachine
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policies.contract import Explanation

FIRST_BOOT_BLOCK = 32
BLOCK_BYTES = BLOCK * PAGE_SIZE
REGION = 512 * GIB


def boot(boot_pages: Sequence[int], knobs: Knobs, *, cma: Sequence[int] = (), block_pages: int = BLOCK) -> FastMachine:
    """A guest whose nodes have only a Normal zone, each beginning on a whole block; its devices come 2 TiB up."""
    memory = Memory(block_pages=block_pages, section_pages=BLOCK, nodes=range(len(boot_pages)))
    block = FIRST_BOOT_BLOCK
    for node, pages in enumerate(boot_pages):
        start = block * block_pages
        add_boot_zone(
            memory,
            node,
            ZONE_NORMAL,
            start=start,
            end=start + pages,
            present=pages,
            managed=pages,
            cma=cma[node] if cma else 0,
        )
        whole, rest = divmod(pages, block_pages)
        add_boot_blocks(memory, node, block, whole, ZONE_NORMAL)
        if rest:
            add_boot_blocks(memory, node, block + whole, 1, ZONE_NORMAL, holes=True)
        block += whole + bool(rest)
    return FastMachine(memory, knobs)


def auto_movable(ratio: int, *, stage: str = "C", numa_aware: bool = True, auto_online: str = "online") -> Knobs:
    return Knobs(policy="auto-movable", ratio=ratio, numa_aware=numa_aware, auto_online=auto_online, stage=stage)


class Host:
    """Plugs devices into a guest, one region of 512 GiB after the other."""

    def __init__(self, machine: FastMachine) -> None:
        self.machine = machine
        self.memory = machine.memory
        self.regions = 4
        self.devices: dict[str, VirtioMem] = {}

    def _address(self) -> int:
        self.regions += 1
        return self.regions * REGION

    def dimm(self, node: int, pages: int) -> Dimm:
        device = Dimm(self.machine.context, f"dimm{self.regions}", node, [(self._address(), pages * PAGE_SIZE)])
        device.plug()
        return device

    def virtio_mem(self, name: str, node: int, unit: int, *, region: int = REGION) -> VirtioMem:
        """A device whose unit is ``unit`` pages: of 2 MiB device blocks where that is one memory block."""
        block_bytes = self.memory.block_pages * PAGE_SIZE
        size = 2 * MIB if unit * PAGE_SIZE == block_bytes else unit * PAGE_SIZE
        device = VirtioMem(self.machine.context, name, node, self._address(), region, size)
        assert device.mode.unit_pages == unit
        self.devices[name] = device
        return device

    def resize(self, name: str, by_pages: int) -> str:
        """Change the request, and return the zones of blocks that came, lowest first."""
        before = set(self.memory.blocks.ids())
        device = self.devices[name]
        assert device.resize(device.requested + by_pages * PAGE_SIZE)
        assert device.plugged == device.requested
        return self.zones(block for block in self.memory.blocks.ids() if block not in before)

    def layout(self, name: str, blocks: int) -> str:
        first = self.devices[name].mode.first
        return self.zones(range(first, first + blocks))

    def zones(self, blocks: Any) -> str:  # noqa: ANN401 - any iterable of block ids
        letters = ""
        for block in blocks:
            zone = self.memory.zone_of(block)
            letters += "." if not self.memory.blocks.exists(block) else "o" if zone is None else "MN"[not zone.movable]
        return letters


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("example", plug_examples(), ids=lambda example: example.name)
def test_plugging(example: PlugExample, stage: str) -> None:
    """W1 to W20 and W37 to W39, with DIMMs and virtio-mem devices."""
    knobs = auto_movable(example.ratio, stage=stage, numa_aware=example.numa_aware)
    machine = boot(example.boot_pages, knobs, cma=example.cma_pages)
    for at in range(example.boot_blocks_taken_offline):
        machine.write_state(FIRST_BOOT_BLOCK + at, "offline")
    host = Host(machine)
    found = []
    for step in example.steps:
        if "dimm" in step:
            found.append(host.zones(host.dimm(step["node"], step["dimm"]).blocks()))
        elif "device" in step:
            host.virtio_mem(step["device"], step["node"], step["unit"])
        else:
            found.append(host.resize(step["grow"], step["pages"]))
    assert found == example.expected[stage]


@pytest.mark.parametrize(
    ("boot_gib", "ratio", "total", "movable", "kernel"),
    [
        *(
            pytest.param(row[0], EXAMPLES["W21"]["ratio"], *row[1:], id=f"W21-{row[0]}-{row[1]}")
            for row in EXAMPLES["W21"]["rows"]
        ),
        *(pytest.param(EXAMPLES["W22"]["boot"], *row, id=f"W22-{row[0]}-{row[1]}") for row in EXAMPLES["W22"]["rows"]),
    ],
)
def test_totals(boot_gib: int, ratio: int, total: int, movable: float, kernel: float) -> None:
    """W21 and W22."""
    host = Host(boot([boot_gib * GIB // PAGE_SIZE], auto_movable(ratio)))
    host.virtio_mem("v", 0, BLOCK)
    zones = host.resize("v", (total - boot_gib) * GIB // PAGE_SIZE)
    assert (zones.count("M") / 8, zones.count("N") / 8) == (movable, kernel)


def test_growing_and_shrinking() -> None:
    """W23, with the driver's own order of unplugging."""
    example = EXAMPLES["W23"]
    host = Host(boot([example["boot_pages"]], auto_movable(example["ratio"])))
    host.virtio_mem("v", 0, BLOCK)
    blocks = example["after_grow16"]["pages"] // BLOCK
    assert host.resize("v", example["after_grow16"]["pages"]) == spell_out(example["after_grow16"]["zones"])
    host.resize("v", example["after_shrink12"]["pages"])
    assert host.layout("v", blocks) == spell_out(example["after_shrink12"]["zones"])
    host.resize("v", example["after_regrow12"]["pages"])
    assert host.layout("v", blocks) == spell_out(example["after_regrow12"]["zones"])
    assert host.resize("v", example["after_grow4"]["pages"]) == spell_out(example["after_grow4"]["zones"])


def test_rounding_slack() -> None:
    """W24."""
    example = EXAMPLES["W24"]
    host = Host(boot([example["boot_pages"]], auto_movable(example["ratio"])))
    host.virtio_mem("v", 0, BLOCK)
    zones = host.resize("v", 400 * BLOCK)
    offset = zones.index("MMMM", len(spell_out("Mx96")))
    assert offset == example["device_block_offset"]
    assert zones[:offset].count("N") == example["after_kernel_block_number"]


def explain(host: Host, block: int) -> Explanation:
    return host.machine.core.zone_choice.explain(OnlineType.ONLINE, block)


def test_integers() -> None:
    """W25, from the numbers that the policy gives with its reasons."""
    example = EXAMPLES["W25"]
    machine = boot([example["early_pages"]], auto_movable(example["ratio"], auto_online="online_movable"))
    host = Host(machine)
    core = machine.core
    loose = 1 << 18
    machine.memory.add(loose, 1, node=0)
    numbers = explain(host, loose).numbers
    assert (numbers["early_kernel"], numbers["limit"]) == (example["early_pages"], example["limit_pages"])
    assert round(numbers["limit"] / BLOCK, 2) == example["limit_blocks"]

    host.virtio_mem("v", 0, BLOCK)
    host.resize("v", 96 * BLOCK)
    numbers = explain(host, loose).numbers
    assert numbers["required_by_others"] == example["reserved_by_96_movable_blocks"]
    assert numbers["early_kernel"] - numbers["required_by_others"] == example["early_left_for_others"]
    assert numbers["limit"] - numbers["movable"] == example["movable_pages_others_may_add"]

    for limit in example["limit_pages_after_kernel_blocks"]:
        core.auto_online = int(OnlineType.ONLINE_KERNEL)
        host.resize("v", BLOCK)
        core.auto_online = int(OnlineType.OFFLINE)
        host.resize("v", BLOCK)
        newest = max(b for b in machine.memory.blocks.ids() if b != loose)
        assert explain(host, newest).numbers["limit"] == limit
        host.resize("v", -BLOCK)

    enough = example["fewest_early_pages_for_12_gib"]
    for pages, zone in ((enough, "M"), (enough - 1, "N")):
        small = Host(boot([pages], auto_movable(example["ratio"])))
        assert small.zones(small.dimm(0, 12 * GIB // PAGE_SIZE).blocks()) == zone * 96


def test_memmap_sizes() -> None:
    """W26 and W27."""
    memory = Memory(block_pages=BLOCK, section_pages=BLOCK, nodes=[0])
    for memory_mib, memmap_mib in EXAMPLES["W26"]["rows"]:
        assert memory.memmap_pages * memory_mib * MIB // BLOCK_BYTES * PAGE_SIZE / MIB == memmap_mib
    for ratio, percent in EXAMPLES["W27"]["rows"]:
        assert 100 * (ratio + 1) * memory.memmap_pages / BLOCK == percent


def test_self_hosted_memmap() -> None:
    """W28: one block that holds its own memmap, and one that does not."""
    example = EXAMPLES["W28"]
    machine = boot([GIB // PAGE_SIZE], auto_movable(301))
    machine.core.memmap_on_memory = True
    host = Host(machine)
    device = host.dimm(0, example["block_pages"])
    zone = machine.memory.zone_of(device.blocks()[0])
    group = machine.memory.groups.find(device.group_id)
    assert zone is not None
    assert group is not None
    assert (zone.present, zone.managed) == (example["present_change"], example["managed_change"])
    assert group.movable == example["present_change"]
    assert machine.memory.memmap_pages == example["memmap_pages"]
    assert example["block_pages"] - machine.memory.memmap_pages == example["pages_given_to_online_step"]
    machine.core.memmap_on_memory = False
    host.dimm(0, example["block_pages"])
    assert zone.managed == example["managed_change"] + example["block_pages"]
    device.eject()
    assert (zone.present, zone.managed) == (example["block_pages"], example["block_pages"])


def test_bytes_for_pages() -> None:
    """W29, with the dax/kmem driver before and after its mending."""
    example = EXAMPLES["W29"]
    for wrong, max_pages, zone in (
        (True, example["max_pages_before"], example["zone_before"]),
        (False, example["max_pages_after"], example["zone_after"]),
    ):
        machine = boot([example["boot_pages"]], auto_movable(example["ratio"]))
        ranges = [(5 * REGION, example["device_bytes"])]
        device = Dax(machine.context, "dax0.0", 0, ranges, bytes_for_pages=wrong)
        device.plug()
        group = machine.memory.groups.find(device.group_id)
        assert group is not None
        assert group.max_pages == max_pages
        found = {machine.memory.zone_label(first + at) for first, count in device.added for at in range(count)}
        assert found == {zone}
    assert example["limit_pages"] == example["largest_movable_device_bytes_before"]
    for size, zone in ((example["limit_pages"], ZONE_MOVABLE), (example["limit_pages"] + 1, ZONE_NORMAL)):
        machine = boot([example["boot_pages"]], auto_movable(example["ratio"], auto_online="offline"))
        group_id = machine.memory.groups.register_static(0, size).id
        machine.memory.add(1 << 18, 1, node=0, group_id=group_id)
        assert machine.core.zone_choice.choose(OnlineType.ONLINE, 1 << 18) == zone


def test_retry_delays() -> None:
    """W30: a shrink that the guest keeps refusing."""
    delays = EXAMPLES["W30"]["retry_seconds"]
    machine = boot([GIB // PAGE_SIZE], auto_movable(301))
    env = machine.core.env
    ends: list[int] = []
    device = VirtioMem(
        machine.context, "v", 0, REGION, REGION, 2 * MIB, done=lambda _name, _ok: ends.append(int(env.now))
    )
    device.resize(BLOCK_BYTES)
    ends.clear()
    machine.guest.refusing = set(machine.memory.blocks.ids())
    device.resize(0)
    env.run(until=sum(delays) * MICROSECONDS + 1)
    assert [(after - before) // MICROSECONDS for before, after in pairwise(ends)] == delays
    machine.guest.refusing = set()
    env.run(until=env.now + 301 * MICROSECONDS)
    assert device.plugged == 0


@pytest.mark.parametrize(("block_mib", "threshold", "most_offline", "goes_on_at"), EXAMPLES["W31"]["rows"])
def test_offline_threshold(block_mib: int, threshold: int, most_offline: int, goes_on_at: int) -> None:
    """W31: with auto-online off, the device waits for user space."""
    block_pages = block_mib * MIB // PAGE_SIZE
    knobs = auto_movable(301, auto_online="offline")
    machine = boot([8 * GIB // PAGE_SIZE], knobs, block_pages=block_pages)
    device = Host(machine).virtio_mem("v", 0, block_pages)
    assert device.threshold_pages * PAGE_SIZE == threshold * MIB
    device.resize(64 * GIB)
    offline = [b for b in machine.memory.blocks.ids() if not machine.memory.blocks.is_online(b)]
    assert len(offline) == most_offline
    left = most_offline
    for block in offline:
        machine.write_state(block, "online")
        left -= 1
        grown = device.plugged > most_offline * block_mib * MIB
        assert grown is (left * block_mib <= goes_on_at)
        if grown:
            break
    assert left * block_mib == goes_on_at


@pytest.mark.parametrize("case", EXAMPLES["W32"]["cases"], ids=lambda case: case["name"])
def test_contig_zones(case: dict[str, Any]) -> None:
    """W32."""
    machine = boot([16 * BLOCK], Knobs(movable_node=case["movable_node"]))
    machine.memory.add(48, 13, node=0)
    if case["kernel_60"]:
        machine.write_state(60, "online_kernel")
    machine.write_state(48, "online")
    machine.write_state(52, "online_movable")
    machine.write_state(55, "online_movable")
    machine.write_state(53, "online")
    assert machine.memory.zone_label(48) == case["zone_of_48"]
    assert machine.memory.zone_label(53) == case["zone_of_53"]


@pytest.mark.parametrize("key", ["plain", "left_over_word_on_first_block"])
def test_refused_removal(key: str) -> None:
    """W33."""
    example = EXAMPLES["W33"]
    machine = boot([example["boot_pages"]], auto_movable(example["ratio"], auto_online="offline"))
    host = Host(machine)
    device = host.dimm(0, example["dimm_blocks"] * BLOCK)
    *others, last = device.blocks()
    for block in others:
        machine.write_state(block, "online_movable")
    machine.write_state(last, "online_kernel")
    if key != "plain":
        with pytest.raises(HotplugError, match="EINVAL"):
            machine.write_state(others[0], "online_movable")
    machine.guest.refusing = {last}
    device.eject()
    assert host.zones(device.blocks()) == spell_out(example[key])
    machine.guest.refusing = set()
    device.eject()
    assert device.gone
    assert len(machine.memory.groups) == 0


def test_partial_blocks() -> None:
    """W34."""
    example = EXAMPLES["W34"]
    machine = boot([example["boot_pages"]], auto_movable(example["ratio"]))
    device = VirtioMem(machine.context, "v", 0, REGION, 8 * GIB, example["device_block_bytes"])
    first = device.mode.first
    for row in example["requests"]:
        device.resize(row["mib"] * MIB)
        assert device.plugged == row["mib"] * MIB
        zones = spell_out(row["zones"])
        blocks = range(first, first + len(zones))
        assert Host(machine).zones(blocks) == zones
        plugged = [
            (BLOCK - device.mode.unplugged_pages(b)) * PAGE_SIZE // MIB if machine.memory.blocks.exists(b) else 0
            for b in blocks
        ]
        assert plugged == row["plugged"]


def test_usable_region() -> None:
    """W35."""
    example = EXAMPLES["W35"]
    machine = boot([4 * GIB // PAGE_SIZE], auto_movable(301))
    device = VirtioMem(machine.context, "v", 0, REGION, example["region_mib"] * MIB, example["device_block_mib"] * MIB)
    for requested, usable in example["rows"]:
        assert device.resize(requested * MIB)
        assert device.usable == usable * MIB


@pytest.mark.parametrize("case", EXAMPLES["W36"]["cases"], ids=lambda case: case["name"])
def test_default_kernel_zone(case: dict[str, Any]) -> None:
    """W36."""
    start, end = case["dma32"]
    hole = range(*case["hole"])
    boot_blocks = [b for b in range(1, end // BLOCK) if b * BLOCK not in hole]
    memory = Memory(block_pages=BLOCK, section_pages=BLOCK, nodes=[0])
    present = len(boot_blocks) * BLOCK + BLOCK - start
    add_boot_zone(memory, 0, ZONE_DMA32, start=start, end=end, present=present, managed=present)
    for block in boot_blocks:
        add_boot_blocks(memory, 0, block, 1, ZONE_DMA32)
    machine = FastMachine(memory, Knobs())
    memory.add(case["block"], 1, node=0)
    for word in ("online", "online_kernel"):
        machine.write_state(case["block"], word)
        assert memory.zone_label(case["block"]) == case["zone"]
        machine.write_state(case["block"], "offline")
