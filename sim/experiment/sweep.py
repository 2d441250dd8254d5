"""Sweeps: lists of values to try, and the points that they stand for.

A sweep names keys of machines, policies and workloads by their labels, as TOML tables do::

    [[sweep]]
    product.policies.auto-movable.ratio = [50, 100, 301]    # every combination with the other lists of this table

    [[sweep]]
    zip.machines.vm.boot_memory = ["1GiB", "2GiB"]          # first with first, second with second
    zip.workloads.grow.maximum = ["8GiB", "16GiB"]

    [[sweep]]
    points = [{ policies.auto-movable.ratio = 100, machines.vm.cma = "1GiB" }, ...]

Several ``[[sweep]]`` tables multiply. ``guest`` and ``timing`` have no labels: ``product.timing.offline = [...]``. A
part of a composition is named by its label behind the workload's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.faults import Fault, shown, unknown_name
from sim.plugins.lookup import RESERVED_KEYS

if TYPE_CHECKING:
    from sim.faults import Faults

LABELLED: Final = ("machines", "policies", "workloads")
SINGLE: Final = ("guest", "timing")


class Target(NamedTuple):
    """What a value is put in: a key of a table. ``label`` and ``part`` are empty where there is none."""

    section: str
    label: str
    part: str
    key: str


class Trial(NamedTuple):
    """A value to try, and the key that it stands under in the file."""

    value: Any
    key: str


Point = Mapping[Target, Trial]
"""Values that go together."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One ``[[sweep]]`` table: its points can be counted without being made."""

    axes: tuple[tuple[Point, ...], ...]

    @property
    def count(self) -> int:
        """Number of points."""
        return math.prod(len(axis) for axis in self.axes)

    def points(self) -> Iterator[Point]:
        """Yield the points, the last axis moving fastest."""
        return _combined(self.axes)


Labels = Mapping[str, Mapping[str, Sequence[str]]]
"""The labels of each labelled section, each with the labels of its parts (none but for compositions)."""


def read(tables: Sequence[Any], labels: Labels, faults: Faults) -> list[Sweep]:
    """Return the sweeps that ``tables`` describe, as far as they are right; ``faults`` gets the rest."""
    sweeps = []
    swept_by: dict[Target, str] = {}
    for number, table in enumerate(tables):
        of_table = faults.below(number)
        forms = [
            key for key in ("product", "zip", "points") if isinstance(table, Mapping) and table.get(key) is not None
        ]
        if len(forms) != 1:
            of_table.add(
                "needs one of product, zip and points" if not forms else f"has {' and '.join(forms)}; keep one"
            )
            continue
        kind = forms[0]
        if kind == "points":
            sweep = _from_points(table[kind], labels, of_table.below(kind))
        else:
            sweep = _from_lists(table[kind], labels, of_table.below(kind), side_by_side=kind == "zip")
        keys = {target: trial.key for axis in sweep.axes for point in axis for target, trial in point.items()}
        repeated = [target for target in keys if target in swept_by]
        faults.include(Fault(keys[target], f"is swept already, by {swept_by[target]}") for target in repeated)
        if not repeated:
            sweeps.append(sweep)
        swept_by.update(dict.fromkeys(keys, of_table.key))
    return sweeps


def points(sweeps: Sequence[Sweep]) -> Iterator[Point]:
    """Yield every combination of the points of ``sweeps``; one empty point where there are none."""
    return _combined([tuple(sweep.points()) for sweep in sweeps])


def tried_already(point: Point, earlier: Point) -> Fault:
    """Return the fault of a ``point`` whose values are understood as the same as those of an ``earlier`` one."""
    target, trial = next((target, trial) for target, trial in point.items() if trial.key != earlier[target].key)
    return Fault(trial.key, f"{shown(trial.value)} is tried already, by {earlier[target].key}; leave one out")


def _combined(axes: Sequence[Sequence[Point]]) -> Iterator[Point]:
    for combination in itertools.product(*axes):
        yield {target: trial for point in combination for target, trial in point.items()}


def _from_lists(table: object, labels: Labels, faults: Faults, *, side_by_side: bool) -> Sweep:
    axes: list[tuple[Point, ...]] = []
    for target, value, of_value in targets(table, labels, faults):
        if not isinstance(value, tuple) or not value:
            of_value.add(f"{shown(value)} is not a list of values to try")
            continue
        axes.append(tuple({target: Trial(item, of_value.below(i).key)} for i, item in enumerate(value)))
    if not side_by_side or not axes:
        return Sweep(tuple(axes))
    lengths = {len(axis) for axis in axes}
    if len(lengths) > 1:
        faults.add(f"has lists of different lengths: {', '.join(map(str, sorted(lengths)))}")
    return Sweep((tuple(next(_combined([[point] for point in row])) for row in zip(*axes, strict=False)),))


def _from_points(table: object, labels: Labels, faults: Faults) -> Sweep:
    if not isinstance(table, tuple) or not table:
        faults.add(f"{shown(table)} is not a list of points")
        return Sweep(())
    axis = tuple(
        {target: Trial(value, of_value.key) for target, value, of_value in targets(point, labels, faults.below(number))}
        for number, point in enumerate(table)
    )
    return Sweep((axis,))


Entries = Iterator[tuple[str, Any, "Faults"]]
"""What stands in a table: key, value, and the collector of the value's faults."""


def targets(table: object, labels: Labels, faults: Faults) -> Iterator[tuple[Target, Any, Faults]]:
    """Yield what the nested ``table`` assigns: target, value, and the collector of the value's faults."""
    for section, inside, of_section in _entries(table, faults):
        if section in SINGLE:
            for key, value, of_value in _entries(inside, of_section):
                yield Target(section, "", "", key), value, of_value
        elif section not in LABELLED:
            of_section.add(unknown_name("section", section, [*LABELLED, *SINGLE]))
        else:
            parts = labels.get(section, {})
            for label, keys, of_label in _entries(inside, of_section):
                if label in parts:
                    yield from _labelled(section, label, _entries(keys, of_label), parts[label])
                else:
                    of_label.add(unknown_name(f"label of {section}", label, parts))


def _labelled(section: str, label: str, entries: Entries, parts: Sequence[str]) -> Iterator[tuple[Target, Any, Faults]]:
    for key, value, of_value in entries:
        if key in parts:
            for name, item, of_item in _entries(value, of_value):
                yield Target(section, label, key, name), item, of_item
        elif key in RESERVED_KEYS:
            of_value.add(f"{key} cannot be swept or set")
        elif parts:
            of_value.add(unknown_name(f"part of {label}", key, parts))
        else:
            yield Target(section, label, "", key), value, of_value


def _entries(table: object, faults: Faults) -> Entries:
    if not isinstance(table, Mapping):
        faults.add(f"{shown(table)} is not a table")
        return
    for key, value in table.items():
        yield key, value, faults.below(key)
