"""What the random traffic has to reach, and how often at least: half of the least of what twenty sets of seeds reach.

0 is for what may happen and is too rare to count on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.units import GIB, KIB
from tests.plain.machine import MOVABLE, NORMAL
from tests.support.booted_layouts import BootedPlan
from tests.support.reach import Reach

if TYPE_CHECKING:
    from tests.support.random_layouts import MachinePlan

REACH = Reach(
    {
        # Machines
        "a machine of large blocks": 10,
        "a machine of one node": 10,
        "a machine of three nodes": 4,
        "a machine of two nodes": 13,
        "a machine with CMA areas": 8,
        "a machine with MOVABLE boot memory": 11,
        "a machine with a block of two nodes": 3,
        "a machine with a block of which sections are missing": 11,
        "a machine with a block with holes": 20,
        "a machine with a mixed block": 20,
        "a machine with a node without boot memory": 7,
        "a machine with blocks of several sections": 16,
        "a machine with memory above 4 GiB": 20,
        "a machine with movable_node": 14,
        "a machine with self-hosted memmaps": 12,
        "a machine with self-hosted memmaps of whole pageblocks": 4,
        "a machine of arm64": 7,
        "a machine of s390x": 2,
        "a machine of x86-64": 7,
        "a machine with CMA areas on several nodes": 3,
        "a machine with blocks of 2 GiB": 8,
        "a machine with kernelcore": 4,
        "a machine with kernelcore ignored for movable_node": 1,
        "a machine with pages of 16 KiB": 1,
        "a machine with pages of 64 KiB": 2,
        # Requests, and how they end
        "a DIMM at the limit: EEXIST": 0,
        "a DIMM at the limit: done": 8,
        "a DIMM at the limit: nothing fits": 8,
        "a DIMM goes": 6,
        "a DIMM goes at the second try": 2,
        "a DIMM of which a range is left out": 2,
        "a DIMM over boot memory": 3,
        "a DIMM stays": 3,
        "a run goes to one zone": 150,
        "a run goes to two zones": 1,
        "a dax device off the grid": 35,
        "bind: EBUSY": 10,
        "bind: done": 30,
        "bind again: EBUSY": 1,
        "bind again: done": 0,
        "dax state nonsense: EINVAL": 1,
        "dax state nonsense: ENODEV": 0,
        "dax state online: EBUSY": 4,
        "dax state online: ENODEV": 0,
        "dax state online: done": 3,
        "dax state unplugged: EBUSY": 1,
        "dax state unplugged: ENODEV": 0,
        "dax state unplugged: done": 4,
        "unbind: EBUSY": 2,
        "unbind: ENODEV": 0,
        "unbind: done": 0,
        "add_across_the_limit: EEXIST": 0,
        "add_across_the_limit: done": 5,
        "add_anywhere: E2BIG": 3,
        "add_anywhere: EEXIST": 7,
        "add_anywhere: EINVAL": 8,
        "add_anywhere: done": 2,
        "add_to_group: EEXIST": 5,
        "add_to_group: EINVAL": 3,
        "add_to_group: done": 13,
        "add_without_group: EEXIST": 2,
        "add_without_group: EINVAL": 3,
        "add_without_group: done": 16,
        "grow_dynamic: done": 400,
        "offline_and_remove of one: EBUSY": 3,
        "offline_and_remove of one: done": 4,
        "offline_and_remove of several: EBUSY": 3,
        "offline_and_remove of several: done": 5,
        "one offline at once": 8,
        "plug_dimm: EINVAL": 5,
        "plug_dimm: done": 20,
        "plug_dimm: no room": 12,
        "plug_static: EEXIST": 8,
        "plug_static: done": 18,
        "put back with a word left over: done": 6,
        "put back with no word: done": 9,
        "register_dynamic: EINVAL": 7,
        "register_dynamic: done": 90,
        "register_static: EINVAL": 12,
        "register_static: done": 6,
        "remove: EBUSY": 4,
        "remove: EINVAL": 2,
        "remove: done": 6,
        "several offline at once": 9,
        "take_boot_memory_away offline: done": 30,
        "unregister: EBUSY": 13,
        "unregister: EINVAL": 7,
        "unregister: done": 1,
        "write_state offline: EBUSY": 14,
        "write_state offline: EINVAL": 20,
        "write_state offline: done": 250,
        "write_state online: EINVAL": 40,
        "write_state online: done": 40,
        # Spans
        "a span appears": 50,
        "a span begins inside a block": 0,
        "a span ends inside a block": 1,
        "a span grows downwards": 60,
        "a span grows upwards": 100,
        "a span shrinks from above": 80,
        "a span shrinks from below": 40,
        "a span vanishes": 12,
        # Decisions, by who asks and by the reason that is given
        "a decision about a block": 6500,
        "a decision about what could be: DMA": 12,
        "a decision about what could be: DMA32": 250,
        "a decision about what could be: Movable": 3500,
        "a decision about what could be: Normal": 6500,
        "a decision at the limit: a page too many": 350,
        "a decision at the limit: as many pages as fit": 300,
        "auto-movable-patch2: all nodes: MOVABLE n + block n <= limit n (ratio n %)": 650,
        "auto-movable-patch2: all nodes: MOVABLE n + block n > limit n (ratio n %)": 750,
        "auto-movable-patch2: node n: MOVABLE n + block n <= limit n (ratio n %)": 150,
        "auto-movable-patch2: node n: MOVABLE n + block n > limit n (ratio n %)": 3,
        "auto-movable-patch2: the ratio is n: never MOVABLE": 200,
        "auto-movable-patch8: all nodes: MOVABLE n + block n > limit n (ratio n %)": 500,
        "auto-movable-patch8: all nodes: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 250,
        "auto-movable-patch8: all nodes: MOVABLE n + rest of static group n n > limit n (ratio n %)": 150,
        "auto-movable-patch8: fits: MOVABLE n + block n <= limit n (ratio n %)": 500,
        "auto-movable-patch8: fits: MOVABLE n + rest of a unit of group n n <= limit n (ratio n %)": 90,
        "auto-movable-patch8: fits: MOVABLE n + rest of static group n n <= limit n (ratio n %)": 60,
        "auto-movable-patch8: group n (static) already has n pages in a kernel zone: all of it goes there": 80,
        "auto-movable-patch8: node n: MOVABLE n + block n > limit n (ratio n %)": 80,
        "auto-movable-patch8: node n: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 17,
        "auto-movable-patch8: node n: MOVABLE n + rest of static group n n > limit n (ratio n %)": 14,
        "auto-movable-patch8: the ratio is n: never MOVABLE": 250,
        "auto-movable-patch8: unit of group n already has n sections in a kernel zone: all of it goes there": 150,
        "auto-movable: all nodes: MOVABLE n + block n > limit n (ratio n %)": 500,
        "auto-movable: all nodes: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 200,
        "auto-movable: all nodes: MOVABLE n + rest of static group n n > limit n (ratio n %)": 100,
        "auto-movable: all nodes: early kernel memory n <= n required by other dynamic groups": 250,
        "auto-movable: fits: MOVABLE n + block n <= limit n (ratio n %)": 1000,
        "auto-movable: fits: MOVABLE n + rest of a unit of group n n <= limit n (ratio n %)": 200,
        "auto-movable: fits: MOVABLE n + rest of static group n n <= limit n (ratio n %)": 100,
        "auto-movable: group n (static) already has n pages in a kernel zone: all of it goes there": 70,
        "auto-movable: node n: MOVABLE n + block n > limit n (ratio n %)": 60,
        "auto-movable: node n: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 4,
        "auto-movable: node n: MOVABLE n + rest of static group n n > limit n (ratio n %)": 1,
        "auto-movable: node n: early kernel memory n <= n required by other dynamic groups": 10,
        "auto-movable: node n: no early kernel memory (numa_aware = false would ask all nodes only)": 90,
        "auto-movable: the ratio is n: never MOVABLE": 1000,
        "auto-movable: unit of group n already has n sections in a kernel zone: all of it goes there": 250,
        "contig-zones: inside both the kernel and the Movable span, and movable_node is set: Movable": 60,
        "contig-zones: inside both the kernel and the Movable span: kernel": 40,
        "contig-zones: inside neither the kernel nor the Movable span, and movable_node is set: Movable": 600,
        "contig-zones: inside neither the kernel nor the Movable span: kernel": 1000,
        "contig-zones: inside the Movable span only: Movable": 550,
        "contig-zones: inside the kernel span only: kernel": 1000,
    }
)

#: Kinds that are a decision in which both implementations were compared.
COMPARED = tuple(kind for kind in REACH.floors if kind.startswith("a decision"))


def kinds_of(plan: MachinePlan | BootedPlan) -> dict[str, bool]:
    """What a random machine is, each word with whether this one is."""
    blocks = plan.blocks()
    zones = plan.zones()
    booted: dict[str, bool] = {}
    if isinstance(plan, BootedPlan):
        machine = plan.booted
        words = bool(machine.kernelcore or machine.movablecore)
        booted = {
            f"of {machine.architecture}": True,
            "with kernelcore ignored for movable_node": words and machine.movable_node,
            "with kernelcore": words and not machine.movable_node,
        }
    return {
        "of one node": plan.possible_nodes == 1,
        "of two nodes": plan.possible_nodes == 2,
        "of three nodes": plan.possible_nodes == 3,
        "with a node without boot memory": plan.possible_nodes > plan.nodes_with_memory,
        "with a mixed block": any(block.zone is None for block in blocks),
        "with a block of two nodes": any(len({part.node for part in block.parts}) > 1 for block in blocks),
        "with a block with holes": any(block.zone is not None and block.has_holes for block in blocks),
        "with a block of which sections are missing": any(
            block.zone is not None and len(block.parts) * plan.section_pages < plan.block_pages for block in blocks
        ),
        "with blocks of several sections": plan.section_pages < plan.block_pages,
        "with MOVABLE boot memory": any(block.zone == MOVABLE for block in blocks),
        "with CMA areas": any(zone.cma for zone in zones),
        "with memory above 4 GiB": any(zone.zone == NORMAL for zone in zones),
        "with movable_node": plan.movable_node,
        "with self-hosted memmaps": plan.self_hosting,
        "with self-hosted memmaps of whole pageblocks": plan.forced,
        "of large blocks": plan.block_pages * plan.page_size >= GIB,
        "with blocks of 2 GiB": plan.block_pages * plan.page_size == 2 * GIB,
        "with pages of 16 KiB": plan.page_size == 16 * KIB,
        "with pages of 64 KiB": plan.page_size == 64 * KIB,
        "with CMA areas on several nodes": len({zone.node for zone in zones if zone.cma}) > 1,
        **booted,
    }
