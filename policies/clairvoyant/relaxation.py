"""What no zones can pass: a bound on the objective from what the host asks and what the kernel cannot do without.

For traffic that is an open loop (what is asked for does not depend on the zones), at every moment of every run that
does not fail:

* Of each device, at most what the host asks of it is worth something, and it has no more blocks than the host has ever
  asked of it, in whole blocks (r and X, summed over devices).
* Kernel zones hold what they had free at boot plus the hotplugged memory that is put there (B + K). In them must be the
  memmap of all blocks that are there, a share m of their pages, and the kernel memory that programs ask for and nobody
  can be killed for (U). With x <= X pages of blocks: K >= m x + U - B, in whole blocks, and MOVABLE has x - K of them.
  That grows with x, so that X - (m X + U - B) is the most.
* Memory that was decided to be kernel memory stays that until the host next asks less of its device than before.

Where what is asked for is not known to the end, because all rehearsals so far fail, none of this is a bound. All that
may be known then is that nothing can hold: if even all memory in kernel zones is not enough.

What is left out only makes the bound higher: watermarks, the kernel's other uses, times that operations take.
Memory that belongs to no device (boot memory that changes its zone) is not foreseen: where there is any, only what the
host asks counts.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.record.events import OFFLINE_SIGN, ONLINE_SIGN, Events
from sim.record.recorder import NO_DEVICE
from sim.scores.measured import integral

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from policies.clairvoyant.trials import Asked, Choice, Trial
    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]


UNLIMITED: Final = 1 << 120
"""A bound that nothing reaches."""


_MOST_WORK: Final = 30_000_000
"""Values to look at, a second's work or so."""


class _Device(NamedTuple):
    """Step series of one device, at the times of the relaxation: pages asked for, and the most that it can have."""

    asked: Integers
    most: Integers
    fewer: Integers
    """Times at which the host asks for less than before."""


