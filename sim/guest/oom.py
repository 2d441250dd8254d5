"""The out-of-memory killer: whom it takes when nothing is left to give up.

Follows mm/oom_kill.c (``select_bad_process``, ``oom_badness``). Called where memory is asked back
(:mod:`sim.guest.migration`), where a demand finds no room (:mod:`sim.guest.demands`), and for a bystander that an add
has starved; who is told of it stands in :mod:`sim.kernel.guest_link`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import OomEvent, OomKind
from sim.guest.loads import OWNED, Load, LoadKind
from sim.units import PAGEBLOCK_PAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.guest.loads import Loads
    from sim.guest.meminfo import Meminfo
    from sim.guest.zone import GuestZone

_CROWD = 64
"""Part of many small processes that is killed at a time."""
_EQUAL_WITHIN = 2
"""Pages that make no difference: recorded loads of one size are equal to within a page or two."""


class OomKiller:
    """``events`` is every run of it so far; ``guest_died`` that it found nobody, and with that the guest is gone."""

    def __init__(self, loads: Loads, meminfo: Meminfo) -> None:
        self.events: list[OomEvent] = []
        self.guest_died = False
        self._loads = loads
        self._meminfo = meminfo

    def kill(self, kind: OomKind, done_share: float = 0.0) -> OomEvent:
        """Kill the biggest process, of equals the youngest; where there is none, the guest dies.

        ``done_share``: the part of the demand that had been met by then.
        """
        victim = self._worst()
        event = OomEvent(
            kind,
            victim.name if victim else None,
            victim is None,
            done_share,
            self._meminfo.uses(),
            self._meminfo.available(),
            self._equals(victim) if victim else (),
        )
        self.events.append(event)
        if victim is None:
            self.guest_died = True
        elif victim.kind is LoadKind.PROCESSES and victim.units > 1:
            # Small processes die one by one; of a crowd of them a part goes at a time, or it would take for ever.
            count = max(1, int(victim.units) // _CROWD)
            self._loads.free_part(victim, count / victim.units)
            victim.units -= count
        else:
            self._loads.free(victim)
        return event

    def starve(self) -> OomEvent:
        """Kill because somebody else's allocation failed while an add held all kernel memory."""
        return self.kill(OomKind.KERNEL)

    def _worst(self) -> Load | None:
        worst: Load | None = None
        most = -1.0
        for load in self._loads.by_name.values():
            if _can_die(load):
                badness = load.badness()
                if badness >= most:
                    worst, most = load, badness
        return worst

    def _equals(self, victim: Load) -> tuple[str, ...]:
        """Return the other loads that are as big as the victim, but lie elsewhere."""
        least, lies = victim.badness() - _EQUAL_WITHIN, victim.by_zone()
        loads = self._loads.by_name.values()
        equals = (load for load in loads if load is not victim and _can_die(load) and load.badness() >= least)
        return tuple(load.name for load in equals if _differ(load.by_zone(), lies))


def _can_die(load: Load) -> bool:
    return load.kind in OWNED and bool(load.user or load.kernel)


def _differ(pages: Mapping[GuestZone, int], others: Mapping[GuestZone, int]) -> bool:
    """Whether pages lie in other zones than others do."""
    return any(abs(pages.get(zone, 0) - others.get(zone, 0)) > PAGEBLOCK_PAGES for zone in {*pages, *others})
