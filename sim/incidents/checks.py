"""When a run agrees with the published outcome of an incident: one small function for each.

Each takes the runs of the incident's experiment and the published figures (table ``published.figures`` of the file,
which names their source), and says in a line what the simulation showed, by what margin, and whether that agrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.guest import OomKind
from sim.memory.zones import ZONE_MOVABLE
from sim.record.recorder import EventKind
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.incidents.runs import Run, Runs

    Figures = Mapping[str, float]
    Check = Callable[[Runs, Figures], "Verdict"]

GB: Final = 1e9

ROUGH: Final = 2.0
"""Factor within which a figure agrees that its source gives as "around" or "somewhere around"."""

ABOUT: Final = 0.25
"""Share by which a figure may differ that its source gives as "about"."""

IDLE_KEEPS_MIB: Final = 4
"""MiB of a device's kernel memory that even an idle guest does not give back: two pageblocks, as recorded."""


class Verdict(NamedTuple):
    """What the simulation showed, how far it is from not agreeing (or from the published figure), and the judgement."""

    simulated: str
    margin: str
    agrees: bool


def _wall(runs: Runs, figures: Figures) -> Verdict:
    """The size that cannot be reached lies in the published bracket: above what worked, not above what failed.

    Sizes count boot memory, as the slots of the report do.
    """
    run = runs.one
    failed = run.first_failed_add
    if failed is None:
        return Verdict(f"all of {run.plugged_at_end / GIB:g} GiB are added", "-", agrees=False)
    reached = (run.boot_memory + failed.plugged) / GIB
    left = run.sample_before("headroom", failed.at) / MIB
    works, fails = figures["works_gib"], figures["fails_gib"]
    return Verdict(
        f"reaches {reached:g} GiB; the next add fails, {left:.0f} MiB are left for the kernel",
        f"{reached - works:g} GiB above {works:g}, {fails - reached:g} below {fails:g}",
        works <= reached < fails,
    )


def _vmem_48g(runs: Runs, figures: Figures) -> Verdict:
    """Every growth is complete within the published time, every shrink within a tenth of it; all is MOVABLE."""
    run = runs.one
    asked = [request for request in run.requests if request.size or request.at]
    bounds = [*(request.at for request in asked), run.result.duration_us / 1e6]
    took: dict[bool, list[float]] = {True: [], False: []}
    complete = True
    for request, until in zip(asked, bounds[1:], strict=True):
        took[request.size > 0].append(run.last_change(request.at, until) - request.at)
        complete = complete and run.plugged(until) == request.size
    plug, unplug = max(took[True], default=0.0), max(took[False], default=0.0)
    rounds = len(took[False])
    return Verdict(
        f"{rounds} rounds {'complete' if complete else 'incomplete'}; {figures['plug_gib']:g} GiB in {plug:.2f} s, out"
        f" in {unplug:.2f} s, {100 * run.movable_share:.0f} % MOVABLE",
        f"in {plug - figures['plug_s']:+.2f} s, out {unplug - figures['unplug_s']:+.2f} s",
        complete
        and rounds == figures["rounds"]
        and plug <= figures["plug_s"]
        and abs(unplug - figures["unplug_s"]) <= figures["unplug_s"] / 10
        and run.movable_share == 1.0
        and not run.ooms,
    )


def _archive(runs: Runs, figures: Figures) -> Verdict:
    """MOVABLE is used up before the kernel zones, slab then is about as reported, and so is what dropping caches does.

    The kill with 1 GiB MOVABLE comes with MemAvailable about as reported, the one with 3 GiB with no less.
    """
    run = runs.of("1 GiB")
    first_full, slab = _movable_used_up(run)
    labels = ("1 GiB", "3 GiB", *(f"3 GiB, drop {number}" for number in (1, 2, 3)))
    killed = [label for label in labels if runs.of(label).ooms]
    available = _kernel_oom(run)
    reported, reported_slab = figures["available_gb"] * GB, figures["slab_mib"]
    order = "MOVABLE, then DMA32" if first_full else "DMA32 before MOVABLE"
    return Verdict(
        f"{order}; slab {slab / MIB:.0f} MiB; OOM at {available / GB:.2f} GB available; killed:"
        f" {'; '.join(killed) or 'none'}",
        f"available {available / reported - 1:+.0%}, slab {slab / MIB / reported_slab - 1:+.0%}",
        first_full
        and abs(slab / MIB - reported_slab) <= ABOUT * reported_slab
        and abs(available - reported) <= ABOUT * reported
        and _kernel_oom(runs.of("3 GiB")) >= available
        and killed == ["1 GiB", "3 GiB", "3 GiB, drop 2"],
    )