class Relaxation:
    """Bounds in page-microseconds, for what ``asked`` says and the machine of ``result``, a rehearsal.

    ``possible`` is False where even all memory in kernel zones is not enough for what the kernel needs: every run
    fails. Where nothing is known, bounds are UNLIMITED.
    """

    def __init__(self, asked: Asked, result: RunResult) -> None:
        self._block = result.block_pages
        self._end = result.duration_us
        self._whole = asked.until_us >= self._end
        times = {0, *(request[0] for request in asked.requests), *(step[0] for step in asked.demand)}
        self._times: Integers = np.array(sorted(time for time in times if time < self._end), dtype=np.int64)
        self._devices = self._by_device(asked)
        self._wanted: Integers = np.zeros(len(self._times), dtype=np.int64)
        there = np.zeros_like(self._wanted)
        for device in self._devices.values():
            self._wanted += device.asked
            there += device.most
        need = self._need(asked, result, there)
        self.possible = bool((need <= there).all())
        # Thousands of steps in which a program asks for a little more are a few in whole blocks.
        kept = np.isin(self._times, [request[0] for request in asked.requests])
        kept |= np.diff(need, prepend=-1) != 0
        self._times, self._wanted, there, need = (values[kept] for values in (self._times, self._wanted, there, need))
        self._devices = {
            name: _Device(device.asked[kept], device.most[kept], device.fewer) for name, device in self._devices.items()
        }
        self._most: Integers = np.maximum(there - need, 0)
        self.needs: tuple[tuple[int, int], ...] = tuple(zip(self._times.tolist(), need.tolist(), strict=True))
        """From when on kernel zones need at least how many hotplugged pages."""

    def _by_device(self, asked: Asked) -> dict[str, _Device]:
        steps: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for t_us, name, size in asked.requests:
            steps[name].append((t_us, size))
        devices = {}
        for name, changes in steps.items():
            times = np.array([t_us for t_us, _ in changes], dtype=np.int64)
            pages = np.array([0, *(of_step for _, of_step in changes)], dtype=np.int64)
            at = np.searchsorted(times, self._times, side="right")
            whole = -(-np.maximum.accumulate(pages) // self._block) * self._block
            fewer = times[np.flatnonzero(np.diff(pages) < 0)]
            devices[name] = _Device(pages[at], whole[at], fewer)
        return devices

    def _need(self, asked: Asked, result: RunResult, there: Integers) -> Integers:
        """Return the hotplugged pages that kernel zones need at least, with all blocks there that there can be."""
        events, need = Events.of(result.events), result.kernel_need
        changes = (ONLINE_SIGN[events.kind] != 0) | (OFFLINE_SIGN[events.kind] != 0)
        if need is None or bool((changes & (events.device == NO_DEVICE)).any()):
            return np.zeros_like(there)
        times = np.array([t_us for t_us, _ in asked.demand], dtype=np.int64)
        demand = np.array([0, *(pages for _, pages in asked.demand)], dtype=np.int64)
        # Of several amounts at one time the last, and nothing once it is not known any more.
        of_programs = demand[np.searchsorted(times, self._times, side="right")]
        of_programs[self._times > asked.until_us] = 0
        memmap = there // self._block * need.memmap
        lacking = np.maximum(memmap + of_programs - need.boot_free, 0)
        whole: Integers = -(-lacking // self._block) * self._block
        return whole

    def _integral(self, values: Integers, from_us: int) -> int:
        lasting = np.diff(np.maximum(self._times, from_us), append=max(self._end, from_us))
        return integral(values, lasting)

    def is_too_much_for(self, trial: Trial) -> bool:
        """Whether :meth:`siblings` would take longer than rehearsals do: there are very many decisions."""
        return len(trial.choices) * len(self._times) > _MOST_WORK

    @cached_property
    def total(self) -> int:
        """What no zones can pass."""
        return self._limited(0, self._integral(np.minimum(self._wanted, self._most), 0))

    def _limited(self, before: int, rest: int) -> int:
        if not self.possible:
            return 0
        return before + rest if self._whole else UNLIMITED

    def siblings(self, trial: Trial, begin: int) -> Iterator[tuple[int, int]]:
        """Yield, for each decision from number ``begin`` on, what no run can pass that decides this one otherwise.

        All before are the same in it, whatever comes after. Pairs of the decision's number and the bound.
        """
        kernel: dict[str, Integers] = {}
        wanted = self._wanted.copy()
        for number, choice in enumerate(trial.choices):
            lost, after = self._lost(choice, kernel)
            if number >= begin:
                left = wanted if choice.kernel else wanted - lost
                rest = self._integral(np.minimum(left, self._most), choice.t_us)
                yield number, self._limited(trial.before[number], rest)
            if choice.kernel:
                wanted -= lost
                kernel[choice.device] = after

    def lasting(self, choice: Choice) -> tuple[int, int]:
        """Return from when to when a decision counts, as far as it is sure: until the host asks for less."""
        device = self._devices.get(choice.device)
        fewer = () if device is None else device.fewer
        place = int(np.searchsorted(fewer, choice.t_us))
        return choice.t_us, int(fewer[place]) if place < len(fewer) else self._end

    def _lost(self, choice: Choice, kernel: dict[str, Integers]) -> tuple[Integers, Integers]:
        """Return what ``choice`` takes of what is wanted as kernel memory, and the device's kernel memory with it."""
        device = self._devices.get(choice.device)
        if device is None:
            return np.zeros_like(self._wanted), np.zeros_like(self._wanted)
        begin, end = self.lasting(choice)
        # A step that has begun before counts whole: what it loses before the decision is not looked at.
        alive = (np.append(self._times[1:], self._end) > begin) & (self._times < end)
        before = kernel.get(choice.device, np.zeros_like(self._wanted))
        after = before + alive * choice.pages
        worth_before = np.minimum(device.asked, np.maximum(device.most - before, 0))
        worth_after = np.minimum(device.asked, np.maximum(device.most - after, 0))
        return worth_before - worth_after, after
