"""What an experiment file says once it has been checked: settings with every default filled in, which do not change.

They are plain data throughout, so that they cross to other processes and machines. ``identity`` of each is what results
depend on, as JSON values: it goes into the keys of cells, so a change here computes every result anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.machine.cmdline import CommandLine
    from sim.machine.spec import MachineSpec
    from sim.machine.state import MachineState


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """A machine and what it is called in tables.

    ``said`` is what its ``cmdline`` says, None where it has none. What that changes stands in ``spec``, or in the
    policy where the experiment has none of its own.
    """

    label: str
    spec: MachineSpec
    said: CommandLine | None = None

    def notes(self, *, policies: bool) -> list[str]:
        """Return what is to be told of the command line, and what of the machine's state is assumed.

        ``policies``: the experiment has some of its own.
        """
        assumed = self._assumed()
        if self.said is None:
            return assumed
        lines = self.said.notes() + assumed
        if policies and self.said.policy:
            words = " ".join(dict.fromkeys(self.said.words[name] for name in self.said.policy))
            lines.insert(0, f"{words}: not used, as the experiment has policies of its own")
        elif not policies and "default_state" not in self.said.policy:
            lines.insert(
                0, "no memhp_default_state=: new blocks stay offline, as in a kernel built with upstream's default"
            )
        return lines

    def _assumed(self) -> list[str]:
        from sim.machine.boot_layout import lay_out

        return [] if self.spec.state is None else [f"state: {line}" for line in lay_out(self.spec).assumed]

    def identity(self) -> dict[str, Any]:
        """Return the label and all fields of the machine."""
        nodes = [by_field(node) for node in self.spec.nodes]
        cold_dimms = [by_field(dimms) for dimms in self.spec.cold_dimms]
        return {
            "label": self.label,
            **by_field(self.spec),
            "nodes": nodes,
            "cold_dimms": cold_dimms,
            "cold_devices": [by_field(device) for device in self.spec.cold_devices],
            "state": None if self.spec.state is None else _state_tables(self.spec.state, self.spec.block_size),
        }


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """A policy or workload: which ``plugin``, as the file names it, its ``code`` (a hash) and all its ``parameters``.

    ``files`` holds the SHA-256 of every file that the parameters name, by the path as written.
    """

    label: str
    plugin: str
    code: str
    parameters: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Return what it is and is called."""
        return {"label": self.label, **self.content()}

    def content(self) -> dict[str, Any]:
        """Return what it is, files by their content: moving them changes nothing and editing them does."""
        return {
            "plugin": self.plugin.rpartition(":")[2],
            "code": self.code,
            "parameters": {name: _by_content(value, self.files) for name, value in self.parameters.items()},
        }


@dataclass(frozen=True, slots=True)
class TogetherSettings:
    """Several workloads on one guest."""

    label: str
    together: tuple[PluginSettings, ...]

    def identity(self) -> dict[str, Any]:
        """Return what the parts are."""
        return {"label": self.label, "together": [part.identity() for part in self.together]}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is otherwise than a workload and a guest say, to see what comes of it.

    ``kernel``: loads take so many times as much kernel memory. ``boot``: the share of what is available once the guest
    is up that its kernel has taken, and keeps.
    """

    kernel: float = 1.0
    boot: float = 0.0


WorkloadSettings = PluginSettings | TogetherSettings


@dataclass(frozen=True, slots=True)
class GuestSettings:
    """The ``model`` of a guest, its period of samples in seconds, and the ``parameters`` that are not the defaults.

    ``preset`` names a guest, and ``free`` is what ``free`` prints in one: sizes in bytes by the fields of
    :class:`sim.guest.Free`. With ``draw``, each replication has another guest, within what recordings leave open.
    """

    model: str
    sample_every: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    free: Mapping[str, int] | None = None
    draw: bool = False

    def identity(self) -> dict[str, Any]:
        """Return the model alone where there is nothing to set, else everything."""
        return {"model": self.model} if self.model == "none" else by_field(self)


@lru_cache(maxsize=8)
def _state_tables(state: MachineState, block_bytes: int) -> dict[str, Any]:
    """Return a state as JSON values: once for all combinations of its machine."""
    from sim.experiment.state_tables import state_tables

    return state_tables(state, block_bytes)


def by_field(value: Any) -> dict[str, Any]:  # noqa: ANN401  any dataclass
    """Return the fields of a dataclass by name, without the copies of all values that ``dataclasses.asdict`` makes.

    It is done for every combination of an experiment, and the copies would double the time of that.
    """
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _by_content(value: object, files: Mapping[str, str]) -> object:
    if isinstance(value, list):
        return [_by_content(item, files) for item in value]
    return f"sha256:{files[value]}" if isinstance(value, str) and value in files else value
