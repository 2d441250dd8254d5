"""Tells whoever waits for it that what the host can see of a guest has changed.

Looks cost something only while somebody waits: until then nothing is compared, and nobody is told of anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpy.events import URGENT, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import simpy

    from sim.kernel.guest_link import GuestLink
    from sim.kernel.hotplug_core import HotplugCore


class Changes:
    """The changes of what ``seen`` returns, in a run of ``core`` with the guest ``link``, where one is modelled.

    The events are of ``clock``, which is the face of ``env`` that those have who wait.

    What can change it: a row of the record, work that begins or ends, the guest's demand, time that passes (CPU lists
    give back, averages of pressure rise), and the host itself, which calls :meth:`look`. After each of these ``seen``
    is compared with what it was when somebody began to wait, once what is being done is done. So nobody is woken for
    nothing.
    """

    def __init__(
        self,
        env: simpy.Environment,
        clock: simpy.Environment,
        core: HotplugCore,
        link: GuestLink | None,
        seen: Callable[[], tuple[object, ...]],
    ) -> None:
        self._env = env
        self._clock = clock
        self._core = core
        self._link = link
        self._seen = seen
        self._record = core.record
        self._before: tuple[object, ...] | None = None
        self._next: simpy.Event | None = None
        self._due = False
        """Whether something may have changed since the last comparison: one is scheduled."""
        self._alarm = -1
        """The microsecond of the last timer for what changes as time passes."""

    def next(self) -> simpy.Event:
        """Return the event of the next change. All who wait since the last one share it."""
        # Who has seen a change already waits for the one after it.
        seen = self._compare() if self._due else None
        if self._next is None:
            self._next = self._clock.event()
            self._before = seen or self._seen()
            self._core.record, self._core.threads.told = self._recorded, self.look
            if self._link is not None:
                self._link.told = self.look
            self._set_alarm()
        return self._next

    def look(self) -> None:
        """Compare as soon as what is being done is done, if anybody waits."""
        if self._next is None or self._due:
            return
        self._due = True
        check = self._env.event()
        check.callbacks.append(self._check)
        check._ok, check._value = True, None  # noqa: SLF001 - as Event.succeed() does, but before all else of this moment
        self._env.schedule(check, URGENT)

    def _recorded(self, row: Iterable[float]) -> None:
        self._record(row)
        self.look()

    def _check(self, _event: object) -> None:
        if self._due:
            self._compare()

    def _compare(self) -> tuple[object, ...] | None:
        """Tell whoever waits of a change, if there is one; return what there is to be seen now, if anybody waits."""
        self._due = False
        change = self._next
        if change is None:
            return None
        seen = self._seen()
        if seen == self._before:
            self._set_alarm()
            return seen
        self._next, self._before = None, None
        self._core.record, self._core.threads.told = self._record, None
        if self._link is not None:
            self._link.told = None
        change.succeed()
        return seen

    def _set_alarm(self) -> None:
        """Look again when the guest's figures change with nobody doing anything, if they will."""
        then = None if self._link is None else self._link.changes_by_itself()
        if then is not None and then != self._alarm:
            self._alarm = then
            Timeout(self._env, then - int(self._env.now)).callbacks.append(lambda _event: self.look())
