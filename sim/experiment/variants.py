"""The machines, policies and workloads of an experiment file by label, with swept values put in, resolved once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.experiment import resolve
from sim.experiment.plan import Combination
from sim.experiment.schema import LABEL_FORBIDS, LABEL_LENGTH
from sim.experiment.sweep import LABELLED, Point, Target, Trial
from sim.faults import Fault, key_path, shown, unknown_name
from sim.plugins.parameter_values import size
from sim.units import format_size

if TYPE_CHECKING:
    from pathlib import Path

Settings = dict[str, Any]
_SINGULAR: Final = {"machines": "machine", "policies": "policy", "workloads": "workload"}


class Entry(NamedTuple):
    """A table of the file that has a label: its place, the table, and the labels of its parts (compositions only)."""

    where: str
    table: Mapping[str, Any]
    parts: tuple[str, ...]


class _Workload(NamedTuple):
    settings: Settings
    nodes: list[int]


class Variants:
    """The entries of an experiment file, and what becomes of them at the points of its sweeps.

    ``tables`` may be wrong in any way; what can be looked at is, and adds its faults to ``faults``.
    """

    def __init__(self, tables: Mapping[str, Any], folder: Path, faults: list[Fault]) -> None:
        self._tables = tables
        self._folder = folder
        self._faults = faults
        self._made: dict[object, Any] = {}
        self.entries = {section: dict(self._entries(section)) for section in LABELLED}
        for entry in self.entries["workloads"].values():
            self._check_machines(entry)

    def known(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return the labels of each section, each with the labels of its parts."""
        return {
            section: {label: entry.parts for label, entry in entries.items()}
            for section, entries in self.entries.items()
        }

    def count(self) -> int:
        """Return how many combinations there are at most at one point."""
        machines, policies, workloads = (len(self.entries[section]) for section in LABELLED)
        return machines * policies * workloads

    def combinations(self, points: Iterable[Point]) -> list[Combination]:
        """Return the different combinations at all ``points``; those with faults are left out."""
        found: dict[object, Combination] = {}
        for point in points:
            self._resolve_all(point)
            for machine_label, machine_entry in self.entries["machines"].items():
                for policy_label, policy_entry in self.entries["policies"].items():
                    for workload_label, workload_entry in self.entries["workloads"].items():
                        if machine_label not in (workload_entry.table.get("machines") or (machine_label,)):
                            continue
                        labels = (machine_label, policy_label, workload_label)
                        here = _relevant(point, dict(zip(LABELLED, labels, strict=True)))
                        key = (labels, tuple(trial.where for trial in here.values()))
                        if key not in found:
                            made = self._combination(labels, (machine_entry, policy_entry, workload_entry), here)
                            if made is not None:
                                found[key] = made
        return list(found.values())

    def _resolve_all(self, point: Point) -> None:
        """Look at every entry at this ``point``, also at those that run nowhere: their faults shall show too."""
        for section, entries in self.entries.items():
            for label, entry in entries.items():
                self._variant(section, label, entry, point)

    def _combination(
        self, labels: tuple[str, str, str], entries: tuple[Entry, Entry, Entry], point: Point
    ) -> Combination | None:
        machine = self._variant("machines", labels[0], entries[0], point)
        policy = self._variant("policies", labels[1], entries[1], point)
        workload = self._variant("workloads", labels[2], entries[2], point)
        guest = self._single("guest", point, resolve.guest)
        timing = self._single("timing", point, resolve.timing)
        if machine is None or policy is None or workload is None or guest is None or timing is None:
            return None
        last = len(machine["nodes"]) - 1
        if workload.nodes and workload.nodes[-1] > last:
            nodes = "node 0 only" if last == 0 else f"nodes 0 to {last}"
            what = f"plugs memory into node {workload.nodes[-1]}, but machine {shown(machine['label'])} has {nodes}"
            self._faults.append(Fault(entries[2].where, what))
            return None
        # What is swept of guest and timing is told apart by the machine's label; they have none of their own.
        singles = {target: trial for target, trial in point.items() if not target.label}
        if singles:
            machine = {**machine, "label": _variant_label(machine["label"], singles)}
        combination = Combination(machine, policy, workload.settings, guest, timing)
        factors = {_factor(target): _value(combination, target, trial) for target, trial in point.items()}
        return replace(combination, factors=factors)

    def _variant(self, section: str, label: str, entry: Entry, point: Point) -> Any:  # noqa: ANN401  settings, or settings with nodes
        trials = {
            target: trial for target, trial in point.items() if (target.section, target.label) == (section, label)
        }
        key = (section, label, *(trial.where for trial in trials.values()))
        if key not in self._made:
            mine: list[Fault] = []
            table = {**_with(entry.table, trials), "label": _variant_label(label, trials)}
            self._made[key] = _MAKERS[section](table, entry.where, self._folder, mine)
            self._faults.extend(_moved(fault, entry, trials) for fault in mine)
        return self._made[key]

    def _single(
        self, section: str, point: Point, make: Callable[[Mapping[str, Any], str, list[Fault]], Settings | None]
    ) -> Settings | None:
        trials = {target: trial for target, trial in point.items() if target.section == section}
        key = (section, *(trial.where for trial in trials.values()))
        if key not in self._made:
            table = self._tables.get(section, {})
            mine: list[Fault] = []
            known = isinstance(table, Mapping)
            self._made[key] = make(_with(table, trials), section, mine) if known else None
            self._faults.extend(_moved(fault, Entry(section, table, ()), trials) for fault in mine)
        return self._made[key]  # type: ignore[no-any-return]  # what make returned

    def _entries(self, section: str) -> Iterator[tuple[str, Entry]]:
        taken: dict[str, str] = {}
        for number, table in enumerate(_sequence(self._tables.get(section))):
            if not isinstance(table, Mapping):
                continue
            where = f"{section}[{number}]"
            parts = tuple(_part_labels(table)) if section == "workloads" else ()
            label = _label(section, table, where)
            if label is None or not _usable(section, table, parts):
                continue  # faults of shape, which the models have found
            if label in taken:
                what = f"{shown(label)} is taken by {taken[label]}; give this one a label of its own"
                self._faults.append(Fault(f"{where}.label", what))
                continue
            taken[label] = where
            yield label, Entry(where, table, parts)

    def _check_machines(self, entry: Entry) -> None:
        for number, label in enumerate(_sequence(entry.table.get("machines"))):
            if isinstance(label, str) and label not in self.entries["machines"]:
                what = unknown_name("machine", label, self.entries["machines"])
                self._faults.append(Fault(f"{entry.where}.machines[{number}]", what))


