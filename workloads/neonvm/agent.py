"""NeonVM's autoscaler-agent: from goals to requests, each of which takes its time and may be denied.

Sizes are in compute units. Growing needs the permit of the scheduler's plugin, then a request to NeonVM; shrinking
needs the consent of the vm-monitor in the guest, one unit at a time, then a request to NeonVM. The agent believes that
the guest has what NeonVM was asked for, once that was taken: whether the guest reaches it, it does not see.

Source: neondatabase/autoscaling at a4bce09 (2025-09-23), pkg/agent/core/state.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long the agent waits, in microseconds."""

    answer_us: int
    denied_growth_us: int
    denied_shrink_us: int
    failed_us: int
    wish_us: int


class Doors(NamedTuple):
    """Whom the agent speaks to, all in units but NeonVM, which says whether it could.

    ``permitted`` is the most that the scheduler's plugin permits at a microsecond, ``allows`` what the vm-monitor says
    to a smaller size, ``tell`` lets it know of the size that the guest has from now on.
    """

    permitted: Callable[[int], int]
    resize: Callable[[int], bool]
    allows: Callable[[int], bool]
    tell: Callable[[int], None]


class Asked(NamedTuple):
    """A request that was made at ``at_us`` for ``units``, and is answered ``done_us``; ``before`` is what was there."""

    at_us: int
    units: int
    done_us: int = 0
    before: int = 0


class Agent:
    """Keeps a guest between ``least`` and ``most`` units at the goal; it starts with the least."""

    def __init__(self, least: int, most: int, waits: Waits, doors: Doors) -> None:
        self._least = least
        self._most = most
        self._waits = waits
        self._doors = doors
        self.goal = least
        """What the metrics say, before bounds."""
        self._using = self.approved = least
        self._permit = least
        self._wish: Asked | None = None
        self._denied: Asked | None = None
        self._plugin: Asked | None = None
        self._last_plugin: Asked | None = None
        self._neonvm: Asked | None = None
        self._neonvm_failed_us: int | None = None
        self._grown: Asked | None = None
        self._shrunk: Asked | None = None

    def wish(self, at_us: int) -> None:
        """Take note that the vm-monitor asks for more than it was told that the guest has."""
        self._wish = Asked(at_us, self.approved)

    @property
    def wished_for(self) -> int | None:
        """Than how many units the vm-monitor last asked for more."""
        return None if self._wish is None else self._wish.units

    def act(self, now_us: int) -> None:
        """Take the answers that are there, and make the requests that are to be made."""
        while self._take_answers(now_us) | self._make_requests(now_us):
            pass

    def next_us(self, now_us: int, *, wishes: bool) -> int | None:
        """Return when there is something to do next, the goal staying as it is; ``wishes``: the monitor's go on."""
        return min((at for at in self._moments(wishes=wishes) if at > now_us), default=None)

    def _moments(self, *, wishes: bool) -> Iterator[int]:
        requests = (self._plugin, self._neonvm, self._grown, self._shrunk)
        yield from (request.done_us for request in requests if request is not None)
        if self._wish is not None and not wishes:
            yield self._wish.at_us + self._waits.wish_us
        if self._denied is not None:
            yield self._denied.at_us + self._waits.denied_shrink_us
        if self._plugin is None and self._last_plugin is not None and self._last_plugin.units > self._permit:
            yield self._last_plugin.at_us + self._waits.denied_growth_us
        if self._neonvm_failed_us is not None:
            yield self._neonvm_failed_us + self._waits.failed_us

    # What is wanted --------------------------------------------------------------------------------------------------

    def _desired(self, now_us: int) -> int:
        goal = self.goal
        if self._wish is not None and now_us < self._wish.at_us + self._waits.wish_us:
            goal = max(goal, self._wish.units + 1)
        denied = self._denied
        if denied is not None and now_us < denied.at_us + self._waits.denied_shrink_us:
            goal = max(goal, denied.units + 1)
            return max(self._bounded(goal), min(denied.before, denied.units + 1))
        return self._bounded(goal)

    def _bounded(self, units: int) -> int:
        return max(min(units, self._most), self._least)

    # What is asked for -----------------------------------------------------------------------------------------------

    def _make_requests(self, now_us: int) -> bool:
        """Make all requests that are to be made at this moment; whether there were any."""
        desired = self._desired(now_us)
        made = self._ask_plugin(desired, now_us)
        made |= self._ask_neonvm(desired, now_us)
        return made | self._ask_monitor(desired, now_us)

    def _request(self, units: int, before: int, now_us: int) -> Asked:
        return Asked(now_us, units, now_us + self._waits.answer_us, before)

    def _ask_plugin(self, desired: int, now_us: int) -> bool:
        wanted = max(desired, self._using)
        if self._plugin is not None or wanted == self._permit:
            return False
        last = self._last_plugin
        if last is not None and last.units > self._permit and now_us < last.at_us + self._waits.denied_growth_us:
            return False
        self._plugin = self._last_plugin = self._request(wanted, self._permit, now_us)
        return True

    def _ask_neonvm(self, desired: int, now_us: int) -> bool:
        target = max(desired, min(self.approved, self._using)) if desired < self._using else min(desired, self._permit)
        if target == self._using or self._neonvm is not None:
            return False
        if self._plugin is not None and self._plugin.units < target:
            return False
        failed = self._neonvm_failed_us
        if failed is not None and now_us < failed + self._waits.failed_us:
            return False
        self._neonvm = self._request(target, self._using, now_us)
        return True

    def _ask_monitor(self, desired: int, now_us: int) -> bool:
        if self._grown is not None or self._shrunk is not None:
            return False
        grown = min(self._using, max(desired, self.approved))
        if grown > self.approved:
            self._grown = self._request(grown, self.approved, now_us)
        elif desired < self.approved:
            self._shrunk = self._request(self.approved - 1, self.approved, now_us)
        else:
            return False
        return True

    # What is answered ------------------------------------------------------------------------------------------------

    def _take_answers(self, now_us: int) -> bool:
        """Take all answers that have come by now; whether there were any."""
        taken = False
        if (plugin := self._plugin) is not None and plugin.done_us <= now_us:
            self._plugin = None
            self._permit = max(self._using, min(plugin.units, self._doors.permitted(now_us)))
            taken = True
        if (neonvm := self._neonvm) is not None and neonvm.done_us <= now_us:
            self._neonvm = None
            if self._doors.resize(neonvm.units):
                self._using = neonvm.units
                self._neonvm_failed_us = None
            else:
                self._neonvm_failed_us = now_us
            taken = True
        if (grown := self._grown) is not None and grown.done_us <= now_us:
            self._grown = None
            self._agree(grown.units)
            taken = True
        if (shrunk := self._shrunk) is not None and shrunk.done_us <= now_us:
            self._shrunk = None
            if self._doors.allows(shrunk.units):
                self._agree(shrunk.units)
            else:
                self._denied = shrunk._replace(at_us=now_us)
            taken = True
        return taken

    def _agree(self, units: int) -> None:
        self.approved = units
        self._doors.tell(units)
