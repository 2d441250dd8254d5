"""The ``[guest]`` table: which guest uses the memory, and which of its parameters differ from the defaults.

The keys beside ``model`` and ``sample_every`` are the fields of :class:`sim.guest.GuestParameters`; the defaults of the
others are those of the machine's kernel series.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from sim.faults import unknown_name
from sim.plugins.parameter_lists import Row
from sim.plugins.parameter_types import Number, ParameterType, Size, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.faults import Faults

MODELS: Final = ("none", "linux")
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
    """Return the JSON Schema of each of the guest's parameters."""
    return {name: of_name.json_schema() for name, of_name in parameter_types().items()}


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


def arguments(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``configured`` values as :class:`sim.guest.GuestParameters` takes them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in configured.items()}
