"""Which cells of an experiment are to be run, and when: nothing is run twice where nothing in it is random.

Whether anything is, tell the streams that runs drew from. So the first replication of every combination is run before
any other, and where none of the policies on a machine and workload drew anything, there are no others: they would all
be the same run. Policies are paired by replication, so one that draws makes all of them random. Where each replication
plays a recording of its own, they differ, whatever is drawn.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from sim.experiment.plan import Cell, Combination, Experiment
    from sim.results.identity import CellId

    Task = tuple[Cell, CellId]


class Schedule:
    """The cells of ``experiment`` in their order, as far as they are to be run.

    ``drawn`` holds, by the keys of cells that are completed, from how many random streams they drew.
    """

    def __init__(self, experiment: Experiment, drawn: Mapping[str, int]) -> None:
        self._experiment = experiment
        numbers: dict[str, int] = {}
        self._scenarios = [numbers.setdefault(_scenario(each), len(numbers)) for each in experiment.combinations]
        self._waiting = [0] * len(numbers)
        self._random = [False] * len(numbers)
        self._known = [False] * len(numbers)
        self._of_first: dict[str, int] = {}
        if len(experiment.replications) > 1:
            firsts = zip(self._scenarios, experiment.tasks(), strict=False)
            self._of_first = {identity.key: number for number, (_, identity) in firsts}
        for number in self._of_first.values():
            self._waiting[number] += 1
        for number, combination in zip(self._scenarios, experiment.combinations, strict=True):
            self._random[number] |= combination.most_replications is not None
        for key, streams in drawn.items():
            self._note(key, streams)

    def note(self, key: str, row: str) -> None:
        """Take in that the cell ``key`` has been run, and its ``row`` of the table ``runs`` as JSON."""
        if key in self._of_first:
            self._note(key, json.loads(row).get("streams_drawn"))

    def _note(self, key: str, streams: int | None) -> None:
        """``streams`` are those drawn from; None where that is not known, as of a run that failed."""
        number = self._of_first.pop(key, None)
        if number is None:
            return
        self._waiting[number] -= 1
        self._known[number] |= streams is not None
        self._random[number] |= bool(streams)

    def _single(self, number: int) -> bool:
        """Whether it is known of a scenario that nothing in it is random."""
        return not self._waiting[number] and self._known[number] and not self._random[number]

    def __len__(self) -> int:
        """Return how many cells are to be run, as far as is known: fewer where nothing turns out to be random."""
        more = len(self._experiment.replications) - 1
        return len(self._experiment) - more * sum(self._single(number) for number in self._scenarios)

    def single(self) -> list[tuple[str, str]]:
        """Return the machines and workloads in which nothing is random."""
        pairs = zip(self._scenarios, self._experiment.combinations, strict=True)
        return list(
            dict.fromkeys((each.machine.label, each.workload.label) for number, each in pairs if self._single(number))
        )

    def tasks(self, there: Sequence[bool] | npt.NDArray[np.bool_]) -> Iterator[Task | None]:
        """Yield the cells that are to be run; None while that depends on cells that are being run.

        ``there`` says, by the cells' places in the experiment's order, which need not be run.
        """
        digests = [combination.digest() for combination in self._experiment.combinations]
        for place, cell in enumerate(self._experiment.cells()):
            later, index = divmod(place, len(self._scenarios))
            number = self._scenarios[index]
            if there[place]:
                if not later:
                    # Completed, but without a word of what it drew.
                    self._note(cell.identified(digests[index]).key, None)
                continue
            if later:
                while self._waiting[number]:
                    yield None
                if self._single(number):
                    continue
            yield cell, cell.identified(digests[index])

    def others(self) -> list[int]:
        """Return the places of the cells that are not to be run, as they would be the same as the first replication."""
        single = [index for index, number in enumerate(self._scenarios) if self._single(number)]
        later = range(1, len(self._experiment.replications))
        return [number * len(self._scenarios) + index for number in later for index in single]


def _scenario(combination: Combination) -> str:
    """Return what names the machine, workload, guest and times of ``combination``: all but its policy."""
    from sim.results.identity import canonical_json

    return canonical_json({key: value for key, value in combination.identity().items() if key != "policy"})
