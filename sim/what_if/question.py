"""What is asked: a machine, steps, and policies to try them under, made into an experiment that can be run as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.experiment.load import load
from sim.experiment.policy_option import policy_table, told_of_option
from sim.faults import Fault, InputError, listed, shown, unknown_name
from sim.machine.cold_devices import devices_at_first
from sim.plugins import lookup
from workloads.parts.requests.request import Request
from workloads.parts.requests.step_words import StepReader, written

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sim.devices.specs import DeviceSpec
    from sim.experiment.plan import Cell, Experiment
    from sim.experiment.settings import GuestSettings
    from sim.machine.spec import MachineSpec
    from sim.what_if.sources import Source

COMPARISONS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "contig-zones"},
    {"name": "auto-movable", "label": "auto-movable 301", "ratio": 301},
    {"name": "online-movable"},
)
"""Policies that are tried beside a machine's own."""

_ADDING: Final = "plug", "resize"


@dataclass(frozen=True, slots=True)
class Question:
    """An ``experiment`` of one cell for each policy, whose workload makes ``steps`` and asks back what they added.

    ``steps`` are as written, the last ``back`` of them ask back. ``own`` is the label of the machine's own policy, None
    where it has several or none. ``source`` is the name of what it was read from; ``remarks`` say what was assumed, and
    what was left out.
    """

    source: str
    experiment: Experiment
    steps: tuple[str, ...]
    back: int
    own: str | None
    remarks: tuple[str, ...]

    @property
    def cells(self) -> list[Cell]:
        """A cell for each policy."""
        return list(self.experiment.cells())

    @property
    def machine(self) -> MachineSpec:
        """The machine."""
        return self.experiment.combinations[0].machine.spec


def question(
    source: Source,
    steps: Iterable[tuple[str, str]] = (),
    *,
    machine: str | None = None,
    policies: Sequence[str] = (),
    guest: bool = False,
) -> Question:
    """Return the question that the machine of ``source`` poses with these ``steps``, each (op, what it is about).

    ``machine`` is the label of one of several, ``policies`` are labels of the file's or names with parameters
    (``auto-movable:ratio=401``); ``guest`` models one where the file has none. Raises InputError with what is wrong.
    """
    tables, name, folder, _ = source
    base = {key: value for key, value in tables.items() if key not in ("workloads", "sweep", "baseline", "published")}
    base["replications"] = 1
    if guest and "guest" not in base:
        base["guest"] = {"model": "linux"}
    asked = _load(base, folder, name)
    label = _one_machine(asked, machine, name)
    base["machines"] = tuple(
        table for table, known in zip(base["machines"], asked.machines, strict=True) if known == label
    )
    known = next(each for each in asked.combinations if each.machine.label == label)
    spec = known.machine.spec
    remarks = (
        *source.remarks,
        *_left_out(tables, known.guest),
        *_notes(known.machine.notes(policies="policies" in base), source),
    )
    if "policies" not in base:
        base["policies"] = ({"name": known.policy.plugin, **known.policy.parameters, "label": known.policy.label},)
    own = asked.policies[0] if len(asked.policies) == 1 else None
    picked = _policies(base["policies"], asked.policies, policies)
    base["policies"] = tuple(table for _, table in picked)
    requests = _requests(steps, spec, modelled=known.guest.model != "none")
    back = _asked_back(requests, spec)
    if not requests and not back:
        what = "nothing is asked: name a step, such as --plug dimm:16GiB; the machine has no devices to ask back"
        raise InputError(name, [Fault("", what)])
    everything = [written(request) for request in (*requests, *back)]
    guests = dict(base.get("guest", {}))
    if guests.get("model", "none") != "none":
        base["guest"] = {"sample_every": 1.0, **guests}
    workload = {"name": "steps", "steps": tuple(everything)}
    try:
        experiment = _load({**base, "workloads": (workload,)}, folder, name)
    except InputError as error:
        raise InputError(name, told_of_option(error.faults, [text for text, _ in picked])) from error
    return Question(name, experiment, tuple(everything), len(back), own, remarks)


def _load(tables: Mapping[str, Any], folder: Path, name: str) -> Experiment:
    try:
        return load(tables, folder=folder, idle=True)
    except InputError as error:
        raise InputError(name, error.faults) from error


def _left_out(tables: Mapping[str, Any], guest: GuestSettings) -> list[str]:
    remarks = []
    if guest.draw:
        remarks.append("the guest is drawn: this is the one of the first replication, and others differ")
    if "sweep" in tables:
        remarks.append("what the file sweeps is left out: every value is the one in its own table")
    return remarks


def _notes(notes: Iterable[str], source: Source) -> Iterator[str]:
    """Yield what is to be told of a machine, but for what is assumed of its state where the source has told that."""
    for note in notes:
        of_state = note.startswith("state: ")
        if not (of_state and source.remarks):
            yield note if of_state else f"command line: {note}"


