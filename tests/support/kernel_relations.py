"""The relations of kernel memory fitted again: ``python -m tests.support.kernel_relations`` prints the docs' table.

Each straight line is fitted by least squares to one recording. ``machines`` is a power law through the medians of all
machines but the idle one of 4 TiB, two recordings of one machine counting as one; how wrong it is on a machine of which
nothing is known is found by leaving each out in turn. What a line says of other machines is held against their medians.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from workloads.parts.traces.kernel_relations import RELATIONS, Curve

PARTS: Final = {
    "slab_unreclaimable": "slab_unreclaimable_kib",
    "kernel_stacks": "kernel_stack_kib",
    "page_tables": "page_tables_kib",
}
"""Kinds of kernel memory that kernel zones must hold, by quantity: their columns."""
SOURCES: Final = {"boot-to-work": "laptop8-2018", "server-start": "el7-2g-2018", "memory-alone": ""}
"""Recordings that straight lines are fitted to; empty: all runs of hpc-anomaly-ldms."""
IDLE: Final = "tera4-2019"


class Fit(NamedTuple):
    """A curve through measurements: ``r2``, and ``scatter``, the standard deviation from it (MiB, or a factor)."""

    curve: Curve
    r2: float
    scatter: float


@cache
def recordings(shared: Path) -> pd.DataFrame:
    """Return the samples of all machines: ``machine``, ``gib`` of anonymous memory, MiB of each part and ``kernel``."""
    return _samples(shared / "data" / "pcp-kernel-memory" / "series.csv.gz", "machine")


@cache
def filled(shared: Path) -> pd.DataFrame:
    """Return the samples of the runs that fill memory, likewise."""
    return _samples(shared / "data" / "hpc-anomaly-ldms" / "series.csv.gz", "run")


def _samples(path: Path, name: str) -> pd.DataFrame:
    read = pd.read_csv(path)
    table = pd.DataFrame({"machine": read[name], "gib": read["anon_kib"] / 1024**2})
    for part, column in PARTS.items():
        table[part] = read[column] / 1024
    table["kernel"] = table[list(PARTS)].sum(axis=1, min_count=len(PARTS))
    return table.dropna()


def line(samples: pd.DataFrame, part: str) -> Fit:
    """Return the straight line through a part of the kernel's memory."""
    rate, base = np.polyfit(samples["gib"], samples[part], 1)
    rest = samples[part] - (base + rate * samples["gib"])
    return Fit(Curve(base, rate), float(1 - rest.var() / samples[part].var()), float(rest.std()))


def medians(shared: Path) -> pd.DataFrame:
    """Return the medians of each machine, a row for each, by its name without the year."""
    samples = recordings(shared)
    samples = samples[samples["machine"] != IDLE]
    return samples.groupby(samples["machine"].str.rpartition("-")[0]).median(numeric_only=True)


def law(points: pd.DataFrame, part: str) -> Fit:
    """Return the power law through ``points``; its scatter is a factor."""
    power, log_rate = np.polyfit(np.log(points["gib"]), np.log(points[part]), 1)
    rest = np.log(points[part]) - (log_rate + power * np.log(points["gib"]))
    r2 = float(1 - rest.var() / np.log(points[part]).var())
    return Fit(Curve(0.0, float(np.exp(log_rate)), power), r2, float(np.exp(rest.std(ddof=0))))


def left_out(shared: Path) -> dict[str, float]:
    """Return, for each machine, what the others' laws say of its kernel memory, as a multiple of what it has."""
    points = medians(shared)
    return {
        name: sum(_at(law(points.drop(name), part).curve, points.loc[name, "gib"]) for part in PARTS)
        / points.loc[name, "kernel"]
        for name in points.index
    }


def said_of(relation: str, shared: Path) -> dict[str, float]:
    """Return what a shipped ``relation`` says of the kernel memory of all machines, as multiples of what they have."""
    curves = RELATIONS[relation].curves
    points = medians(shared)
    return {
        name: sum(_at(curve, points.loc[name, "gib"]) for curve in curves.values())
        / points.loc[name, list(curves)].sum()
        for name in points.index
    }


def fitted(relation: str, shared: Path) -> dict[str, Fit]:
    """Return the fits that a relation's curves come from, by quantity."""
    if relation not in SOURCES:
        return {part: law(medians(shared), part) for part in PARTS}
    samples = recordings(shared)
    samples = samples[samples["machine"] == SOURCES[relation]] if SOURCES[relation] else filled(shared)
    return {part: line(samples, part) for part in RELATIONS[relation].curves}


def off_by(ratios: dict[str, float]) -> float:
    """Return the factor by which ratios are off: the root of the mean square of their logarithms."""
    return float(np.exp(np.sqrt(np.mean(np.log(list(ratios.values())) ** 2))))


def _at(curve: Curve, gib: float) -> float:
    return float(curve.base + curve.rate * gib**curve.power)


def table(shared: Path) -> list[str]:
    """Return the rows of the docs' table."""
    rows = []
    for name, relation in RELATIONS.items():
        fits = fitted(name, shared)
        words = []
        for part, curve in relation.curves.items():
            fit = fits[part]
            formula = f"{curve.base:g} + {curve.rate:g} g" if curve.base else f"{curve.rate:g} g^{curve.power:g}"
            scatter = f"± {fit.scatter:.1f}" if curve.base else f"x/÷ {fit.scatter:.2f}"
            words.append(f"{part} {formula} (r2 {fit.r2:.2f}, {scatter})")
        own = SOURCES.get(name, "").rpartition("-")[0]
        ratios = left_out(shared) if name == "machines" else said_of(name, shared)
        others = {machine: ratio for machine, ratio in ratios.items() if machine != own}
        low, high = min(others, key=others.__getitem__), max(others, key=others.__getitem__)
        rows.append(
            f"| `{name}` | {'; '.join(words)} | x/÷ {off_by(others):.2f}: {others[low]:.2f} ({low}) to"
            f" {others[high]:.2f} ({high}) |"
        )
    return rows


if __name__ == "__main__":
    print("\n".join(table(Path(os.environ["MEMHP_SIM_SHARED"]))))  # noqa: T201
