"""The ``[guest]`` table: which guest uses the memory, and which of its parameters differ from the defaults.

The keys beside those of :class:`sim.experiment.schema.GuestTable` are the fields of
:class:`sim.guest.GuestParameters`; the defaults are those of the preset, or of the machine's kernel series.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sim.faults import Fault, InputError, unknown_name
from sim.plugins.parameter_lists import Row
from sim.plugins.parameter_types import Number, ParameterType, Size, Whole
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.experiment.settings import GuestSettings, MachineSettings
    from sim.faults import Faults

_OF_THE_MACHINE: Final = ("series", "geometry")
_BY_ANNOTATION: Final[dict[str, ParameterType]] = {
    "int": Whole(),
    "float": Number(),
    "tuple[int, int, int]": Row((Whole(), Whole(), Whole())),
}


def parameter_types() -> dict[str, ParameterType]:
    """Return the guest's parameters, each with its type; sizes are those whose names end so."""
    from sim.guest import GuestParameters

    types: dict[str, ParameterType] = {}
    for field in dataclasses.fields(GuestParameters):
        if field.name not in _OF_THE_MACHINE:
            types[field.name] = Size(zero=True) if field.name.endswith("_bytes") else _BY_ANNOTATION[str(field.type)]
    return types


def parameter_schemas() -> dict[str, Any]:
    """Return the JSON Schema of the presets, and of each of the guest's parameters."""
    from sim.guest import PRESETS

    preset = {"enum": sorted(PRESETS), "description": "A guest by name (memhp-sim presets lists them)."}
    return {"preset": preset, **{name: of_name.json_schema() for name, of_name in parameter_types().items()}}


def configure(table: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Return the guest's parameters in ``table``, converted; adds what is wrong with them to ``faults``."""
    from sim.guest import GuestParameters

    types = parameter_types()
    configured: dict[str, Any] = {}
    for key, value in table.items():
        of_key = faults.below(key)
        if key not in types:
            of_key.add(unknown_name(f"parameter of {faults.key}", key, types))
            continue
        configured[key] = types[key].convert(value, of_key)
        if isinstance(configured[key], (int, float)) and configured[key] < 0:
            of_key.add(f"must not be negative, but is {value}")
    if not faults:
        try:
            GuestParameters(**arguments(configured))
        except ValueError as error:
            name, _, what = str(error).partition(": ")
            faults.below(name).add(what)
    return configured


LINUX_KEYS: Final = ("preset", "as_", "draw")
"""Fields of :class:`sim.experiment.schema.GuestTable` that say something of a real guest only."""


def check(preset: str | None, free: Mapping[str, int | None] | None, faults: Faults) -> None:
    """Add to ``faults`` what is wrong with a preset's name, or with what ``free`` prints, whatever the machine."""
    from sim.guest import PRESETS

    if preset is not None and preset not in PRESETS:
        faults.below("preset").add(unknown_name("preset", preset, PRESETS))
    if free is not None and (free["used"] or 0) >= (free["mem_total"] or 0):
        faults.below("as", "used").add(
            f"{format_size(free['used'] or 0)} are not less than mem_total ({format_size(free['mem_total'] or 0)})"
        )


def check_machine(machine: MachineSettings, guest: GuestSettings, faults: Faults) -> None:
    """Add to ``faults``, the collector of the machine's key, what hinders this guest from booting on this machine.

    Without a guest it is what hinders the machine from being laid out.
    """
    from sim.experiment import build
    from sim.guest.uncertainty import highest_factors
    from sim.machine.boot_layout import lay_out

    spec = build.guest(guest)
    try:
        layout = lay_out(machine.spec)
    except InputError as error:
        faults.include(Fault(faults.key, fault.what) for fault in error.faults)
        return
    if spec is None:
        return
    try:
        spec.boot(layout.present_zones(), layout.options, layout.memory.geometry)
        if spec.draw:
            largest = replace(spec, factors=highest_factors(spec.known))
            largest.boot(layout.present_zones(), layout.options, layout.memory.geometry)
    except InputError as error:
        faults.include(Fault(f"guest.{fault.key}" if fault.key else faults.key, fault.what) for fault in error.faults)


def check_state(machine: MachineSettings, guest: GuestSettings, faults: Faults) -> None:
    """Add to ``faults``, the collector of the state's key, why this guest cannot be in the state of this machine."""
    from policies.fixed import Offline
    from sim.engine import simulate
    from sim.experiment import build
    from sim.streams import Streams
    from workloads.steps import Steps

    spec = build.guest(guest)
    if spec is None or machine.spec.state is None:
        return
    try:
        simulate(machine.spec, Offline(), Steps(), Streams(0, 0), guest=replace(spec, draw=False), brief=True)
    except InputError as error:
        faults.include(Fault(faults.key, fault.what) for fault in error.faults)


def arguments(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``configured`` values as :class:`sim.guest.GuestParameters` takes them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in configured.items()}
