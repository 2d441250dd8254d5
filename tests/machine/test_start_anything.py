"""States made up at random, wrong amounts and odd places among them: each is refused, or starts and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.auto_movable import AutoMovable
from policies.testkit.machines import seeded
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec, span
from sim.faults import InputError
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import AttachedDevice, BlockRun, MachineState, ZoneBounds, block_ranges
from sim.units import GIB, MIB
from tests.devices.books import check_books
from tests.devices.rig import Rig
from tests.machine.test_start_with_guest import Stage
from tests.support.reach import LONG

if TYPE_CHECKING:
    from collections.abc import Callable

BOOT = (-1, 0, 1, 1, 2, 2, 2, 3, 4)
ADDED = (2, 3, 3, 4)


class Made:
    """A state that is made up with ``draw``, which returns a whole number below its argument."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self.block = (128 * MIB, 128 * MIB, 256 * MIB, GIB, 2 * GIB)[draw(5)]
        self.nodes = 1 + draw(3)
        self._at = draw(2)
        self.runs: list[BlockRun] = []
        self.devices: list[AttachedDevice] = []
        self._add(BOOT[3 * draw(2)], boot=True, node=0)
        for _ in range(draw(7)):
            self._at += draw(3) * draw(3)
            self._add(BOOT[draw(len(BOOT))], boot=True)
        self._at += draw(40)
        for number in range(draw(6)):
            self._at += draw(2) * draw(5)
            (self._dimm, self._dax, self._virtio_mem, self._others)[draw(4)](f"it{number}", draw(self.nodes))

    def _add(self, state: int, *, boot: bool, node: int | None = None) -> None:
        where = self._draw(self.nodes) if node is None else node
        self.runs.append(BlockRun(self._at, 1 + self._draw(9), where, state, boot))
        self._at = self.runs[-1].end

    def _others(self, _name: str, node: int) -> None:
        self._add(ADDED[self._draw(4)], boot=False, node=node)

    def _ranges(self) -> dict[str, Any]:
        ranges = tuple((1 + self._draw(4)) * self.block for _ in range(2)) if self._draw(3) == 0 else ()
        return {"ranges": ranges, "gap": self._draw(2) * self.block if ranges else 0}

    def _dimm(self, name: str, node: int) -> None:
        self._static(DimmSpec(name, (1 + self._draw(9)) * self.block, node, self._address(), **self._ranges()))

    def _dax(self, name: str, node: int) -> None:
        size = (1 + self._draw(9)) * self.block
        self._static(DaxSpec(name, size, node, self._address(), self_host=not self._draw(2), **self._ranges()))

    def _address(self) -> int:
        return self._at * self.block + (self._draw(4) == 0) * 2 * MIB

    def _static(self, spec: DimmSpec | DaxSpec) -> None:
        for first, end in block_ranges(spec, self.block):
            middle = first + self._draw(max(1, end - first))
            for low, high in ((first, middle), (middle, end)):
                if low < high and self._draw(8):
                    self.runs.append(BlockRun(low, high - low, spec.node, ADDED[self._draw(4)], boot=False))
        word = (None, None, "lost", "offline")[self._draw(4)] if isinstance(spec, DaxSpec) else None
        self.devices.append(AttachedDevice(spec, state=word))
        self._at = -(-((spec.address or 0) + span(spec)) // self.block)

    def _virtio_mem(self, name: str, node: int) -> None:
        piece = (2 * MIB, 2 * MIB, 4 * MIB, self.block, 2 * self.block)[self._draw(5)]
        size, address = (1 + self._draw(9)) * 2 * self.block, -(-self._address() // piece) * piece
        spec = VirtioMemSpec(name, size, node, piece, self._draw(size // piece + 1) * piece, address)
        ((first, end),) = block_ranges(spec, self.block)
        there = [block for block in range(first, end) if self._draw(2)]
        self.runs += [BlockRun(block, 1, node, ADDED[self._draw(4)], boot=False) for block in there]
        plugged = None if self._draw(2) else max(0, len(there) * self.block - self._draw(4) * 4 * MIB)
        self.devices.append(AttachedDevice(spec, plugged))
        self._at = -(-(address + size) // self.block)

    def _zones(self) -> list[ZoneBounds]:
        zones = []
        pages = self.block // 4096
        for node, zone in sorted({(run.node, run.state) for run in self.runs if 0 <= run.state < 4}):
            own = [run for run in self.runs if (run.node, run.state) == (node, zone)]
            start = own[0].first * pages + (0, 0, 1000)[self._draw(3)]
            end = own[-1].end * pages + (0, 0, -100, pages)[self._draw(4)]
            present = sum(run.blocks for run in own) * pages + (0, 0, -100, -pages - 5)[self._draw(4)]
            present = max(0, min(present, end - start))
            managed = (None, present, present * 9 // 10)[self._draw(3)]
            zones.append(
                ZoneBounds(node, zone, start, end - start, present, managed, (None, 0, present // 20)[self._draw(3)])
            )
        return zones if self._draw(2) else []

    def machine(self) -> MachineSpec:
        draw = self._draw
        boot = [sum(run.blocks for run in self.runs if run.boot and run.node == node) for node in range(self.nodes)]
        return MachineSpec(
            tuple(NodeSpec(blocks * self.block) for blocks in boot),
            block_size=self.block,
            state=MachineState(tuple(self.runs), tuple(self._zones()), tuple(self.devices)),
            kernel=("5.15", "6.1", "6.8", "7.3")[draw(4)],
            memmap_on_memory=(False, True, "force")[draw(3)],
            cma=(0, 64 * MIB)[draw(2)],
        )


def merged(runs: tuple[BlockRun, ...]) -> list[tuple[int, ...]]:
    """Every block with what is known of it."""
    return [(block, *run[2:]) for run in runs for block in range(run.first, run.end)]


def give_all_back(stage: Rig | Stage) -> None:
    for name in sorted(stage.host.devices):
        if not stage.host.unplug(name):
            stage.host.resize(name, 0)
        stage.settle()
    stage.host.plug(DimmSpec("another", stage.machine.block_size))
    stage.settle()


def start(number: int) -> bool:
    """Start from one of them, and give back what there is. Returns whether it is a state at all."""
    try:
        machine = Made(seeded(0, number)).machine()
    except InputError:
        return False
    assert machine.state is not None
    rig = Rig(machine=machine)
    rig.host.boot()
    assert merged(rig.host.state().blocks) == merged(machine.state.blocks)
    rig.settle()
    check_books(rig)
    give_all_back(rig)
    check_books(rig)
    if number % 4 == 0:
        try:
            stage = Stage(machine, AutoMovable())
        except InputError:  # too small for a kernel
            return True
        stage.link.model.check()
        give_all_back(stage)
        stage.link.model.check()
        for (node, zone), of_guest in stage.link.model.zones.items():
            assert of_guest.managed == stage.memory.zone(node, zone).managed
    return True


def test_whatever_state_is_taken_can_be_gone_on_from() -> None:
    started = [start(number) for number in range(2000 if LONG else 60)]
    assert sum(started) > len(started) // 4
