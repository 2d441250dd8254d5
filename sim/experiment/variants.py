"""The machines, policies and workloads of an experiment file by label, with swept values put in, resolved once each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sim.experiment import guest_settings, resolve
from sim.experiment.plan import Combination
from sim.experiment.schema import LABEL_LENGTH, shortened_label, usable_label
from sim.experiment.settings import (
    GuestSettings,
    MachineSettings,
    PluginSettings,
    TogetherSettings,
    WorkloadSettings,
)
from sim.experiment.sweep import LABELLED, Point, Target, Trial, tried_already
from sim.faults import Fault, Faults, key_path, shown, unknown_name
from sim.plugins.values import size
from sim.results.identity import canonical_json
from sim.units import format_size, parse_series

if TYPE_CHECKING:
    from pathlib import Path

_Resolved = TypeVar("_Resolved")
_Maker = Callable[[Mapping[str, Any], Faults], _Resolved | None]
_SINGULAR: Final = {"machines": "machine", "policies": "policy", "workloads": "workload"}


class Entry(NamedTuple):
    """A table of the file that has a label: its key, the table, and the labels of its parts (compositions only)."""

    key: str
    table: Mapping[str, Any]
    parts: tuple[str, ...]


class _Workload(NamedTuple):
    settings: WorkloadSettings
    needs: resolve.Needs


class Variants:
    """The entries of an experiment file, and what becomes of them at the points of its sweeps.

    ``tables`` may be wrong in any way; what can be looked at is, and adds its faults to ``faults``. Where there are no
    policies, each machine has that of its command line; it need not have one where nothing is run (``idle``).
    """

    def __init__(self, tables: Mapping[str, Any], folder: Path, faults: Faults, *, idle: bool = False) -> None:
        self._tables = tables
        self._folder = folder
        self._faults = faults
        self._resolved: dict[object, Any] = {}
        self._labels: dict[tuple[str, str], str] = {}
        """By section and label: what was written, where the label had to leave characters out."""
        self.entries = {section: dict(self._entries(section)) for section in LABELLED}
        self._as_booted = "policies" not in tables
        self._idle = idle
        if self._as_booted:
            self.entries["policies"] = {resolve.AS_BOOTED: Entry("policies", {}, ())}
        for entry in self.entries["workloads"].values():
            self._check_machines(entry)

    def labels(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return the labels of each section, each with the labels of its parts."""
        return {
            section: {label: entry.parts for label, entry in entries.items() if entry.table or section != "policies"}
            for section, entries in self.entries.items()
        }

    def count(self) -> int:
        """Return how many combinations there are at most at one point."""
        machines, policies, workloads = (len(self.entries[section]) for section in LABELLED)
        return machines * policies * workloads

    def combinations(self, points: Iterable[Point]) -> list[Combination]:
        """Return the different combinations at all ``points``; those with faults are left out."""
        combinations: dict[object, Combination] = {}
        tried: dict[object, Point] = {}
        repeated: list[Fault] = []
        for point in points:
            self._resolve_all(point)
            for machine, policy, workload in itertools.product(*(self.entries[section] for section in LABELLED)):
                if machine not in (_sequence(self.entries["workloads"][workload].table.get("machines")) or (machine,)):
                    continue
                labels = (machine, policy, workload)
                values = _relevant(point, dict(zip(LABELLED, labels, strict=True)))
                key = (labels, tuple(trial.key for trial in values.values()))
                if key not in combinations:
                    combination = self._combination(machine, policy, workload, values)
                    if combination is None:
                        continue
                    combinations[key] = combination
                    same = tried.setdefault((labels, canonical_json(dict(combination.factors))), values)
                    if same is not values:
                        repeated.append(tried_already(values, same))
        self._faults.include(dict.fromkeys(repeated))
        return list(combinations.values())

    def _resolve_all(self, point: Point) -> None:
        """Look at every entry at this ``point``, also at those that run nowhere: their faults shall show too."""
        for label in self.entries["machines"]:
            self._machine(label, point)
        for label in self.entries["policies"] if not self._as_booted else ():
            self._policy(label, point)
        for label in self.entries["workloads"]:
            self._workload(label, point)

    def _combination(
        self, machine_label: str, policy_label: str, workload_label: str, point: Point
    ) -> Combination | None:
        machine = self._machine(machine_label, point)
        policy = self._booted(machine_label, point) if self._as_booted else self._policy(policy_label, point)
        workload = self._workload(workload_label, point)
        guest = self._single("guest", point, resolve.guest)
        timing = self._single("timing", point, resolve.timing)
        if machine is None or policy is None or workload is None or guest is None or timing is None:
            return None
        if not self._boots(machine, guest, machine_label, point):
            return None
        if (what := _lacking(machine, workload.needs)) is not None:
            self._faults.include([Fault(self.entries["workloads"][workload_label].key, what)])
            return None
        # What is swept of guest and timing is told apart by the machine's label; they have none of their own.
        singles = {target: trial for target, trial in point.items() if not target.label}
        if singles:
            machine = replace(machine, label=self._label_of("machines", machine.label, singles))
        combination = Combination(
            machine, policy, workload.settings, guest, timing, most_replications=workload.needs.most_replications
        )
        factors = {_factor(target): _value(combination, target, trial) for target, trial in point.items()}
        return replace(combination, factors=factors)

    def _boots(self, machine: MachineSettings, guest: GuestSettings, label: str, point: Point) -> bool:
        """Whether the guest boots on the machine; adds a fault, once, where it does not."""
        entry = self.entries["machines"][label]
        trials = {
            target: trial
            for target, trial in point.items()
            if target.section == "guest" or (target.section, target.label) == ("machines", label)
        }

        def make(faults: Faults) -> bool:
            sized = faults.below("nodes" if "nodes" in entry.table else "boot_memory")
            guest_settings.check_machine(machine, guest, sized)
            if not faults:
                guest_settings.check_state(machine, guest, faults.below("state"))
            return not faults

        return bool(self._once(("boot", label), entry, trials, make))

    def _machine(self, label: str, point: Point) -> MachineSettings | None:
        return self._variant("machines", label, point, resolve.machine)

    def _policy(self, label: str, point: Point) -> PluginSettings | None:
        return self._variant(
            "policies", label, point, lambda table, faults: resolve.policy(table, self._folder, faults)
        )

    def _booted(self, machine_label: str, point: Point) -> PluginSettings | None:
        """Return the policy of a machine's command line, for an experiment that has no policies of its own."""
        machine = self._machine(machine_label, point)
        if machine is None:
            return None
        entry = self.entries["machines"][machine_label]
        trials = {
            target: trial
            for target, trial in point.items()
            if (target.section, target.label) == ("machines", machine_label)
        }

        def make(faults: Faults) -> PluginSettings | None:
            if machine.said is None and not self._idle:
                faults.below("cmdline").add("is missing: an experiment without policies goes by the machine's cmdline")
                return None
            return resolve.booted_policy(machine, self._folder, faults.below("cmdline"))

        return self._once(("booted", machine_label), entry, trials, make)

    def _workload(self, label: str, point: Point) -> _Workload | None:
        def make(table: Mapping[str, Any], faults: Faults) -> _Workload | None:
            resolved = resolve.workload(table, self._folder, faults)
            return None if resolved is None else _Workload(*resolved)

        return self._variant("workloads", label, point, make)

    def _variant(self, section: str, label: str, point: Point, make: _Maker[_Resolved]) -> _Resolved | None:
        """Return what becomes of the entry ``label`` of ``section`` at a ``point``; None where there are faults."""
        entry = self.entries[section][label]
        trials = {
            target: trial for target, trial in point.items() if (target.section, target.label) == (section, label)
        }

        def of_entry(faults: Faults) -> _Resolved | None:
            return make({**_with(entry.table, trials), "label": self._label_of(section, label, trials)}, faults)

        return self._once((section, label), entry, trials, of_entry)

    def _label_of(self, section: str, label: str, trials: Mapping[Target, Trial]) -> str:
        """Return the label of a variant: what is tried, in words; another than that of any other variant."""
        written = _with_values(label, trials)
        clean = usable_label(written)
        if len(clean) <= LABEL_LENGTH and self._labels.setdefault((section, clean), written) == written:
            return clean
        return shortened_label(written)

    def _single(self, section: str, point: Point, make: _Maker[_Resolved]) -> _Resolved | None:
        """Return what becomes of a ``section`` that has one table without a label."""
        table = self._tables.get(section, {})
        if not isinstance(table, Mapping):
            return None
        trials = {target: trial for target, trial in point.items() if target.section == section}
        return self._once(
            (section,), Entry(section, table, ()), trials, lambda faults: make(_with(table, trials), faults)
        )

    def _once(
        self,
        name: tuple[str, ...],
        entry: Entry,
        trials: Mapping[Target, Trial],
        make: Callable[[Faults], _Resolved | None],
    ) -> _Resolved | None:
        """Return what ``make`` makes of an entry with the values of ``trials``; it is called, and adds faults, once."""
        key = (*name, *(trial.key for trial in trials.values()))
        if key not in self._resolved:
            faults = Faults(entry.key)
            self._resolved[key] = make(faults)
            self._faults.include(_moved(fault, entry, trials) for fault in faults)
        resolved: _Resolved | None = self._resolved[key]
        return resolved

    def _entries(self, section: str) -> Iterator[tuple[str, Entry]]:
        keys: dict[str, str] = {}
        for number, table in enumerate(_sequence(self._tables.get(section))):
            if not isinstance(table, Mapping):
                continue
            of_table = self._faults.below(section, number)
            parts = tuple(_part_labels(table)) if section == "workloads" else ()
            label = _label(section, table, of_table.key)
            if label is None or not _usable(section, table, parts):
                continue  # faults of shape, which the models have found
            if label in keys:
                what = f"{shown(label)} is taken by {keys[label]}; give this one a label of its own"
                of_table.below("label").add(what)
                continue
            keys[label] = of_table.key
            yield label, Entry(of_table.key, table, parts)

    def _check_machines(self, entry: Entry) -> None:
        for number, label in enumerate(_sequence(entry.table.get("machines"))):
            if isinstance(label, str) and label not in self.entries["machines"]:
                what = unknown_name("machine", label, self.entries["machines"])
                self._faults.include([Fault(key_path("machines", number, below=entry.key), what)])


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, tuple) else ()


