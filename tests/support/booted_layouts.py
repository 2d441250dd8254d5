"""Machines as experiments have them, for the state machine: booted by the simulator, and plainly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from tests.plain.boot import FOUR_GIB, GIB, KIB, MIB, Booted
from tests.support.random_layouts import ROOM_FOR_DEVICES

if TYPE_CHECKING:
    from sim.memory.hotplug import Memory
    from tests.plain.machine import Block, BootZone, Machine


def spec_of(booted: Booted) -> MachineSpec:
    """The same machine as an experiment asks for it."""
    major, minor = booted.kernel
    return MachineSpec(
        tuple(NodeSpec(size) for size in booted.nodes),
        architecture=booted.architecture,
        page_size=booted.page,
        kernel=f"{major}.{minor}",
        kernelcore=booted.kernelcore,
        movablecore=booted.movablecore,
        movable_node=booted.movable_node,
        cma=booted.cma,
    )


@dataclass(frozen=True)
class BootedPlan:
    """A machine for the state machine, with what :class:`tests.support.random_layouts.MachinePlan` tells."""

    booted: Booted
    self_hosting: bool

    # What a plan is asked for. The layout is made once: it costs more than what is done with it.

    @cached_property
    def _spec(self) -> MachineSpec:
        return spec_of(self.booted)

    @property
    def page_size(self) -> int:
        return self.booted.page

    @property
    def block_pages(self) -> int:
        return self.booted.block // self.booted.page

    @property
    def section_pages(self) -> int:
        return self.booted.section // self.booted.page

    @property
    def pageblock_pages(self) -> int:
        return self.booted.pageblock // self.booted.page

    @property
    def four_gib(self) -> int:
        return FOUR_GIB // self.booted.page

    @property
    def addressable_pages(self) -> int:
        return 2**46 // self.booted.page

    @property
    def possible_nodes(self) -> int:
        return self.booted.linux_nodes

    @property
    def nodes_with_memory(self) -> int:
        return len({node for node, _, _ in self.booted.memory()})

    @property
    def movable_node(self) -> bool:
        return self.booted.movable_node

    @property
    def forced(self) -> bool:
        """Whether ``memmap_on_memory=force`` is set."""
        return self.self_hosting and self.booted.kernel >= (6, 12)

    @property
    def recent(self) -> bool:
        return self.booted.kernel >= (6, 8)

    @property
    def device_blocks(self) -> range:
        return range(1, -(-self.booted.end // self.booted.block) + ROOM_FOR_DEVICES)

    def zones(self) -> list[BootZone]:
        return self.booted.zones()

    def blocks(self) -> list[Block]:
        return self.booted.blocks()

    def pinned(self) -> set[int]:
        """Blocks with CMA, and all boot memory of arm64: they never go offline."""
        if self.booted.architecture == "arm64":
            return {block.number for block in self.blocks()}
        pages = self.block_pages
        areas = lay_out(self._spec).cma_areas
        return {number for area in areas for number in range(area.start // pages, -(-area.end // pages))}

    def plain(self) -> Machine:
        return self.booted.machine()

    def fast(self) -> Memory:
        return lay_out(self._spec).memory


@st.composite
def booted_machines(draw: st.DrawFn, *, largest: int = 24) -> Booted:
    """Machines of all architectures and page sizes, of one to three nodes of up to ``largest`` times 512 MiB."""
    architecture = draw(st.sampled_from(("x86-64", "x86-64", "arm64", "arm64", "s390x")))
    page = draw(st.sampled_from((4, 16, 64, 64))) * KIB if architecture == "arm64" else 4 * KIB
    count = draw(st.sampled_from((1, 1, 2, 3)))
    nodes = [draw(st.integers(1, largest)) * 512 * MIB]
    nodes += [draw(st.sampled_from((0, 1, 1))) * draw(st.integers(1, largest)) * 512 * MIB for _ in range(count - 1)]
    if architecture == "x86-64" and draw(st.integers(0, 2)) == 0:
        nodes = [draw(st.sampled_from((65, 95, 70, 66))) * GIB, *nodes[1:]]
    movable_node = draw(st.integers(0, 3)) == 0
    kernelcore = movablecore = cma = 0
    # Kernel memory that is spread over several nodes is not in the plain implementation.
    if movable_node or count == 1:
        share = draw(st.integers(0, 9)) * sum(nodes) // 10 // page * page
        kernelcore, movablecore = draw(st.sampled_from(((0, 0), (share, 0), (0, share))))
    if not (kernelcore or movablecore) or movable_node:
        cma = draw(st.sampled_from((0, 64, 64, 128))) * MIB
        if page == 64 * KIB:
            cma = 512 * MIB * draw(st.integers(0, 1))
    biggest = max(nodes)
    return Booted(
        tuple(nodes),
        architecture,
        page,
        draw(st.sampled_from(((6, 1), (6, 12), (6, 13), (7, 3), (7, 3)))),
        kernelcore,
        movablecore,
        movable_node,
        cma if 4 * cma <= biggest else 0,
    )


@st.composite
def booted_plans(draw: st.DrawFn) -> BootedPlan:
    """Small ones, as all of their blocks are compared after every step."""
    return BootedPlan(draw(booted_machines(largest=5)), self_hosting=draw(st.booleans()))
