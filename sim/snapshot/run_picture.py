"""A machine's memory at some moment of a run, as a picture: blocks, zones, devices, MemTotal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sim.faults import InputError, MemhpSimError
from sim.kernel.guest_link import GuestSpec
from sim.kernel.listener import NOBODY
from sim.kernel.zone_choice import ZoneChoice
from sim.machine.boot_layout import lay_out
from sim.memory.view import MemoryView
from sim.memory.zones import ZONE_LABELS
from sim.readers.facts import BlockView, ZoneView
from sim.record.arrays import counted_up
from sim.record.blockmap import BlockState, zone_map
from sim.record.events import Events
from sim.record.online_pages import online_pages_change
from sim.record.recorder import NO_DEVICE, EventKind
from sim.record.series import run_series
from sim.snapshot.picture import DeviceView, Picture, Ratio
from sim.snapshot.run_memory import memory_at
from sim.snapshot.seen import as_seen
from sim.snapshot.zone_totals import SEVERAL
from sim.units import us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.contract import Policy
    from sim.machine.boot_layout import BootLayout
    from sim.machine.spec import MachineSpec
    from sim.memory.hotplug import Memory
    from sim.memory.view import MemoryUse
    from sim.record.run_result import RunResult


def picture_of_run(
    result: RunResult,
    at_us: int,
    machine: MachineSpec | None = None,
    guest: GuestSpec | None = None,
    policy: Policy | None = None,
) -> Picture:
    """Return what there is after all that happened in ``result`` up to microsecond ``at_us``.

    ``machine`` is what it ran on, without which nothing is known of zones' sizes; ``guest`` who used the memory, None
    for nobody; ``policy`` who decided, afresh: it says which zones an offline block may go to.
    """
    page = result.page_size
    columns = Events.of(result.events)
    states = _states(result, at_us)
    series = run_series(result, columns)
    row = int(np.searchsorted(series.t_us, at_us, side="right")) - 1
    nodes = _nodes(result, columns.where(columns.t_us <= at_us), _undriven(machine))
    picture = Picture(
        block_size=result.block_pages * page,
        # Every block of a kernel with CONFIG_MEMORY_HOTREMOVE says since 5.10 that it is removable.
        blocks=tuple(
            BlockView(
                block,
                "offline" if state == BlockState.OFFLINE else "online",
                None if state == BlockState.OFFLINE else SEVERAL if state < 0 else ZONE_LABELS[state],
                nodes.get(block),
                removable=True,
            )
            for block, state in states.items()
        ),
        page_size=page,
        ratio=Ratio(int(series.movable[row]) * page, int(series.kernel[row]) * page),
        auto_movable=Ratio(int(series.auto_movable[row]) * page, int(series.auto_kernel[row]) * page),
        auto_movable_ratio=result.configured_ratio,
        devices=tuple(_devices(result, columns, at_us)),
        remarks=tuple(_remarks(columns, at_us)),
    )
    if machine is None:
        return _with_remarks(picture, "Which machine it was is not known: zones, MemTotal and choices are left out.")
    return _with_memory(picture, result, at_us, machine, guest, policy)


def _with_remarks(picture: Picture, *remarks: str) -> Picture:
    return replace(picture, remarks=(*picture.remarks, *remarks))


def _states(result: RunResult, at_us: int) -> dict[int, int]:
    """Return the state of each block that is there, by its id."""
    found = zone_map(result, [at_us])
    there = found.states[0] != BlockState.ABSENT
    return dict(zip(found.blocks[there].tolist(), found.states[0][there].tolist(), strict=True))


def _undriven(machine: MachineSpec | None) -> dict[int, int]:
    """Return the node of each block that a machine starts with, boot memory aside: some of them are no device's."""
    runs = machine.state.blocks if machine is not None and machine.state is not None else ()
    return {block: run.node for run in runs if not run.boot for block in range(run.first, run.end)}


def _nodes(result: RunResult, columns: Events, undriven: Mapping[int, int]) -> dict[int, int]:
    """Return the node of each block that ever was there, as it was last; ``undriven`` has those without a device."""
    nodes = {run.first + step: run.node for run in result.boot.runs for step in range(run.blocks)} | dict(undriven)
    added = columns.where(columns.of_kind(EventKind.PLUG, EventKind.ADD) & (columns.device != NO_DEVICE))
    blocks = np.repeat(added.block, added.blocks) + counted_up(added.blocks)
    devices = np.repeat(added.device, added.blocks)
    nodes |= {
        block: result.device_nodes[device] for block, device in zip(blocks.tolist(), devices.tolist(), strict=True)
    }
    return nodes


def _devices(result: RunResult, columns: Events, at_us: int) -> list[DeviceView]:
    """Return the devices that are attached, in the order in which they came."""
    change = online_pages_change(columns, result.block_pages, result.boot)
    upto = columns.t_us <= at_us
    here = columns.where(upto)
    change, plugged, asks = change[upto], here.plugged_change(), here.of_kind(EventKind.REQUEST)
    gone = {int(device) for device in here.device[here.gone()]}
    views = []
    for index in dict.fromkeys(here.device[here.attached()].tolist()):
        own = here.device == index
        if index in gone:
            continue
        asked = here.requested[own & asks]
        views.append(
            DeviceView(
                result.device_names[index],
                result.device_nodes[index],
                int(asked[-1]) * result.page_size if len(asked) else None,
                int(plugged[own].sum()) * result.page_size,
                int(change[own].sum()) * result.page_size,
            )
        )
    return views


