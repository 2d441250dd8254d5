"""Any mix of devices, requests, refusals and user space: all accounts of what is plugged agree after every step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.kernel.timing import Timing
from sim.memory.blocks import BlockTable
from sim.memory.errors import EBUSY, EEXIST, EINVAL, ENODEV, ENOMEM, ENOSPC, HotplugError
from sim.memory.zones import OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.books import check_books, plugged_by_events
from tests.devices.rig import BLOCK, FakeGuest, Rig
from tests.support.reach import Reach

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.devices.specs import DeviceSpec

POLICIES: tuple[type[Policy], ...] = (AutoMovable, OnlineKernel, OnlineMovable)
WORDS = (OnlineType.OFFLINE, OnlineType.ONLINE, OnlineType.ONLINE_KERNEL, OnlineType.ONLINE_MOVABLE)

#: Small blocks are filled by sub-blocks; big blocks are whole memory blocks; the third unplugs nothing that is online.
VIRTIO_MEM: dict[str, VirtioMemSpec] = {
    "small": VirtioMemSpec("small", 10 * BLOCK, block_size=8 * MIB),
    "big": VirtioMemSpec("big", 12 * BLOCK, block_size=2 * BLOCK),
    "shy": VirtioMemSpec("shy", 6 * BLOCK, block_size=32 * MIB, unplug_online=False),
}
STATIC: dict[str, DeviceSpec] = {
    "dimm0": DimmSpec("dimm0", 4 * BLOCK),
    "dimm1": DimmSpec("dimm1", 3 * BLOCK, ranges=(2 * BLOCK, BLOCK), gap=BLOCK),
    "dimm2": DimmSpec("dimm2", BLOCK),
    "dax": DaxSpec("dax", 3 * BLOCK, self_host=True),
    "odd": DaxSpec("odd", BLOCK + 2 * MIB),
}
SPECS: dict[str, DeviceSpec] = {**VIRTIO_MEM, **STATIC}

REACH = Reach(
    {
        "PLUG": 80,
        "ADD": 40,
        "ONLINE": 15,
        "OFFLINE": 40,
        "REMOVE": 25,
        "UNPLUG": 15,
        "SUBPLUG": 10,
        "SUBUNPLUG": 8,
        "REQUEST": 100,
        "REFUSED": 6,
        "FAILED": 100,
        "DEVICE": 50,
        "refused by the host: EEXIST": 40,
        "refused by the host: ENODEV": 40,
        "refused by the host: ENOSPC": 20,
        "refused by the host: EINVAL": 10,
        "refused by the host: EBUSY": 8,
        "a driver fails: EBUSY": 1,
        "a driver fails: EINVAL": 3,
        "a driver fails: ENOMEM": 20,
        "a small block is partly plugged and online": 100,
        "a small block is partly plugged and offline": 40,
        "a small block has nothing plugged and stays": 2,
        "a block of a big block is online": 400,
        "a block of a big block is offline": 200,
        "a block hosts its memmap": 150,
        "a device has just what was asked for": 800,
        "a device has more than what was asked for": 25,
        "a device has less than what was asked for": 250,
        "somebody tries again later": 40,
        "user space: EINVAL": 40,
        "user space: EBUSY": 2,
        "user space: done": 30,
    }
)
NAMES = {EEXIST: "EEXIST", ENODEV: "ENODEV", ENOSPC: "ENOSPC", EINVAL: "EINVAL", EBUSY: "EBUSY", ENOMEM: "ENOMEM"}


@dataclass
class Step:
    """One thing that happens; the numbers pick a device, a size or a block of those that there are."""

    verb: str
    which: int
    much: int

    def do(self, rig: Rig, guest: FakeGuest) -> None:  # noqa: C901 - one case for each verb
        host, core = rig.host, rig.core
        there = [name for name in sorted(STATIC) if host.present(name)]
        absent = [name for name in sorted(SPECS) if not host.present(name)]
        surely = self.which % 5 > 0  # ask for what makes sense, most of the time
        mine = [block for block in rig.memory.blocks.ids() if not rig.memory.blocks.flags[block] & BlockTable.EARLY]
        some = mine[self.much % len(mine) :][:4] if mine else []
        match self.verb:
            case "plug":
                names = absent if surely and absent else sorted(SPECS)
                host.plug(SPECS[names[self.which % len(names)]])
            case "unplug":
                names = there if surely and there else [*sorted(STATIC), "small"]
                host.unplug(names[self.which % len(names)])
            case "resize":
                name = [*sorted(VIRTIO_MEM), *sorted(VIRTIO_MEM), "dimm0"][self.which % 7]
                spec = VIRTIO_MEM.get(name, VIRTIO_MEM["small"])
                wanted = self.much % (spec.max_size // spec.block_size + 2) * spec.block_size
                host.resize(name, wanted + MIB if self.which % 29 == 0 else wanted)
            case "refuse":
                guest.refusing, guest.refuse_once, guest.keeps = set(), set(), {}
                if self.which % 4 == 1:
                    guest.refusing = set(mine[self.much % 3 :: 3])
                elif self.which % 4 == 2:
                    guest.refuse_once = set(mine[self.much % 2 :: 2])
                elif self.which % 4 == 3:
                    guest.keeps = dict.fromkeys(some, 0b1001)
            case "user space":
                for block in some[:2]:
                    self.write_state(rig, block)
            case "word":
                core.auto_online = int(WORDS[self.which % 4])
            case "memmap":
                guest.memmap_blocks = None if self.which % 3 else self.much % 6
            case "time":
                rig.run_for((1, 1000, 10**6, 10**9)[self.which % 4])

    def write_state(self, rig: Rig, block: int) -> None:
        try:
            rig.core.write_state(block, int(WORDS[self.which % 4]))
        except HotplugError as error:
            REACH(f"user space: {error.name}")
        else:
            REACH("user space: done")


VERBS = ("plug", "plug", "resize", "resize", "resize", "resize", "unplug", "unplug", "refuse", "refuse",
         "user space", "user space", "word", "memmap", "time")  # fmt: skip


def rig_for_traffic(
    policy: Policy,
    guest: FakeGuest,
    kernel: str,
    memmap_on_memory: Any,  # noqa: ANN401
    timing: Timing | None = None,
) -> Rig:
    """Return a machine of few slots and little room, with both virtio-mem devices attached."""
    rig = Rig(
        policy=policy,
        timing=timing,
        guest=guest,
        kernel=kernel,
        memmap_on_memory=memmap_on_memory,
        slots=2,
        max_memory=4 * GIB + 34 * BLOCK,
    )
    for name in ("small", "big"):
        rig.host.plug(VIRTIO_MEM[name])
    return rig


@REACH.test(examples=72)
@given(
    st.lists(
        st.builds(Step, st.sampled_from(VERBS), st.integers(0, 1000), st.integers(0, 1000)), min_size=20, max_size=50
    ),
    st.sampled_from(POLICIES),
    st.booleans(),
    st.sampled_from(("5.15", "6.1", "6.8")),
    st.sampled_from((False, True, "force")),
)
def test_all_accounts_agree_after_every_step(
    steps: list[Step],
    policy: type[Policy],
    slow: bool,  # noqa: FBT001
    kernel: str,
    memmap_on_memory: Any,  # noqa: ANN401
) -> None:
    guest = FakeGuest()
    timing = Timing() if slow else None
    rig = rig_for_traffic(policy(), guest, kernel, memmap_on_memory, timing)
    for step in steps:
        rows, failed = len(rig.recorder.table()), rig.host.failed_requests
        step.do(rig, guest)
        rig.settle()
        count(rig.recorder.table()[rows:].tolist(), rig.host.failed_requests - failed)
        look(rig)
        check_books(rig)
        check_places(rig)


def check_places(rig: Rig) -> None:
    """The devices lie one above the other: none has a block among those of another."""
    blocks = rig.memory.blocks
    held: dict[int, list[int]] = {}
    for block in blocks.ids():
        if blocks.group[block] >= 0:
            held.setdefault(rig.core.device_of[blocks.group[block]], []).append(block)
    ends = sorted((min(mine), max(mine)) for mine in held.values())
    assert all(below[1] < above[0] for below, above in pairwise(ends))


def count(rows: list[list[int]], refused: int) -> None:
    """Count the new events; the first that failed is what the host refused."""
    for row in rows:
        kind = EventKind(row[1])
        REACH(kind.name)
        if kind == EventKind.FAILED:
            REACH(f"{'refused by the host' if refused else 'a driver fails'}: {NAMES[row[5]]}")
            refused = 0


def look(rig: Rig) -> None:
    """Count what there is now."""
    memory, blocks = rig.memory, rig.memory.blocks
    for block in blocks.ids():
        group = memory.groups.find(blocks.group[block]) if blocks.group[block] >= 0 else None
        owner = rig.core.owners.get(blocks.group[block])
        REACH("a block hosts its memmap", bool(blocks.flags[block] & BlockTable.SELF_HOSTED))
        if group is None or owner is None:
            continue
        missing = owner.unplugged_pages(block)
        if missing == memory.block_pages:
            REACH("a small block has nothing plugged and stays")
        elif missing:
            REACH(f"a small block is partly plugged and {'on' if blocks.is_online(block) else 'off'}line")
        if group.unit_pages > memory.block_pages:
            REACH(f"a block of a big block is {'on' if blocks.is_online(block) else 'off'}line")
    plugged = plugged_by_events(rig)
    for name in VIRTIO_MEM:
        if rig.host.present(name):
            more = plugged[rig.recorder.device_names.index(name)] * 4096 - rig.host.requested(name)
            REACH(
                f"a device has {'just' if more == 0 else 'more than' if more > 0 else 'less than'} what was asked for"
            )
    REACH("somebody tries again later", 0 < rig.until_next() < float("inf") and rig.context.timing == Timing.instant())
