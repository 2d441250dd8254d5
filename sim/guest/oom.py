"""The out-of-memory killer: whom it takes when nothing is left to give up.

Follows mm/oom_kill.c (``select_bad_process``, ``oom_badness``). Called where memory is asked back
(:mod:`sim.guest.migration`), where a demand finds no room (:mod:`sim.guest.demands`), and for a bystander that an add
has starved; who is told of it stands in :mod:`sim.kernel.guest_link`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import OomEvent, OomKind
from sim.guest.loads import OWNED, Load, LoadKind

if TYPE_CHECKING:
    from sim.guest.loads import Loads
    from sim.guest.meminfo import Meminfo

_CROWD = 64
"""Part of many small processes that is killed at a time."""


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
            if load.kind in OWNED and (load.user or load.kernel):
                badness = load.badness()
                if badness >= most:
                    worst, most = load, badness
        return worst