def _movable_used_up(run: Run) -> tuple[bool, int]:
    """Return whether MOVABLE is used up while the kernel has room, and the kernel memory (bytes) taken until then."""
    free, headroom = run.sampled("free_movable"), run.sampled("headroom_free")
    movable_since = int(np.argmax(free > 0))
    used_up = movable_since + int(np.argmax(free[movable_since:] < free[movable_since] // 20))
    kernel_growth = run.sampled("kernel")[used_up] - run.sampled("kernel")[movable_since]
    first_full = free[used_up] < free[movable_since] // 20 and headroom[used_up] > headroom[movable_since] // 5
    return bool(first_full), int(kernel_growth)


def _kernel_oom(run: Run) -> int:
    """Return MemAvailable (bytes) at the first failure of a kernel allocation, 0 where there was none."""
    return next((oom.available for oom in run.ooms if oom.kind is OomKind.KERNEL), 0)


def _ratio_101(runs: Runs, figures: Figures) -> Verdict:
    """All of the device was plugged, about half of it kernel memory; asked back, more stays than in an idle guest."""
    run = runs.one
    most = max(request.size for request in run.requests) / GIB
    kernel = 1.0 - run.movable_share
    stays = run.plugged_at_end / MIB
    asked_back = run.requests[-1].size == 0
    return Verdict(
        f"grows by {most:g} GiB, {100 * kernel:.0f} % of it kernel memory; asked back, {stays:.0f} MiB stay",
        f"{stays:.0f} MiB above the minimum",
        asked_back
        and most == figures["maximum_gib"] - figures["minimum_gib"]
        and abs(kernel - figures["kernel_share"]) <= ABOUT * figures["kernel_share"]
        and stays > IDLE_KEEPS_MIB,
    )


def _dimm_ratio(runs: Runs, figures: Figures) -> Verdict:
    """MOVABLE up to the boot memory's ratio, then kernel memory only; no DIMM in two zones."""
    run = runs.one
    zones = [zone == ZONE_MOVABLE for zone in run.zones_in_order]
    movable = zones.count(True)
    limit = figures["ratio_percent"] / 100 * run.boot_memory / GIB
    per_dimm = round(1 / run.block_gib)
    kernel_dimms = (len(zones) - movable) // per_dimm
    size = movable * run.block_gib
    return Verdict(
        f"{size:g} GiB MOVABLE, then {kernel_dimms} DIMMs all kernel memory",
        f"{limit - size:.2f} GiB to the ratio's limit, less than a DIMM",
        zones == [True] * movable + [False] * (len(zones) - movable) and kernel_dimms > 0 and 0 <= limit - size < 1,
    )


def _aep(runs: Runs, figures: Figures) -> Verdict:
    """The program is killed for want of kernel memory, at roughly the published size and free memory."""
    run = runs.one
    if not run.ooms or run.ooms[0].kind is not OomKind.KERNEL:
        return Verdict("no kernel allocation fails", "-", agrees=False)
    kill = run.ooms[0]
    used = run.sample_before("user", kill.at) / GB
    free = run.sample_before("free_movable", kill.at) / GB
    return Verdict(
        f"kernel OOM at {used:.0f} GB used, {free:.0f} GB free on the second node",
        f"used {used / figures['used_gb']:.2f}, free {free / figures['free_gb']:.2f} times the rough figures",
        all(1 / ROUGH <= ratio <= ROUGH for ratio in (used / figures["used_gb"], free / figures["free_gb"])),
    )


def _one_dimm(runs: Runs, figures: Figures) -> Verdict:
    """The DIMM cannot be added for want of memory, and nothing of it is there."""
    run = runs.one
    return _fails(run, figures["fails_gib"])


def _fails(run: Run, gib: float) -> Verdict:
    failed = run.first_failed_add
    need, room = gib * GIB / 64 / MIB, int(run.sampled("headroom")[0]) / MIB
    outcome = f"the add fails, the guest {'dies' if run.died else 'lives'}" if failed else "added"
    return Verdict(
        f"{gib:g} GiB: {outcome}; {need:.0f} MiB of memmap, {room:.0f} MiB of room",
        f"{need - room:+.0f} MiB",
        failed is not None and run.plugged_at_end == 0,
    )


def _udev(runs: Runs, _figures: Figures) -> Verdict:
    """With the rule the DIMM is kernel memory and stays; without it, it is MOVABLE and goes."""
    ruled, free = runs.of("with the rule"), runs.of("without the rule")

    def zone(run: Run) -> str:
        return {0.0: "kernel", 1.0: "MOVABLE"}.get(run.movable_share, "mixed")

    def fate(run: Run) -> str:
        return "stays" if run.plugged_at_end else "goes"

    refused = len(ruled.rows(EventKind.REFUSED))
    return Verdict(
        f"with the rule {zone(ruled)}, {fate(ruled)}; without it {zone(free)}, {fate(free)}",
        f"{refused} refused attempts",
        (zone(ruled), fate(ruled), zone(free), fate(free)) == ("kernel", "stays", "MOVABLE", "goes") and refused > 0,
    )


def _memmap_132m(runs: Runs, _figures: Figures) -> Verdict:
    """Not one block can be added."""
    run = runs.one
    failed = run.first_failed_add
    room = int(run.sampled("headroom")[0]) / MIB
    return Verdict(
        f"{'the first block fails' if failed and not failed.plugged else 'blocks are added'}; {room:.1f} MiB of room",
        f"{2 - room:.1f} of 2 MiB short",
        failed is not None and failed.plugged == 0 and run.plugged_at_end == 0,
    )


def _sail(runs: Runs, figures: Figures) -> Verdict:
    """At once: killed with nothing plugged; in steps: grows by both published sizes, lives; at once again: killed."""
    run = runs.one
    grown = [request.size for request in run.requests]
    steps = [after - before for before, after in zip([0, *grown], grown, strict=False) if after > before]
    kills = [oom.at for oom in run.ooms]
    nothing = bool(kills) and run.plugged(kills[0]) == 0
    expected = [figures["first_growth_gib"] * GIB, figures["second_growth_gib"] * GIB]
    return Verdict(
        f"killed at {', '.join(f'{at:.1f}' for at in kills)} s, the first time with"
        f" {'nothing' if nothing else 'memory'} plugged; grows by {', '.join(f'{step / GIB:g}' for step in steps)} GiB",
        f"growth {', '.join(f'{(step - real) / GIB:+g}' for step, real in zip(steps, expected, strict=False))} GiB",
        nothing and len(kills) == figures["kills"] and steps == expected,
    )


def _wall_512m(runs: Runs, figures: Figures) -> Verdict:
    """The first DIMM that cannot be added is the recorded one, give or take the stated number."""
    run = runs.one
    failed = run.first_failed_add
    if failed is None:
        return Verdict("all DIMMs are added", "-", agrees=False)
    number = failed.device + 1
    off = number - figures["fails_dimm"]
    return Verdict(
        f"{number - 1} go in, number {number} cannot be added",
        f"{off:+g} DIMMs",
        abs(off) <= figures["tolerance_dimms"],
    )


def _wall_2g(runs: Runs, figures: Figures) -> Verdict:
    """The smaller DIMM is added in full, the larger one cannot be added and kills the guest."""
    return _two_dimms(runs, figures, dies=True)


def _kata_256m(runs: Runs, figures: Figures) -> Verdict:
    """The smaller DIMM is added in full, the larger one cannot be added, and the guest lives."""
    return _two_dimms(runs, figures, dies=False)


def _two_dimms(runs: Runs, figures: Figures, *, dies: bool) -> Verdict:
    small, large = runs.of(f"{figures['works_gib']:g} GiB"), runs.of(f"{figures['fails_gib']:g} GiB")
    failure = _fails(large, figures["fails_gib"])
    left = int(small.sampled("headroom")[-1]) / MIB
    works = small.plugged_at_end == figures["works_gib"] * GIB and small.first_failed_add is None
    return Verdict(
        f"{figures['works_gib']:g} GiB: {'added' if works else 'fails'}, {left:.0f} MiB left; {failure.simulated}",
        f"{left:.0f} MiB to spare, {failure.margin}",
        works and failure.agrees and large.died is dies and not small.died,
    )


def _cover_letter(runs: Runs, figures: Figures) -> Verdict:
    """The two patterns, block by block, in the order of going online."""
    dimms, vmem = runs.of("DIMMs"), runs.of("virtio-mem")
    first = "M" * round(figures["first_movable_gib"] / dimms.block_gib)
    group = "N" + "M" * round(figures["movable_after_a_kernel_block"])
    shown, expected = [], []
    for run, rest in ((dimms, "N"), (vmem, group)):
        zones = "".join("M" if zone == ZONE_MOVABLE else "N" for zone in run.zones_in_order)
        shown.append(_pattern(zones))
        expected.append(_pattern((first + rest * len(zones))[: len(zones)]))
    return Verdict(
        f"DIMMs {shown[0]}; virtio-mem {shown[1]}", "exact" if shown == expected else "differs", shown == expected
    )


def _pattern(zones: str) -> str:
    """Return zones in short, such as ``Mx96 (Nx1 Mx3)x40``: runs, and pairs of runs that repeat."""
    runs: list[str] = []
    for zone in zones:
        if runs and runs[-1][0] == zone:
            runs[-1] += zone
        else:
            runs.append(zone)
    words = [f"{run[0]}x{len(run)}" for run in runs]
    tail = words[1:]
    pairs = len(tail) // 2
    if pairs > 1 and len(tail) == 2 * pairs and tail == tail[:2] * pairs:
        return f"{words[0]} ({' '.join(tail[:2])})x{pairs}"
    return " ".join(words)


CHECKS: Final[dict[str, Check]] = {
    "neon-x60": _wall,
    "neon-x60-small-slots": _wall,
    "neon-vmem-48g": _vmem_48g,
    "neon-archive": _archive,
    "neon-ratio-101": _ratio_101,
    "neon-dimm-ratio": _dimm_ratio,
    "aep-96-768": _aep,
    "kata-256m": _kata_256m,
    "kata-120g": _one_dimm,
    "kata-220g": _one_dimm,
    "kata-udev": _udev,
    "rfc-memmap-132m": _memmap_132m,
    "sail-reactive": _sail,
    "wall-512m": _wall_512m,
    "wall-2g": _wall_2g,
    "cover-letter": _cover_letter,
}
"""The check of each incident by the name of its file, in the order in which they are told."""
