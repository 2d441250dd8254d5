"""From the tables of an experiment file to checked settings with every default filled in, or to faults.

Each function takes a table that may be wrong in any way, adds all its faults to the collector for the table's key, and
returns the settings. It returns None where there were faults.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from sim.experiment import guest_settings
from sim.experiment.plan import recordings_in_words
from sim.experiment.pydantic_faults import include_faults
from sim.experiment.schema import GuestTable, MachineTable
from sim.experiment.settings import GuestSettings, MachineSettings, PluginSettings, TogetherSettings, WorkloadSettings
from sim.experiment.state_tables import read_cold_device, read_state
from sim.faults import Fault, InputError, let_pass, shown, text_of, unknown_name
from sim.machine import cmdline
from sim.machine.architecture import architecture_of
from sim.machine.host_clock import NEVER_US
from sim.machine.spec import DEFAULT_SERIES, ColdDimms, MachineSpec, NodeSpec
from sim.machine.state import boot_memory
from sim.opening import UnreadableError, open_regular
from sim.pages import SMALLEST_PAGE
from sim.plugins import lookup
from sim.plugins.values import seconds
from sim.traces.content import content_hash
from sim.units import format_size, parse_series, seconds_to_us, us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.faults import Faults
    from sim.kernel.timing import Timing
    from sim.machine.cmdline import CommandLine
    from sim.machine.state import MachineState
    from sim.plugins.lookup import Kind

_Model = TypeVar("_Model", bound=BaseModel)
_RANGES: Final = ("soft_reserved", "reserved")

AS_BOOTED: Final = "as booted"
"""Label of the policy of an experiment that has none of its own: what each machine's command line says."""


def machine(table: object, faults: Faults) -> MachineSettings | None:
    """Return the machine that ``table`` describes."""
    checked = _as_model(MachineTable, table, faults)
    if checked is None:
        return None
    state = None if checked.state is None else read_state(checked.state, checked.block_size, faults.below("state"))
    cold_devices = [
        read_cold_device(entry, faults.below("cold_devices", number))
        for number, entry in enumerate(checked.cold_devices or ())
    ]
    if faults:
        return None
    nodes = _nodes(checked, state, faults)
    if nodes is None:
        return None
    options = _options(checked)
    said = _said(checked, options, sum(node.boot_memory for node in nodes))
    if said is not None:
        differing = [name for name, value in said.machine.items() if name in options and options[name] != value]
        for name in differing:
            faults.below("cmdline").add(
                f"{said.words[name]} and the key {name}{_value(options[name])} differ; keep one"
            )
        if differing:
            return None
        options |= said.machine
    try:
        cold_dimms = tuple(ColdDimms(**dimms.model_dump()) for dimms in checked.cold_dimms or ())
        spec = MachineSpec(
            nodes=nodes, cold_dimms=cold_dimms, cold_devices=tuple(filter(None, cold_devices)), state=state, **options
        )
    except InputError as error:
        faults.include(_placed(fault, checked, said, faults) for fault in error.faults)
        return None
    return MachineSettings(checked.label or "+".join(format_size(node.boot_memory) for node in nodes), spec, said)


def _options(checked: MachineTable) -> dict[str, Any]:
    """Return the fields of a machine that its table gives, but for those of other tables (nodes, DIMMs, state)."""
    options = checked.model_dump(
        exclude={"label", "boot_memory", "nodes", "cmdline", *_RANGES, "cold_dimms", "cold_devices", "state"},
        exclude_none=True,
    )
    for name in _RANGES:
        ranges = getattr(checked, name)
        if ranges is not None:
            options[name] = tuple((part.address, part.size) for part in ranges)
    return options


def _value(given: object) -> str:
    """Return a key's value as it might stand in the file; nothing for tables."""
    if isinstance(given, tuple):
        return ""
    return f" = {format_size(given) if type(given) is int else shown(given)}"


def _said(checked: MachineTable, options: Mapping[str, Any], boot_memory: int) -> CommandLine | None:
    """Return what the machine's command line says; None where it has none."""
    if checked.cmdline is None:
        return None
    page_size = options.get("page_size", SMALLEST_PAGE)
    try:
        architecture = architecture_of(checked.architecture, page_size)
        series = parse_series(checked.kernel or DEFAULT_SERIES)
    except (KeyError, ValueError):  # faults of these keys, which the specification finds
        return cmdline.CommandLine()
    return cmdline.read(
        checked.cmdline, boot_memory=boot_memory, architecture=architecture, page_size=page_size, series=series
    )


