"""Whether demand and machine fit each other, in sentences with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.units import GIB, MIB

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

_HOUR: Final = 3600.0
_DAY: Final = 86_400.0


def remarks(start: Start, demand: Demand | None) -> list[str]:
    """Return what is to be known of how demand and machine fit, a sentence each."""
    return [*_device(start), *([] if demand is None else [*_size(start, demand), *part_remarks(demand)])]


def shown(size: int) -> str:
    """Return bytes as people say them."""
    return f"{size / GIB:.3g} GiB" if size >= GIB else f"{size / MIB:.3g} MiB"


def _device(start: Start) -> Iterator[str]:
    if start.growth.made_up and start.is_real:
        what = {"virtio-mem": "a virtio-mem device", "dimm": "slots for DIMMs", "cxl": "CXL cards"}[start.growth.kind]
        yield (
            f"nothing can be plugged into this machine as its files have it. For what the experiment does, its host has"
            f" to let it have {shown(start.growth.most)} (libvirt: maxMemory) and {what}; memhp-sim recommend prints"
            " the XML"
        )


def _size(start: Start, demand: Demand) -> Iterator[str]:
    most, boot = start.growth.most, start.boot
    over = sum(peak > most for peak in demand.peaks)
    if demand.peak < _TINY:
        yield f"the demand's peak is {shown(demand.peak)}, which no machine uses: is the unit of the column right?"
        return
    who = f" (series {demand.peak_series})" if demand.peak_series else ""
    when = _time(demand.peak_s)
    if over:
        many = f" ({over} of {demand.series} series are above that)" if demand.series > 1 else ""
        yield (
            f"the demand does not fit: its peak{who}, {shown(demand.peak)} after {when}, is more than the"
            f" {shown(most)} that the machine can have{many}. Programs will be killed, whatever the setting. It needs"
            f" about {shown(int(_SPARE * demand.peak))}: a larger maxMemory and device, or scale = "
            f"{most / demand.peak / _SPARE:.2g} beside path"
        )
    elif demand.peak * _SPARE > most:
        yield (
            f"the demand's peak{who}, {shown(demand.peak)} after {when}, nearly fills the {shown(most)} that the"
            f" machine can have: the controller cannot keep a fifth of it available then"
        )
    elif demand.peak * _SPARE <= boot:
        yield (
            f"the demand's peak{who}, {shown(demand.peak)}, fits into boot memory, {shown(boot)}: next to nothing will"
            f" be plugged, and all settings are alike. To see what hotplug would do, boot with less: --boot-memory"
            f" {max(256, demand.peak // 4 // MIB // 128 * 128)}MiB"
        )


def part_remarks(demand: Demand) -> list[str]:
    """Return what is to be known of what is played of a demand, a sentence each."""
    return list(_part(demand))


def _part(demand: Demand) -> Iterator[str]:
    if demand.end_s:
        yield (
            f"the trace is {_time(demand.span_s)} long; {_time(demand.played_s)} of it are played, around its peak, so"
            " that a recommendation takes minutes. start and end say otherwise"
        )
    if demand.step_s and demand.longest_gap_s > _GAP * demand.step_s:
        yield (
            f"there is a gap of {_time(demand.longest_gap_s)} between samples that are mostly {_time(demand.step_s)}"
            " apart: what was used before it is taken to go on"
        )
    if demand.series > 1:
        yield f"{demand.series} series: each is a guest and a replication of its own (series = NAME plays one alone)"


def _time(seconds: float) -> str:
    for unit, length in (("days", _DAY), ("hours", _HOUR), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
