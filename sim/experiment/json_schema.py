"""The JSON Schema of experiment files: the models' own, and what every installed plug-in takes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sim.experiment import guest_settings
from sim.experiment.schema import ExperimentTable
from sim.plugins import lookup

if TYPE_CHECKING:
    from sim.plugins.lookup import Kind
    from sim.plugins.parameters import Parameter

_FILE_PLUGIN = {"type": "string", "pattern": r"\.py:[A-Za-z_]\w*$"}


def experiment_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an experiment file, as parsed TOML."""
    schema: dict[str, Any] = ExperimentTable.model_json_schema()
    definitions = schema["$defs"]
    definitions["PolicyTable"] = _any_of(definitions["PolicyTable"], lookup.POLICY)
    part = definitions["PartTable"]
    composition = _closed(definitions["WorkloadTable"], without="name", required="together")
    single = _any_of(_closed(definitions["WorkloadTable"], without="together", required="name"), lookup.WORKLOAD)
    definitions["PartTable"] = _any_of(part, lookup.WORKLOAD)
    definitions["WorkloadTable"] = {"anyOf": [*single["anyOf"], composition]}
    guest = definitions["GuestTable"]
    guest["properties"] |= guest_settings.parameter_schemas()
    guest["additionalProperties"] = False
    schema["properties"]["timing"] = _timing(schema["properties"]["timing"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "memhp-sim experiment",
    }


def _closed(table: dict[str, Any], *, without: str, required: str) -> dict[str, Any]:
    properties = {name: value for name, value in table["properties"].items() if name != without}
    return {**table, "properties": properties, "required": [required], "additionalProperties": False}


def _any_of(table: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Return ``table`` once for each installed plug-in of ``kind`` with its parameters, and once for those in files."""
    variants = [
        {
            **table,
            "title": listed.name,
            "description": listed.plugin.summary,
            "properties": {
                **table["properties"],
                "name": {"const": listed.name},
                **{parameter.name: _parameter(parameter) for parameter in listed.plugin.parameters},
            },
            "required": ["name"],
            "additionalProperties": False,
        }
        for listed in lookup.listing(kind)
        if listed.plugin is not None
    ]
    from_file = {
        **table,
        "title": f"{kind.word} in a file",
        "properties": {**table["properties"], "name": _FILE_PLUGIN},
        "required": ["name"],
        "additionalProperties": True,
    }
    return {"anyOf": [*variants, from_file]}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    unit = "" if parameter.type.unit == "-" else f" ({parameter.type.unit})"
    schema = parameter.type.json_schema() | {"description": f"{parameter.meaning}{unit}"}
    if parameter.written is not None:
        default = parameter.written
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema


def _timing(table: dict[str, Any]) -> dict[str, Any]:
    from sim.kernel.timing import PROFILES, Timing
    from sim.units import us_to_seconds

    seconds = {
        field.name: {"type": "number", "minimum": 0, "default": us_to_seconds(field.default)}
        for field in dataclasses.fields(Timing)
        if isinstance(field.default, int)
    }
    profile = {
        "enum": sorted(PROFILES),
        "default": "neon",
        "description": "Times by name (memhp-sim presets lists them).",
    }
    return {**table, "properties": {"profile": profile, **seconds}, "additionalProperties": False}
