"""From the tables of an experiment file to plain settings with every default filled in, or to faults.

Each function takes a table that may be wrong in any way, adds all its faults under its key ``where``, and returns the
settings: JSON values that :mod:`sim.experiment.build` makes the real objects from. It returns None where there were
faults.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sim.experiment import guest_settings
from sim.experiment.pydantic_faults import faults_of
from sim.experiment.schema import GuestTable, MachineTable
from sim.faults import Fault, InputError, key_path, shown, unknown_name
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins import lookup
from sim.plugins.parameter_values import seconds
from sim.units import format_size, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.plugins.lookup import Kind

Settings = dict[str, Any]
_Model = TypeVar("_Model", bound=BaseModel)


def checked(model: type[_Model], table: object, where: str, faults: list[Fault]) -> _Model | None:
    """Return ``table`` as a ``model``, or None with its ``faults``."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        faults.extend(faults_of(error, model, below=where))
        return None


def machine(table: object, where: str, faults: list[Fault]) -> Settings | None:
    """Return a machine's settings: its label and the fields of :class:`~sim.machine.spec.MachineSpec`."""
    read = checked(MachineTable, table, where, faults)
    if read is None:
        return None
    if (read.boot_memory is None) == (read.nodes is None):
        missing = "needs boot_memory (for one node) or nodes"
        faults.append(Fault(where, missing if read.nodes is None else "has both boot_memory and nodes; keep one"))
        return None
    sizes = [node.boot_memory for node in read.nodes] if read.nodes is not None else [read.boot_memory or 0]
    given = {
        field.name: value
        for field in dataclasses.fields(MachineSpec)
        if field.name != "nodes" and (value := getattr(read, field.name)) is not None
    }
    try:
        spec = MachineSpec(nodes=tuple(NodeSpec(boot_memory=size) for size in sizes), **given)
    except InputError as error:
        for fault in error.faults:
            # One node's memory is written as boot_memory; a fault must name the key that stands in the file.
            short = read.nodes is None and fault.where.startswith("nodes")
            faults.append(Fault(f"{where}.{'boot_memory' if short else fault.where}", fault.what))
        return None
    return {"label": read.label or "+".join(format_size(size) for size in sizes), **dataclasses.asdict(spec)}


def policy(table: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]) -> Settings | None:
    """Return a policy's settings: label, plug-in, the code's hash and all parameters."""
    settings, _ = _plugin(lookup.POLICY, table, where, folder, faults)
    return settings


def workload(
    table: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]
) -> tuple[Settings, list[int]] | None:
    """Return a workload's settings and the nodes that it plugs memory into.

    The settings are those of one plug-in, or under ``together`` those of several.
    """
    if "together" in table:
        return _together(table, where, folder, faults)
    if "name" not in table:
        faults.append(Fault(where, "needs a name (of one workload) or together (several on one guest)"))
        return None
    settings, made = _plugin(lookup.WORKLOAD, table, where, folder, faults)
    nodes = _nodes(made, where, faults)
    return (settings, nodes) if settings is not None and nodes is not None else None


def _together(
    table: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]
) -> tuple[Settings, list[int]] | None:
    faults.extend(
        Fault(key_path(key, below=where), "belongs into one of the tables of together")
        for key in sorted(table.keys() - {"label", "machines", "together"})
    )
    tables = table["together"]
    if not tables:
        faults.append(Fault(f"{where}.together", "is empty; at least one workload is needed"))
    parts: list[Settings] = []
    nodes: set[int] = set()
    for number, part in enumerate(tables):
        place = f"{where}.together[{number}]"
        settings, made = _plugin(lookup.WORKLOAD, part, place, folder, faults)
        its_nodes = _nodes(made, place, faults)
        if settings is None or its_nodes is None:
            continue
        nodes.update(its_nodes)
        if any(settings["label"] == other["label"] for other in parts):
            what = f"{shown(settings['label'])} is taken; give this part a label of its own"
            faults.append(Fault(f"{place}.label", what))
        parts.append(settings)
    if len(parts) != len(tables) or not parts:
        return None
    label = table.get("label") or " + ".join(part["label"] for part in parts)
    return {"label": label, "together": parts}, sorted(nodes)


def guest(table: object, where: str, faults: list[Fault]) -> Settings | None:
    """Return the guest's settings: the model, and for a real one what differs from its defaults."""
    read = checked(GuestTable, table, where, faults)
    if read is None:
        return None
    given = read.model_extra or {}
    if read.model == "none":
        faults.extend(Fault(key_path(key, below=where), 'needs model = "linux"') for key in given)
        return None if given else {"model": "none"}
    before = len(faults)
    parameters = guest_settings.configure(given, where, faults)
    if len(faults) > before:
        return None
    return {"model": read.model, "sample_every": read.sample_every, "parameters": parameters}


def timing(table: Mapping[str, Any], where: str, faults: list[Fault]) -> Settings | None:
    """Return the guest's times in microseconds, from what ``table`` says in seconds; the others by default."""
    from sim.kernel.timing import Timing

    defaults = Timing()
    settings = {field.name: int(getattr(defaults, field.name)) for field in dataclasses.fields(Timing)}
    found: list[Fault] = []
    for key, value in table.items():
        place = key_path(key, below=where)
        if key not in settings:
            found.append(Fault(place, unknown_name(f"key of {where}", key, settings)))
            continue
        try:
            settings[key] = seconds_to_us(seconds(value))
        except ValueError as error:
            found.append(Fault(place, str(error)))
    faults.extend(found)
    return None if found else settings


def _plugin(
    kind: Kind, table: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]
) -> tuple[Settings | None, Any]:
    """Return the settings of the plug-in that ``table`` names, and an instance made to see whether it accepts them."""
    name = table["name"]
    try:
        found = lookup.find(kind, name, folder)
    except lookup.PluginError as error:
        faults.append(Fault(f"{where}.name", str(error)))
        return None, None
    mine: list[Fault] = []
    given = {key: value for key, value in table.items() if key not in lookup.RESERVED_KEYS}
    parameters = lookup.configure(found, given, where, mine)
    files = {} if mine else _files(found, parameters, where, folder, mine)
    made = None if mine else lookup.create(found, parameters, folder, where, mine)
    faults.extend(mine)
    if mine:
        return None, None
    label = table.get("label") or name.rpartition(":")[2]
    settings = {"label": label, "plugin": name, "code": found.code, "parameters": parameters}
    if files:
        settings["files"] = files
    return settings, made


def _files(
    plugin: lookup.Plugin, parameters: Mapping[str, Any], where: str, folder: Path, faults: list[Fault]
) -> dict[str, str]:
    """Return SHA-256 of every file that the ``parameters`` name: what a run depends on beside its settings."""
    hashes = {}
    for name, path in lookup.file_paths(plugin, parameters):
        try:
            with (folder / path).open("rb") as file:
                hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            faults.append(Fault(f"{where}.{name}", f"{folder / path} cannot be read: {reason}"))
    return hashes


def _nodes(made: Any, where: str, faults: list[Fault]) -> list[int] | None:  # noqa: ANN401  a workload, or None
    if made is None:
        return None
    try:
        made.duration()
        return sorted({int(node) for node in made.node_capacity()})
    except Exception as error:  # noqa: BLE001  whatever a third party's code does
        faults.append(Fault(where, f"the workload cannot say its duration and nodes: {type(error).__name__}: {error}"))
        return None
