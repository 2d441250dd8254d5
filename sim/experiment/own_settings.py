"""What of an effective experiment was said, and is not merely the default: what tells its parts from one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.effective_config import machine_with_defaults
from sim.faults import MemhpSimError
from sim.plugins import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plugins.lookup import Kind

_KINDS: Final = {"policies": lookup.POLICY, "workloads": lookup.WORKLOAD}


@dataclass(frozen=True, slots=True)
class Own:
    """A machine, policy or workload of an experiment: its ``label``, the ``plugin`` (empty for a machine), what it is.

    ``settings`` are those that differ from the defaults, as TOML has them; all where the plug-in is not installed.
    ``parts`` are the workloads that act together.
    """

    label: str
    plugin: str
    summary: str
    settings: Mapping[str, Any]
    parts: tuple[Own, ...] = ()


def own_settings(config: Mapping[str, Any], section: str) -> list[Own]:
    """Return the parts in a ``section`` ("machines", "policies" or "workloads") of an effective configuration.

    Whatever is not as :func:`sim.experiment.effective_config.effective_tables` writes it is left out. Plug-ins that are
    named by a file are not looked up: nothing of theirs is run for this.
    """
    entries = config.get(section)
    tables = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, (list, tuple)) else []
    if section == "machines":
        return [_machine(table) for table in tables]
    return [_plugin(_KINDS[section], table) for table in tables]


def _machine(table: Mapping[str, Any]) -> Own:
    defaults = machine_with_defaults("", {}, told=False)
    settings = {key: value for key, value in table.items() if key != "label" and value != defaults.get(key)}
    return Own(str(table.get("label", "")), "", "", settings)


def _plugin(kind: Kind, table: Mapping[str, Any]) -> Own:
    together = table.get("together")
    parts = [_plugin(kind, part) for part in together if isinstance(part, dict)] if isinstance(together, list) else []
    name = str(table.get("name", ""))
    settings = {key: value for key, value in table.items() if key not in lookup.RESERVED_KEYS}
    summary = ""
    if name and ".py:" not in name:
        try:
            plugin = lookup.find(kind, name)
            written = {parameter.name: parameter.written for parameter in plugin.parameters}
            summary = plugin.summary
        except MemhpSimError:
            written = {}
        settings = {key: value for key, value in settings.items() if key not in written or value != written[key]}
    return Own(str(table.get("label", name)), name, summary, settings, tuple(parts))
