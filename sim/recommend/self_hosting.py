"""Whether ``memory_hotplug.memmap_on_memory`` changes anything in a scenario, and why not where it does not.

The kernel takes the memmap of a DIMM or dax device from the device itself where it is asked to and can. virtio-mem
never asks (``virtio_mem_add_memory`` of ``drivers/virtio/virtio_mem.c``). What a scenario plugs is known from a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec, ranges_of
from sim.experiment.plan import Cell
from sim.experiment.recording import record
from sim.faults import InputError
from sim.pages import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.devices.specs import DeviceSpec
    from sim.experiment.plan import Combination, Experiment
    from sim.machine.spec import MachineSpec
    from sim.record.run_result import RunResult

Value = bool | Literal["force"]

KEY: Final = "memmap_on_memory"
_SPLIT_SINCE: Final = (6, 8)
_FORCE_SINCE: Final = (6, 6)


@dataclass(frozen=True, slots=True)
class SelfHosting:
    """The ``values`` of memmap_on_memory that are worth trying, and ``notes``: sentences on what it does not do.

    ``devices`` are those that the scenario plugs, and that are there before, each once.
    """

    values: tuple[Value, ...]
    notes: tuple[str, ...] = ()
    devices: tuple[DeviceSpec, ...] = ()


def self_hosting(experiment: Experiment, base: Combination, wanted: tuple[Value, ...] | None) -> SelfHosting:
    """Return the values worth trying where ``base`` runs; ``wanted`` are those that the user names, None for any.

    One replication is run with each value, so that the answer is what the machine does and not what is said of it.
    """
    spec = base.machine.spec
    now = spec.memmap_on_memory
    try:
        plain, plugged = _run(experiment, base, now)
    except Exception as error:  # noqa: BLE001  whatever a workload's code does: its runs will show it
        return SelfHosting((now,), (f"{KEY} was not tried: a first run failed ({type(error).__name__}: {error})",))
    devices = tuple({each.id: each for each in plugged}.values())
    if wanted == (now,):
        return SelfHosting((now,), devices=devices)
    if reason := _never(plugged):
        return SelfHosting((now,), (reason,), devices)
    kept: dict[Value, RunResult] = {now: plain} if wanted is None or now in wanted else {}
    for value in wanted or (False, True, "force"):
        if value == "force" and wanted is None and (spec.kernel_series < _FORCE_SINCE or len(kept) > 1):
            continue  # it goes further than true only where that does nothing
        try:
            run = plain if value == now else _run(experiment, base, value)[0]
        except InputError as error:
            return SelfHosting((now,), (f"{KEY} was not tried: {error}",), devices)
        if not any(_equal(run, other) for other in kept.values()):
            kept[value] = run
    if len(kept) == 1 and _equal(plain, next(iter(kept.values()))):
        return SelfHosting((now,), (_nothing(spec, plugged),), devices)
    return SelfHosting(tuple(kept), _beside(plugged), devices)


def _run(experiment: Experiment, base: Combination, value: Value) -> tuple[RunResult, list[DeviceSpec]]:
    spec = replace(base.machine.spec, memmap_on_memory=value)
    combination = replace(base, machine=replace(base.machine, spec=spec))
    result, requests = record(Cell(combination, experiment.seed, experiment.replications[0], str(experiment.folder)))
    return result, [request.spec for request in requests if request.spec is not None]


def _equal(one: RunResult, other: RunResult) -> bool:
    return np.array_equal(one.events, other.events) and all(
        np.array_equal(series, other.guest[name]) for name, series in one.guest.items()
    )


def _never(plugged: Iterable[DeviceSpec]) -> str:
    """Return why it can do nothing with these devices, whatever the machine; nothing where it might."""
    kinds = {type(spec) for spec in plugged}
    if not kinds:
        return f"{KEY} was not tried: the first run plugs no device"
    if kinds == {VirtioMemSpec}:
        return f"{KEY} was not tried: it does nothing for virtio-mem, the only devices here"
    if not any(isinstance(spec, DimmSpec) or (isinstance(spec, DaxSpec) and spec.self_host) for spec in plugged):
        return (
            f"{KEY} was not tried: a dax device has to ask for it itself, by its own attribute of that name (Linux 6.8;"
            " the workload's memmap_on_memory here)"
        )
    return ""


def _nothing(spec: MachineSpec, plugged: list[DeviceSpec]) -> str:
    """Return why it changes nothing although there are devices that could hold their own memmap."""
    static = [each for each in plugged if not isinstance(each, VirtioMemSpec)]
    several = any(length > spec.block_size for each in static for _, length in ranges_of(each, 0))
    if several and spec.kernel_series < _SPLIT_SINCE:
        return (
            f"{KEY} changes nothing here: before Linux 6.8 only a device of one memory block can hold its own memmap,"
            f" and this is {spec.kernel}"
        )
    pageblock = spec.geometry.pageblock_pages * spec.page_size
    memmap = spec.block_size // spec.page_size * STRUCT_PAGE_BYTES
    if memmap % pageblock:
        force = "" if spec.kernel_series >= _FORCE_SINCE else "; 'force' would round up, from Linux 6.6 on"
        return f"{KEY} changes nothing here: the memmap of a memory block is no whole pageblock{force}"
    return f"{KEY} changes nothing here: the run is the same with and without it"


def _beside(plugged: Iterable[DeviceSpec]) -> tuple[str, ...]:
    """Return what is to be said although it is tried."""
    if any(isinstance(spec, VirtioMemSpec) for spec in plugged):
        return (f"{KEY} does nothing for the virtio-mem devices here, only for the others",)
    return ()
