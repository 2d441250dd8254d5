"""The plan of an experiment: its cells, each one simulation that any process can make from the plain data it is.

A cell is a machine, a policy, a workload, a guest and its times, as settings with every default filled in, and a
replication under the master seed. Cells are made one by one as they are needed, so an experiment of a million costs no
memory.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.recommend_table import RecommendSettings
from sim.experiment.settings import by_field
from sim.faults import Fault, InputError, set_off
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sim.experiment.settings import Conditions, GuestSettings, MachineSettings, PluginSettings, WorkloadSettings
    from sim.kernel.timing import Timing
    from sim.results.identity import CellId


_NAMED: Final = 3
"""Machines or workloads that a note names."""


@dataclass(frozen=True, slots=True)
class Combination:
    """What is combined in a cell, without its replication.

    ``timing`` are the guest's times; ``factors`` holds the values that the experiment sweeps, by ``section.key`` (such
    as ``policy.ratio``). ``rivals`` are the policies that this one competes with, where it wants to know them.
    ``most_replications`` are those that the workload has recordings for, None where replications differ by draws alone.
    ``conditions`` say what is otherwise than the workload says, None where nothing is.
    """

    machine: MachineSettings
    policy: PluginSettings
    workload: WorkloadSettings
    guest: GuestSettings
    timing: Timing
    factors: Mapping[str, Any] = field(default_factory=dict)
    rivals: tuple[PluginSettings, ...] = ()
    most_replications: int | None = None
    conditions: Conditions | None = None

    def identity(self) -> dict[str, Any]:
        """Return all settings as JSON values, files by their content."""
        identity: dict[str, Any] = {
            "machine": self.machine.identity(),
            "policy": self.policy.identity(),
            "workload": self.workload.identity(),
            "guest": self.guest.identity(),
            "timing": by_field(self.timing),
        }
        if self.rivals:
            identity["rivals"] = [rival.content() for rival in self.rivals]
        if self.conditions is not None:
            identity["conditions"] = by_field(self.conditions)
        return identity

    def digest(self) -> str:
        """Return the SHA-256 of :meth:`identity`."""
        from sim.results.identity import canonical_json, sha256

        return sha256(canonical_json(self.identity()))


@dataclass(frozen=True, slots=True)
class Cell:
    """One simulation: a combination, the master ``seed``, the number of the replication, and the folder of its paths.

    Plain data throughout, so that it crosses to other processes and machines.
    """

    combination: Combination
    seed: int
    replication: int
    folder: str

    def identity(self) -> dict[str, Any]:
        """Return what the cell's results depend on beside the program's code; equal for equal cells, wherever they are.

        Files stand in it by their content, so that moving them changes nothing and editing them does.
        """
        return {**self.combination.identity(), "seed": self.seed, "replication": self.replication}

    @property
    def id(self) -> CellId:
        """The cell's names as result files carry them; its key stands for :meth:`identity` and for the code."""
        return self.identified(self.combination.digest())

    def identified(self, digest: str) -> CellId:
        """Return :attr:`id`, given the combination's ``digest``, which all replications share."""
        from sim.results.identity import CellId, cell_key

        combination = self.combination
        return CellId(
            key=cell_key({"combination": digest, "seed": self.seed, "replication": self.replication}),
            machine=combination.machine.label,
            workload=combination.workload.label,
            policy=combination.policy.label,
            replication=self.replication,
            seed=self.seed,
            factors=combination.factors,
        )

    def __str__(self) -> str:
        combination = self.combination
        labels = (combination.policy.label, combination.workload.label, combination.machine.label)
        return f"{' / '.join(labels)} / replication {self.replication}"


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment that has been checked.

    ``baseline`` is a policy's label; ``cell_timeout`` seconds of real time for one cell, or None; ``replications`` the
    numbers of the replications to run; ``folder`` what paths are relative to; ``tables`` the file's content as read,
    with the ``settings`` that were given beside it, by key, in their places; ``restricted`` whether these are other
    replications than the file says; ``recommend`` what a recommendation may choose from.
    """

    name: str
    description: str
    seed: int
    replications: tuple[int, ...]
    baseline: str
    cell_timeout: float | None
    folder: Path
    combinations: tuple[Combination, ...]
    tables: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    restricted: bool = False
    recommend: RecommendSettings = field(default_factory=RecommendSettings)

    def __len__(self) -> int:
        """Return how many cells there are at most: where nothing is random, only the first replication is run."""
        return len(self.combinations) * len(self.replications)

    def cells(self) -> Iterator[Cell]:
        """Yield all cells: every combination of the first replication, then of the next, so that early ones compare."""
        folder = str(self.folder)
        for replication in self.replications:
            for combination in self.combinations:
                yield Cell(combination, self.seed, replication, folder)

    def tasks(self) -> Iterator[tuple[Cell, CellId]]:
        """Yield all cells as :meth:`cells` does, each with its identity."""
        digests = [combination.digest() for combination in self.combinations]
        for cell, digest in zip(self.cells(), itertools.cycle(digests), strict=False):
            yield cell, cell.identified(digest)

    def only(self, replications: tuple[int, ...]) -> Experiment:
        """Return the experiment restricted to these ``replications``. They need not be among its own.

        Raises InputError where a workload has no recording for one of them.
        """
        most = self.most_replications
        if most is not None and max(replications) >= most:
            what = f"there is no replication {max(replications)}: {self._recordings()}, the first of which is 0"
            raise InputError(self.name, [Fault("replications", what)])
        return replace(self, replications=replications, restricted=True)

    @property
    def most_replications(self) -> int | None:
        """How many replications there are at most, as each plays a recording; None where there is no limit."""
        counts = (combination.most_replications for combination in self.combinations)
        return min((count for count in counts if count is not None), default=None)

    def _recordings(self) -> str:
        return recordings_in_words({each.workload.label: each.most_replications for each in self.combinations})

    @property
    def policies(self) -> list[str]:
        """Labels of the policies, in the file's order."""
        return list(dict.fromkeys(combination.policy.label for combination in self.combinations))

    @property
    def workloads(self) -> list[str]:
        """Labels of the workloads, in the file's order."""
        return list(dict.fromkeys(combination.workload.label for combination in self.combinations))

    @property
    def machines(self) -> list[str]:
        """Labels of the machines, in the file's order."""
        return list(dict.fromkeys(combination.machine.label for combination in self.combinations))

    @property
    def notes(self) -> list[str]:
        """What the machines' command lines say that is not taken as it stands: lines, each with its machines."""
        own = "policies" in self.tables
        machines: defaultdict[str, list[str]] = defaultdict(list)
        for label, each in {each.machine.label: each.machine for each in self.combinations}.items():
            for line in each.notes(policies=own):
                machines[line].append(label)
        named = {line: ", ".join(map(set_off, labels[:_NAMED])) for line, labels in machines.items()}
        return [f"machine {named[line]}{_and_more(labels)}: {line}" for line, labels in machines.items()]

    @property
    def scenarios(self) -> list[tuple[str, str]]:
        """Pairs of a machine's and a workload's label that are run, in the file's order."""
        pairs = ((each.machine.label, each.workload.label) for each in self.combinations)
        return list(dict.fromkeys(pairs))


def recordings_in_words(counts: Mapping[str, int | None]) -> str:
    """Return which workloads, by label, have how many recordings to play; those that play none are left out."""
    labels = [(label, count) for label, count in counts.items() if count is not None]
    words = [f"{counted(count, 'recording')} of {set_off(label)}" for label, count in labels[:_NAMED]]
    return f"{', '.join(words)}{_and_more([label for label, _ in labels])} to play"


def _and_more(labels: list[str]) -> str:
    return f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
