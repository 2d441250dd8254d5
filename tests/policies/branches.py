"""The branches of the shipped policies: policies that between them take all, and how often each has to be taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch2, AutoMovablePatch8
from policies.clairvoyant.following import Scripted
from policies.clairvoyant.policy import Clairvoyant
from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.udev import Udev
from sim.units import GIB
from tests.support.reach import Reach

if TYPE_CHECKING:
    from policies.contract import Policy, ZoneRequest


class Planned(Scripted):
    """Has decided that every third block is to be kernel memory. Asking changes nothing, so that it may be asked on."""

    name = "planned"

    def __init__(self) -> None:
        super().__init__(())

    def _decide(self, request: ZoneRequest) -> tuple[bool, str]:
        block = request.first_page // request.pages
        self._kinds = (block % 3 == 0,) if block < FORESEEN else ()
        self.decisions = []
        return super()._decide(request)


FORESEEN: Final = 1 << 14


def policies() -> list[Policy]:
    """Return the policies that are asked about every block, with parameters that bring all of their branches."""
    return [
        AutoMovable(),
        AutoMovable(ratio=40),
        AutoMovable(ratio=150, numa_aware=False),
        AutoMovable(ratio=0),
        AutoMovablePatch8(ratio=120),
        AutoMovablePatch2(ratio=120),
        AutoMovablePatch2(ratio=0),
        ContigZones(),
        ContigZones(movable_node=True),
        Headroom(reserve=GIB),
        Headroom(reserve=GIB // 4, share=10, numa_aware=True),
        OnlineKernel(),
        OnlineMovable(),
        Offline(),
        Udev(),
        Udev(state="online_kernel"),
        Udev(state="online_movable"),
        Clairvoyant(),
        Planned(),
    ]


REACH = Reach(
    {
        "a reserve of a page more than there is": 500,
        "auto-movable-patch2: all nodes: MOVABLE n + block n > limit n (ratio n %)": 400,
        "auto-movable-patch2: node n: MOVABLE n + block n <= limit n (ratio n %)": 200,
        "auto-movable-patch2: node n: MOVABLE n + block n > limit n (ratio n %)": 120,
        "auto-movable-patch2: the ratio is n: never MOVABLE": 700,
        "auto-movable-patch8: all nodes: MOVABLE n + block n > limit n (ratio n %)": 60,
        "auto-movable-patch8: all nodes: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 200,
        "auto-movable-patch8: all nodes: MOVABLE n + rest of static group n n > limit n (ratio n %)": 40,
        "auto-movable-patch8: fits: MOVABLE n + block n <= limit n (ratio n %)": 50,
        "auto-movable-patch8: fits: MOVABLE n + rest of a unit of group n n <= limit n (ratio n %)": 50,
        "auto-movable-patch8: fits: MOVABLE n + rest of static group n n <= limit n (ratio n %)": 5,
        "auto-movable-patch8: group n (static) already has n pages in a kernel zone: all of it goes there": 20,
        "auto-movable-patch8: node n: MOVABLE n + block n > limit n (ratio n %)": 20,
        "auto-movable-patch8: node n: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 30,
        "auto-movable-patch8: node n: MOVABLE n + rest of static group n n > limit n (ratio n %)": 3,
        "auto-movable-patch8: unit of group n already has n sections in a kernel zone: all of it goes there": 170,
        "auto-movable: all nodes: MOVABLE n + block n > limit n (ratio n %)": 150,
        "auto-movable: all nodes: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 300,
        "auto-movable: all nodes: MOVABLE n + rest of static group n n > limit n (ratio n %)": 60,
        "auto-movable: all nodes: early kernel memory n <= n required by other dynamic groups": 300,
        "auto-movable: fits: MOVABLE n + block n <= limit n (ratio n %)": 200,
        "auto-movable: fits: MOVABLE n + rest of a unit of group n n <= limit n (ratio n %)": 400,
        "auto-movable: fits: MOVABLE n + rest of static group n n <= limit n (ratio n %)": 20,
        "auto-movable: group n (static) already has n pages in a kernel zone: all of it goes there": 60,
        "auto-movable: node n: MOVABLE n + block n > limit n (ratio n %)": 12,
        "auto-movable: node n: MOVABLE n + rest of a unit of group n n > limit n (ratio n %)": 20,
        "auto-movable: node n: MOVABLE n + rest of static group n n > limit n (ratio n %)": 6,
        "auto-movable: node n: early kernel memory n <= n required by other dynamic groups": 4,
        "auto-movable: node n: no early kernel memory (numa_aware = false would ask all nodes only)": 18,
        "auto-movable: the ratio is n: never MOVABLE": 700,
        "auto-movable: unit of group n already has n sections in a kernel zone: all of it goes there": 500,
        "clairvoyant: group n (static) already has n pages in ZONE_MOVABLE: all of it goes there: Movable": 20,
        "clairvoyant: group n (static) already has n pages in a kernel zone: all of it goes there: K": 20,
        "clairvoyant: not foreseen: Movable": 300,
        "clairvoyant: unit of group n already has n pages in ZONE_MOVABLE: all of it goes there: Movable": 160,
        "clairvoyant: unit of group n already has n pages in a kernel zone: all of it goes there: K": 170,
        "contig-zones: inside both the K and the Movable span, and movable_node is set: Movable": 4,
        "contig-zones: inside both the K and the Movable span: K": 1,
        "contig-zones: inside neither the K nor the Movable span, and movable_node is set: Movable": 800,
        "contig-zones: inside neither the K nor the Movable span: K": 600,
        "contig-zones: inside the K span only: K": 20,
        "contig-zones: inside the Movable span only: Movable": 14,
        "headroom: all nodes: n pages left to the kernel < reserve of n and n for its growth: K": 70,
        "headroom: all nodes: n pages left to the kernel >= reserve of n and n for its growth: Movable": 200,
        "headroom: all nodes: n pages of kernel zones beside the memmap < reserve of n: K": 40,
        "headroom: all nodes: n pages of kernel zones beside the memmap >= reserve of n: Movable": 180,
        "headroom: group n (static) already has n pages in ZONE_MOVABLE: all of it goes there": 40,
        "headroom: group n (static) already has n pages in a kernel zone: all of it goes there": 40,
        "headroom: node n: n pages left to the kernel < reserve of n and n for its growth: K": 30,
        "headroom: node n: n pages left to the kernel >= reserve of n and n for its growth: Movable": 50,
        "headroom: node n: n pages of kernel zones beside the memmap < reserve of n: K": 15,
        "headroom: node n: n pages of kernel zones beside the memmap >= reserve of n: Movable": 100,
        "headroom: unit of group n already has n pages in ZONE_MOVABLE: all of it goes there": 300,
        "headroom: unit of group n already has n pages in a kernel zone: all of it goes there": 300,
        "nothing is required any more": 300,
        "moved over the limit": 600,
        "offline: inside both the K and the Movable span, and movable_node is set: Movable": 0,
        "offline: inside both the K and the Movable span: K": 1,
        "offline: inside neither the K nor the Movable span, and movable_node is set: Movable": 90,
        "offline: inside neither the K nor the Movable span: K": 600,
        "offline: inside the K span only: K": 13,
        "offline: inside the Movable span only: Movable": 7,
        "online-kernel: online_kernel: K": 700,
        "online-movable: online_movable: Movable": 700,
        "planned: group n (static) already has n pages in ZONE_MOVABLE: all of it goes there: Movable": 20,
        "planned: group n (static) already has n pages in a kernel zone: all of it goes there: K": 20,
        "planned: the kernel will need it: K": 120,
        "planned: the kernel will not need it: Movable": 200,
        "planned: unit of group n already has n pages in ZONE_MOVABLE: all of it goes there: Movable": 160,
        "planned: unit of group n already has n pages in a kernel zone: all of it goes there: K": 170,
        "udev: inside both the K and the Movable span, and movable_node is set: Movable": 0,
        "udev: inside both the K and the Movable span: K": 1,
        "udev: inside neither the K nor the Movable span, and movable_node is set: Movable": 90,
        "udev: inside neither the K nor the Movable span: K": 600,
        "udev: inside the K span only: K": 13,
        "udev: inside the Movable span only: Movable": 7,
        "udev: user space writes online_kernel: K": 700,
        "udev: user space writes online_movable: Movable": 700,
    }
)
"""Every branch of every policy, by its reason without numbers; K is a kernel zone."""
