"""Watching a guest: somebody outside it looks at its figures again and again, and asks its host for more or less.

A controller of real life polls. Most of its looks find what they found before, so a simulated one need not make them:
where a look has decided nothing, waits for nothing, and would decide the same again for as long as the guest's figures
stay as they are, the next one is made at the first beat after they have changed. What is asked for, and when, is the
same as if all looks were made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from workloads.contract import Host


class Watcher(Protocol):
    """What looks. One is made for each run, so that it may remember what it has seen."""

    def look(self, now_us: int) -> int | None:
        """Look at the guest, and ask for what is to be asked for.

        Returns the microsecond, later than ``now_us``, at which it looks again whatever happens; None where nothing
        would come of any look until the guest's figures change.
        """
        ...


def watch(
    host: Host, watcher: Watcher, *, first_us: int, period_us: int, end_us: int
) -> Generator[simpy.Event, object, None]:
    """Have ``watcher`` look at ``first_us``, and then as it says, until ``end_us``. A SimPy process.

    After a look that answered None the next one is at the first of the beats ``first_us + k * period_us`` that comes
    later than the next change of the guest's figures.
    """
    env = host.env
    at = first_us
    while at <= end_us and not host.died:
        if at > env.now:
            yield env.timeout(at - int(env.now))
        then = watcher.look(int(env.now))
        if then is None:
            yield host.changed() | env.timeout(end_us - int(env.now) + 1)
            now = int(env.now)
            then = first_us + ((now - first_us) // period_us + 1) * period_us
        at = then
