"""Rehearsed runs and what they are worth: which decisions came when, what failed, what the host asked for meanwhile."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from policies.clairvoyant.following import Scripted
from policies.clairvoyant.future import Outlook
from policies.clairvoyant.relaxation import UNLIMITED, Relaxation
from sim.guest.contract import OomKind
from sim.memory.zones import ZONE_MOVABLE
from sim.record.device_group import GroupKind
from sim.record.events import ONLINE_SIGN, Events
from sim.record.recorder import NO_DEVICE, EventKind
from sim.record.wanted_movable import wanted_movable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from policies.clairvoyant.following import Decision
    from policies.contract import Foresight, Policy
    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]

NEVER: Final = 1 << 62
"""Instead of the microsecond of something that does not happen."""

_NEAR: Final = 500
"""Part of the bound by which the best may be below it where a large search ends: 0.2 %."""

_MOST_REMEMBERED: Final = 300_000
"""Decisions in all rehearsals that are remembered: some hundred bytes each."""


class Choice(NamedTuple):
    """A decision and what it was about: ``pages`` of the device ``device`` (its name), all at once."""

    t_us: int
    device: str
    pages: int
    kernel: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """A rehearsal, in brief. All that is known of one that fails is from before.

    ``choices`` are its decisions (none where it followed a rival's), and ``kinds`` whether each was for kernel memory.
    ``before`` is what wanted MOVABLE memory was worth before each of them, ``worth`` the objective, the score
    ``movable_byte_seconds`` exactly: both in page-microseconds. ``fails_us`` is when it failed first, NEVER where it
    held, and ``kernel`` the hotplugged pages in kernel zones by then.
    """

    choices: tuple[Choice, ...]
    kinds: tuple[bool, ...]
    before: tuple[int, ...]
    worth: int
    fails_us: int
    kernel: int

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return self.fails_us == NEVER

    @property
    def rank(self) -> tuple[int, int]:
        """What is greater for a better one: among those worth nothing, for one that fails later."""
        return self.worth, self.fails_us


def trial_of(result: RunResult, decisions: Sequence[Decision]) -> Trial:
    """Return what is to be known of a rehearsal in which ``decisions`` were taken."""
    events = Events.of(result.events)
    failing = _failing(result, events)
    fails_us, kernel = NEVER, 0
    if failing is not None:
        fails_us = int(events.t_us[failing])
        before = events.take(np.arange(failing))
        to_kernel = (before.device != NO_DEVICE) & (before.zone != ZONE_MOVABLE)
        kernel = int(before.online_change()[to_kernel].sum()) * result.block_pages
    times, pages = wanted_movable(events, result.block_pages)
    worths = _Integral(times, pages)
    choices = _choices(result, events, decisions)
    return Trial(
        choices,
        tuple(decision.kernel for decision in decisions),
        tuple(worths.until(choice.t_us) for choice in choices),
        worths.until(result.duration_us) if fails_us == NEVER else 0,
        fails_us,
        kernel,
    )


def _failing(result: RunResult, events: Events) -> int | None:
    """Return the row of the first event for which the run fails; None without one, and where no guest is modelled."""
    rows = np.flatnonzero(events.ooms(OomKind.KERNEL) | events.failed_adds() | events.of_kind(EventKind.DEATH))
    return int(rows[0]) if len(rows) and result.kernel_need is not None else None


class _Integral:
    """The running integral of a step function: exact, in Python's integers."""

    def __init__(self, times: Integers, values: Integers) -> None:
        self._times, self._values = times.tolist(), values.tolist()
        lasting = np.diff(times).tolist()
        steps = (value * dt for value, dt in zip(self._values, lasting, strict=False))
        self._sums = list(accumulate(steps, initial=0))

    def until(self, t_us: int) -> int:
        """Return it from the beginning to ``t_us``."""
        place = bisect_left(self._times, t_us) - 1
        return self._sums[place] + self._values[place] * (t_us - self._times[place]) if place >= 0 else 0


def _choices(result: RunResult, events: Events, decisions: Sequence[Decision]) -> tuple[Choice, ...]:
    if not decisions:
        return ()
    rows = np.flatnonzero((ONLINE_SIGN[events.kind] > 0) & (events.device != NO_DEVICE))
    columns = (events.t_us, events.device, events.block, events.blocks)
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    """By time and block: the device and the unit (of a static device: none)."""
    sizes: dict[tuple[int, int, int], int] = {}
    """By time, device and unit: pages that went online."""
    for t_us, device, first, count in zip(*(column[rows].tolist() for column in columns), strict=True):
        group = result.device_groups[device]
        per_unit = max(1, group.unit_pages // result.block_pages)
        for block in range(first, first + count):
            unit = -1 if group.kind is GroupKind.STATIC else block // per_unit
            owner[t_us, block] = (device, unit)
            sizes[t_us, device, unit] = sizes.get((t_us, device, unit), 0) + result.block_pages
    found = []
    for t_us, block, kernel in decisions:
        device, unit = owner[t_us, block]
        found.append(Choice(t_us, result.device_names[device], sizes[t_us, device, unit], kernel))
    return tuple(found)


class Asked(NamedTuple):
    """What was asked for until ``until_us``, whatever zones memory went to if the traffic is an open loop.

    By the host: of devices, by name; and by programs: kernel memory that nobody can be killed for, in pages.
    """

    requests: tuple[tuple[int, str, int], ...]
    demand: tuple[tuple[int, int], ...]
    until_us: int

    def begins_like(self, other: Asked) -> bool:
        """Whether both say the same as far as both know."""
        until = min(self.until_us, other.until_us)
        return all(
            [step for step in first if step[0] < until] == [step for step in second if step[0] < until]
            for first, second in ((self.requests, other.requests), (self.demand, other.demand))
        )


def asked_of(result: RunResult) -> Asked:
    """Return what was asked for before a rehearsal failed; of kernel memory also what it failed at."""
    events, names = Events.of(result.events), result.device_names
    failing = _failing(result, events)
    fails_us = NEVER if failing is None else int(events.t_us[failing])
    rows = np.flatnonzero(events.of_kind(EventKind.REQUEST))
    if failing is not None:
        rows = rows[rows < failing]
    columns = (events.t_us[rows].tolist(), events.device[rows].tolist(), events.requested[rows].tolist())
    requests = [(t_us, names[device], pages) for t_us, device, pages in zip(*columns, strict=True)]
    demand = [] if result.kernel_need is None else result.kernel_need.demand.tolist()
    return Asked(
        tuple(requests),
        tuple((t_us, pages) for t_us, pages in demand if t_us <= fails_us),
        fails_us,
    )


class Trials:
    """Rehearses scripts, each once and no more than ``most`` rehearsals in all, and remembers what came of them.

    The ``first`` has everything in MOVABLE. ``best`` is the best so far, of equals the first; ``count`` are all that
    were made. ``full`` is the rehearsal of which most is known, as it fails last or not at all, and ``asked`` what was
    asked for in it; ``open_loop`` whether the same was asked for in all of them.
    """

    def __init__(self, foresight: Foresight, most: int) -> None:
        self._foresight = foresight
        self.left = most
        """Rehearsals of scripts that may still be made."""
        self._known: dict[tuple[bool, ...], Trial] = {}
        self._lengths: Counter[int] = Counter()
        self._remembered = 0
        self.open_loop = True
        self._relaxation: Relaxation | None = None
        policy = Scripted(())
        self.full = foresight.rehearse(policy, brief=True)
        self.first = self.best = trial_of(self.full, policy.decisions)
        self.asked = asked_of(self.full)
        self.count = 1
        self.left -= 1
        self._remember(self.first)

    @property
    def relaxation(self) -> Relaxation:
        """Bounds, from what is known by now."""
        if self._relaxation is None:
            self._relaxation = Relaxation(self.asked, self.full)
        return self._relaxation

    @property
    def limit(self) -> int | None:
        """What no zones can pass; None where that is not known."""
        total = self.relaxation.total
        return total if self.open_loop and total < UNLIMITED else None

    def near(self, bound: int) -> bool:
        """Whether the best is so near to ``bound``, which no zones can pass, that a large search may end.

        Where what is asked for depends on the zones, there is no bound.
        """
        return self.open_loop and bound - self.best.worth <= bound // _NEAR

    def follow(self, policy: Policy) -> tuple[Trial, tuple[bool, ...]]:
        """Rehearse a rival, however few rehearsals are left. Return what came of it, and what is like it as a script.

        Raises MemhpSimError where something is wrong with it.
        """
        result = self._foresight.rehearse(policy, brief=True)
        return self._note(result, ()), Outlook(result).script()

    def __call__(self, script: Sequence[bool]) -> Trial | None:
        """Return what comes of ``script`` (MOVABLE where it ends); None where that would be one rehearsal too many."""
        script = tuple(script)
        padded = script + (False,) * (max(self._lengths, default=0) - len(script))
        # What decides a run decides it for all scripts that begin alike: the rest was not asked for.
        known = next((self._known[cut] for n in self._lengths if (cut := padded[:n]) in self._known), None)
        if known is not None or not self.left:
            return known
        policy = Scripted(script)
        self.left -= 1
        result = self._foresight.rehearse(policy, brief=True)
        trial = self._note(result, policy.decisions)
        self._remember(trial)
        return trial

    def _note(self, result: RunResult, decisions: Sequence[Decision]) -> Trial:
        self.count += 1
        trial = trial_of(result, decisions)
        if trial.rank > self.best.rank:
            self.best = trial
        asked = asked_of(result)
        self.open_loop = self.open_loop and asked.begins_like(self.asked)
        if trial.fails_us > self.asked.until_us:
            self.full, self.asked = result, asked
            self._relaxation = None
        return trial

    def _remember(self, trial: Trial) -> None:
        self._known[trial.kinds] = trial
        self._lengths[len(trial.kinds)] += 1
        self._remembered += len(trial.kinds)
        while self._remembered > _MOST_REMEMBERED and len(self._known) > 1:
            forgotten = next(iter(self._known))
            del self._known[forgotten]
            self._remembered -= len(forgotten)
            self._lengths[len(forgotten)] -= 1
            if not self._lengths[len(forgotten)]:
                del self._lengths[len(forgotten)]
