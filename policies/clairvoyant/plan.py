"""The best zones for a future that is known: which of the memory that comes has to be kernel memory.

The model, in which :func:`best_plan` is exact:

* Memory comes in pieces, each of one kind: *items*, each with its own begin and end (a DIMM, a dax device), and
  *devices* that grow and shrink by equal units (virtio-mem), and give back MOVABLE units before kernel ones.
* The kernel needs an amount of hotplugged kernel memory, a step function of time, whoever provides it.
* Sought: a kind for every item and for every unit that is added, such that the need is met at all times, with the
  most MOVABLE memory summed over time (page-seconds). Where even kernel memory alone cannot meet the need, all that
  there is counts as meeting it.

One device of one unit is solved by going backwards in time: a unit becomes kernel memory only if those that come after
it are too late. Everything else is an integer linear program, solved exactly by SciPy's HiGHS.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Item(NamedTuple):
    """Memory with a lifetime of its own: ``pages`` from ``begin`` to ``end`` (microseconds)."""

    begin: int
    end: int
    pages: int


@dataclass(frozen=True, slots=True)
class Device:
    """Memory that grows and shrinks by ``unit`` pages: ``steps`` are (microsecond, +1 or -1), in order of time."""

    unit: int
    steps: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Future:
    """What is to come until ``end_us``: items and devices."""

    items: tuple[Item, ...]
    devices: tuple[Device, ...]
    end_us: int


class Need(NamedTuple):
    """From ``t_us`` until the next need, the kernel needs ``pages`` of hotplugged kernel memory."""

    t_us: int
    pages: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Whether each item is kernel memory, and for each device whether each unit added is, in order of their coming."""

    items: tuple[bool, ...]
    devices: tuple[tuple[bool, ...], ...]


class _Moment(NamedTuple):
    """What changes at ``t_us``: item or device ``number`` by ``change`` (1 comes, -1 goes)."""

    t_us: int
    number: int
    change: int
    is_item: bool


def moments(future: Future) -> list[_Moment]:
    """Return all changes in order of time; at one time items before devices, each in its own order."""
    changes = [_Moment(item.begin, number, 1, is_item=True) for number, item in enumerate(future.items)]
    changes += [_Moment(item.end, number, -1, is_item=True) for number, item in enumerate(future.items)]
    for number, device in enumerate(future.devices):
        changes += [_Moment(t_us, number, change, is_item=False) for t_us, change in device.steps]
    return sorted(changes, key=lambda moment: moment.t_us)


def needs_between(times: Sequence[int], end_us: int, needs: Sequence[Need]) -> list[int]:
    """Return the greatest need of each stretch from one of ``times`` (ascending) to the next, the last to ``end_us``.

    A stretch of no length needs nothing. A need from before the first of ``times`` that still holds counts.
    """
    needs = sorted(needs)
    starts = [need.t_us for need in needs]
    greatest = []
    for begin, end in pairwise([*times, end_us]):
        first, last = bisect_right(starts, begin), bisect_right(starts, end - 1)
        holding = [needs[first - 1].pages] if first else []
        inside = [need.pages for need in needs[first:last]]
        greatest.append(max([0, *holding, *inside]) if end > begin else 0)
    return greatest


def best_plan(future: Future, needs: Sequence[Need]) -> Plan:
    """Return the plan with the most MOVABLE page-seconds that meets ``needs``: see the module's text for the model."""
    changes = moments(future)
    needed = needs_between([moment.t_us for moment in changes], future.end_us, needs)
    if not any(needed):
        kinds = (tuple(False for _, change in device.steps if change > 0) for device in future.devices)
        return Plan((False,) * len(future.items), tuple(kinds))
    if not future.items and len(future.devices) == 1:
        return Plan((), (_backwards(future.devices[0], needed),))
    return _program(future, changes, needed)


