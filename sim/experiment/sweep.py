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
from typing import Any, Final, NamedTuple

from sim.faults import Fault, key_path, shown, unknown_name
from sim.plugins.lookup import RESERVED_KEYS

LABELLED: Final = ("machines", "policies", "workloads")
SINGLE: Final = ("guest", "timing")


class Target(NamedTuple):
    """What a value is put in: a key of a table. ``label`` and ``part`` are empty where there is none."""

    section: str
    label: str
    part: str
    key: str


class Trial(NamedTuple):
    """A value to try, and its place in the file."""

    value: Any
    where: str


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


def read(tables: Sequence[Any], known: Mapping[str, Mapping[str, Sequence[str]]], faults: list[Fault]) -> list[Sweep]:
    """Return the sweeps that ``tables`` describe, as far as they are right; ``faults`` gets the rest.

    ``known`` maps each labelled section to its labels, and each label to the labels of its parts (none but for
    compositions).
    """
    sweeps = []
    taken: dict[Target, str] = {}
    for number, table in enumerate(tables):
        where = f"sweep[{number}]"
        given = [
            key for key in ("product", "zip", "points") if isinstance(table, Mapping) and table.get(key) is not None
        ]
        if len(given) != 1:
            what = "needs one of product, zip and points" if not given else f"has {' and '.join(given)}; keep one"
            faults.append(Fault(where, what))
            continue
        kind = given[0]
        place = f"{where}.{kind}"
        if kind == "points":
            sweep = _from_points(table[kind], place, known, faults)
        else:
            sweep = _from_lists(table[kind], place, known, faults, side_by_side=kind == "zip")
        mine = {target: trial.where for axis in sweep.axes for point in axis for target, trial in point.items()}
        faults.extend(
            Fault(mine[target], f"is swept already, by {taken[target]}") for target in mine if target in taken
        )
        if not any(target in taken for target in mine):
            sweeps.append(sweep)
        taken.update(dict.fromkeys(mine, where))
    return sweeps


def points(sweeps: Sequence[Sweep]) -> Iterator[Point]:
    """Yield every combination of the points of ``sweeps``; one empty point where there are none."""
    return _combined([tuple(sweep.points()) for sweep in sweeps])


def _combined(axes: Sequence[Sequence[Point]]) -> Iterator[Point]:
    for combination in itertools.product(*axes):
        yield {target: trial for point in combination for target, trial in point.items()}


def _from_lists(
    table: object,
    where: str,
    known: Mapping[str, Mapping[str, Sequence[str]]],
    faults: list[Fault],
    *,
    side_by_side: bool,
) -> Sweep:
    axes: list[tuple[Point, ...]] = []
    for target, value, place in _targets(table, where, known, faults):
        if not isinstance(value, tuple) or not value:
            faults.append(Fault(place, f"{shown(value)} is not a list of values to try"))
            continue
        axes.append(tuple({target: Trial(item, f"{place}[{i}]")} for i, item in enumerate(value)))
    if not side_by_side or not axes:
        return Sweep(tuple(axes))
    lengths = {len(axis) for axis in axes}
    if len(lengths) > 1:
        faults.append(Fault(where, f"has lists of different lengths: {', '.join(map(str, sorted(lengths)))}"))
    return Sweep((tuple(next(_combined([[point] for point in row])) for row in zip(*axes, strict=False)),))


def _from_points(
    table: object, where: str, known: Mapping[str, Mapping[str, Sequence[str]]], faults: list[Fault]
) -> Sweep:
    if not isinstance(table, tuple) or not table:
        faults.append(Fault(where, f"{shown(table)} is not a list of points"))
        return Sweep(())
    read_points = []
    for number, point in enumerate(table):
        place = f"{where}[{number}]"
        read_points.append({target: Trial(value, at) for target, value, at in _targets(point, place, known, faults)})
    return Sweep((tuple(read_points),))


def _targets(
    table: object, where: str, known: Mapping[str, Mapping[str, Sequence[str]]], faults: list[Fault]
) -> Iterator[tuple[Target, Any, str]]:
    """Yield what the nested ``table`` assigns: target, value, place in the file."""
    for section, inside, place in _tables(table, where, faults):
        if section in SINGLE:
            yield from ((Target(section, "", "", key), value, at) for key, value, at in _entries(inside, place, faults))
            continue
        if section not in LABELLED:
            faults.append(Fault(place, unknown_name("section", section, [*LABELLED, *SINGLE])))
            continue
        for label, keys, at in _tables(inside, place, faults):
            if label not in known.get(section, {}):
                faults.append(Fault(at, unknown_name(f"label of {section}", label, known.get(section, {}))))
                continue
            for key, value, spot in _entries(keys, at, faults):
                parts = known[section][label]
                if key in parts:
                    yield from (
                        (Target(section, label, key, name), item, far)
                        for name, item, far in _entries(value, spot, faults)
                    )
                elif key in RESERVED_KEYS:
                    faults.append(Fault(spot, f"{key} cannot be swept"))
                elif parts:
                    faults.append(Fault(spot, unknown_name(f"part of {label}", key, parts)))
                else:
                    yield Target(section, label, "", key), value, spot


def _entries(table: object, where: str, faults: list[Fault]) -> Iterator[tuple[str, Any, str]]:
    if not isinstance(table, Mapping):
        faults.append(Fault(where, f"{shown(table)} is not a table"))
        return
    for key, value in table.items():
        yield key, value, key_path(key, below=where)


def _tables(table: object, where: str, faults: list[Fault]) -> Iterator[tuple[str, Any, str]]:
    yield from _entries(table, where, faults)
