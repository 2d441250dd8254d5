"""A plug-in and its parameters as a command names them, wherever that may fail: found, made, or refused in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.faults import Fault, Faults, InputError
from sim.plugins.lookup import Plugin, PluginError, configure, create, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.plugins.lookup import Kind


@dataclass(frozen=True, slots=True)
class Made:
    """A ``plugin`` that can be made: ``configured`` are the values of its parameters, with their paths from ``folder``.

    ``folder`` is absolute.
    """

    plugin: Plugin
    configured: Mapping[str, Any]
    folder: Path

    @property
    def arguments(self) -> dict[str, Any]:
        """What the class takes."""
        types = {parameter.name: parameter.type for parameter in self.plugin.parameters}
        return {
            name: types[name].with_paths(value, lambda path: str(self.folder / path))
            for name, value in self.configured.items()
        }

    def make(self) -> Any:  # noqa: ANN401  a policy or a workload
        """Return a new one."""
        return self.plugin.cls(**self.arguments)


def made(kind: Kind, asked: Mapping[str, Any]) -> Made:
    """Return the plug-in ``asked["name"]`` with the parameters ``asked["values"]``, as files have them.

    Paths are relative to ``asked["folder"]``. Raises PluginError where there is none, and InputError with all that is
    wrong with the parameters, or where it cannot be made.
    """
    folder = Path(asked["folder"])
    plugin = find(kind, asked["name"], folder)
    faults = Faults()
    configured = configure(plugin, asked["values"], faults)
    if not faults:
        create(plugin, configured, folder, faults)
    faults.raise_if_any(asked["name"])
    return Made(plugin, configured, folder)


def or_refused(handle: Callable[[Mapping[str, Any]], dict[str, Any]], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``handle`` makes of what is asked, or plain values that :func:`raise_refused` raises again."""
    try:
        return handle(asked)
    except PluginError as error:
        return {"unknown": str(error)}
    except InputError as error:
        return {"refused": [error.source, [(fault.key, fault.what) for fault in error.faults]]}


def raise_refused(answer: Mapping[str, Any]) -> None:
    """Raise what kept a plug-in from being made, if anything did."""
    if "unknown" in answer:
        raise PluginError(answer["unknown"])
    if "refused" in answer:
        source, faults = answer["refused"]
        raise InputError(source, [Fault(key, what) for key, what in faults])