def _label(section: str, table: Mapping[str, Any], key: str) -> str | None:
    """Return the label of a table, its own or the one it gets; None for a table too wrong to have one."""
    label = table.get("label")
    if label is not None:
        return label if isinstance(label, str) else None
    if section == "machines":
        return _machine_label(table, key)
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


def _machine_label(table: Mapping[str, Any], key: str) -> str:
    nodes = [node.get("boot_memory") for node in _sequence(table.get("nodes")) if isinstance(node, Mapping)]
    try:
        return "+".join(format_size(size(memory)) for memory in nodes or [table.get("boot_memory")])
    except ValueError:  # no size; the models find fault with it
        return key


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


def _with(table: Mapping[str, Any], trials: Mapping[Target, Trial]) -> dict[str, Any]:
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
    """Return a ``fault`` of a table with swept values under the key where the value in question stands."""
    for target, trial in trials.items():
        part = ("together", entry.parts.index(target.part)) if target.part else ()
        key = key_path(*part, target.key, below=entry.key)
        if fault.key == key or fault.key.startswith((f"{key}.", f"{key}[")):
            return replace(fault, key=trial.key + fault.key[len(key) :])
    return fault


def _with_values(label: str, trials: Mapping[Target, Trial]) -> str:
    for target, trial in trials.items():
        key = f"{target.part or target.section} {target.key}" if target.part or not target.label else target.key
        label += f", {key} {plain_value(trial.value)}"
    return label


