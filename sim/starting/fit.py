"""Whether demand and machine fit each other, in sentences with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.units import MIB, rounded_size, rounded_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.starting.demand import Demand
    from sim.starting.machine import Start

_SPARE: Final = 1.25
"""A controller that keeps a fifth available needs so much more than is used."""

_GAP: Final = 10
"""A gap is as many median steps long, at least."""

_TINY: Final = 16 * MIB
"""Less than any guest uses."""


def remarks(start: Start, demand: Demand | None) -> list[str]:
    """Return what is to be known of how demand and machine fit, a sentence each."""
    return [*_device(start), *([] if demand is None else [*_size(start, demand), *part_remarks(demand)])]


def _device(start: Start) -> Iterator[str]:
    if start.growth.made_up and start.is_real:
        what = {"virtio-mem": "a virtio-mem device", "dimm": "slots for DIMMs", "cxl": "CXL cards"}[start.growth.kind]
        yield (
            f"nothing can be plugged into this machine as its files have it. For what the experiment does, its host has"
            f" to let it have {rounded_size(start.growth.most)} (libvirt: maxMemory) and {what}; memhp-sim recommend"
            " prints the XML"
        )


def _size(start: Start, demand: Demand) -> Iterator[str]:
    most, boot = start.growth.most, start.boot
    peak, room = rounded_size(demand.peak), rounded_size(most)
    over = sum(each > most for each in demand.peaks)
    if demand.peak < _TINY:
        yield f"the demand's peak is {peak}, which no machine uses: is the unit of the column right?"
        return
    who = f" (series {demand.peak_series})" if demand.peak_series else ""
    when = rounded_time(demand.peak_s)
    if over:
        many = f" ({over} of {demand.series} series are above that)" if demand.series > 1 else ""
        yield (
            f"the demand does not fit: its peak{who}, {peak} after {when}, is more than the"
            f" {room} that the machine can have{many}. Programs will be killed, whatever the setting. It needs"
            f" about {rounded_size(int(_SPARE * demand.peak))}: a larger maxMemory and device, or scale = "
            f"{most / demand.peak / _SPARE:.2g} beside path"
        )
    elif demand.peak * _SPARE > most:
        yield (
            f"the demand's peak{who}, {peak} after {when}, nearly fills the {room} that the"
            f" machine can have: the controller cannot keep a fifth of it available then"
        )
    elif demand.peak * _SPARE <= boot:
        yield (
            f"the demand's peak{who}, {peak}, fits into boot memory, {rounded_size(boot)}: next to nothing will"
            f" be plugged, and all settings are alike. To see what hotplug would do, boot with less: --boot-memory"
            f" {max(256, demand.peak // 4 // MIB // 128 * 128)}MiB"
        )


def part_remarks(demand: Demand) -> list[str]:
    """Return what is to be known of what is played of a demand, a sentence each."""
    return list(_part(demand))


def _part(demand: Demand) -> Iterator[str]:
    if demand.end_s:
        yield (
            f"the trace is {rounded_time(demand.span_s)} long; {rounded_time(demand.played_s)} of it are played,"
            " around its peak, so that a recommendation takes minutes. start and end say otherwise"
        )
    if demand.step_s and demand.longest_gap_s > _GAP * demand.step_s:
        yield (
            f"there is a gap of {rounded_time(demand.longest_gap_s)} between samples that are mostly"
            f" {rounded_time(demand.step_s)} apart: what was used before it is taken to go on"
        )
    if demand.series > 1:
        yield f"{demand.series} series: each is a guest and a replication of its own (series = NAME plays one alone)"
