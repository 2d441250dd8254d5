"""The best zones for a future that is known: which of the memory that comes has to be kernel memory.

The model, in which :func:`best_plan` is exact:

* Memory comes in wholes that are of one kind: *items*, each with its own begin and end (a DIMM, a dax device), and
  *devices* that grow and shrink by equal units (virtio-mem), and give back MOVABLE units before kernel ones.
* The kernel needs an amount of hotplugged kernel memory, a step function of time, whoever provides it.
* Wanted: a kind for every item and for every unit that is added, such that the need is met at all times, with the
  most MOVABLE memory summed over time (page-seconds). Where even kernel memory alone cannot meet the need, all that
  there is counts as meeting it.

One device of one unit is solved by going backwards in time: a unit becomes kernel memory only if those that come after
it are too late. Everything else is an integer linear program, solved exactly by SciPy's HiGHS.
"""

from __future__ import annotations

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
    """What changes at one point of the sequence: item or device ``number``, by ``change``; then it stays for ``dt``."""

    t_us: int
    number: int
    change: int
    is_item: bool


def moments(future: Future) -> list[_Moment]:
    """Return all changes in order of time; at one time items before devices, each in its own order."""
    found = [_Moment(item.begin, number, 1, is_item=True) for number, item in enumerate(future.items)]
    found += [_Moment(item.end, number, -1, is_item=True) for number, item in enumerate(future.items)]
    for number, device in enumerate(future.devices):
        found += [_Moment(t_us, number, change, is_item=False) for t_us, change in device.steps]
    return sorted(found, key=lambda moment: moment.t_us)


def needs_between(times: Sequence[int], end_us: int, needs: Sequence[Need]) -> list[int]:
    """Return the greatest need of each stretch from one of ``times`` (ascending) to the next, the last to ``end_us``.

    A stretch of no length needs nothing. A need from before the first of ``times`` that still holds counts.
    """
    needs = sorted(needs)
    starts = [need.t_us for need in needs]
    found = []
    for begin, end in pairwise([*times, end_us]):
        first, last = bisect_right(starts, begin), bisect_right(starts, end - 1)
        holding = [needs[first - 1].pages] if first else []
        inside = [need.pages for need in needs[first:last]]
        found.append(max([0, *holding, *inside]) if end > begin else 0)
    return found


def best_plan(future: Future, needs: Sequence[Need]) -> Plan:
    """Return the plan with the most MOVABLE page-seconds that meets ``needs``: see the module's text for the model."""
    changes = moments(future)
    wanted = needs_between([moment.t_us for moment in changes], future.end_us, needs)
    if not future.items and len(future.devices) == 1:
        return Plan((), (_backwards(future.devices[0], wanted),))
    return _program(future, changes, wanted)


def _backwards(device: Device, wanted: Sequence[int]) -> tuple[bool, ...]:
    """Return which units of a single device become kernel memory: those without which a later need would not be met."""
    plugged = list(accumulate(change for _, change in device.steps))
    # Kernel units that there must be after each step, given all that can still be added later.
    required = [0] * len(wanted)
    later = 0
    for step in reversed(range(len(wanted))):
        required[step] = min(plugged[step], max(-(-wanted[step] // device.unit), later))
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

    Variables, all 0 or 1: for each item whether it is kernel memory; for each unit added whether it is; for each unit
    given back whether that is a kernel unit, which it can be only when the device has no MOVABLE unit left. Then, and
    only then, it must be. Constraints are sums of variables, each at least some number; the cost is kernel
    page-microseconds.
    """

    def __init__(self, future: Future) -> None:
        self.future = future
        self.first = [0] * len(future.devices)
        """The first variable of each device; the others follow, one for each step."""
        self.count = len(future.items)
        for number, device in enumerate(future.devices):
            self.first[number] = self.count
            self.count += len(device.steps)
        self.cost = [0] * self.count
        self.rows: list[dict[int, int]] = []
        self.least: list[int] = []
        self._alive: set[int] = set()
        self._taken = [0] * len(future.devices)
        self._plugged = [0] * len(future.devices)
        self._kernel: list[dict[int, int]] = [{} for _ in future.devices]
        """The variables that add up to a device's kernel units, with their signs."""

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
        for device, kernel, units in zip(self.future.devices, self._kernel, self._plugged, strict=True):
            supply.update({variable: sign * device.unit for variable, sign in kernel.items()})
            total += units * device.unit
        for variable, pages in supply.items():
            self.cost[variable] += pages * lasts_us
        if need:
            self._at_least(supply, min(need, total))

    def _step(self, number: int, change: int) -> None:
        variable = self.first[number] + self._taken[number]
        kernel, plugged = self._kernel[number], self._plugged[number]
        if change < 0:
            # A kernel unit goes only where all are: kernel >= plugged if the variable is 1.
            self._at_least({**kernel, variable: -plugged}, 0)
        self._kernel[number] = {**kernel, variable: change}
        self._plugged[number] += change
        self._taken[number] += 1
        if change < 0:
            # And where all are, one goes: there are no more kernel units than units.
            self._at_least({key: -sign for key, sign in self._kernel[number].items()}, -self._plugged[number])

    def _at_least(self, row: dict[int, int], least: int) -> None:
        self.rows.append(row)
        self.least.append(least)

    def solve(self) -> list[bool]:
        """Return the value of every variable. Raises RuntimeError where the solver gives up."""
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
        cost = np.array(self.cost, dtype=np.float64)
        solved = milp(
            cost / max(1.0, float(np.abs(cost).max())),
            integrality=np.ones(self.count, dtype=np.int64),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(matrix, np.array(self.least), np.inf)] if self.rows else [],
            options={"mip_rel_gap": 0.0},
        )
        if solved.x is None:
            raise RuntimeError(f"no plan was found: {solved.message}")
        chosen: list[bool] = np.round(solved.x).astype(bool).tolist()
        return chosen


def _program(future: Future, changes: Sequence[_Moment], wanted: Sequence[int]) -> Plan:
    """Return the best plan by solving :class:`_Program`."""
    program = _Program(future)
    ends = [*(moment.t_us for moment in changes[1:]), future.end_us]
    for moment, need, end in zip(changes, wanted, ends, strict=False):
        program.add(moment, need, end - moment.t_us)
    chosen = program.solve()
    kinds = tuple(
        tuple(chosen[start + step] for step, (_, change) in enumerate(device.steps) if change > 0)
        for start, device in zip(program.first, future.devices, strict=True)
    )
    return Plan(tuple(chosen[: len(future.items)]), kinds)
