"""What the random traffic has to reach, and how often at least: about a quarter of what it does in the short profile.

0 is for what may happen and is too rare to count on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plain.machine import MOVABLE, NORMAL
from tests.reach import Reach

if TYPE_CHECKING:
    from tests.random_machines import MachinePlan

REACH = Reach(
    {
        # Machines
        "a machine of large blocks": 6,
        "a machine of one node": 6,
        "a machine of three nodes": 5,
        "a machine of two nodes": 7,
        "a machine with CMA areas": 6,
        "a machine with MOVABLE boot memory": 7,
        "a machine with a block of two nodes": 1,
        "a machine with a block of which sections are missing": 6,
        "a machine with a block with holes": 12,
        "a machine with a mixed block": 16,
        "a machine with a node without boot memory": 6,
        "a machine with blocks of several sections": 10,
        "a machine with memory above 4 GiB": 13,
        "a machine with movable_node": 9,
        "a machine with self-hosted memmaps": 9,
        # Requests, and how they end
        "a DIMM at the limit: EEXIST": 0,
        "a DIMM at the limit: done": 11,
        "a DIMM at the limit: nothing fits": 11,
        "a DIMM goes": 13,
        "a DIMM goes at the second try": 3,
        "a DIMM of which a range is left out": 2,
        "a DIMM over boot memory": 2,
        "a DIMM stays": 4,
        "a run goes to one zone": 60,
        "a run goes to two zones": 1,
        "add_anywhere: E2BIG": 4,
        "add_anywhere: EEXIST": 5,
        "add_anywhere: EINVAL": 7,
        "add_anywhere: done": 5,
        "add_to_group: EEXIST": 4,
        "add_to_group: EINVAL": 6,
        "add_to_group: done": 19,
        "add_without_group: EEXIST": 7,
        "add_without_group: EINVAL": 3,
        "add_without_group: done": 13,
        "grow_dynamic: done": 200,
        "offline_and_remove of one: EBUSY": 2,
        "offline_and_remove of one: done": 3,
        "offline_and_remove of several: EBUSY": 3,
        "offline_and_remove of several: done": 6,
        "one offline at once": 5,
        "plug_dimm: EINVAL": 4,
        "plug_dimm: done": 20,
        "plug_dimm: no room": 12,
        "plug_static: EEXIST": 8,
        "plug_static: done": 12,
        "put back with a word left over: done": 7,
        "put back with no word: done": 10,
        "register_dynamic: EINVAL": 7,
        "register_dynamic: done": 40,
        "register_static: EINVAL": 11,
        "register_static: done": 10,
        "remove: EBUSY": 1,
        "remove: EINVAL": 2,
        "remove: done": 5,
        "several offline at once": 10,
        "take_boot_memory_away offline: done": 40,
        "unregister: EBUSY": 6,
        "unregister: EINVAL": 7,
        "unregister: done": 2,
        "write_state offline: EBUSY": 9,
        "write_state offline: EINVAL": 20,
        "write_state offline: done": 150,
        "write_state online: EINVAL": 40,
        "write_state online: done": 30,
        # Spans
        "a span appears": 30,
        "a span begins inside a block": 0,
        "a span ends inside a block": 1,
        "a span grows downwards": 30,
        "a span grows upwards": 70,
        "a span shrinks from above": 80,
        "a span shrinks from below": 20,
        "a span vanishes": 10,
        # Decisions, by who asks and by the reason that is given
        "a decision about a block": 5500,
        "a decision about what could be: DMA": 15,
        "a decision about what could be: DMA32": 250,
        "a decision about what could be: Movable": 2500,
        "a decision about what could be: Normal": 3000,
        "a decision at the limit: a page too many": 200,
        "a decision at the limit: as many pages as fit": 200,
        "auto-movable-patch2: all nodes: MOVABLE n + block n <= limit n (ratio n %)": 400,
        "auto-movable-patch2: all nodes: MOVABLE n + block n > limit n (ratio n %)": 1000,
        "auto-movable-patch2: node n: MOVABLE n + block n <= limit n (ratio n %)": 350,
        "auto-movable-patch2: node n: MOVABLE n + block n > limit n (ratio n %)": 300,
        "auto-movable-patch2: the ratio is n: never MOVABLE": 100,
        "auto-movable-patch8: all nodes: MOVABLE n + block n > limit n (ratio n %)": 500,
        "auto-movable-patch8: all nodes: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 100,
        "auto-movable-patch8: all nodes: MOVABLE n + rest of static group n n > limit n (ratio n %)": 100,
        "auto-movable-patch8: fits: MOVABLE n + block n <= limit n (ratio n %)": 650,
        "auto-movable-patch8: fits: MOVABLE n + rest of a unit of group n n <= limit n (ratio n %)": 90,
        "auto-movable-patch8: fits: MOVABLE n + rest of static group n n <= limit n (ratio n %)": 100,
        "auto-movable-patch8: group n (static) already has n pages in a kernel zone: all of it goes there": 70,
        "auto-movable-patch8: node n: MOVABLE n + block n > limit n (ratio n %)": 100,
        "auto-movable-patch8: node n: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 16,
        "auto-movable-patch8: node n: MOVABLE n + rest of static group n n > limit n (ratio n %)": 16,
        "auto-movable-patch8: unit of group n already has n sections in a kernel zone: all of it goes there": 60,
        "auto-movable: all nodes: MOVABLE n + block n > limit n (ratio n %)": 1000,
        "auto-movable: all nodes: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 250,
        "auto-movable: all nodes: MOVABLE n + rest of static group n n > limit n (ratio n %)": 150,
        "auto-movable: all nodes: early kernel memory n <= n required by other dynamic groups": 300,
        "auto-movable: fits: MOVABLE n + block n <= limit n (ratio n %)": 1500,
        "auto-movable: fits: MOVABLE n + rest of a unit of group n n <= limit n (ratio n %)": 600,
        "auto-movable: fits: MOVABLE n + rest of static group n n <= limit n (ratio n %)": 150,
        "auto-movable: group n (static) already has n pages in a kernel zone: all of it goes there": 40,
        "auto-movable: node n: MOVABLE n + block n > limit n (ratio n %)": 50,
        "auto-movable: node n: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 40,
        "auto-movable: node n: MOVABLE n + rest of static group n n > limit n (ratio n %)": 2,
        "auto-movable: node n: early kernel memory n <= n required by other dynamic groups": 30,
        "auto-movable: the ratio is n: never MOVABLE": 10,
        "auto-movable: unit of group n already has n sections in a kernel zone: all of it goes there": 100,
        "contig-zones: inside both the kernel and the Movable span, and movable_node is set: Movable": 70,
        "contig-zones: inside both the kernel and the Movable span: kernel": 50,
        "contig-zones: inside neither the kernel nor the Movable span, and movable_node is set: Movable": 1000,
        "contig-zones: inside neither the kernel nor the Movable span: kernel": 950,
        "contig-zones: inside the Movable span only: Movable": 600,
        "contig-zones: inside the kernel span only: kernel": 550,
    }
)

#: Kinds that are a decision in which both implementations were compared.
COMPARED = tuple(kind for kind in REACH.floors if kind.startswith("a decision"))


def kinds_of(plan: MachinePlan) -> dict[str, bool]:
    """What a random machine is, each word with whether this one is."""
    blocks = plan.blocks()
    zones = plan.zones()
    return {
        "of one node": plan.possible_nodes == 1,
        "of two nodes": plan.possible_nodes == 2,
        "of three nodes": plan.possible_nodes == 3,
        "with a node without boot memory": plan.possible_nodes > len(plan.ranges),
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
        "of large blocks": plan.block_pages >= 262144,
    }
