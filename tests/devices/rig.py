"""A guest to try drivers on: machine, core, lock and clock, with a guest that refuses what a test tells it to."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
import simpy

from policies.auto_movable import AutoMovable
from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.virtio_mem import VirtioMem
from sim.guest.contract import OfflineOutcome, SubblockOutcome
from sim.kernel.context import DriverContext
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import CoreListener, Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.settings import KernelSettings
from sim.kernel.timing import Timing
from sim.kernel.user_space import UserSpace
from sim.kernel.worker import Threads, settle
from sim.machine.boot_layout import lay_out
from sim.machine.host import MachineHost
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import HotplugError
from sim.record.recorder import EventKind, Recorder
from sim.units import GIB, KIB, MIB
from tests.devices.books import check_books
from tests.support.invariants import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from policies.contract import Policy, UserSpaceRules
    from sim.devices.virtio_mem_mode import VirtioMemParameters
    from sim.guest.contract import OomEvent

BLOCK = 128 * MIB
"""Bytes of a block where a test asks for nothing else."""
PAGES = 32768
"""Pages of such a block."""
FIRST = 40
"""First block above the boot memory of a machine of 4 GiB."""
_LETTERS = "DdNM"
"""One letter a zone: DMA, DMA32, Normal, Movable."""


def fails_with(number: int) -> pytest.RaisesExc[HotplugError]:
    """Expect a HotplugError of this number."""
    return pytest.RaisesExc(HotplugError, check=lambda error: error.errno == number)


class FakeGuest:
    """Implements ``sim.guest.contract.Guest``: everything goes and costs nothing, except what a test sets.

    ``refusing`` blocks never go offline and give up no sub-block, ``refuse_once`` blocks refuse their next request
    only; ``keeps`` holds masks of sub-blocks that a block does not give up; ``memmap_blocks`` is how many blocks'
    memmap still fits (None: any number); ``moves`` pages are migrated for every block that goes, ``moves_in_vain`` for
    every one that refuses and ``moves_each`` for every sub-block that is given up; ``kill`` happens each time.
    ``dropping`` are the blocks whose page cache was to be dropped, ``calls`` notes what was asked, ``pages`` what each
    (node, zone) was handed, and ``with_memmap`` which blocks have a memmap.
    """

    at_once = None

    def __init__(self) -> None:
        self.refusing: set[int] = set()
        self.refuse_once: set[int] = set()
        self.keeps: dict[int, int] = {}
        self.memmap_blocks: int | None = None
        self.moves = 0
        self.moves_in_vain = 0
        self.moves_each = 0
        self.kill: OomEvent | None = None
        self.with_memmap: set[int] = set()
        self.pages: dict[tuple[int, int], int] = {}
        self.dropping: set[int] = set()
        self.calls: list[tuple[object, ...]] = []

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        self.calls.append(("add", node, first_block, nr_blocks, altmap))
        if self.memmap_blocks is not None:
            if nr_blocks > self.memmap_blocks:
                return False
            self.memmap_blocks -= nr_blocks
        self.with_memmap |= set(range(first_block, first_block + nr_blocks))
        return True

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        self.calls.append(("remove", first_block, nr_blocks))
        self.with_memmap -= set(range(first_block, first_block + nr_blocks))

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        key = (node, zone)
        self.pages[key] = self.pages.get(key, 0) + nr_blocks * pages_per_block

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        return block not in self.refusing | self.refuse_once

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        self.calls.append(("offline", first_block))
        if drop_cache:
            self.dropping.add(first_block)
        if not self.can_offline(zone, node, first_block):
            self.refuse_once.discard(first_block)
            return OfflineOutcome(refused=(first_block,), moved=self.moves_in_vain)
        key = (node, zone)
        self.pages[key] = self.pages.get(key, 0) - nr_blocks * pages_per_block
        return OfflineOutcome(moved=self.moves, ooms=self._kills())

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        self.calls.append(("give", block))
        if block in self.refusing:
            return SubblockOutcome(0)
        free = plugged_mask & ~self.keeps.get(block, 0)
        given = 0
        while free and given.bit_count() < most:
            given |= 1 << (free.bit_length() - 1)
            free &= ~given
        key = (node, zone)
        self.pages[key] = self.pages.get(key, 0) - given.bit_count() * sub_pages
        return SubblockOutcome(given, self.moves_each * given.bit_count(), self._kills())

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        key = (node, zone)
        self.pages[key] = self.pages.get(key, 0) + mask.bit_count() * sub_pages

    def _kills(self) -> tuple[OomEvent, ...]:
        return () if self.kill is None else (self.kill,)

    def asked(self, verb: str) -> list[int]:
        """Blocks that ``verb`` was called for, in order."""
        return [call[1] for call in self.calls if call[0] == verb and isinstance(call[1], int)]


class Told(CoreListener):
    """Notes at which microseconds a core told of what befell the guest."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self.kills: list[tuple[int, tuple[OomEvent, ...]]] = []
        self.starvation: list[int] = []

    def out_of_memory(self, kills: tuple[OomEvent, ...]) -> None:
        self.kills.append((int(self._env.now), kills))

    def starved(self) -> None:
        self.starvation.append(int(self._env.now))


