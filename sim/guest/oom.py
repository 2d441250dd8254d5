"""The out-of-memory killer: whom it takes when nothing is left to give up.

Follows mm/oom_kill.c (``select_bad_process``, ``oom_badness``). Called where memory is asked back
(:mod:`sim.guest.migration`), where a demand finds no room (:mod:`sim.guest.demands`), and for whom an add has starved
(:meth:`sim.guest.model.GuestModel.starve`); who is told of it stands in :mod:`sim.kernel.guest_link`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.guest.contract import OomEvent, OomKind
from sim.guest.loads import OWNED, Load, LoadKind
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.guest.loads import Loads
    from sim.guest.meminfo import Meminfo
    from sim.guest.parameters import GuestParameters
    from sim.guest.pressure import Stalls
    from sim.guest.zone import GuestZone

_CROWD: Final = 64
"""Part of many small processes that is killed at a time."""
_APART: Final = 2 * MIB
"""Bytes more in a zone that make a load lie elsewhere than another."""

EQUAL_PAGES: Final = 2
"""Processes that differ by no more count the same: by so much the counts of equal loads differed in recorded reports,
and the one with less was as often the victim."""

_WITH_TABLES: Final = frozenset({LoadKind.ANONYMOUS, LoadKind.PAGE_TABLES})
"""Kinds whose kernel pages are page tables."""


class OomKiller:
    """``events`` is every run of it so far; ``guest_died`` that it found nobody, and with that the guest is gone."""

    def __init__(self, loads: Loads, meminfo: Meminfo, stalls: Stalls, parameters: GuestParameters) -> None:
        self.events: list[OomEvent] = []
        self.guest_died = False
        self._loads = loads
        self._meminfo = meminfo
        self._stalls = stalls
        self._late = parameters.geometry.pages(parameters.late_table_bytes)
        self._apart = parameters.geometry.pages(_APART)

    def kill(self, kind: OomKind, done_share: float = 0.0, asker: Load | None = None) -> tuple[OomEvent, ...]:
        """Kill the biggest process, of equals the youngest; where there is none, the guest dies.

        ``done_share``: the part of the demand that had been met by then; ``asker``: the load whose demand it is. A
        victim's page tables are freed last, when the killer takes it for done already (mm/mmap.c, ``exit_mmap``).
        Where they are many and all that it had, the next attempt finds nothing either, and a second process dies,
        by when they are free. One that was killed itself makes no further attempt. Returns the one or two runs.
        """
        candidates = self._worst_first()
        lay = [load.by_zone() for _, load in candidates[:2]]
        states = [(self._meminfo.uses(), self._meminfo.available())]
        if candidates:
            _, worst = candidates[0]
            if worst is not asker and worst.kind in _WITH_TABLES and worst.kernel_pages() > self._late:
                self._loads.free_user_pages(worst)
                if len(candidates) > 1 and not self._room(kind):
                    states.append((self._meminfo.uses(), self._meminfo.available()))
        else:
            self.guest_died = True
        victims, alive = candidates[: len(states)], candidates[len(states) :]
        events = []
        victim: Load | None
        for number, (zones, available) in enumerate(states):
            badness, victim = victims[number] if victims else (0.0, None)
            equals = [other for other_badness, other in alive if badness - other_badness <= EQUAL_PAGES]
            elsewhere = tuple(other.name for other in equals if _differ(other.by_zone(), lay[number], self._apart))
            name = victim.name if victim else None
            events.append(
                OomEvent(kind, name, victim is None, done_share, zones, available, len(equals), elsewhere, number > 0)
            )
        self.events += events
        self._stalls.killed()
        for _, load in victims:
            self._end(load)
        return tuple(events)

    def finds_somebody(self) -> bool:
        """Whether there is a process to kill."""
        return bool(self._worst_first())

    def _room(self, kind: OomKind) -> bool:
        """Whether a request of that kind would find a page now."""
        if kind is OomKind.KERNEL:
            return self._meminfo.kernel_headroom_free() > 0
        return self._meminfo.room_for_user_pages() > 0

    def _end(self, victim: Load) -> None:
        if victim.kind is LoadKind.PROCESSES and victim.units > 1:
            # Small processes die one by one; of a crowd of them a part goes at a time, or it would take for ever.
            count = max(1, int(victim.units) // _CROWD)
            self._loads.free_part(victim, count / victim.units)
            victim.units -= count
        else:
            self._loads.free(victim)

    def _worst_first(self) -> list[tuple[float, Load]]:
        """Return the loads with a process, and what counts against it: the biggest first, of equals the youngest."""
        loads = [load for load in self._loads.by_name.values() if load.kind in OWNED and (load.user or load.kernel)]
        return sorted(((load.badness(), load) for load in reversed(loads)), key=lambda entry: -entry[0])


def _differ(pages: Mapping[GuestZone, int], others: Mapping[GuestZone, int], apart: int) -> bool:
    """Whether more than ``apart`` pages lie in other zones than others do."""
    return any(abs(pages.get(zone, 0) - others.get(zone, 0)) > apart for zone in {*pages, *others})