def _placed(fault: Fault, checked: MachineTable, said: CommandLine | None, faults: Faults) -> Fault:
    """Return a fault of the machine under the key that stands in the file."""
    if checked.boot_memory is not None and fault.key.startswith("nodes"):  # one node's memory is written as boot_memory
        return Fault(f"{faults.key}.boot_memory", fault.what)
    name = fault.key.partition("[")[0]
    if said is not None and name in said.machine:
        return Fault(f"{faults.key}.cmdline", f"{said.words[name]}: {fault.what}")
    return Fault(f"{faults.key}.{fault.key}", fault.what)


def _nodes(checked: MachineTable, state: MachineState | None, faults: Faults) -> tuple[NodeSpec, ...] | None:
    """Return the nodes that the table has, or else those of the state: with the blocks that were there at boot."""
    if checked.boot_memory is not None and checked.nodes is not None:
        faults.add("has both boot_memory and nodes; keep one")
        return None
    if checked.nodes is not None:
        return tuple(NodeSpec(**node.model_dump()) for node in checked.nodes)
    if checked.boot_memory is not None:
        return (NodeSpec(checked.boot_memory),)
    if state is not None and checked.block_size:
        return tuple(NodeSpec(size) for size in boot_memory(state, checked.block_size))
    if state is not None:
        faults.below("block_size").add("is needed with a state, whose blocks are counted in it")
        return None
    faults.add("needs boot_memory (for one node) or nodes")
    return None


def policy(table: Mapping[str, Any], folder: Path, faults: Faults) -> PluginSettings | None:
    """Return the policy that ``table`` names, with all its parameters."""
    settings, _ = _plugin(lookup.POLICY, table, folder, faults)
    return settings


def booted_policy(machine: MachineSettings, folder: Path, faults: Faults) -> PluginSettings | None:
    """Return the policy that a machine's command line makes the kernel go by."""
    told = {} if machine.said is None else machine.said.policy
    return policy({"name": "kernel", "label": AS_BOOTED, **told}, folder, faults)


class Needs(NamedTuple):
    """What a workload needs of a machine: its ``nodes``, ascending, a ``kernel`` series or a later one, ``dimms``.

    ``ends``: whether it has an end of its own; a run needs one workload that has. ``most_replications`` are those that
    it has recordings for, None where there is no limit.
    """

    nodes: list[int]
    kernel: str | None = None
    dimms: bool = False
    ends: bool = True
    most_replications: int | None = None


def workload(table: Mapping[str, Any], folder: Path, faults: Faults) -> tuple[WorkloadSettings, Needs] | None:
    """Return the workload that ``table`` describes, or several at once, and what it needs of a machine."""
    if "together" in table:
        return _together(table, folder, faults)
    if "name" not in table:
        faults.add("needs a name (of one workload) or together (several on one guest)")
        return None
    settings, instance = _plugin(lookup.WORKLOAD, table, folder, faults)
    needs = _needs(instance, faults)
    if needs is not None and not needs.ends:
        faults.add("has no end of its own: give it a duration, or put it together with a workload that has one")
    return (settings, needs) if settings is not None and needs is not None else None


def _together(table: Mapping[str, Any], folder: Path, faults: Faults) -> tuple[TogetherSettings, Needs] | None:
    for key in sorted(table.keys() - {"label", "machines", "together"}):
        faults.below(key).add("belongs into one of the tables of together")
    tables = table["together"]
    if not tables:
        faults.below("together").add("is empty; at least one workload is needed")
    parts: list[PluginSettings] = []
    needed: list[Needs] = []
    for number, part in enumerate(tables):
        of_part = faults.below("together", number)
        settings, instance = _plugin(lookup.WORKLOAD, part, folder, of_part)
        needs = _needs(instance, of_part)
        if settings is None or needs is None:
            continue
        needed.append(needs)
        if any(settings.label == other.label for other in parts):
            of_part.below("label").add(f"{shown(settings.label)} is taken; give this part a label of its own")
        parts.append(settings)
    if len(parts) != len(tables) or not parts:
        return None
    if not any(needs.ends for needs in needed):
        faults.below("together").add(
            "no part has an end of its own: give one a duration, or add a workload that has one"
        )
    label = table.get("label") or " + ".join(part.label for part in parts)
    nodes = sorted({node for needs in needed for node in needs.nodes})
    kernels = [needs.kernel for needs in needed if needs.kernel is not None]
    kernel = max(kernels, key=parse_series, default=None)
    recordings = {part.label: needs.most_replications for part, needs in zip(parts, needed, strict=True)}
    most = [count for count in recordings.values() if count is not None]
    if len(set(most)) > 1:
        faults.below("together").add(
            f"has {recordings_in_words(recordings)}, each replication the next of every part: choose as many of each by"
            " series"
        )
    dimms = any(needs.dimms for needs in needed)
    return TogetherSettings(label, tuple(parts)), Needs(nodes, kernel, dimms, most_replications=min(most, default=None))


