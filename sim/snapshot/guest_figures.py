"""What the guest says of its memory in use: ``MemTotal`` and what is used, as they would be without added memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.boot import idle_pcp_pages
from sim.guest.parameters import parameters_for_kernel
from sim.machine.state_managed import BesideBoot
from sim.pages import PAGE_SIZES
from sim.snapshot.account import Assumed
from sim.units import MIB, format_size

if TYPE_CHECKING:
    from sim.machine.spec import MachineSpec
    from sim.snapshot.evidence import Evidence, Said

_ROUNDED: Final = 0.06
"""Share by which a figure of ``free -h`` may be off: it has one digit after the point at most."""

_LEAST_STEP: Final = 128 * MIB
_LEAST_RESERVE: Final = 16 * MIB
_MOST_RESERVE: Final = 256 * MIB
"""Beside a quarter of boot memory: what a kernel keeps for itself, a crash kernel included."""


class Figures(NamedTuple):
    """``mem_total`` and ``used`` (without cache; None: not known) in bytes, and where they stand.

    ``at_boot``: as it was before anything was added.
    """

    mem_total: int
    used: int | None
    said: Said
    at_boot: bool = False


def figures(evidence: Evidence) -> Figures | None:
    """Return what ``/proc/meminfo``, or else ``free``, the boot log or zones say of all memory; None without any."""
    meminfo, free = evidence.first("meminfo"), evidence.first("free")
    found = [
        Figures(said.value["MemTotal"], _used_by_meminfo(said.value), said)
        for said in (meminfo,)
        if said is not None and "MemTotal" in said.value
    ]
    found += [
        Figures(said.value["total"], _used_by_free(said.value), said)
        for said in (free,)
        if said is not None and "total" in said.value
    ]
    found += _by_boot_log(evidence)
    found += _by_zones(evidence)
    if not found:
        return None
    first = found[0]
    for other in found[1:]:
        if not other.at_boot and abs(first.mem_total - other.mem_total) > _ROUNDED * first.mem_total:
            evidence.account.conflicts.append(
                f"total memory: {format_size(first.mem_total)} ({first.said.source}); {format_size(other.mem_total)}"
                f" ({other.said.source}). The first is taken"
            )
    return first if first.used is not None else next((each for each in found if each.used is not None), first)


def _by_boot_log(evidence: Evidence) -> list[Figures]:
    """Return what the line "Memory:" leaves for MemTotal, with what the kernel frees before it starts ``init``.

    CMA is not reserved then, and counts as in MemTotal.
    """
    return [
        Figures(said.value - facts.reserved + (facts.freed or 0), None, said, at_boot=True)
        for said in evidence.all("memory_known")
        if (facts := said.facts).reserved is not None
    ][:1]


def _by_zones(evidence: Evidence) -> list[Figures]:
    """Return the managed pages of all zones, which MemTotal is, where each that has pages says how many."""
    said = evidence.zones()
    zones = [] if said is None else [zone for zone in said.value if zone.present]
    if said is None or not zones or any(zone.managed is None for zone in zones):
        return []
    page_size = evidence.first("page_size")
    page = PAGE_SIZES[0] if page_size is None else page_size.value
    return [Figures(sum(zone.managed for zone in zones) * page, None, said)]


def idle_use(mem_total: int, series: tuple[int, int]) -> int:
    """Return what ``free`` calls used on an idle system with a kernel of Debian's, as the presets have it."""
    parameters = parameters_for_kernel(series)
    page = parameters.geometry.size
    lists = idle_pcp_pages(mem_total // page, parameters) * page
    return lists + parameters.idle_use_bytes + int(parameters.idle_use_share * mem_total)


def _used_by_meminfo(values: dict[str, int]) -> int | None:
    """Return what is in use without cache, as ``free`` of procps 3 has it."""
    if not values.keys() >= {"MemFree", "Buffers", "Cached"}:
        return None
    cache = values["Buffers"] + values["Cached"] + values.get("SReclaimable", 0)
    return max(0, values["MemTotal"] - values["MemFree"] - cache)


def _used_by_free(values: dict[str, int]) -> int | None:
    """Return the same from ``free``; None where it does not tell what of it is cache.

    Its own ``used`` counts all cache before procps 3.3.10 and in old busybox, and since procps 4 cache that cannot be
    dropped.
    """
    used, free = values.get("used"), values.get("free")
    if free is None:
        return None
    cached = next((values[name] for name in ("buff/cache", "cache", "cached") if name in values), None)
    if cached is not None:
        return max(0, values["total"] - free - values.get("buffers", 0) - cached)
    return used if used is not None and used + free < values["total"] else None


def without_added(
    found: Figures, machine: MachineSpec, beside: BesideBoot | None, evidence: Evidence
) -> dict[str, int] | None:
    """Return the keys of ``[guest] as``: what ``free`` would print if nothing had been added after boot.

    ``beside`` is None where it is not known how much was. None, said, where nothing can be made of the figures.
    """
    account = evidence.account
    if found.at_boot:
        # Then nothing was added yet, and what is offline by now was online.
        offline = 0 if beside is None else beside.offline
        beside = BesideBoot(-offline, 0, offline)
    if beside is None:
        account.unknown.append(
            f"{found.said.source}: how much of MemTotal is added memory; no file lists the blocks that are online. The"
            " guest's own figures are not taken"
        )
        return None
    total, online = found.mem_total - beside.managed, machine.boot_memory - beside.offline
    if not online - machine.boot_memory // 4 - _MOST_RESERVE < total < online or total <= 0:
        account.conflicts.append(
            f"MemTotal {format_size(found.mem_total)} ({found.said.source}) less added memory of"
            f" {format_size(beside.managed)} is not what a guest with {format_size(online)} of boot memory has. It is"
            " left out"
        )
        return None
    less = f", less {format_size(beside.managed)} that were added" if beside.managed > 0 else ""
    if found.used is None:
        used = min(idle_use(total, machine.kernel_series), total // 2)
        evidence.take(f"the guest's MemTotal {format_size(total)}{less}", found.said)
        what = f"{used // MIB}MiB in use, cache left out, as on an idle system with Debian's kernel"
        account.assumed.append(Assumed(what, "free, /proc/meminfo, or used in [guest] as"))
    else:
        # The memmap of added memory is in use too, and the simulation counts it by itself.
        used = min(max(0, found.used - beside.memmap), total - 1)
        evidence.take(f"the guest's MemTotal {format_size(total)} and {format_size(used)} in use{less}", found.said)
        account.assumed.append(
            Assumed("all that is in use is the guest's own, not a load that comes and goes", "used in [guest] as")
        )
    # The machine takes away what it keeps for a kernel after a crash, which MemTotal is without.
    return {"mem_total": total + machine.crashkernel, "used": used, "boot_memory": machine.boot_memory}


def likely_boot_memory(mem_total: int) -> int:
    """Return the boot memory of a guest that has ``mem_total`` of it left: memmap, a small reserve, a round number."""
    needed = mem_total * 64 // 63 + _LEAST_RESERVE
    step = max(_LEAST_STEP, 1 << max(0, needed.bit_length() - 5))
    return -(-needed // step) * step


def known_boot_memory(known: int) -> int:
    """Return the boot memory of which the kernel's boot log counts ``known`` bytes: firmware keeps a little."""
    step = _LEAST_STEP if -known % _LEAST_STEP < _LEAST_RESERVE else MIB
    return -(-known // step) * step