_RIGS: list[Rig] = []
"""All that the running test has made."""


@pytest.fixture(autouse=True)
def books_agree(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check the books of every rig of a test that has passed. A test module takes part by importing this."""
    _RIGS.clear()
    failed = request.session.testsfailed
    yield
    rigs, _RIGS[:] = _RIGS[:], []
    if request.session.testsfailed == failed:
        for rig in rigs:
            check_books(rig)


class Rig:
    """A machine at boot with everything that drivers need. ``timing`` None: nothing takes time but the retry timer.

    ``machine`` is the machine where it is not made of the other arguments. ``user_space`` is a rule that acts in
    the guest; ``told`` what its core told, ``ooms`` the log of kills. ``made`` are the devices that it made, but
    for the host's. ``behind_the_drivers_back`` is for a test to set that changes memory without the driver: then
    drivers are not asked what they have plugged, see :mod:`tests.devices.books`.
    """

    def __init__(
        self,
        *,
        boot: int = 4 * GIB,
        nodes: tuple[int, ...] | None = None,
        block: int = BLOCK,
        section: int = BLOCK,
        policy: Policy | None = None,
        timing: Timing | None = None,
        guest: FakeGuest | None = None,
        kernel: str = "6.1",
        memmap_on_memory: bool | str = False,
        slots: int = 256,
        max_memory: int | None = None,
        user_space: UserSpaceRules | None = None,
        architecture: str | None = None,
        page_size: int = 4 * KIB,
        machine: MachineSpec | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.machine = machine or MachineSpec(
            tuple(NodeSpec(size) for size in nodes or (boot,)),
            block_size=block,
            section_size=section,
            kernel=kernel,
            slots=slots,
            max_memory=max_memory,
            architecture=architecture,
            page_size=page_size,
            memmap_on_memory=memmap_on_memory,  # type: ignore[arg-type]
            **options,
        )
        self.layout = layout = lay_out(self.machine)
        self.env = simpy.Environment()
        self.recorder = Recorder()
        self.memory = layout.memory
        self.block_bytes = self.machine.block_size
        timing = timing or Timing.instant()
        threads = Threads()
        self.ooms = OomLog(self.env, self.recorder, threads)
        self.told = Told(self.env)
        listeners = [self.ooms, self.told]
        if user_space is not None:
            listeners.append(
                UserSpace(
                    self.env,
                    threads,
                    timing,
                    user_space,
                    bare_metal=self.machine.bare_metal,
                    architecture=self.machine.built_for.name,
                )
            )
        self.core = HotplugCore(
            self.env,
            self.memory,
            AutoMovable() if policy is None else policy,
            self.recorder,
            settings=KernelSettings(self.machine.kernel_series, memmap_on_memory=self.machine.memmap_on_memory),
            guest=guest,
            listener=Listeners(*listeners),
            threads=threads,
        )
        self.context = DriverContext(self.env, self.core, self.recorder, timing)
        self.base = layout.device_base
        self.boot = layout.boot
        self.guest = guest
        self.managed_at_boot = {
            (zone.node, zone.zone): zone.present if zone.managed is None else zone.managed for zone in layout.zones
        }
        self.subject = Subject.at_boot(self.memory, self.core.view)
        self.behind_the_drivers_back = False
        self.made: list[Dimm | Dax | VirtioMem] = []
        self.devices: dict[str, VirtioMem] = {}
        self.host = MachineHost(self.context, self.machine)
        _RIGS.append(self)

    def dimm(self, name: str, *ranges: tuple[int, int], node: int = 0) -> Dimm:
        """Plug a DIMM with ranges (start, length) in bytes and let it come to rest."""
        device = self.unplugged_dimm(name, *ranges, node=node)
        device.plug()
        self.settle()
        return device

    def unplugged_dimm(
        self,
        name: str,
        *ranges: tuple[int, int],
        node: int = 0,
        done: Callable[[str, bool], None] | None = None,
    ) -> Dimm:
        """Make a DIMM with ranges (start, length) in bytes that has yet to be plugged."""
        device = Dimm(self.context, name, node, list(ranges), done=done)
        self.made.append(device)
        return device

    def unplugged_dax(
        self,
        *ranges: tuple[int, int],
        node: int = 0,
        bytes_for_pages: bool = False,
        self_host: bool = False,
        done: Callable[[str, bool], None] | None = None,
    ) -> Dax:
        """Make a dax device with ranges (start, length) in bytes that has yet to be plugged."""
        device = Dax(
            self.context, "x", node, list(ranges), bytes_for_pages=bytes_for_pages, self_host=self_host, done=done
        )
        self.made.append(device)
        return device

    def virtio_mem(
        self,
        name: str = "v",
        *,
        size: int = 16 * GIB,
        block_size: int = 2 * MIB,
        address: int | None = None,
        node: int = 0,
        parameters: VirtioMemParameters | None = None,
        done: Callable[[str, bool], None] | None = None,
    ) -> VirtioMem:
        """Attach a virtio-mem device that has been asked for nothing."""
        where = self.base if address is None else address
        device = VirtioMem(self.context, name, node, where, size, block_size, parameters=parameters, done=done)
        self.made.append(device)
        return device

    def settle(self) -> None:
        """Process all that happens without time passing."""
        settle(self.env)

    def run_for(self, us: int) -> None:
        """Let ``us`` microseconds pass, and everything happen that falls on the last of them."""
        self.env.run(until=self.env.now + us)
        self.settle()

    def until_next(self) -> float:
        """Microseconds until something happens; infinite where nothing ever will."""
        self.settle()
        return self.env.peek() - self.env.now

    def states(self, first: int, count: int) -> str:
        """The blocks as runs, such as ``"Mx96 Nx2 -x1 .x3"``: ``-`` offline, ``.`` absent, ``?`` of several zones."""
        letters = []
        for number in range(first, first + count):
            if not self.memory.blocks.exists(number):
                letters.append(".")
            elif not self.memory.blocks.is_online(number):
                letters.append("-")
            else:
                zone = self.memory.zone_of(number)
                letters.append("?" if zone is None else _LETTERS[zone.type])
        return " ".join(f"{letter}x{len(list(run))}" for letter, run in groupby(letters))

    def events(self, *kinds: EventKind) -> list[tuple[int, str, int, int, int, int]]:
        """Recorded events of ``kinds`` (all, where none): (time, kind, device, first block, blocks, pages)."""
        return [
            (t_us, EventKind(kind).name, device, block, count, pages)
            for t_us, kind, device, block, count, _, pages in self.recorder.table().tolist()
            if not kinds or kind in kinds
        ]