def guest(table: object, faults: Faults) -> GuestSettings | None:
    """Return the guest: the model, and for a real one what differs from its defaults."""
    checked = _as_model(GuestTable, table, faults)
    if checked is None:
        return None
    others = checked.model_extra or {}
    if checked.model == "none":
        only_linux = [*others, *(key for key in guest_settings.LINUX_KEYS if getattr(checked, key))]
        for key in only_linux:
            faults.below(key.rstrip("_")).add('needs model = "linux"')
        return None if only_linux else GuestSettings("none")
    free = None if checked.as_ is None else checked.as_.model_dump()
    guest_settings.check(checked.preset, free, faults)
    parameters = guest_settings.configure(others, faults)
    if faults:
        return None
    return GuestSettings(checked.model, checked.sample_every, parameters, checked.preset, free, checked.draw)


def timing(table: Mapping[str, Any], faults: Faults) -> Timing | None:
    """Return the guest's times, from what ``table`` says in seconds; the others by its profile, or by default."""
    from sim.kernel.timing import PROFILES, Timing

    names = [field.name for field in dataclasses.fields(Timing)]
    times: dict[str, int] = {}
    profile = table.get("profile", "neon")
    if not isinstance(profile, str) or profile not in PROFILES:
        faults.below("profile").add(unknown_name("profile", str(profile), PROFILES))
    else:
        times.update(PROFILES[profile].times)
    for key, value in table.items():
        if key == "profile":
            continue
        if key not in names:
            faults.below(key).add(unknown_name(f"key of {faults.key}", key, ["profile", *names]))
            continue
        try:
            times[key] = seconds_to_us(seconds(value))
        except ValueError as error:
            faults.below(key).add(str(error))
    return None if faults else Timing(**times)


def _as_model(model: type[_Model], table: object, faults: Faults) -> _Model | None:
    """Return ``table`` as a ``model``, or None with its ``faults``."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        include_faults(error, model, faults)
        return None


def _plugin(kind: Kind, table: Mapping[str, Any], folder: Path, faults: Faults) -> tuple[PluginSettings | None, Any]:
    """Return the settings of the plug-in that ``table`` names, and an instance made to see whether it accepts them."""
    name = table["name"]
    try:
        plugin = lookup.find(kind, name, folder)
    except lookup.PluginError as error:
        faults.below("name").add(str(error))
        return None, None
    values = {key: value for key, value in table.items() if key not in lookup.RESERVED_KEYS}
    parameters = lookup.configure(plugin, values, faults)
    if not faults:
        _check_files(plugin, parameters, folder, faults)
    instance = None if faults else lookup.create(plugin, parameters, folder, faults)
    # Only now: what is refused at its first byte is not read to its end.
    files = {} if faults else _files(plugin, parameters, folder, faults)
    if faults:
        return None, None
    return PluginSettings(table.get("label") or name.rpartition(":")[2], name, plugin.code, parameters, files), instance


def _check_files(plugin: lookup.Plugin, parameters: Mapping[str, Any], folder: Path, faults: Faults) -> None:
    """Find fault with files that the ``parameters`` name and that cannot be opened."""
    for name, path in lookup.file_paths(plugin, parameters):
        try:
            open_regular(folder / path).close()
        except UnreadableError as error:
            faults.below(name).add(f"{folder / path} {error}")


def _files(plugin: lookup.Plugin, parameters: Mapping[str, Any], folder: Path, faults: Faults) -> dict[str, str]:
    """Return SHA-256 of every file that the ``parameters`` name: what a run depends on beside its settings."""
    hashes = {}
    for name, path in lookup.file_paths(plugin, parameters):
        try:
            hashes[path] = content_hash(folder / path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            faults.below(name).add(f"{folder / path} cannot be read: {reason}")
    return hashes


def _needs(instance: Any, faults: Faults) -> Needs | None:  # noqa: ANN401  a workload, or None
    if instance is None:
        return None
    try:
        ends = _ends(instance.duration())
        kernel = instance.needs_kernel()
        if kernel is not None:
            parse_series(kernel)
        nodes = sorted({int(node) for node in instance.node_capacity()})
        most = instance.most_replications()
        return Needs(nodes, kernel, bool(instance.needs_dimms()), ends, None if most is None else max(1, int(most)))
    except BaseException as error:  # noqa: BLE001  whatever a third party's code does
        let_pass(error)
        faults.add(f"the workload cannot say its duration and needs: {type(error).__name__}: {text_of(error)}")
        return None


def _ends(seconds: object) -> bool:
    """Whether a workload that lasts so long has an end of its own. Raises ValueError where that is no duration."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds < us_to_seconds(NEVER_US):
        raise ValueError(f"a duration must be a number of seconds, such as 60.0, but is {shown(seconds)}")
    return seconds_to_us(seconds) > 0
