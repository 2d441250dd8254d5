"""Whether ``memory_hotplug.memmap_on_memory`` changes anything in a scenario, and why not where it does not.

The kernel takes the memmap of a DIMM or dax device from the device itself where it is asked to and can. virtio-mem
never asks (``virtio_mem_add_memory`` of ``drivers/virtio/virtio_mem.c``). What a scenario plugs is known from a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec, ranges_of
from sim.experiment.plan import Cell
from sim.pages import STRUCT_PAGE_BYTES
from sim.recommend.looking import look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.devices.specs import DeviceSpec
    from sim.experiment.plan import Combination, Experiment
    from sim.machine.spec import MachineSpec
    from sim.recommend.looking import Look

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


def self_hosting(
    experiment: Experiment, base: Combination, wanted: tuple[Value, ...] | None, look: Look = look
) -> SelfHosting:
    """Return the values worth trying where ``base`` runs; ``wanted`` are those that the user names, None for any.

    One replication is looked at with each value, so that the answer is what the machine does and not what is said of
    it.
    """
    spec = base.machine.spec
    now = spec.memmap_on_memory
    plain = look(_cell(experiment, base, now))
    if plain.error:
        return SelfHosting((now,), (f"{KEY} was not tried: a first run failed ({plain.error})",))
    devices = plain.devices
    if wanted == (now,):
        return SelfHosting((now,), devices=devices)
    if reason := _never(devices):
        return SelfHosting((now,), (reason,), devices)
    kept: dict[Value, str] = {now: plain.did} if wanted is None or now in wanted else {}
    for value in wanted or (False, True, "force"):
        if value == "force" and wanted is None and (spec.kernel_series < _FORCE_SINCE or len(kept) > 1):
            continue  # it goes further than true only where that does nothing
        run = plain if value == now else look(_cell(experiment, base, value))
        if run.error:
            return SelfHosting((now,), (f"{KEY} was not tried: {run.error}",), devices)
        if run.did not in kept.values():
            kept[value] = run.did
    if list(kept.values()) == [plain.did]:
        return SelfHosting((now,), (_nothing(spec, devices),), devices)
    return SelfHosting(tuple(kept), _beside(devices), devices)


def _cell(experiment: Experiment, base: Combination, value: Value) -> Cell:
    spec = replace(base.machine.spec, memmap_on_memory=value)
    combination = replace(base, machine=replace(base.machine, spec=spec))
    return Cell(combination, experiment.seed, experiment.replications[0], str(experiment.folder))


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


def _nothing(spec: MachineSpec, plugged: Iterable[DeviceSpec]) -> str:
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
