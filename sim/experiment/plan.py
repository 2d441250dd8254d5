"""The plan of an experiment: its cells, each one simulation that any process can make from the plain data it is.

A cell is a machine, a policy, a workload, a guest and its times, as settings with every default filled in, and a
replication under the master seed. Cells are made one by one as they are needed, so an experiment of a million costs no
memory.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sim.results.identity import CellId

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Combination:
    """What is combined in a cell, without its replication: settings as :mod:`sim.experiment.resolve` returns them.

    ``factors`` holds the values that the experiment sweeps, by ``section.key`` (such as ``policy.ratio``).
    """

    machine: Settings
    policy: Settings
    workload: Settings
    guest: Settings
    timing: Settings
    factors: Settings = field(default_factory=dict)

    def identity(self) -> Settings:
        """Return all settings, files by their content."""
        workload = _located_nowhere(self.workload)
        if "together" in workload:
            workload["together"] = [_located_nowhere(part) for part in workload["together"]]
        return {
            "machine": self.machine,
            "policy": _located_nowhere(self.policy),
            "workload": workload,
            "guest": self.guest,
            "timing": self.timing,
        }

    def digest(self) -> str:
        """Return the SHA-256 of :meth:`identity`."""
        from sim.results.identity import canonical_json, sha256

        return sha256(canonical_json(self.identity()))


@dataclass(frozen=True, slots=True)
class Cell:
    """One simulation: a combination, the master ``seed``, the number of the replication, and the folder of its paths.

    Plain data throughout, so that it crosses to other processes and machines and can be written as JSON.
    """

    combination: Combination
    seed: int
    replication: int
    folder: str

    def identity(self) -> Settings:
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
            machine=combination.machine["label"],
            workload=combination.workload["label"],
            policy=combination.policy["label"],
            replication=self.replication,
            seed=self.seed,
            factors=combination.factors,
        )

    def __str__(self) -> str:
        combination = self.combination
        labels = (combination.policy["label"], combination.workload["label"], combination.machine["label"])
        return f"{' / '.join(labels)} / replication {self.replication}"

    def as_dict(self) -> Settings:
        """Return the cell as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cell:
        """Return the cell that :meth:`as_dict` gave ``values`` for."""
        return cls(**{**values, "combination": Combination(**values["combination"])})


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment that has been checked.

    ``baseline`` is a policy's label; ``cell_timeout`` seconds of real time for one cell, or None; ``replications`` the
    numbers of the replications to run; ``folder`` what paths are relative to; ``tables`` the file's content as read;
    ``restricted`` whether these are other replications than the file says.
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
    restricted: bool = False

    def __len__(self) -> int:
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
        """Return the experiment restricted to these ``replications``. They need not be among its own."""
        return replace(self, replications=replications, restricted=True)

    @property
    def policies(self) -> list[str]:
        """Labels of the policies, in the file's order."""
        return list(dict.fromkeys(combination.policy["label"] for combination in self.combinations))

    @property
    def workloads(self) -> list[str]:
        """Labels of the workloads, in the file's order."""
        return list(dict.fromkeys(combination.workload["label"] for combination in self.combinations))

    @property
    def machines(self) -> list[str]:
        """Labels of the machines, in the file's order."""
        return list(dict.fromkeys(combination.machine["label"] for combination in self.combinations))

    @property
    def scenarios(self) -> list[tuple[str, str]]:
        """Pairs of a machine's and a workload's label that are run, in the file's order."""
        pairs = ((each.machine["label"], each.workload["label"]) for each in self.combinations)
        return list(dict.fromkeys(pairs))


def _located_nowhere(settings: Mapping[str, Any]) -> Settings:
    """Return a plug-in's settings with files named by their content instead of by their place."""
    files: Mapping[str, str] = settings.get("files", {})
    kept = {key: value for key, value in settings.items() if key != "files"}
    if "plugin" in kept:
        kept["plugin"] = kept["plugin"].rpartition(":")[2]
        kept["parameters"] = {name: _by_content(value, files) for name, value in kept["parameters"].items()}
    return kept


def _by_content(value: object, files: Mapping[str, str]) -> object:
    if isinstance(value, list):
        return [_by_content(item, files) for item in value]
    return f"sha256:{files[value]}" if isinstance(value, str) and value in files else value
