"""What could turn out otherwise than an experiment says, and a scenario in which it does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sim.experiment import build
from sim.experiment.schema import LABEL_LENGTH, shortened_label
from sim.experiment.settings import Conditions, TogetherSettings
from sim.faults import InputError, MemhpSimError
from sim.plugins import lookup

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Combination
    from sim.experiment.settings import PluginSettings


@dataclass(frozen=True, slots=True)
class Change:
    """What is otherwise, in ``words`` behind "with": memory is plugged at ``pace`` times the speed, or see Conditions.

    ``label`` is how the scenario is told from the one that it is made of.
    """

    words: str
    label: str
    pace: float = 1.0
    conditions: Conditions | None = None


CHANGES: Final = (
    Change("plugging twice as fast", "plugged twice as fast", pace=2.0),
    Change("the kernel's memory growing twice as large", "kernel twice as large", conditions=Conditions(kernel=2.0)),
    Change("half of what is free after boot taken by the kernel", "half free at boot", conditions=Conditions(boot=0.5)),
)
"""What an operator knows least: how fast hosts are, what the kernel will need, and what else the guest's image runs."""


class CannotBeSaidError(MemhpSimError):
    """A change means nothing in a scenario; the text says why, as a sentence without its end."""


def changed(base: Combination, change: Change, folder: Path) -> Combination:
    """Return the scenario of ``base`` under a ``change``. Raises CannotBeSaidError."""
    workload = base.workload
    if change.pace != 1.0:
        workload = _at_pace(base, change.pace, folder)
    elif base.guest.model == "none":
        raise CannotBeSaidError("no guest is modelled")
    label = f"{workload.label}, {change.label}"
    label = shortened_label(label) if len(label) > LABEL_LENGTH else label
    return replace(base, workload=replace(workload, label=label), conditions=change.conditions)


def _at_pace(base: Combination, pace: float, folder: Path) -> PluginSettings | TogetherSettings:
    whole = base.workload
    parts = whole.together if isinstance(whole, TogetherSettings) else (whole,)
    faster = tuple(_part_at_pace(part, pace, folder) for part in parts)
    if faster == parts:
        raise CannotBeSaidError("nothing is plugged")
    settings = replace(whole, together=faster) if isinstance(whole, TogetherSettings) else faster[0]
    try:
        build.workload(settings, folder).duration()
    except InputError as error:
        raise CannotBeSaidError(f"the workload cannot be made so ({error.faults[0]})") from error
    return settings


def _part_at_pace(part: PluginSettings, pace: float, folder: Path) -> PluginSettings:
    plugin = lookup.find(lookup.WORKLOAD, part.plugin, folder)
    defaults = {each.name: each.default for each in plugin.parameters if each.default is None}
    parameters = plugin.cls.at_pace({**defaults, **part.parameters}, pace)
    if parameters is None:
        raise CannotBeSaidError(f"what that means is not known of the workload {part.label}")
    return replace(part, parameters={name: value for name, value in parameters.items() if value is not None})
