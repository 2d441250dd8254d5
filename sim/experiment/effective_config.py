"""The effective experiment: the file with every default filled in, which runs again as it is, from anywhere."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sim.experiment.recommend_table import from_anywhere
from sim.experiment.schema import ExperimentTable
from sim.experiment.variants import Variants
from sim.faults import Faults
from sim.machine.cmdline import MACHINE_FIELDS
from sim.machine.spec import MachineSpec
from sim.plugins import lookup
from sim.units import format_size, us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sim.experiment.plan import Experiment
    from sim.plugins.lookup import Kind

_SIZES = (
    "page_size",
    "block_size",
    "section_size",
    "kernelcore",
    "movablecore",
    "cma",
    "cma_base",
    "cma_limit",
    "virtio_mem_bbm_block_size",
    "crashkernel",
    "log_buf_len",
    "mem",
    "max_memory",
    "max_ram_below_4g",
)


def effective_tables(experiment: Experiment) -> dict[str, Any]:
    """Return the tables of ``experiment`` with all defaults, labels and absolute paths, as TOML can hold them.

    Loading them gives an experiment with the same cells.
    """
    checked = ExperimentTable.model_validate(experiment.tables)
    entries = Variants(experiment.tables, experiment.folder, Faults()).entries
    folder = experiment.folder
    tables: dict[str, Any] = {
        "name": experiment.name,
        "description": experiment.description,
        "seed": experiment.seed,
        "replications": checked.replications,
        "baseline": experiment.baseline,
    }
    if experiment.cell_timeout is not None:
        tables["cell_timeout"] = experiment.cell_timeout
    swept = _swept_labels(experiment.tables.get("sweep", ()), "cmdline")
    tables["machines"] = [
        machine_with_defaults(label, entry.table, told="cmdline" in entry.table or label in swept)
        for label, entry in entries["machines"].items()
    ]
    if "policies" in experiment.tables:
        tables["policies"] = [
            _plugin(lookup.POLICY, label, entry.table, folder) for label, entry in entries["policies"].items()
        ]
    tables["workloads"] = [_workload(label, entry.table, folder) for label, entry in entries["workloads"].items()]
    tables["guest"] = _thawed(checked.guest.model_dump(by_alias=True, exclude_none=True))
    tables["timing"] = _timing(experiment.tables)
    if "sweep" in experiment.tables:
        tables["sweep"] = _thawed(experiment.tables["sweep"])
    if "published" in experiment.tables:
        tables["published"] = _thawed(experiment.tables["published"])
    if "recommend" in experiment.tables:
        tables["recommend"] = _thawed(from_anywhere(experiment.tables["recommend"], entries["policies"], folder))
    return tables


def machine_with_defaults(label: str, table: Mapping[str, Any], *, told: bool) -> dict[str, Any]:
    """Return a machine's table with its defaults; where it is ``told`` by a command line without those of its words."""
    defaults = {
        field.name: format_size(field.default) if field.name in _SIZES and field.default is not None else field.default
        for field in dataclasses.fields(MachineSpec)
        if field.default is not dataclasses.MISSING and not (told and field.name in MACHINE_FIELDS)
    }
    filled: dict[str, Any] = _thawed({"label": label, **defaults, **table})
    return {key: value for key, value in filled.items() if value is not None}


def _workload(label: str, table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    machines = {"machines": list(table["machines"])} if "machines" in table else {}
    if "together" not in table:
        return {**_plugin(lookup.WORKLOAD, label, table, folder), **machines}
    parts = [
        _plugin(lookup.WORKLOAD, part.get("label", part["name"].rpartition(":")[2]), part, folder)
        for part in table["together"]
    ]
    return {"label": label, **machines, "together": parts}


def _plugin(kind: Kind, label: str, table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    plugin = lookup.find(kind, table["name"], folder)
    name = table["name"]
    if ".py:" in name:
        path, _, class_name = name.rpartition(":")
        name = f"{folder / path}:{class_name}"
    filled = {"name": name, "label": label}
    for parameter in plugin.parameters:
        value = table.get(parameter.name, parameter.written)
        if value is not None:
            filled[parameter.name] = parameter.type.with_paths(_thawed(value), lambda path: str(folder / path))
    return filled


def _timing(tables: Mapping[str, Any]) -> dict[str, Any]:
    from sim.kernel.timing import PROFILES

    table = tables.get("timing", {})
    profile = table.get("profile", "neon")
    times = dataclasses.asdict(PROFILES[profile].timing())
    if "profile" in _swept(tables.get("sweep", ()), "timing"):
        # Written out, they would hide those of the other profiles.
        of_profiles = {name for each in PROFILES.values() for name in each.times}
        times = {name: time for name, time in times.items() if name not in of_profiles}
    return {"profile": profile, **{name: us_to_seconds(time) for name, time in times.items()}, **table}


def _swept(sweeps: Iterable[Mapping[str, Any]], section: str) -> set[str]:
    """Return the keys of a ``section`` without labels that take several values."""
    tables = [table for sweep in sweeps for form in sweep.values() for table in _sequence(form)]
    return {key for table in tables for key in table.get(section, {})}


def _swept_labels(sweeps: Iterable[Mapping[str, Any]], key: str) -> set[str]:
    """Return the labels of machines whose ``key`` takes several values."""
    tables = [table for sweep in sweeps for form in sweep.values() for table in _sequence(form)]
    return {label for table in tables for label, keys in table.get("machines", {}).items() if key in keys}


def _sequence(form: Any) -> tuple[Any, ...]:  # noqa: ANN401  a table, or the points of a sweep
    return form if isinstance(form, tuple) else (form,)


def _thawed(value: Any) -> Any:  # noqa: ANN401  whatever the file holds
    if isinstance(value, (tuple, list)):
        return [_thawed(item) for item in value]
    if isinstance(value, dict):
        return {key: _thawed(item) for key, item in value.items()}
    return value
