"""What kernel memory comes with programs' memory, as it was measured: for traces that do not tell the kernel's part.

Each relation is a curve for each kind of kernel memory, fitted to recordings of /proc/meminfo
(``python -m tests.support.kernel_relations`` fits them again, and prints the table of ``docs/demand-traces.md`` with
their scatter and their errors on machines that they were not fitted to). Sources, both MIT or facts only:

* *pcp*: machines of developers and testers, test material of Performance Co-Pilot (performancecopilot/pcp, 918d12b).
* *ldms*: a workstation by the second (clayfiler/HPC_Anomaly_Data_Generation, 8244bd4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Mapping


class Curve(NamedTuple):
    """MiB of kernel memory beside so many GiB of programs' memory: ``base + rate * gib ** power``."""

    base: float
    rate: float
    power: float = 1.0

    def bytes_beside(self, user: int) -> int:
        """Return the bytes of kernel memory beside ``user`` bytes of programs' memory."""
        return int((self.base + self.rate * (user / GIB) ** self.power) * MIB)


class Relation(NamedTuple):
    """``curves`` by quantity; ``summary`` says what it is good for, ``source`` what it was measured on."""

    summary: str
    source: str
    curves: Mapping[str, Curve]


RELATIONS: Final[Mapping[str, Relation]] = {
    "machines": Relation(
        "any machine of which nothing else is known: a level that grows more slowly than the programs' memory",
        "pcp, medians of seven machines of 1 to 31 GiB; of one that was left out it is wrong by a factor of 1.4",
        {
            "slab_unreclaimable": Curve(0.0, 64.6, 0.63),
            "kernel_stacks": Curve(0.0, 7.6, 0.48),
            "page_tables": Curve(0.0, 30.1, 0.52),
        },
    ),
    "boot-to-work": Relation(
        "a machine with many programs, followed from boot into work",
        "pcp laptop8-2018, 4.5 hours, 0.3 to 3.9 GiB: 120 + 13.5 MiB in the GiB, r2 0.86",
        {
            "slab_unreclaimable": Curve(59.9, 3.96),
            "kernel_stacks": Curve(10.0, 1.55),
            "page_tables": Curve(50.1, 7.95),
        },
    ),
    "server-start": Relation(
        "a small server while it starts, of long-lived processes with page tables of their own",
        "pcp el7-2g-2018, 270 seconds, 0.2 to 0.8 GiB: 63 + 28.1 MiB in the GiB, r2 0.63",
        {
            "slab_unreclaimable": Curve(37.7, 10.41),
            "kernel_stacks": Curve(5.8, 1.37),
            "page_tables": Curve(19.4, 16.31),
        },
    ),
    "memory-alone": Relation(
        "few processes that only fill memory in pages of 4 KiB: page tables, and nothing beside",
        "ldms, 27 runs, 1.6 to 55 GiB: 2.0 MiB in the GiB, r2 0.995; slab and stacks stand still there",
        {"page_tables": Curve(21.4, 2.015)},
    ),
}
"""Relations by name."""

NO_RELATION: Final = "none"
"""No kernel memory but the page tables that the guest model itself gives anonymous memory."""