def _backwards(device: Device, needed: Sequence[int]) -> tuple[bool, ...]:
    """Return which units of a single device become kernel memory: those without which a later need would not be met."""
    plugged = list(accumulate(change for _, change in device.steps))
    # Kernel units that there must be after each step, given all that can still be added later.
    required = [0] * len(needed)
    later = 0
    for step in reversed(range(len(needed))):
        required[step] = min(plugged[step], max(-(-needed[step] // device.unit), later))
        later = required[step] - 1 if device.steps[step][1] > 0 else required[step]
    kernel, kinds = 0, []
    for step, (_, change) in enumerate(device.steps):
        if change > 0:
            kinds.append(kernel < required[step])
            kernel += kinds[-1]
        else:
            kernel = min(kernel, plugged[step])
    return tuple(kinds)


class _Program:
    """The general case as an integer linear program.

    Variables: for each item whether it is kernel memory (0 or 1). For each step of a device whether the unit that is
    added or given back is kernel memory (0 or 1), and how many kernel units there are after it. A kernel unit is given
    back only when the device has no MOVABLE unit left; then it must be, as there are no more kernel units than units.
    The cost is kernel page-microseconds. Few variables meet in a constraint, so thousands of steps are solved.
    """

    def __init__(self, future: Future) -> None:
        self.future = future
        self.first = [0] * len(future.devices)
        """The first variable of each device: for each step the unit's kind, then the number of kernel units."""
        self.count = len(future.items)
        for number, device in enumerate(future.devices):
            self.first[number] = self.count
            self.count += 2 * len(device.steps)
        self.cost = [0] * self.count
        self.most = [1] * self.count
        """Upper bounds of the variables."""
        self.rows: list[dict[int, int]] = []
        self.bounds: list[tuple[float, float]] = []
        """Of each row's sum: least and most."""
        self._alive: set[int] = set()
        self._steps_done = [0] * len(future.devices)
        self._plugged = [0] * len(future.devices)

    def add(self, moment: _Moment, need: int, lasts_us: int) -> None:
        """Let ``moment`` happen; then ``need`` pages of kernel memory are needed, and things stay for ``lasts_us``."""
        if not moment.is_item:
            self._step(moment.number, moment.change)
        elif moment.change > 0:
            self._alive.add(moment.number)
        else:
            self._alive.discard(moment.number)
        supply = {item: self.future.items[item].pages for item in self._alive}
        total = sum(supply.values())
        for number, device in enumerate(self.future.devices):
            if self._steps_done[number]:
                supply[self._units_after(number)] = device.unit
                total += self._plugged[number] * device.unit
        for variable, pages in supply.items():
            self.cost[variable] += pages * lasts_us
        if need:
            self._constrain(supply, min(need, total), math.inf)

    def _units_after(self, number: int) -> int:
        """Return the variable for the kernel units of a device after its last step."""
        return self.first[number] + 2 * self._steps_done[number] - 1

    def _step(self, number: int, change: int) -> None:
        kind = self.first[number] + 2 * self._steps_done[number]
        before = {self._units_after(number): 1} if self._steps_done[number] else {}
        if change < 0:
            self._constrain({**before, kind: -self._plugged[number]}, 0, math.inf)
        self._steps_done[number] += 1
        self._plugged[number] += change
        after = self._units_after(number)
        self.most[after] = self._plugged[number]
        self._constrain({**before, kind: change, after: -1}, 0, 0)

    def _constrain(self, row: dict[int, int], least: float, most: float) -> None:
        self.rows.append(row)
        self.bounds.append((least, most))

    def solve(self) -> list[bool]:
        """Return the kind of every item and step, at its variable. Raises RuntimeError where the solver gives up."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        if not self.count:
            return []
        ends = np.cumsum([0, *(len(row) for row in self.rows)], dtype=np.int64)
        values = np.array([value for row in self.rows for value in row.values()], dtype=np.float64)
        columns = np.array([column for row in self.rows for column in row], dtype=np.int64)
        shape = (len(self.rows), self.count)
        matrix: csr_array[np.float64, tuple[int, int]] = csr_array((values, columns, ends), shape=shape)
        least, most = np.array(self.bounds, dtype=np.float64).reshape(-1, 2).T
        cost = np.array(self.cost, dtype=np.float64)
        solution = milp(
            cost / max(1.0, float(np.abs(cost).max())),
            integrality=np.ones(self.count, dtype=np.int64),
            bounds=Bounds(0, np.array(self.most, dtype=np.float64)),
            constraints=[LinearConstraint(matrix, least, most)] if self.rows else [],
            options={"mip_rel_gap": 0.0},
        )
        if solution.x is None:
            raise RuntimeError(f"no plan was found: {solution.message}")
        kinds: list[bool] = np.round(solution.x).astype(bool).tolist()
        return kinds


def _program(future: Future, changes: Sequence[_Moment], needed: Sequence[int]) -> Plan:
    """Return the best plan by solving :class:`_Program`."""
    program = _Program(future)
    ends = [*(moment.t_us for moment in changes[1:]), future.end_us]
    for moment, need, end in zip(changes, needed, ends, strict=False):
        program.add(moment, need, end - moment.t_us)
    kinds = program.solve()
    device_kinds = tuple(
        tuple(kinds[start + 2 * step] for step, (_, change) in enumerate(device.steps) if change > 0)
        for start, device in zip(program.first, future.devices, strict=True)
    )
    return Plan(tuple(kinds[: len(future.items)]), device_kinds)