def _one_machine(experiment: Experiment, label: str | None, name: str) -> str:
    """Return the label of the machine that is meant. Raises InputError where that is not clear."""
    labels = experiment.machines
    if label is not None:
        if label not in labels:
            raise InputError("--machine", [Fault("", unknown_name("machine", label, labels))])
        return label
    if len(labels) > 1:
        what = f"has several machines; choose one with --machine: {listed(labels)}"
        raise InputError(name, [Fault("", what)])
    return labels[0]


def _policies(
    tables: Sequence[Mapping[str, Any]], labels: Sequence[str], chosen: Sequence[str]
) -> list[tuple[str | None, Mapping[str, Any]]]:
    """Return the policies to try: those ``chosen``, else the file's, with others beside a single one.

    Each is a table, and before it what the option said, None for those that no option named.
    """
    own = dict(zip(labels, tables, strict=True))
    if chosen:
        picked = [(None if text in own else text, own.get(text) or policy_table(text)) for text in chosen]
        return list({str(table): (text, table) for text, table in picked}.values())
    beside = [each for each in COMPARISONS if len(tables) == 1 and not _alike(each, tables[0])]
    return [(None, table) for table in (*tables, *beside)]


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tables are the same policy with the same parameters, whatever it is called."""
    return _parameters(one) == _parameters(other)


def _parameters(table: Mapping[str, Any]) -> dict[str, Any]:
    try:
        known = {each.name: each.written for each in lookup.find(lookup.POLICY, table["name"]).parameters}
    except lookup.PluginError:
        known = {}
    return known | {key: value for key, value in table.items() if key != "label"}


def _requests(steps: Iterable[tuple[str, str]], machine: MachineSpec, *, modelled: bool) -> list[Request]:
    """Return what the steps ask. Raises InputError with everything that is wrong with them on this machine."""
    there = devices_at_first(machine)
    devices = {spec.id: spec for spec in there}
    reader = StepReader(there)
    requests: list[Request] = []
    faults: list[Fault] = []
    for op, text in steps:
        before = len(reader.faults)
        read = reader.read(op, text)
        faults += [Fault("", fault) for fault in reader.faults[before:]]
        for request in read:
            what = _wrong(request, devices, machine, modelled=modelled)
            if what is not None:
                faults.append(Fault("", f"{shown(f'{op} {text}')}: {what}"))
        requests += read
    if faults:
        raise InputError("the steps", faults)
    return requests


def _wrong(request: Request, devices: dict[str, DeviceSpec], machine: MachineSpec, *, modelled: bool) -> str | None:
    """Return what is wrong with a request on this machine, None where nothing is; ``devices`` are kept up to date."""
    device, spec = request.device, request.spec
    if spec is not None:
        last = len(machine.nodes) - 1
        devices[device] = spec
        if spec.node > last:
            return f"there is no node {spec.node}; the machine has {'node 0 only' if not last else f'0 to {last}'}"
        if isinstance(spec, DimmSpec) and not machine.built_for.dimms:
            return f"machines of {machine.built_for.name} have no DIMMs; they can have virtio-mem devices"
    elif request.op == "demand":
        return None if modelled else "there is no guest that could use memory; add --guest, or [guest] to the file"
    elif device not in devices:
        if devices:
            return unknown_name("device", device, devices)
        return f"no device {shown(device)}; the machine has none, and no step before this one plugs one"
    elif request.op == "unplug":
        del devices[device]
    return None


def _asked_back(requests: Sequence[Request], machine: MachineSpec) -> list[Request]:
    """Return the requests that ask back what ``requests`` add, last things first.

    Where none is about a device, all devices that are there are asked back.
    """
    sizes = {spec.id: _size(spec) for spec in devices_at_first(machine)}
    whole = {spec.id for spec in devices_at_first(machine) if not isinstance(spec, VirtioMemSpec)}
    if all(request.op == "demand" for request in requests):
        return [_back(device, 0, whole) for device in reversed(sizes)]
    before: list[tuple[str, int]] = []
    """By step: the device, and its requested bytes before."""
    for request in requests:
        device = request.device
        if request.op in _ADDING:
            before.append((device, sizes.get(device, 0) if request.spec is None else 0))
            sizes[device] = request.size if request.spec is None else _size(request.spec)
        if request.spec is not None and not isinstance(request.spec, VirtioMemSpec):
            whole.add(device)
        elif request.op == "unplug":
            sizes[device] = 0
    back = []
    for device, size in reversed(before):
        if size < sizes[device]:
            back.append(_back(device, size, whole))
            sizes[device] = size
    return back


def _back(device: str, size: int, whole: Container[str]) -> Request:
    if device in whole:
        return Request(0, "unplug", device)
    return Request(0, "resize", device, size=size)


def _size(spec: DeviceSpec) -> int:
    """Return the bytes that a device brings."""
    return spec.requested if isinstance(spec, VirtioMemSpec) else spec.size