def _remarks(columns: Events, at_us: int) -> list[str]:
    death = columns.death
    if death is None or death.t_us > at_us:
        return []
    return [f"The guest died at {us_to_seconds(death.t_us):g} s ({death.cause.shown})."]


def _with_memory(
    picture: Picture,
    result: RunResult,
    at_us: int,
    machine: MachineSpec,
    guest: GuestSpec | None,
    policy: Policy | None,
) -> Picture:
    """Add what only the machine's zones tell."""
    layout = lay_out(machine)
    if layout.boot != result.boot:
        return _with_remarks(
            picture,
            "Another version of the program made the run, on a machine that boots otherwise now: zones, MemTotal and"
            " choices are left out.",
        )
    remarks = _manage(layout, result, guest)
    managed = not remarks and not machine.memmap_on_memory
    remarks = [*(f"Assumed: {told}." for told in layout.assumed), *remarks]
    memory = memory_at(result, at_us, layout, _undriven(machine))
    zones = tuple(zone_views(memory, managed=managed))
    if managed:
        total: int | None = sum(zone.managed or 0 for zone in zones) * picture.page_size
        if guest is None:
            remarks.append(
                "No guest was modelled: MemTotal and what is managed are what the modelled kernel of this series has."
            )
    else:
        total, remark = _sampled(result, at_us)
        remarks += [remark] if machine.memmap_on_memory else []
    blocks = picture.blocks
    if any(view.state == "offline" for view in blocks):
        meminfo = None if guest is None else _NotKnown()
        view = MemoryView(memory, movable_node=machine.movable_node, meminfo=meminfo)
        choices = None if policy is None else _choices(ZoneChoice(memory, view, policy, NOBODY), blocks)
        if choices is None:
            remarks.append("Which zones an offline block may go to is not known.")
        else:
            blocks = tuple(view._replace(zones=choices.get(view.block, view.zones)) for view in blocks)
    if machine.state is not None:
        blocks = tuple(as_seen(blocks, machine.state.seen, at_start=at_us == 0))
    return _with_remarks(replace(picture, blocks=blocks, zones=zones, mem_total=total), *remarks)


def _manage(layout: BootLayout, result: RunResult, guest: GuestSpec | None) -> list[str]:
    """Have the zones of a layout manage at boot what the guest leaves of them; return why that is not known, if so."""
    kernel = GuestSpec()
    if guest is not None:
        kernel = replace(guest, draw=False, parameters={**guest.parameters, **result.guest_drawn})
    try:
        for zone in kernel.boot(layout.present_zones(), layout.options, layout.memory.geometry)[1]:
            layout.memory.zone(zone.node, zone.zone).managed = zone.managed
    except InputError as error:
        return [f"What is managed is not known: {error}"]
    return []


def _sampled(result: RunResult, at_us: int) -> tuple[int | None, str]:
    """Return the last MemTotal that the living guest told of up to ``at_us``, in bytes, and what to say of it."""
    if "mem_total" not in result.guest:
        return None, "Blocks may host their own memmap, and which do is not recorded: MemTotal is not known."
    times, totals = result.guest["t_us"], result.guest["mem_total"]
    # It is 0 once the guest is dead.
    living = np.flatnonzero((times <= at_us) & (totals > 0))
    if not len(living):
        return None, "No guest has lived: MemTotal is not known."
    row = int(living[-1])
    told = f"Blocks may host their own memmap: MemTotal is the guest's own, of {us_to_seconds(int(times[row])):g} s."
    return int(totals[row]) * result.page_size, told


def zone_views(memory: Memory, *, managed: bool = True) -> list[ZoneView]:
    """Return the zones with memory, as ``/proc/zoneinfo`` has them; without what is ``managed`` if need be."""
    return [
        ZoneView(
            node.id,
            ZONE_LABELS[zone.type],
            spanned=zone.end - zone.start,
            present=zone.present,
            managed=zone.managed if managed else None,
            start=zone.start,
            cma=zone.cma,
        )
        for node in memory.nodes.values()
        for zone in node.zones
        if zone is not None and zone.present
    ]


class _NotKnown:
    """What a guest said of its memory, which is not recorded: a policy that asks for it gets no answer."""

    def kernel_headroom(self, node: int | None = None, /) -> int:
        raise LookupError(node)

    def use(self, node: int | None = None, /) -> MemoryUse:
        raise LookupError(node)


def _choices(choice: ZoneChoice, blocks: tuple[BlockView, ...]) -> Mapping[int, str] | None:
    """Return what ``valid_zones`` of the offline blocks lists; None where the policy cannot say it from outside."""
    try:
        return {
            view.block: "/".join(ZONE_LABELS[zone] for zone in choice.valid_zones(view.block))
            for view in blocks
            if view.state == "offline"
        }
    except MemhpSimError:
        return None
