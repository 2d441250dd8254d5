"""Processes in the guest whose memory follows a demand: at a limited rate, in small steps of time, until killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import simpy

    from workloads.contract import Host

BYTE_KINDS: Final = ("anonymous", "page-cache", "tmpfs", "page-tables", "pinned", "kernel")
"""Kinds of load whose amount is in bytes."""

PIECE_KINDS: Final = ("tmpfs-files", "disk-files", "written-files", "processes", "pipes", "sockets")
"""Kinds of load whose amount is a number of pieces."""

KERNEL_KINDS: Final = ("page-tables", "pinned", "kernel")
"""Those of them that are kernel memory, or lie where the kernel's memory does."""

KINDS: Final = (*BYTE_KINDS, *PIECE_KINDS)

DROP_CACHE: Final = 1
DROP_SLAB: Final = 2
"""Bits of what is written to ``/proc/sys/vm/drop_caches``."""

Target = tuple[int, int]
"""Microsecond from which a process wants an amount (bytes or pieces), and the amount."""

_LOOK_US: Final = 10 * MICROSECONDS
_LOOK_OFTEN_US: Final = MICROSECONDS
"""How often a process that wants nothing new looks whether it was killed; often where it has several parts, of which
one goes with the other."""


def write_drop_caches(host: Host, number: int) -> bool:
    """Have the guest write ``number`` (1, 2 or 3) to ``drop_caches``. False where no guest is modelled."""
    return host.drop_caches(cache=bool(number & DROP_CACHE), slab=bool(number & DROP_SLAB))


class GuestProcess:
    """One process of the guest. ``parts`` are its loads: (name, kind, share of the process's amount).

    The parts live and die together: when the out-of-memory killer takes one, the process has ended and the others are
    given back. ``kills`` counts how often that happened.
    """

    def __init__(self, host: Host, parts: Sequence[tuple[str, str, float]]) -> None:
        self._host = host
        self._parts = tuple(part for part in parts if part[2] > 0)
        self._amount = 0
        self.kills = 0

    @property
    def look_us(self) -> int:
        """How often, in microseconds, the process looks whether it was killed while it wants nothing new."""
        return _LOOK_OFTEN_US if len(self._parts) > 1 else _LOOK_US

    def use(self, amount: int) -> bool:
        """Have the process use ``amount`` in all. False where it is killed: then it uses nothing any more."""
        self._amount = amount
        for name, kind, share in self._parts:
            if not self._host.set_demand(name, kind, int(amount * share)):
                self.kills += 1
                self.exit()
                return False
        return True

    def lives(self) -> bool:
        """Look whether the process is still there; False where it was killed: then all of it is gone."""
        return self.use(self._amount)

    def exit(self) -> None:
        """End the process: all of its memory is free."""
        self._amount = 0
        for name, kind, _ in self._parts:
            self._host.set_demand(name, kind, 0)


def drive(
    host: Host, process: GuestProcess, targets: Iterator[Target], *, rate: float, tick_us: int, end_us: int
) -> Generator[simpy.Event, object, None]:
    """Have ``process`` follow ``targets`` (times not falling) until ``end_us``. A SimPy process.

    Memory is taken at ``rate`` (bytes or pieces per second, 0: at once) and looked at every ``tick_us``; it is given
    back at once. A killed process stays away until its target has been 0.
    """
    env = host.env
    amount = 0.0
    target = 0
    dead = False
    at, coming = next(targets, (end_us, 0))
    while True:
        now = int(env.now)
        until = min(at, end_us)
        if now >= until:
            if now >= end_us:
                return
            target = coming
            at, coming = next(targets, (end_us, 0))
            dead = dead and target > 0
            if not dead and (target < amount or not rate):
                amount = target
                dead = not process.use(target)
            continue
        if dead or amount == target:
            watched = not dead and target > 0
            yield env.timeout(min(process.look_us, until - now) if watched else until - now)
            if watched and env.now < until:
                dead = not process.lives()
        else:
            pause = min(tick_us, until - now)
            yield env.timeout(pause)
            amount = min(float(target), amount + rate * pause / MICROSECONDS)
            dead = not process.use(int(amount))
        if dead:
            amount = 0.0
