"""Watching a guest: somebody outside it looks at its figures again and again, and asks its host for more or less.

A controller of real life polls. Most of its looks find what they found before, so a simulated one need not make them:
where a look has decided nothing, waits for nothing, and would decide the same again for as long as the guest's figures
stay as they are, the next one is made at the first beat after they have changed. What is asked for, and when, is the
same as if all looks were made.

For that it has to be clear what a look sees of what happens in the same microsecond: all of it, it comes last. Only
what of two controllers of one guest that look in the same microsecond the other one sees, is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import simpy
from simpy.events import NORMAL, EventPriority

if TYPE_CHECKING:
    from collections.abc import Generator

    from workloads.contract import Host
    from workloads.parts.controllers.controller import Beat


_LAST: Final = EventPriority(NORMAL + 1)


class Due(NamedTuple):
    """When somebody looks again: at ``at_us``, or sooner at the first beat after the guest's figures have changed."""

    at_us: int


class Watcher(Protocol):
    """What looks. One is made for each run, so that it may remember what it has seen."""

    def look(self, now_us: int) -> int | Due | None:
        """Look at the guest, and ask for what is to be asked for.

        Returns the microsecond, later than ``now_us``, at which it looks again whatever happens. Where nothing would
        come of looks at the beats until then, unless the guest's figures change, it is a :class:`Due`; None where
        nothing would come of any. The looks that are skipped must leave no trace in what it remembers.
        """
        ...


def watch(host: Host, watcher: Watcher, beat: Beat) -> Generator[simpy.Event, object, None]:
    """Have ``watcher`` look at the first beat, and then as it says, until the beat's end. A SimPy process.

    After a look that answered None or a :class:`Due` the next one is at the first beat from the next change of the
    guest's figures on.
    """
    env = host.env
    # One event for the whole run: a timeout for each wait would stay in SimPy's queue until the run's end.
    over = [moment(env, beat.end_us + 1)] if beat.end_us else []
    at = beat.first_us
    while not (over and at > beat.end_us) and not host.died:
        yield moment(env, at)
        then = watcher.look(at)
        if then is None or isinstance(then, Due):
            changed = host.changed()
            due = [] if then is None else [moment(env, then.at_us)]
            others = over + due
            yield env.any_of([changed, *others]) if others else changed
            next_beat = beat.after(max(int(env.now) - 1, at), at)
            then = next_beat if then is None else min(next_beat, then.at_us) if changed.triggered else then.at_us
        at = then


def moment(env: simpy.Environment, at_us: int) -> simpy.Event:
    """Return the event of the microsecond ``at_us``, after all else that happens then."""
    event = simpy.Event(env)
    event._ok, event._value = True, None  # noqa: SLF001  as SimPy's own Timeout does, which comes in order of making
    env.schedule(event, _LAST, at_us - int(env.now))
    return event