def _machine(table: Mapping[str, Any], where: str, _: Path, faults: list[Fault]) -> Settings | None:
    return resolve.machine(table, where, faults)


def _policy(table: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]) -> Settings | None:
    return resolve.policy(table, where, folder, faults)


def _workload(table: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]) -> _Workload | None:
    made = resolve.workload(table, where, folder, faults)
    return None if made is None else _Workload(*made)


_MAKERS: Final[dict[str, Callable[[Mapping[str, Any], str, Path, list[Fault]], Any]]] = {
    "machines": _machine,
    "policies": _policy,
    "workloads": _workload,
}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, tuple) else ()


def _label(section: str, table: Mapping[str, Any], where: str) -> str | None:
    """Return the label of a table, its own or the one it gets; None for a table too wrong to have one."""
    label = table.get("label")
    if label is not None:
        return label if isinstance(label, str) else None
    if section == "machines":
        return _machine_label(table, where)
    if "together" in table:
        parts = _part_labels(table)
        return " + ".join(parts) if parts else None
    return _name_label(table)


def _usable(section: str, table: Mapping[str, Any], parts: Sequence[str]) -> bool:
    """Whether the shape of a table is right enough to look at what its plug-ins say."""
    if section == "machines":
        return True
    if section == "workloads" and "together" in table:
        return bool(parts)
    return isinstance(table.get("name", "" if section == "workloads" else None), str)


def _machine_label(table: Mapping[str, Any], where: str) -> str:
    nodes = [node.get("boot_memory") for node in _sequence(table.get("nodes")) if isinstance(node, Mapping)]
    try:
        return "+".join(format_size(size(memory)) for memory in nodes or [table.get("boot_memory")])
    except ValueError:
        return where


def _name_label(table: Mapping[str, Any]) -> str | None:
    name = table.get("name")
    return name.rpartition(":")[2] if isinstance(name, str) else None


def _part_labels(table: Mapping[str, Any]) -> list[str]:
    """Return the labels of a composition's parts; none where one is too wrong to have one."""
    labels = []
    for part in _sequence(table.get("together")):
        if not isinstance(part, Mapping) or not isinstance(part.get("name"), str):
            return []
        label = part.get("label", _name_label(part))
        if not isinstance(label, str):
            return []
        labels.append(label)
    return labels


def _relevant(point: Point, labels: Mapping[str, str]) -> Point:
    """Return what a ``point`` says about these entries."""
    return {target: trial for target, trial in point.items() if labels.get(target.section, "") == target.label}


def _with(table: Mapping[str, Any], trials: Mapping[Target, Trial]) -> Settings:
    """Return ``table`` with the values of ``trials`` in their places."""
    changed = dict(table)
    for target, trial in trials.items():
        if not target.part:
            changed[target.key] = trial.value
            continue
        changed["together"] = tuple(
            {**part, target.key: trial.value} if part.get("label", _name_label(part)) == target.part else part
            for part in changed["together"]
        )
    return changed


def _moved(fault: Fault, entry: Entry, trials: Mapping[Target, Trial]) -> Fault:
    """Return a ``fault`` of a table with swept values under the place where the value in question stands."""
    for target, trial in trials.items():
        below = entry.where
        if target.part:
            below += f".together[{entry.parts.index(target.part)}]"
        place = key_path(target.key, below=below)
        if fault.where == place or fault.where.startswith((f"{place}.", f"{place}[")):
            return Fault(trial.where + fault.where[len(place) :], fault.what)
    return fault


def _variant_label(label: str, trials: Mapping[Target, Trial]) -> str:
    for target, trial in trials.items():
        key = f"{target.part or target.section} {target.key}" if target.part or not target.label else target.key
        label += f", {key} {_plain(trial.value)}"
    label = "".join(
        "-" if character in LABEL_FORBIDS or not character.isprintable() else character for character in label
    )
    return label if len(label) <= LABEL_LENGTH else label[: LABEL_LENGTH - 3] + "..."


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join(map(_plain, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _factor(target: Target) -> str:
    section = _SINGULAR.get(target.section, target.section)
    return ".".join(filter(None, (section, target.part, target.key)))


def _value(combination: Combination, target: Target, trial: Trial) -> object:
    """Return a swept value as it was understood: sizes in bytes, times in seconds."""
    if target.section == "timing":
        return trial.value
    settings = getattr(combination, _SINGULAR.get(target.section, target.section))
    if target == Target("machines", target.label, "", "boot_memory"):
        return settings["nodes"][0]["boot_memory"]
    if target.part:
        settings = next(part for part in settings["together"] if part["label"] == target.part)
    parameters = settings.get("parameters", settings)
    return parameters.get(target.key, trial.value)
