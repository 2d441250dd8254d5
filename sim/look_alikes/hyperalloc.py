"""A guest that compiles, and the size that HyperAlloc's controller gives it, like those of luhsra/hyperalloc-bench.

Published are the controller's rule, quantiles of what is used and of what is free in large chunks, how fast usage
moves, how often sizes change, and the phases of a run (L. Wrenger and others, HyperAlloc, EuroSys 2025;
luhsra/hyperalloc-bench, commit a385a2d). Usage here is a path of published quantiles that drifts over minutes, with
bursts of seconds on top; the rule is played on it, each request complete at the next sample, so that what is free
follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.draws import Quantiles, share_below, steady
from sim.look_alikes.figures import Figure, lagged

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.look_alikes.draws import Floats
    from sim.look_alikes.figures import Tables
    from sim.look_alikes.tables import Columns

SAMPLE_S: Final = 1.72
BUILD_S: Final = 2470
PHASE_S: Final = 200  # each: rest, cleaned, cache dropped
START_MIB: Final = 2048
MOST_MIB: Final = 16384
STEP_MIB: Final = MOST_MIB // 16
HUGE_COUNTS: Final = 0.9
USED_MIB: Final = Quantiles([(0, 700), (0.37, 4750), (0.95, 11000), (1, 15366)])
"""Used memory without page cache during a build: published are the median, idle fifth included, and the most."""

IDLE_MIB: Final = 251.0
LEAST_FREE_MIB: Final = 131.0
HUGE_OF_FREE: Final = (0.28, 0.5)  # medians: of a guest that is resized, of one of fixed size

# Chosen, not published; see the module.
BEGINS_S: Final = 60.0  # until a build is under way
ENDS_S: Final = 10.0
KEEPS: Final = 0.993
BURSTS_KEEP: Final = 0.6
BURSTS_SHARE: Final = 0.12
SHARE_VARIES: Final = 0.1
SHARE_KEEPS: Final = 0.993
CACHE_MOST_MIB: Final = 1500.0


def runs(rng: np.random.Generator) -> Columns:
    """Return a run that is resized and one of fixed size: ``run``, ``t_s``, and of each sample five figures in MiB."""
    parts = [_run(rng, "virtio-mem-0", resized=True), _run(rng, "fixed-0", resized=False)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def wanted(size: float, huge: float) -> float:
    """Return what the rule asks for at ``size`` with ``huge`` free in large chunks, all in MiB."""
    free = huge * HUGE_COUNTS
    steps = 2 if free < STEP_MIB / 2 else 1 if free < STEP_MIB else -1 if free > 2 * STEP_MIB else 0
    return min(max(size + steps * STEP_MIB, START_MIB), MOST_MIB)


def _run(rng: np.random.Generator, name: str, *, resized: bool) -> Columns:
    t = np.round(np.arange(0, BUILD_S + 3 * PHASE_S, SAMPLE_S), 2)
    building = t < BUILD_S
    slow = steady(rng, len(t), KEEPS)
    fast = steady(rng, len(t), BURSTS_KEEP)
    path = np.sqrt(1 - BURSTS_SHARE**2) * slow + BURSTS_SHARE * fast
    ramp = np.clip(np.minimum(t / BEGINS_S, (BUILD_S - t) / ENDS_S), 0, 1)
    used = IDLE_MIB + ramp * (USED_MIB(share_below(path)) - IDLE_MIB)
    cache = np.where(t < BUILD_S + 2 * PHASE_S, 100 + CACHE_MOST_MIB * np.clip(t / BUILD_S, 0, 1), 100)
    share = HUGE_OF_FREE[0 if resized else 1] * np.exp(SHARE_VARIES * steady(rng, len(t), SHARE_KEEPS))
    share = np.where(building, share, 0.9)
    rss, huge, small, cached, total = (np.empty(len(t)) for _ in range(5))
    touched = 0.0
    size = float(START_MIB if resized else MOST_MIB)
    for i in range(len(t)):
        total[i] = size
        # What does not fit waits, and page cache yields.
        held = min(used[i], size - LEAST_FREE_MIB)
        cached[i] = min(cache[i], size - held - LEAST_FREE_MIB)
        small[i] = size - held - cached[i]
        huge[i] = 2 * np.floor(min(share[i], 1) * small[i] / 2)
        # The host has given what was ever used, less what was unplugged since.
        rss[i] = touched = min(max(touched, size - small[i]), size)
        size = wanted(size, huge[i]) if resized else size
    return {
        "run": np.full(len(t), name),
        "t_s": t,
        "rss_mib": _two(rss),
        "small_mib": _two(small),
        "huge_mib": huge.astype(np.int64),
        "cached_mib": _two(cached),
        "total_mib": _two(total),
    }


def _two(values: Floats) -> Floats:
    return np.round(values, 2)


def _of(tables: Tables, column: str, kind: str = "virtio-mem") -> list[Floats]:
    """Return ``column`` of each run that is resized, or of the others."""
    columns = tables["runs"]
    names = [name for name in dict.fromkeys(columns["run"].tolist()) if name.startswith(kind)]
    return [columns[column][columns["run"] == name] for name in names]


def _used(tables: Tables) -> list[Floats]:
    parts = zip(*(_of(tables, column) for column in ("total_mib", "small_mib", "cached_mib")), strict=True)
    return [total - small - cached for total, small, cached in parts]


def _resizes(sign: int) -> Callable[[Tables], float]:
    return lambda tables: float(
        np.mean([(sign * np.diff(total) > STEP_MIB / 2).sum() for total in _of(tables, "total_mib")])
    )


def _between(share: float) -> Callable[[Tables], float]:
    def measure(tables: Tables) -> float:
        pairs = zip(_of(tables, "t_s"), _of(tables, "total_mib"), strict=True)
        return float(
            np.quantile(
                np.concatenate([np.diff(t[1:][np.abs(np.diff(total)) > STEP_MIB / 2]) for t, total in pairs]), share
            )
        )

    return measure


def _of_free(kind: str) -> Callable[[Tables], float]:
    def measure(tables: Tables) -> float:
        pairs = zip(_of(tables, "huge_mib", kind), _of(tables, "small_mib", kind), strict=True)
        return float(np.median([np.median(huge / small) for huge, small in pairs]))

    return measure


def _change(sign: int) -> Callable[[Tables], float]:
    return lambda tables: max(float((sign * np.diff(used)).max()) for used in _used(tables))


def _alike(lag: int) -> Callable[[Tables], float]:
    return lambda tables: float(np.median([lagged(used, lag) for used in _used(tables)]))


FIGURES: Final = (
    Figure(
        "used without page cache, least",
        "MiB",
        251,
        lambda tables: min(float(each.min()) for each in _used(tables)),
        1.05,
    ),
    Figure(
        "the same, median",
        "MiB",
        4750,
        lambda tables: float(np.median([np.median(each) for each in _used(tables)])),
        1.1,
    ),
    Figure("the same, most", "MiB", 15_366, lambda tables: max(float(each.max()) for each in _used(tables)), 1.2),
    Figure("rises from sample to sample by, most", "MiB", 3716, _change(1), 1.7),
    Figure("falls from sample to sample by, most", "MiB", 4989, _change(-1), 2.5),
    Figure("of free memory in chunks of 2 MiB, where resized", "", 0.28, _of_free("virtio-mem"), 1.3),
    Figure("the same, of fixed size", "", 0.5, _of_free("fixed"), 1.3),
    Figure("growths of a run", "", 203 / 8, _resizes(1), 1.6),
    Figure("shrinks of a run", "", 197 / 8, _resizes(-1), 1.7),
    Figure("between two resizes, lower quartile", "s", 1.8, _between(0.25), 2.5),
    Figure("the same, median", "s", 8.6, _between(0.5), 1.5),
    Figure("the same, upper quartile", "s", 43, _between(0.75), 1.5),
    Figure("most page cache", "MiB", 5636, lambda tables: max(float(each.max()) for each in _of(tables, "cached_mib"))),
    Figure("likeness of what is used nine seconds later", "r", 0.927, _alike(5)),
    Figure("likeness of what is used three minutes later", "r", 0.564, _alike(100)),
)
