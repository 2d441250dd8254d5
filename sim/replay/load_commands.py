"""What the commands of a recorded load do to the guest: actions, and how they are done.

Shell lines become actions in :mod:`sim.replay.shell_lines`.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sim.guest.contract import Demand, OomEvent
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest import GuestModel

_TMPFS = ("/tmp", "/dev/shm", "/run")  # noqa: S108 (paths inside the recorded guest)


class Verb(StrEnum):
    """What an action does. The first words are those of the recordings' own ``load`` program."""

    ANON = "anon"
    """Touch ``amount`` MiB of anonymous memory."""
    PAGE_TABLES = "pt"
    """Fill ``amount`` MiB of page tables."""
    CACHE = "cache"
    """Read ``amount`` MiB of the file ``name``."""
    FILL = "fill"
    """Write ``amount`` MiB into the file ``name``."""
    FILES = "files"
    """Make ``amount`` files in the directory ``name``, each of ``bytes_each``."""
    PROCESSES = "procs"
    """Start ``amount`` processes that sleep, and die with the program that started them."""
    PIPES = "pipes"
    """Fill ``amount`` pipes."""
    SOCKETS = "socks"
    """Open ``amount`` pairs of sockets and queue ``bytes_each`` on each."""
    KILL = "kill"
    """End the processes of ``name``."""
    REMOVE = "remove"
    """Remove the file or directory ``name``, which may hold wildcards."""
    SYNC = "sync"
    """Write dirty pages to disk."""
    DROP = "drop"
    """Drop caches as the number ``amount`` says: 1 page cache, 2 slab, 3 both."""
    LOOK = "look"
    """Look at every file below ``name``."""
    SLEEP = "sleep"
    """Wait for ``amount`` milliseconds: in the background only, where it says how fast the rest goes."""
    UNKNOWN = "unknown"
    """A command that is not understood, in ``name``."""


_FREEING: Final = frozenset({Verb.KILL, Verb.REMOVE, Verb.SYNC, Verb.DROP})
_IN_MIB: Final = frozenset({Verb.ANON, Verb.PAGE_TABLES, Verb.CACHE, Verb.FILL})


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a line does to the guest, to what is called ``name``; :class:`Verb` says what the numbers are.

    ``huge``: anonymous memory is touched as huge pages. ``background``: while other things happen.
    """

    verb: Verb
    name: str = ""
    amount: int = 0
    bytes_each: int = 0
    huge: bool = False
    background: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action: pages got, share of the request met, kills."""

    action: Action
    demand: Demand


def apply(guest: GuestModel, actions: Iterable[Action], node: int = 0) -> list[Outcome]:
    """Do the actions to a guest, in order, all on one node; return what became of each. Stops when the guest dies."""
    out = []
    for action in actions:
        if guest.killer.guest_died:
            break
        out.append(Outcome(action, _apply_one(guest, action, node)))
    return out


def ooms(outcomes: Iterable[Outcome]) -> tuple[OomEvent, ...]:
    """Return all kills of a line, in order."""
    return tuple(event for outcome in outcomes for event in outcome.demand.ooms)


def _apply_one(guest: GuestModel, action: Action, node: int) -> Demand:
    """Do one action; the pages of what frees are not counted."""
    if action.verb in _FREEING:
        _free(guest, action)
        return Demand(0)
    tmpfs = action.name.startswith(_TMPFS)
    amount = action.amount * (MIB // guest.parameters.geometry.size) if action.verb in _IN_MIB else action.amount
    demands = guest.demands
    match action.verb:
        case Verb.ANON:
            return demands.anonymous(action.name, amount, node, huge=action.huge)
        case Verb.PAGE_TABLES:
            return demands.page_tables(action.name, amount, node)
        case Verb.CACHE:
            return demands.read_file(action.name, amount, node)
        case Verb.FILL:
            return (demands.tmpfs_data if tmpfs else demands.write_file)(action.name, amount, node)
        case Verb.FILES:
            return (demands.tmpfs_files if tmpfs else demands.disk_files)(action.name, amount, action.bytes_each, node)
        case Verb.PROCESSES | Verb.PIPES:
            return (demands.workers if action.verb == Verb.PROCESSES else demands.pipes)(action.name, amount, node)
        case Verb.SOCKETS:
            return demands.sockets(action.name, amount, action.bytes_each, node)
        case Verb.LOOK:
            return demands.look_up_files(action.name)
        case _:
            return Demand(0)


def _free(guest: GuestModel, action: Action) -> None:
    if action.verb == Verb.KILL:
        for name in _matching(guest, action.name):
            guest.demands.kill(name)
    elif action.verb == Verb.SYNC:
        guest.demands.sync()
    elif action.verb == Verb.DROP:
        guest.demands.drop_caches(cache=bool(action.amount & 1), slab=bool(action.amount & 2))
    else:
        for name in _matching(guest, action.name):
            guest.demands.remove_files(name)


def _matching(guest: GuestModel, name: str) -> list[str]:
    """Return the loads that a name with wildcards means; of one without, the name."""
    wild = any(character in name for character in "*?[")
    return [load for load in guest.loads if fnmatch.fnmatchcase(load, name)] if wild else [name]
