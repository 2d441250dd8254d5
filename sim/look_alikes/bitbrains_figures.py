"""Figures of business VMs, published or measured, and how they are measured in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.figures import Figure, groups, median_lagged

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.look_alikes.draws import Floats
    from sim.look_alikes.figures import Tables

ALL: Final = "all samples"  # of a month, which are not shipped
HOURLY: Final = "hourly"
MOVING: Final = "five minutes"
_USAGE: Final = {ALL: "use_mib", HOURLY: "use_max_mib", MOVING: "use_mib"}


def _over_vms(table: str, column: str, share: float, within_vm: Callable[[Floats], float]) -> Callable[[Tables], float]:
    """Return what measures a quantile over VMs of what ``within_vm`` makes of a VM's samples while it is on."""

    def measure(tables: Tables) -> float:
        values = _while_on(tables, table) if column in _USAGE.values() else groups(tables[table], "vm", column)
        return float(np.quantile([within_vm(each) for each in values if len(each)], share))

    return measure


def _jumps_a_day(usage: Floats) -> float:
    return float((np.abs(np.diff(usage)) >= 128).sum() / (len(usage) / 288))  # noqa: PLR2004  MiB; samples a day


def _median(values: Floats) -> float:
    return float(np.median(values))


def _p95(values: Floats) -> float:
    return float(np.quantile(values, 0.95))


def _most(values: Floats) -> float:
    return float(values.max())


def _while_on(tables: Tables, table: str) -> list[Floats]:
    columns = tables[table]
    on = groups(columns, "vm", "cap_mib")
    return [each[capacity > 0] for each, capacity in zip(groups(columns, "vm", _USAGE[table]), on, strict=True)]


def _usage(share: float) -> Callable[[Tables], float]:
    return lambda tables: float(np.quantile(np.concatenate(_while_on(tables, MOVING)), share))


def _changes(tables: Tables) -> Floats:
    return np.concatenate([np.abs(np.diff(each)) for each in _while_on(tables, MOVING)])


def _change(share: float) -> Callable[[Tables], float]:
    return lambda tables: float(np.quantile(_changes(tables), share))


def _changes_from(mib: int) -> Callable[[Tables], float]:
    return lambda tables: float(100 * (_changes(tables) >= mib).mean())


def _off(tables: Tables) -> float:
    return float(100 * (tables[ALL]["cap_mib"] == 0).mean())


def _alike(table: str, lag: int) -> Callable[[Tables], float]:
    return lambda tables: median_lagged(_while_on(tables, table), lag)


FIGURES: Final = (
    Figure("largest capacity of a VM, lower quartile", "MiB", 1024, _over_vms(ALL, "cap_mib", 0.25, _most), 1.1),
    Figure("the same, median", "MiB", 4096, _over_vms(ALL, "cap_mib", 0.5, _most), 1.1),
    Figure("the same, upper quartile", "MiB", 12186, _over_vms(ALL, "cap_mib", 0.75, _most), 1.1),
    Figure("the same, 95 %", "MiB", 32768, _over_vms(ALL, "cap_mib", 0.95, _most), 1.2),
    Figure("samples in which a VM is off", "%", 3, _off, 1.3),
    Figure("median usage of a VM, median", "MiB", 120, _over_vms(ALL, "use_mib", 0.5, _median), 1.3),
    Figure("95th percentile of a VM's usage, median", "MiB", 295, _over_vms(ALL, "use_mib", 0.5, _p95), 1.3),
    Figure("largest usage of a VM, median", "MiB", 2458, _over_vms(ALL, "use_mib", 0.5, _most), 1.3),
    Figure("largest usage of all", "MiB", 45056, _over_vms(ALL, "use_mib", 1.0, _most), 1.3),
    Figure(
        "changes of 128 MiB or more a VM and day, lower quartile",
        "",
        1,
        _over_vms(ALL, "use_mib", 0.25, _jumps_a_day),
        5,
    ),
    Figure("the same, median", "", 23, _over_vms(ALL, "use_mib", 0.5, _jumps_a_day), 1.5),
    Figure("the same, upper quartile", "", 87, _over_vms(ALL, "use_mib", 0.75, _jumps_a_day), 1.5),
    Figure("VMs that move: usage, median", "MiB", 475, _usage(0.5), 2.5),
    Figure("the same, 95 %", "MiB", 12902, _usage(0.95), 1.5),
    Figure("VMs that move: change in five minutes, median", "MiB", 109, _change(0.5), 2),
    Figure("the same, 90 %", "MiB", 1434, _change(0.9), 1.5),
    Figure("the same, 99 %", "MiB", 5632, _change(0.99), 1.5),
    Figure("the same, 128 MiB or more", "%", 47, _changes_from(128), 1.5),
    Figure("the same, 1 GiB or more", "%", 14, _changes_from(1024), 1.5),
    Figure("hourly maxima of a VM, median, median", "MiB", 265, _over_vms(HOURLY, "use_max_mib", 0.5, _median)),
    Figure("hourly maxima of a VM, 95 %, median", "MiB", 530, _over_vms(HOURLY, "use_max_mib", 0.5, _p95)),
    Figure("hourly maxima of a VM, median, 90 % of VMs", "MiB", 1327, _over_vms(HOURLY, "use_max_mib", 0.9, _median)),
    Figure("likeness of hourly maxima an hour later", "r", 0.341, _alike(HOURLY, 1)),
    Figure("likeness of hourly maxima a day later", "r", 0.248, _alike(HOURLY, 24)),
    Figure("likeness of usage five minutes later", "r", 0.849, _alike(MOVING, 1)),
    Figure("likeness of usage an hour later", "r", 0.616, _alike(MOVING, 12)),
    Figure("likeness of usage a day later", "r", 0.147, _alike(MOVING, 288)),
)
