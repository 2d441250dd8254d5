"""The scores once more, slowly: block by block, instant by instant, in fractions, straight from their definitions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from sim.record.device_group import GroupKind
from sim.record.recorder import EventKind

if TYPE_CHECKING:
    from sim.record.run_result import RunResult

PAGE = 4096


@dataclass
class Instant:
    """Everything there is at one moment; it lasts ``dt`` microseconds. Pages throughout."""

    t: int
    dt: int
    zones: dict[int, object]
    movable: int
    kernel: int
    MV: int
    KE: int
    hotplugged: int
    hotplugged_movable: int
    hotplugged_kernel: int
    offline: int
    plugged: int
    online: int
    requested: int
    arrived: int
    not_given: int
    wanted_movable: int
    mixed_groups: int
    mixed_units: int
    zone_changes: int


def _is_kernel(state: object) -> bool:
    return isinstance(state, int) and state != 3


def _blocks_by_device(owner: dict[int, int]) -> dict[int, list[int]]:
    devices = sorted({device for device in owner.values() if device >= 0})
    return {device: [block for block, whose in owner.items() if whose == device] for device in devices}


def _look(run: RunResult, t: int, zones: dict[int, object], owner: dict[int, int], boot: set[int],
          plugged: dict[int, int], asked: dict[int, int], held: dict[int, int]) -> Instant:  # fmt: skip
    size = run.block_pages
    online_of: dict[int, int] = {}
    for block, pages in held.items():
        if zones[block] != "offline":
            online_of[owner[block]] = online_of.get(owner[block], 0) + pages
    # What boot memory lacks of whole blocks (holes, zones that share a block) is the same at all times.
    boot_blocks = [zone for _, count, zone, _ in run.boot.runs for _ in range(count)]
    cma = run.boot.kernel_pages - run.boot.early_kernel_pages
    kernel_off = run.boot.kernel_pages - size * sum(zone != 3 for zone in boot_blocks)
    movable_off = run.boot.movable_pages - cma - size * sum(zone == 3 for zone in boot_blocks)
    early = [state for block, state in zones.items() if block in boot]
    hot = [state for block, state in zones.items() if block not in boot]
    movable = size * sum(state == 3 for state in zones.values()) + movable_off
    kernel = size * sum(_is_kernel(state) for state in zones.values()) + kernel_off

    groups: dict[object, set[bool]] = {}
    units: dict[object, set[bool]] = {}
    for block, state in zones.items():
        if state == "offline" or block in boot or not run.device_groups:
            continue
        device = owner[block]
        group, unit = run.device_groups[device].kind, run.device_groups[device].unit_pages
        if group is GroupKind.STATIC:
            groups.setdefault(device, set()).add(state == 3)
        elif unit > size:
            units.setdefault((device, block * size // unit), set()).add(state == 3)
    online = [zones[block] == 3 for block in sorted(zones) if zones[block] != "offline"]
    return Instant(
        t=t, dt=0, zones=dict(zones), movable=movable, kernel=kernel, MV=movable + cma,
        KE=size * sum(map(_is_kernel, early)) + kernel_off - cma,
        hotplugged=size * len(hot), hotplugged_movable=size * hot.count(3),
        hotplugged_kernel=size * sum(map(_is_kernel, hot)),
        offline=size * sum(state == "offline" for state in zones.values()),
        plugged=sum(plugged.values()), online=sum(online_of.values()), requested=sum(asked.values()),
        arrived=sum(min(size, online_of.get(device, 0)) for device, size in asked.items()),
        not_given=sum(max(0, plugged.get(device, 0) - size) for device, size in asked.items()),
        wanted_movable=sum(
            min(size * sum(zones.get(block) == 3 for block in mine), asked.get(device, 1 << 60))
            for device, mine in _blocks_by_device(owner).items()
        ),
        mixed_groups=sum(len(kinds) == 2 for kinds in groups.values()),
        mixed_units=sum(len(kinds) == 2 for kinds in units.values()),
        zone_changes=sum(a != b for a, b in pairwise(online)),
    )  # fmt: skip


def instants(run: RunResult) -> list[Instant]:  # noqa: C901, PLR0912  one branch for each kind of event
    """Return what there is from each moment at which something happened (and from 0) to the next."""
    zones: dict[int, object] = {}
    boot: set[int] = set()
    for first, count, zone, _ in run.boot.runs:
        boot |= set(range(first, first + count))
        zones |= dict.fromkeys(range(first, first + count), zone)
    owner: dict[int, int] = {}
    plugged: dict[int, int] = {}
    asked: dict[int, int] = {}
    held: dict[int, int] = {}
    """Pages of each block that its device has plugged."""
    found = [_look(run, 0, zones, owner, boot, plugged, asked, held)]
    for t, number, device, block, count, zone, pages in run.events.tolist():
        kind = EventKind(number)
        blocks = range(block, block + count)
        if kind in (EventKind.PLUG, EventKind.ONLINE):
            zones |= dict.fromkeys(blocks, zone)
        elif kind in (EventKind.ADD, EventKind.OFFLINE):
            zones |= dict.fromkeys(blocks, "offline")
        elif kind in (EventKind.REMOVE, EventKind.UNPLUG):
            for gone in blocks:
                del zones[gone]
                held.pop(gone, None)
        owner |= dict.fromkeys(blocks, device)
        if kind in (EventKind.PLUG, EventKind.ADD, EventKind.SUBPLUG):
            plugged[device] = plugged.get(device, 0) + pages
            held |= {block: held.get(block, 0) + pages // count for block in blocks if device >= 0}
        elif kind in (EventKind.REMOVE, EventKind.UNPLUG, EventKind.SUBUNPLUG):
            plugged[device] = plugged.get(device, 0) - pages
            if kind == EventKind.SUBUNPLUG:
                held[block] -= pages
        elif kind == EventKind.REQUEST:
            asked[device] = pages
        elif kind == EventKind.DEVICE and count == 0:
            asked[device] = 0
        look = _look(run, t, zones, owner, boot, plugged, asked, held)
        if found[-1].t == t:
            found[-1] = look
        else:
            found.append(look)
    for now, then in pairwise([*[look.t for look in found], run.duration_us]):
        next(look for look in found if look.t == now).dt = then - now
    return found


def _percent(part: int, whole: int) -> Fraction | float | None:
    if whole == 0:
        return math.inf if part else None
    return Fraction(100 * part, whole)


def _mean(values: list[Fraction | float | None], weights: list[int]) -> float:
    pairs = [(value, dt) for value, dt in zip(values, weights, strict=True) if value is not None and dt > 0]
    total = sum(dt for _, dt in pairs)
    return float(sum(value * dt for value, dt in pairs) / total) if total else math.nan


def _number(value: Fraction | float | None) -> float:
    return math.nan if value is None else float(value)


@dataclass
class Returns:
    """What was asked back: ``waits`` are of requests (pages, microseconds or None for never, whether fulfilled)."""

    asked: int
    returned: int
    unfulfilled: int
    held: int
    held_times_us: int
    first: int | None
    waits: list[tuple[int, int | None, bool]]


def follow_returns(rows: list[list[int]], devices: int, end: int) -> Returns:
    """Follow what is asked back, device by device and instant by instant."""
    death = min((row[0] for row in rows if row[1] == EventKind.DEATH), default=None)
    found = Returns(0, 0, 0, 0, 0, None, [])
    for device in range(devices):
        mine = [row for row in rows if row[2] == device]
        _follow_device(found, mine, end, death)
    return found


def _follow_device(found: Returns, mine: list[list[int]], end: int, death: int | None) -> None:  # noqa: C901, PLR0912, PLR0915
    asked: int | None = None
    last_request: int | None = None
    plugged = before = after = 0
    requests: list[dict[str, int]] = []
    queue: list[list[int]] = []  # number of the request, pages still there; the oldest first
    log: list[list[tuple[int, int]]] = []  # of each request, what came back when

    for t in sorted({row[0] for row in mine}):
        found.held_times_us += after * (t - before)
        before = t
        had: int = plugged
        wanted: int | None = asked
        for _, number, _, _, count, _, pages in (row for row in mine if row[0] == t):
            kind = EventKind(number)
            if kind in (EventKind.PLUG, EventKind.ADD, EventKind.SUBPLUG):
                plugged += pages
            elif kind in (EventKind.REMOVE, EventKind.UNPLUG, EventKind.SUBUNPLUG):
                plugged -= pages
            elif kind == EventKind.REQUEST:
                asked = pages
                if last_request is not None and pages < last_request:
                    found.first = t if found.first is None else min(found.first, t)
                last_request = pages
            elif kind == EventKind.DEVICE and count == 0:
                asked = 0
        if death is not None and t > death:
            # A dead guest has for ever what it had, and what it was asked for.
            had = max(had, wanted or 0)
            plugged = max(had, asked or 0)
        too_much = 0 if wanted is None else max(0, had - wanted)
        between = 0 if asked is None else max(0, had - asked)
        after = 0 if asked is None else max(0, plugged - asked)
        rest = max(0, too_much - between)
        while rest:
            number, there = queue[-1]
            some = min(rest, there)
            rest -= some
            queue[-1][1] -= some
            if queue[-1][1] == 0:
                queue.pop()
            request = requests[number]
            if _is_back(request, log[number]) is None:
                dead = death is not None and t > death
                found.waits.append((some, None if dead else t - request["since"], False))
                found.unfulfilled += not request["failed"]
                request["failed"] = 1
                request["asked"] -= some
        new = max(0, between - too_much) + max(0, after - between)
        if new:
            found.first = t if found.first is None else min(found.first, t)
            found.asked += new
            queue.append([len(requests), new])
            requests.append({"since": t, "asked": new, "failed": 0})
            log.append([])
        rest = max(0, between - after)
        found.returned += rest
        while rest:
            some = min(rest, queue[0][1])
            rest -= some
            queue[0][1] -= some
            log[queue[0][0]].append((t, some))
            if queue[0][1] == 0:
                queue.pop(0)
    found.held += after
    found.held_times_us += after * (end - before)
    for request, back in zip(requests, log, strict=True):
        when = _is_back(request, back)
        if when is not None:
            found.waits.append((request["asked"], when - request["since"], True))
        elif request["asked"]:
            dead = death is not None and end > death
            found.waits.append((request["asked"], None if dead else end - request["since"], False))
            found.unfulfilled += not request["failed"]


def _is_back(request: dict[str, int], back: list[tuple[int, int]]) -> int | None:
    """Return when 95 % of what the request asks was back; None where it is not."""
    total = 0
    for t, pages in back:
        total += pages
        if request["asked"] and 100 * total >= 95 * request["asked"]:
            return t
    return None


def restricted_mean(waits: list[tuple[int, int | None, bool]], horizon: int) -> float:
    """Return the area under the product-limit curve, instant by instant, each wait looked at anew every time."""
    known = [(pages, horizon if after is None else min(after, horizon), back) for pages, after, back in waits]
    still = Fraction(1)
    area = Fraction(0)
    for then, now in pairwise([0, *sorted({after for _, after, _ in known} | {horizon})]):
        area += still * (now - then)
        at_risk = sum(pages for pages, after, _ in known if after >= now)
        back = sum(pages for pages, after, done in known if after == now and done)
        if at_risk:
            still *= Fraction(at_risk - back, at_risk)
    return float(area)


def guest_scores(run: RunResult, looks: list[Instant]) -> dict[str, float]:
    """Return the scores of the guest's samples, sample by sample; NaN for all of them where there are none."""
    names = (
        "mem_total_max", "headroom_min", "headroom_mean", "headroom_free_min", "headroom_free_mean", "died",
        "death_time", "kernel_ooms", "kernel_oom_first", "guest_full_ooms", "return_ooms", "failed_adds",
        "largest_before_failure",
        "returnable_share_mean", "returnable_share_min",
    )  # fmt: skip
    if not run.guest:
        return dict.fromkeys(names, math.nan)
    rows = run.events.tolist()
    ooms = [[row[0] for row in rows if row[1] == EventKind.OOM and row[5] == kind] for kind in range(3)]
    deaths = [row[0] for row in rows if row[1] == EventKind.DEATH]
    adds = [row[0] for row in rows if row[1] == EventKind.FAILED and row[2] >= 0 and row[5] == 12]
    failed = min((t for times in (*ooms, adds) for t in times), default=math.inf)
    times = [int(t) for t in run.guest["t_us"]]
    room, free = ([int(pages) for pages in run.guest[name]] for name in ("headroom", "headroom_free"))
    dts = [then - now for now, then in pairwise([*times, run.duration_us])]
    share: list[Fraction | float | None] = []
    for t, dt, pages in zip(times, dts, run.guest["returnable"].tolist(), strict=True):
        plugged = next(look.plugged for look in reversed(looks) if look.t <= t)
        share.append(_percent(min(pages, plugged), plugged) if dt else None)
    return {
        "mem_total_max": int(run.guest["mem_total"].max()) * PAGE,
        "headroom_min": 0 if ooms[0] or adds else min(room) * PAGE,
        "headroom_mean": _mean([Fraction(pages) for pages in room], dts) * PAGE,
        "headroom_free_min": 0 if ooms[0] or adds else min(free) * PAGE,
        "headroom_free_mean": _mean([Fraction(pages) for pages in free], dts) * PAGE,
        "died": len(deaths),
        "death_time": deaths[0] / 1_000_000 if deaths else math.nan,
        "kernel_ooms": len(ooms[0]),
        "kernel_oom_first": ooms[0][0] / 1_000_000 if ooms[0] else math.nan,
        "guest_full_ooms": len(ooms[1]),
        "return_ooms": len(ooms[2]),
        "failed_adds": len(adds),
        "largest_before_failure": max(look.plugged for look in looks if look.t <= failed) * PAGE,
        "returnable_share_mean": _mean(share, dts),
        "returnable_share_min": min((float(value) for value in share if value is not None), default=math.nan),
    }


