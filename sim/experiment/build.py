"""From plain settings (JSON values, complete) to the objects that a simulation takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.experiment import guest_settings
from sim.faults import Fault, InputError
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from policies.contract import Policy
    from sim.kernel.guest_link import GuestSpec
    from sim.kernel.timing import Timing
    from sim.plugins.lookup import Kind
    from workloads.contract import Workload


def machine(settings: Mapping[str, Any]) -> MachineSpec:
    """Return the machine that ``settings`` describe."""
    fields = {key: value for key, value in settings.items() if key not in ("label", "nodes")}
    return MachineSpec(nodes=tuple(NodeSpec(**node) for node in settings["nodes"]), **fields)


def policy(settings: Mapping[str, Any], folder: Path) -> Policy:
    """Return a fresh instance of the policy that ``settings`` describe; paths are relative to ``folder``."""
    made: Policy = _plugin(lookup.POLICY, settings, folder)
    return made


def workload(settings: Mapping[str, Any], folder: Path) -> Workload:
    """Return a fresh instance of the workload that ``settings`` describe; paths are relative to ``folder``."""
    if "together" in settings:
        from workloads.parts.together import Together

        parts = settings["together"]
        return Together(
            parts=[_plugin(lookup.WORKLOAD, part, folder) for part in parts], names=[part["label"] for part in parts]
        )
    made: Workload = _plugin(lookup.WORKLOAD, settings, folder)
    return made


def guest(settings: Mapping[str, Any]) -> GuestSpec | None:
    """Return the guest that ``settings`` describe; None for the model ``none``."""
    if settings["model"] == "none":
        return None
    from sim.kernel.guest_link import GuestSpec

    return GuestSpec(guest_settings.arguments(settings["parameters"]), settings["sample_every"])


def timing(settings: Mapping[str, int]) -> Timing:
    """Return the timing that ``settings`` (microseconds) describe."""
    from sim.kernel.timing import Timing

    return Timing(**settings)


def _plugin(kind: Kind, settings: Mapping[str, Any], folder: Path) -> Any:  # noqa: ANN401  of the kind that is asked for
    faults: list[Fault] = []
    found = lookup.find(kind, settings["plugin"], folder)
    made = lookup.create(found, settings["parameters"], folder, settings["label"], faults)
    if faults:
        raise InputError(f"{kind.word} {settings['label']}", faults)
    return made
