"""Processes in the guest whose memory follows a demand: at a limited rate, in small steps of time, until killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    import simpy

    from workloads.contract import Host

BYTE_KINDS: Final[Mapping[str, str]] = {
    "anonymous": "memory of programs, and the page tables that it needs",
    "anonymous-only": "the same without page tables, which are asked for beside it",
    "page-cache": "page cache of files that are read, and its index nodes",
    "page-cache-only": "the same without index nodes, which are asked for beside it as slab",
    "tmpfs": "data of files in tmpfs, and their index nodes",
    "page-tables": "page tables of programs",
    "kernel-stacks": "stacks of threads",
    "slab": "slab that can be given up",
    "pinned": "memory that is pinned for long, as for a device that is passed through: it lies in kernel zones",
    "kernel": "kernel memory that no program owns: drivers, buffers of the network",
}
"""Kinds of load whose amount is in bytes: what each is."""

PIECE_KINDS: Final[Mapping[str, str]] = {
    "tmpfs-files": "empty files in tmpfs",
    "disk-files": "empty files of a disk file system, whose inodes can be given up",
    "written-files": "files of a disk file system with a page of data each",
    "processes": "small processes that sleep",
    "workers": "the same as children of one: where one is killed, all end",
    "pipes": "pipes with 64 KiB each in them",
    "sockets": "pairs of unix sockets",
}
"""Kinds of load whose amount is a number of pieces: what a piece is."""

KERNEL_KINDS: Final = ("page-tables", "pinned", "kernel")
"""What the kernel memory of a generated load may be."""

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
    """One process of the guest, on ``node``. ``parts`` are its loads: (name, kind, share of the process's amount).

    The parts live and die together: when the out-of-memory killer takes one, the process has ended and the others are
    given back. It stays dead until it is to use nothing, but goes on wanting what it would use. ``kills`` counts how
    often it was killed.
    """

    def __init__(self, host: Host, parts: Sequence[tuple[str, str, float]], node: int = 0) -> None:
        self._host = host
        self._parts = tuple(part for part in parts if part[2] > 0)
        self._node = node
        self._amount = 0
        self._dead = False
        self.kills = 0

    @property
    def watched(self) -> bool:
        """Whether there is somebody to look after."""
        return self._amount > 0 and not self._dead

    @property
    def look_us(self) -> int:
        """How often, in microseconds, the process looks whether it was killed while it wants nothing new."""
        return _LOOK_OFTEN_US if len(self._parts) > 1 else _LOOK_US

    def use(self, amount: int) -> bool:
        """Have the process use ``amount`` in all. False where it is dead: then it would use that if it lived."""
        self._amount = amount
        if not amount:
            self._dead = False
        if not self._dead:
            for name, kind, share in self._parts:
                if not self._host.set_demand(name, kind, int(amount * share), node=self._node):
                    self.kills += not self._host.died
                    self._dead = True
                    break
        if self._dead:
            for name, kind, share in self._parts:
                self._host.set_demand(name, kind, 0, wanted=int(amount * share), node=self._node)
        return not self._dead

    def look(self) -> None:
        """Look whether the process is still there. Where it was killed, all of it is gone."""
        self.use(self._amount)


def drive(
    host: Host, process: GuestProcess, targets: Iterator[Target], *, rate: float, tick_us: int, end_us: int
) -> Generator[simpy.Event, object, None]:
    """Have ``process`` follow ``targets`` (times not falling) until ``end_us``. A SimPy process.

    Memory is taken at ``rate`` (bytes or pieces per second, 0: at once) and looked at every ``tick_us``; it is given
    back at once. What a killed process wants follows the targets likewise, until one of them is 0: then it lives again.
    """
    env = host.env
    amount = 0.0
    target = 0
    at, coming = next(targets, (end_us, 0))
    while True:
        now = int(env.now)
        until = min(at, end_us)
        if now >= until:
            if now >= end_us:
                return
            target = coming
            at, coming = next(targets, (end_us, 0))
            if target < amount or not rate:
                amount = target
                process.use(target)
        elif amount == target:
            yield env.timeout(min(process.look_us, until - now) if process.watched else until - now)
            if process.watched and env.now < until:
                process.look()
        else:
            pause = min(tick_us, until - now)
            yield env.timeout(pause)
            amount = min(float(target), amount + rate * pause / MICROSECONDS)
            process.use(int(amount))