def plain_scores(run: RunResult) -> dict[str, float]:
    """Return all scores of ``run`` by name."""
    looks = instants(run)
    dts = [look.dt for look in looks]
    ratio = [_percent(look.movable, look.kernel) for look in looks]
    auto = [_percent(look.MV, look.KE) for look in looks]
    R = run.configured_ratio
    end = looks[-1]
    back = follow_returns(run.events.tolist(), len(run.device_names), run.duration_us)
    horizon = run.duration_us - (back.first or 0)
    death = min((row[0] for row in run.events.tolist() if row[1] == EventKind.DEATH), default=run.duration_us)
    asked = sum(look.requested * look.dt for look in looks)
    arrived = sum(look.arrived * max(0, min(look.t + look.dt, death) - look.t) for look in looks)

    def top(values: list[Fraction | float | None]) -> float:
        return max((float(value) for value in values if value is not None), default=math.nan)

    def above(values: list[tuple[int, int]]) -> float:
        if R is None:
            return math.nan
        return sum(dt for (M, K), dt in zip(values, dts, strict=True) if M > R * K // 100) / 1_000_000

    inside = guest_scores(run, looks)
    fails = any(inside[name] > 0 for name in ("died", "kernel_ooms", "failed_adds"))
    wanted = 0 if fails else sum(look.wanted_movable * look.dt for look in looks)
    return {
        "movable_byte_seconds": float(Fraction(wanted * PAGE, 1_000_000)),
        "ratio_mean": _mean(ratio, dts),
        "ratio_max": top(ratio),
        "ratio_end": _number(ratio[-1]),
        "auto_ratio_mean": _mean(auto, dts),
        "auto_ratio_max": top(auto),
        "auto_ratio_end": _number(auto[-1]),
        "auto_ratio_excess": math.nan if R is None else top(auto) - R,
        "auto_time_above_ratio": above([(look.MV, look.KE) for look in looks]),
        "movable_share_mean": _number(
            _percent(
                sum(look.hotplugged_movable * look.dt for look in looks),
                sum(look.hotplugged * look.dt for look in looks),
            )
        ),
        "movable_share_end": _number(_percent(end.hotplugged_movable, end.hotplugged)),
        "mixed_groups_end": end.mixed_groups if run.device_groups else math.nan,
        "mixed_groups_max": max(look.mixed_groups for look in looks) if run.device_groups else math.nan,
        "mixed_units_end": end.mixed_units if run.device_groups else math.nan,
        "mixed_units_max": max(look.mixed_units for look in looks) if run.device_groups else math.nan,
        "not_given_end": back.held * PAGE,
        "not_given_byte_seconds": float(Fraction(back.held_times_us * PAGE, 1_000_000)),
        "returned": PAGE
        * sum(
            row[6] for row in run.events.tolist() if row[1] in (EventKind.REMOVE, EventKind.UNPLUG, EventKind.SUBUNPLUG)
        ),
        "kernel_mean": _mean([Fraction(look.kernel) for look in looks], dts) * PAGE,
        "kernel_end": end.kernel * PAGE,
        "zone_changes_end": end.zone_changes,
        "zone_changes_max": max(look.zone_changes for look in looks),
        "decisions": run.counters.get("decisions", math.nan),
        "failed_requests": run.counters.get("failed_requests", math.nan),
        "failed_operations": run.counters.get("failed_operations", math.nan),
        "refused_offlines": sum(row[4] for row in run.events.tolist() if row[1] == EventKind.REFUSED),
        "arrived_share": _number(_percent(arrived, asked)),
        "plugged_max": max(look.plugged for look in looks) * PAGE,
        "online_max": max(look.online for look in looks) * PAGE,
        "asked_max": max(look.requested for look in looks) * PAGE,
        "asked_byte_seconds": float(Fraction(asked * PAGE, 1_000_000)),
        "asked_back": back.asked * PAGE,
        "returned_share": _number(_percent(back.returned, back.asked)),
        "return_time": restricted_mean(back.waits, horizon) / 1_000_000 if back.asked else math.nan,
        "returns_unfulfilled": back.unfulfilled,
        **inside,
    }
