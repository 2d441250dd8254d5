"""The look-alikes by name: the files of each, what they are like, and the figures that say how close they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sim.look_alikes import bitbrains, bitbrains_figures, google, hpc, huawei, hyperalloc, pcp
from sim.look_alikes.bitbrains_figures import ALL, HOURLY, MOVING
from sim.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from sim.look_alikes.figures import Figure, Tables
    from sim.look_alikes.tables import Columns

SEED: Final = 1


@dataclass(frozen=True, slots=True)
class File:
    """A table of a data set: what makes it, how its file is called, and its name among the real ones, if it has one.

    ``stream`` is the random stream that it is made of; two tables of one stream are of the same machines.
    """

    make: Callable[[np.random.Generator], Columns]
    stream: str
    name: str = ""
    real: str = ""


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a look-alike is like (``of``), its files by their role, and figures. ``lacks`` says what it does not have.

    ``aliases`` are series that go by another name in the real data.
    """

    of: str
    files: Mapping[str, File]
    figures: Sequence[Figure]
    lacks: str
    aliases: Mapping[str, str] = field(default_factory=dict)

    def tables(self, *, seed: int = SEED) -> Tables:
        """Make all tables, by their role."""
        return {role: file.make(Streams(seed, 0)(file.stream)) for role, file in self.files.items()}


DATA_SETS: Final[Mapping[str, DataSet]] = {
    "bitbrains-rnd": DataSet(
        "business VMs by the hour, and every five minutes those that move most: GWA-T-12 Bitbrains, Rnd, 2013",
        {
            ALL: File(bitbrains.samples, "bitbrains"),
            HOURLY: File(bitbrains.hourly, "bitbrains", "bitbrains-hourly.csv.gz", "hourly.csv.gz"),
            MOVING: File(bitbrains.five_minutes, "bitbrains-5min", "bitbrains-5min.csv.gz", "sep2013-5min.csv.gz"),
        },
        bitbrains_figures.FIGURES,
        "Usage over hours and days: real VMs stay busy or idle for longer, and have days and nights. The "
        "least restless quarter of VMs is twice as restless here. Levels of the VMs that move are about twice "
        "the published ones.",
    ),
    "google-2011-vms": DataSet(
        "days of cluster jobs in percent of a machine: Google cluster trace, May 2011",
        {"days": File(google.days, "google", "google-days.csv.gz", "mem-percent.csv.gz")},
        google.FIGURES,
        "Jumps from one sample to the next and back: real days repeat themselves less from one sample to the "
        "next, and their rarest changes are larger. Days of one job have nothing in common but their level.",
    ),
    "hpc-anomaly-ldms": DataSet(
        "a parallel program beside memory leaks, second by second: HPC anomaly data of 2025",
        {"runs": File(hpc.runs, "hpc", "hpc-leaks.csv.gz", "series.csv.gz")},
        hpc.FIGURES,
        "A program's phases: real ones allocate and free in more than one size. Anonymous memory starts at "
        "one level in all runs.",
    ),
    "huawei-topology-vms": DataSet(
        "requests for VMs, and what is free on hosts of two nodes: Huawei Cloud",
        {
            "requests": File(huawei.requests, "huawei-requests", "huawei-requests.csv", "vm-requests.csv"),
            "hosts": File(huawei.hosts, "huawei-hosts", "huawei-hosts.csv", "host-free.csv"),
        },
        huawei.FIGURES,
        "Tenants: real requests come in groups of flavours, and one sequence is not like another.",
    ),
    "hyperalloc-bench": DataSet(
        "a guest that compiles under HyperAlloc's controller, and one of fixed size: EuroSys 2025",
        {"runs": File(hyperalloc.runs, "hyperalloc", "hyperalloc.csv.gz", "series.csv.gz")},
        hyperalloc.FIGURES,
        "The build itself: usage is a random path, where a compiler runs through the same phases every time; "
        "the largest jumps are half as large. There are half as many resizes again, and page cache grows "
        "straight and not so far.",
    ),
    "pcp-kernel-memory": DataSet(
        "kernel memory beside anonymous memory and page cache: machines of Performance Co-Pilot's recordings",
        {"machines": File(pcp.machines, "pcp", "pcp-machines.csv.gz", "series.csv.gz")},
        pcp.FIGURES,
        "All that is not between the ends: paths are straight. There is no swap, and page cache takes a fixed "
        "part of what is free.",
        {"small-2g": "el7-2g-2018", "laptop-8g": "laptop8-2018", "workstation-32g": "ws32-2017"},
    ),
}
"""By the name of what each is like."""
