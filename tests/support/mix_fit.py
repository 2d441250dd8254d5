"""How loads by name fit the measured series: ``python -m tests.support.mix_fit`` prints the table of the docs.

The kernel's memory on a measured machine is what it has without load, and a part that grows with anonymous memory. Of
the first half of a series both are fitted by least squares. For the second half, the first figure stays, and the second
is what the guest model takes when it is asked for the same anonymous memory as a load by name.
"""

from __future__ import annotations

import csv
import gzip
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.units import GIB, KIB, MIB
from tests.kernel.linked_guest import linked
from workloads.parts.mixes import parts_of

if TYPE_CHECKING:
    from sim.kernel.guest_link import GuestLink

PAGE = 4096
SERIES = {
    "database": ("hpc-anomaly-ldms", ""),
    "build": ("pcp-kernel-memory", "laptop8-2018"),
    "web-server": ("pcp-kernel-memory", "el7-2g-2018"),
}
"""Of each load by name: the folder of the data, and the machine (all runs where empty)."""
KERNEL = ("slab_unreclaimable_kib", "kernel_stack_kib", "page_tables_kib")
"""Columns of what kernel zones must hold."""


class Sample(NamedTuple):
    """GiB of anonymous memory, and MiB of kernel memory and of slab that can be given up."""

    anonymous: float
    kernel: float
    slab: float


class Fit(NamedTuple):
    """Lines through a part of a series: MiB without load, and MiB in the GiB, of kernel memory and of such slab."""

    base: float
    slope: float
    slab_base: float
    slab_slope: float


def halves(shared: Path, load: str) -> tuple[list[Sample], list[Sample]]:
    """Return the samples that are fitted and the others: by time, or every second of many runs."""
    folder, machine = SERIES[load]
    runs: dict[str, list[Sample]] = {}
    with gzip.open(shared / "data" / folder / "series.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row.get("machine") or row["run"]
            if machine in ("", name):
                kernel = sum(float(row[column]) for column in KERNEL) / 1024
                sample = Sample(float(row["anon_kib"]) * KIB / GIB, kernel, float(row["slab_reclaimable_kib"]) / 1024)
                runs.setdefault(name, []).append(sample)
    if machine:
        samples = runs[machine]
        return samples[: len(samples) // 2], samples[len(samples) // 2 :]
    names = sorted(runs)
    first, second = ([sample for name in names[start::2] for sample in runs[name]] for start in (0, 1))
    return first, second


def fit(samples: list[Sample]) -> Fit:
    """Return the lines through ``samples``."""
    values = np.array(samples)
    slope, base = np.polyfit(values[:, 0], values[:, 1], 1)
    slab_slope, slab_base = np.polyfit(values[:, 0], values[:, 2], 1)
    return Fit(base, slope, slab_base, slab_slope)


@cache
def modelled(load: str, gib: float) -> tuple[float, float]:
    """Return the MiB of kernel memory, and of slab that can be given up, that ``gib`` of a load by name bring along."""
    link, _ = linked(128 * GIB)
    looks = [_kernel(link)]
    # The inodes of files and the index nodes of page cache can be given up, and count as such slab in meminfo.
    for files in (False, True):
        for name, kind, share in parts_of("load", load):
            if (kind in ("disk-files", "page-cache")) == files:
                assert link.set_demand(name, kind, int(gib * GIB * share))
        looks.append(_kernel(link))
    link.model.check()
    return looks[1] - looks[0], looks[2] - looks[1]


def _kernel(link: GuestLink) -> float:
    return sum(zone.kernel for zone in link.model.zones.values()) * PAGE / MIB


def predicted(load: str, found: Fit, sample: Sample) -> tuple[float, float]:
    """Return the MiB of kernel memory and of such slab of a machine, given what it has without load."""
    kernel, slab = modelled(load, round(sample.anonymous, 1))
    return found.base + kernel, found.slab_base + slab


def table(shared: Path) -> list[str]:
    """Return the rows of the table: what is measured and modelled at the ends and in the middle of the second half."""
    rows = []
    for load in SERIES:
        first, second = halves(shared, load)
        found = fit(first)
        ordered = sorted(second)
        errors = [abs(predicted(load, found, sample)[0] / sample.kernel - 1) for sample in second[:: len(second) // 14]]
        rows.append(
            f"| `{load}` | {SERIES[load][1] or SERIES[load][0]} | {found.base:.0f} + {found.slope:.1f} a GiB |"
            f" {modelled(load, 4.0)[0] / 4:.1f} | {found.slab_slope:.0f} | {modelled(load, 4.0)[1] / 4:.0f} | "
            + ", ".join(
                f"{sample.anonymous:.1f} GiB: {sample.kernel:.0f} / {predicted(load, found, sample)[0]:.0f}"
                for sample in (ordered[0], ordered[len(ordered) // 2], ordered[-1])
            )
            + f" | {100 * sum(errors) / len(errors):.0f} % |"
        )
    return rows


if __name__ == "__main__":
    print("\n".join(table(Path(os.environ["MEMHP_SIM_SHARED"]))))  # noqa: T201
