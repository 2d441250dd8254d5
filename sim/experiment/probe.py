"""Whether an experiment runs, and how long it will take: some cells are run as all would be, and nothing is written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.experiment.executors import available_cores, local, run_all
from sim.experiment.plan import Cell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.experiment.executors import Workers
    from sim.experiment.plan import Combination, Experiment
    from sim.experiment.run_cell import Outcome

LONGEST_S: Final = 20.0
"""Seconds after which a cell that may take longer is cut off; what is told of the time is then a lower bound."""

MOST: Final = 400
"""Cells that are tried at most: of what is left out, the time is taken to be the mean."""

_WRITING_S: Final = 0.005
"""Seconds for scoring and writing one cell, measured with cells of a few hundred to a few thousand events."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of trying: ``tried`` cells, those that ``failed``, and about how many ``seconds`` all runs take.

    The seconds are for one core, without loading. ``cut_off`` cells went on for longer than anybody waited, so that
    they are a lower bound. Cells that took longer than the experiment allows are among those that failed.
    """

    tried: int
    failed: tuple[Outcome, ...]
    seconds: float
    cut_off: int


def probe(experiment: Experiment, workers: Workers | None = None) -> Probe:
    """Run the first policy with every workload on every machine, and every other one with the fastest of them.

    Each runs in a process of its own (or by ``workers``) and within ``cell_timeout``, or :data:`LONGEST_S` at most.
    """
    by_pair: dict[tuple[str, str], Combination] = {}
    by_policy: defaultdict[str, list[Combination]] = defaultdict(list)
    for each in experiment.combinations:
        by_pair.setdefault(_pair(each), each)
        by_policy[each.policy.label].append(each)
    first = list(by_pair.values())[:MOST]
    trial = _Trial(experiment, workers)
    trial.run(first)
    tried = {each.policy.label for each in first}
    others = [
        min(combinations, key=lambda each: trial.seconds.get((_pair(each), _first(by_pair, each)), LONGEST_S))
        for label, combinations in by_policy.items()
        if label not in tried
    ]
    trial.run(others[: MOST - len(first)])
    return Probe(trial.tried, tuple(trial.failed), trial.of_all(by_pair), trial.cut_off)


def _pair(combination: Combination) -> tuple[str, str]:
    return combination.machine.label, combination.workload.label


def _first(by_pair: dict[tuple[str, str], Combination], combination: Combination) -> str:
    return by_pair[_pair(combination)].policy.label


class _Trial:
    """Runs cells and keeps what they took: ``seconds`` by machine and workload, and by policy."""

    def __init__(self, experiment: Experiment, workers: Workers | None) -> None:
        self._experiment = experiment
        self._workers = workers
        self._limit = min(experiment.cell_timeout or LONGEST_S, LONGEST_S)
        self.seconds: dict[tuple[tuple[str, str], str], float] = {}
        self.failed: list[Outcome] = []
        self.cut_off = 0
        self.tried = 0

    def run(self, combinations: Iterable[Combination]) -> None:
        """Run a cell of each."""
        experiment = self._experiment
        cells = [
            Cell(each, experiment.seed, experiment.replications[0], str(experiment.folder)) for each in combinations
        ]
        if not cells:
            return
        workers = self._workers or local(min(available_cores(), len(cells)), apart=True)
        for outcome in run_all(((cell, cell.id) for cell in cells), None, workers, self._limit):
            self.tried += 1
            seconds = outcome.times.get("cpu_s", 0.0)
            if outcome.cut_off:
                seconds = max(seconds, self._limit)
            if outcome.cut_off and self._limit != experiment.cell_timeout:
                self.cut_off += 1
            elif not outcome.completed:
                self.failed.append(outcome)
            self.seconds[(outcome.id.machine, outcome.id.workload), outcome.id.policy] = seconds + _WRITING_S

    def of_all(self, by_pair: dict[tuple[str, str], Combination]) -> float:
        """Return about how many seconds all runs take: of a policy tried once, as much more or less as it was then."""
        slower: dict[str, float] = {}
        for (pair, policy), seconds in self.seconds.items():
            slower[policy] = seconds / self.seconds[pair, by_pair[pair].policy.label]
        of_first = [self.seconds[pair, each.policy.label] for pair, each in by_pair.items() if self._has(pair, each)]
        mean = sum(of_first) / len(of_first)
        total = 0.0
        for each in self._experiment.combinations:
            pair, policy = _pair(each), each.policy.label
            known = self.seconds.get((pair, policy))
            base = self.seconds.get((pair, by_pair[pair].policy.label), mean)
            total += base * slower.get(policy, 1.0) if known is None else known
        return total * len(self._experiment.replications)

    def _has(self, pair: tuple[str, str], first: Combination) -> bool:
        return (pair, first.policy.label) in self.seconds
