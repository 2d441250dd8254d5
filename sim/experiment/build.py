"""From checked settings to the objects that a simulation takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import engine
from sim.experiment import guest_settings
from sim.experiment.settings import TogetherSettings
from sim.faults import Faults
from sim.plugins import lookup
from sim.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Policy
    from sim.engine import Log
    from sim.experiment.plan import Cell
    from sim.experiment.settings import GuestSettings, PluginSettings, WorkloadSettings
    from sim.kernel.guest_link import GuestSpec
    from sim.plugins.lookup import Kind
    from sim.record.run_result import RunResult
    from workloads.contract import Workload


def simulation(cell: Cell, log: Log | None = None, *, asks: Workload | None = None) -> Callable[[], RunResult]:
    """Return the simulation of ``cell``, with all its parts made, to be run by calling it, once.

    ``log`` is told what is decided, refused or fails, see :func:`sim.engine.simulate`. ``asks`` is the cell's workload,
    where the caller has made it. Raises InputError where a part cannot be made.
    """
    parts, folder = cell.combination, Path(cell.folder)
    return partial(
        engine.simulate,
        parts.machine.spec,
        policy(parts.policy, folder),
        played(cell) if asks is None else asks,
        Streams(cell.seed, cell.replication),
        timing=parts.timing,
        guest=guest(parts.guest),
        log=log,
        rivals=[partial(policy, rival, folder) for rival in parts.rivals],
    )


def policy(settings: PluginSettings, folder: Path) -> Policy:
    """Return a fresh instance of the policy that ``settings`` describe; paths are relative to ``folder``."""
    instance: Policy = _plugin(lookup.POLICY, settings, folder)
    return instance


def workload(settings: WorkloadSettings, folder: Path) -> Workload:
    """Return a fresh instance of the workload that ``settings`` describe; paths are relative to ``folder``."""
    if isinstance(settings, TogetherSettings):
        from workloads.parts.together import Together

        return Together(
            parts=[_plugin(lookup.WORKLOAD, part, folder) for part in settings.together],
            names=[part.label for part in settings.together],
        )
    instance: Workload = _plugin(lookup.WORKLOAD, settings, folder)
    return instance


def played(cell: Cell) -> Workload:
    """Return the workload of ``cell`` as it is in its replication, and under its conditions."""
    parts = cell.combination
    asks = workload(parts.workload, Path(cell.folder)).for_replication(cell.replication)
    if parts.conditions is None:
        return asks
    from workloads.parts.conditions import UnderConditions

    return UnderConditions(asks, kernel=parts.conditions.kernel, boot=parts.conditions.boot)


def guest(settings: GuestSettings) -> GuestSpec | None:
    """Return the guest that ``settings`` describe; None for the model ``none``."""
    if settings.model == "none":
        return None
    from sim.guest import Free
    from sim.kernel.guest_link import GuestSpec

    return GuestSpec(
        guest_settings.arguments(settings.parameters),
        settings.sample_every,
        settings.preset,
        None if settings.free is None else Free(**settings.free),
        settings.draw,
    )


def _plugin(kind: Kind, settings: PluginSettings, folder: Path) -> Any:  # noqa: ANN401  of the kind that is asked for
    faults = Faults(settings.label)
    instance = lookup.create(lookup.find(kind, settings.plugin, folder), settings.parameters, folder, faults)
    faults.raise_if_any(f"{kind.word} {settings.label}")
    return instance