def plain_value(value: object) -> str:
    """Return a swept value as labels have it: a table's keys and values in a row, a list's items joined by ``+``."""
    if isinstance(value, Mapping):
        return " ".join(f"{key} {plain_value(part)}" for key, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return "+".join(map(plain_value, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lacking(machine: MachineSettings, needs: resolve.Needs) -> str | None:
    """Return what a workload needs that ``machine`` does not have, None where there is nothing."""
    last = len(machine.spec.nodes) - 1
    if needs.nodes and needs.nodes[-1] > last:
        nodes = "node 0 only" if last == 0 else f"nodes 0 to {last}"
        return f"uses node {needs.nodes[-1]}, but machine {shown(machine.label)} has {nodes}"
    if needs.kernel is not None and machine.spec.kernel_series < parse_series(needs.kernel):
        has = f"machine {shown(machine.label)} runs {machine.spec.kernel}"
        return f"asks for what Linux has from {needs.kernel} on, but {has}"
    if needs.dimms and not machine.spec.built_for.dimms:
        return f"plugs DIMMs, but machine {shown(machine.label)} is {machine.spec.built_for.name}, where QEMU has none"
    return None


def _factor(target: Target) -> str:
    section = _SINGULAR.get(target.section, target.section)
    return ".".join(filter(None, (section, target.part, target.key)))


def _value(combination: Combination, target: Target, trial: Trial) -> object:
    """Return a swept value as it was understood: sizes in bytes, times in seconds."""
    understood: Mapping[str, object] = {}
    if target.section == "machines":
        spec = combination.machine.spec
        # The short form of a machine's nodes, which the specification does not have.
        understood = {**asdict(spec), "boot_memory": spec.nodes[0].boot_memory}
    elif target.section == "policies":
        understood = combination.policy.parameters
    elif target.section == "workloads":
        workload = combination.workload
        if isinstance(workload, TogetherSettings):
            workload = next(part for part in workload.together if part.label == target.part)
        understood = workload.parameters
    elif target.section == "guest":
        understood = combination.guest.parameters
    return understood.get(target.key, trial.value)
