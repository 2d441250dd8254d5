"""Requests for VMs and free memory of two-node hosts like those of a production cloud.

Published are how often each size is asked for and the quartiles of what is free on each node, of three sequences of
4,998 requests and 1,710 hosts (mdl1104/Dataset-for-topology-aware-VM-placement, CC0). Neither there nor here are times
or departures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.draws import Quantiles, evenly, paired
from sim.look_alikes.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.look_alikes.figures import Tables
    from sim.look_alikes.tables import Columns

OTHER_GIB: Final = 2
"""What the "few others" are taken to ask for."""

RAM_GIB: Final = {4: 0.15, 8: 0.25, 16: 0.12, 32: 0.17, 64: 0.23, 128: 0.07, OTHER_GIB: 0.01}
"""Shares of sizes."""

FREE_0_GIB: Final = Quantiles([(0, 0), (0.25, 36), (0.5, 68), (0.75, 120), (1, 202)], straight=True)
FREE_1_GIB: Final = Quantiles([(0, 0), (0.25, 20), (0.5, 52), (0.75, 120), (1, 202)], straight=True)
REQUESTS: Final = 2000
HOSTS: Final = 400

# Not published, but measured in the real files.
NODES_ALIKE: Final = 0.86
ALIKE_IN_A_ROW: Final = 2

# Chosen.
RATIO_4: Final = 0.5  # requests of 4 GiB for each CPU; the others have 2
WIDE_FROM_GIB: Final = 64  # from here on a VM spans both nodes
GROUP: Final = 4  # VMs of one tenant that come one after the other


def requests(rng: np.random.Generator) -> Columns:
    """Return one sequence: ``sequence``, ``order``, ``vcpus``, ``ram_gib``, ``numa_nodes``, and placement rules."""
    sizes, shares = np.array(list(RAM_GIB)), np.cumsum(list(RAM_GIB.values()))
    each = sizes[np.searchsorted(shares, evenly(rng, REQUESTS // ALIKE_IN_A_ROW) * shares[-1])]
    ram = np.repeat(each, ALIKE_IN_A_ROW)
    per_cpu = np.where((rng.random(REQUESTS) < RATIO_4) & (ram >= 4), 4, 2)  # noqa: PLR2004  a CPU at least
    group = np.arange(REQUESTS) // GROUP
    words = np.array(["", "affinity", "anti-affinity", "fault_domain"])
    strategy = words[rng.integers(0, len(words), group[-1] + 1)][group]
    return {
        "sequence": np.full(REQUESTS, "L1"),
        "order": np.arange(REQUESTS),
        "vcpus": ram // per_cpu,
        "ram_gib": ram,
        "numa_nodes": np.where(ram >= WIDE_FROM_GIB, 2, 1),
        "strategy": strategy,
        "group": np.where(strategy == "", "", group.astype(str)),
        "fault_domain": np.where(strategy == "fault_domain", (np.arange(REQUESTS) % GROUP).astype(str), ""),
    }


def hosts(rng: np.random.Generator) -> Columns:
    """Return hosts: ``host``, and for each of two nodes what is free, ``numa0_cpus``, ``numa0_ram_gib`` and so on."""
    first = evenly(rng, HOSTS)
    free = np.rint(FREE_0_GIB(first)), np.rint(FREE_1_GIB(paired(rng, first, NODES_ALIKE)))
    columns = {"host": np.arange(HOSTS)}
    for node, each in enumerate(free):
        columns[f"numa{node}_cpus"] = (each // 2).astype(np.int64)
        columns[f"numa{node}_ram_gib"] = each.astype(np.int64)
    return columns


def _asked_for(ram: int) -> Callable[[Tables], float]:
    return lambda tables: float(100 * (tables["requests"]["ram_gib"] == ram).mean())


def _free(node: int, share: float) -> Callable[[Tables], float]:
    return lambda tables: float(np.quantile(tables["hosts"][f"numa{node}_ram_gib"], share))


def _wide(tables: Tables) -> float:
    return float(100 * (tables["requests"]["numa_nodes"] == 2).mean())  # noqa: PLR2004  both nodes


def _alike(tables: Tables) -> float:
    first, second = (tables["hosts"][f"numa{node}_ram_gib"] for node in (0, 1))
    return float(np.corrcoef(first, second)[0, 1])


def _runs(tables: Tables) -> float:
    """Return in how many percent of cases a request is of the size of the one before."""
    ram = tables["requests"]["ram_gib"]
    return float(100 * (ram[1:] == ram[:-1]).mean())


FIGURES: Final = (
    *(
        Figure(f"requests for {ram} GiB", "%", 100 * share, _asked_for(ram), 1.05)
        for ram, share in RAM_GIB.items()
        if ram != OTHER_GIB
    ),
    Figure("free on node 0, lower quartile", "GiB", 36, _free(0, 0.25), 1.1),
    Figure("the same, median", "GiB", 68, _free(0, 0.5), 1.1),
    Figure("the same, upper quartile", "GiB", 120, _free(0, 0.75), 1.1),
    Figure("the same, most", "GiB", 202, _free(0, 1.0), 1.1),
    Figure("free on node 1, lower quartile", "GiB", 20, _free(1, 0.25), 1.1),
    Figure("the same, median", "GiB", 52, _free(1, 0.5), 1.1),
    Figure("the same, upper quartile", "GiB", 120, _free(1, 0.75), 1.1),
    Figure("VMs on both nodes", "%", 25.3, _wide),
    Figure("requests of the size of the one before", "%", 58.2, _runs),
    Figure("likeness of the two nodes' free memory", "r", 0.858, _alike),
)
