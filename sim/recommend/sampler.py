"""Runs candidates in the store of a recommendation: what it has already is not run again, whoever ended it before.

Of each candidate the first :data:`KEPT` replications leave all of their tables, as the runs of any experiment do; of
the others there are only their rows of the table ``runs``, which hold every score.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import math
import time
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from sim.experiment.executors import run_all
from sim.experiment.plan import Cell
from sim.recommend.looking import Looked, look
from sim.results import earlier
from sim.results.cells import write_row, write_timings
from sim.results.failure import Status
from sim.results.frames import timing_row
from sim.results.inspection import mend
from sim.results.packing import settle
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from sim.experiment.executors import Workers
    from sim.experiment.plan import Combination
    from sim.experiment.run_cell import Outcome
    from sim.results.identity import CellId

    Floats = npt.NDArray[np.float64]

KEPT: Final = 20
"""Replications of a candidate that leave their events, series and samples."""


class KeptWorkers:
    """Workers whose processes stay, as they are needed again and again for a few cells; a context that ends them."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._stack = contextlib.ExitStack()
        self._executor: concurrent.futures.Executor | None = None

    @property
    def count(self) -> int:
        """Cells that can run at a time."""
        return self._workers.count

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        """Return the executor, the same one each time unless a worker has died."""
        if self._executor is None:
            self._executor = self._stack.enter_context(self._workers.executor())
        try:
            yield self._executor
        finally:
            if getattr(self._executor, "_broken", False):  # a worker died: there are no others in this pool
                self._executor = None

    def look(self, cell: Cell, timeout: float | None) -> Looked:
        """Return what is seen of a cell's run, in one of the workers."""
        try:
            with self.executor() as executor:
                return executor.submit(look, cell, timeout).result()
        except concurrent.futures.BrokenExecutor:
            return Looked(error="the worker process died")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class CellRunner:
    """Runs cells with their results in ``folder`` and remembers their rows, those of earlier runs too.

    The first ``kept`` replications of a candidate keep their tables. ``on_outcome`` is told of every cell that is run.
    """

    def __init__(
        self,
        folder: Path,
        workers: Workers,
        *,
        kept: int = KEPT,
        timeout: float | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self.failed: dict[str, Outcome] = {}
        self.reused = 0
        self.cpu_s = 0.0
        self._workers = workers
        self._kept = kept
        self._timeout = timeout
        self._tell = on_outcome
        earlier.tidy(folder)
        for damage in mend(folder):
            damage.warn()
        self._rows = _stored(folder)
        self._computed: set[str] = set()

    @property
    def count(self) -> int:
        """Workers that it runs on."""
        return self._workers.count

    @property
    def computed(self) -> int:
        """Cells that were run."""
        return len(self._computed)

    def rows(self, tasks: Sequence[tuple[Cell, CellId]]) -> list[Mapping[str, Any] | None]:
        """Return the row of the table ``runs`` of each cell; None of those that fail."""
        new = [task for task in tasks if task[1].key not in self._rows and task[1].key not in self.failed]
        fresh = {identity.key for _, identity in tasks} - self.used
        self.reused += len(fresh & self._rows.keys() - self._computed)
        self.used |= fresh
        times: list[tuple[CellId, str]] = []
        try:
            for outcome in run_all(iter(new), str(self.folder), self._workers, self._timeout, self._kept):
                times.append((outcome.id, timing_row(outcome.id, {**outcome.times, "finished_unix_s": time.time()})))
                self._take(outcome)
        finally:
            write_timings(self.folder, times)
        return [self._rows.get(identity.key) for _, identity in tasks]

    def _take(self, outcome: Outcome) -> None:
        self._computed.add(outcome.id.key)
        self.cpu_s += outcome.times.get("cpu_s", 0.0)
        if not outcome.stored:
            write_row(self.folder, outcome.id, outcome.row, completed=outcome.completed)
        if outcome.completed:
            self._rows[outcome.id.key] = json.loads(outcome.row)
        else:
            self.failed[outcome.id.key] = outcome
        if self._tell is not None:
            self._tell(outcome)

    def settle(self, *, keep: bool = False) -> tuple[list[earlier.Run], Path | None]:
        """Remove what was not used: cells of another version, or of other candidates; and pack the rest.

        Return which runs these are, and with ``keep`` where they were set aside to stay for good.
        """
        unused = [run for run in earlier.completed_runs(self.folder) if run.key not in self.used]
        aside = earlier.set_aside(self.folder, self.used.__contains__) if keep else None
        earlier.keep(self.folder)
        settle(self.folder, self.used.__contains__)
        return unused, None if aside is None else aside.path


def _stored(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return the rows of completed cells by their keys."""
    runs = ResultStore(folder).runs()
    done = runs[runs["status"] == Status.COMPLETED]
    columns = [str(name) for name in done.columns]
    rows = (dict(zip(columns, values, strict=True)) for values in done.itertuples(index=False, name=None))
    return {str(row["cell"]): row for row in rows}


class CellSampler:
    """Samples candidates of one scenario: ``columns`` are the scores that its rows hold.

    Implements :class:`sim.recommend.contract.Sampler`.
    """

    def __init__(self, runner: CellRunner, columns: Sequence[str], seed: int, folder: Path) -> None:
        self._runner, self._columns, self._seed, self._folder = runner, tuple(columns), seed, str(folder)
        self._combinations: list[tuple[Combination, str]] = []
        self._drawn: dict[int, int | None] = {}

    def __len__(self) -> int:
        return len(self._combinations)

    def add(self, combinations: Sequence[Combination]) -> None:
        """Take in more candidates, as what is run for them."""
        self._combinations += [(each, each.digest()) for each in combinations]

    @property
    def population(self) -> int | None:
        """How many different replications there are, as far as is known; None where there is no end of them."""
        recordings = next((each.most_replications for each, _ in self._combinations), None)
        if recordings is not None:
            return recordings
        drawn = [streams for streams in self._drawn.values() if streams is not None]
        return 1 if drawn and not any(drawn) else None

    def sample(self, wanted: Mapping[int, range]) -> Mapping[int, Floats]:
        """Return a row per replication of each candidate's range; NaN where it failed to run."""
        # One replication after the other, so that a run that is ended leaves pairs.
        order = sorted((number, candidate) for candidate, numbers in wanted.items() for number in numbers)
        rows = self._runner.rows([self._task(candidate, number) for number, candidate in order])
        found: dict[int, Floats] = {
            candidate: np.full((len(numbers), len(self._columns)), np.nan) for candidate, numbers in wanted.items()
        }
        for (number, candidate), row in zip(order, rows, strict=True):
            if row is None:
                continue
            if number == 0:
                self._drawn[candidate] = _whole(row.get("streams_drawn"))
            values = [row.get(name) for name in self._columns]
            found[candidate][number - wanted[candidate].start] = [np.nan if each is None else each for each in values]
        return found

    def _task(self, candidate: int, number: int) -> tuple[Cell, CellId]:
        combination, digest = self._combinations[candidate]
        cell = Cell(combination, self._seed, number, self._folder)
        return cell, cell.identified(digest)


def _whole(value: Any) -> int | None:  # noqa: ANN401  a number, None, or NaN from a table
    return None if value is None or value != value else int(value)  # noqa: PLR0124  NaN


class TogetherSampler:
    """Samples candidates in several scenarios at once: a row holds all of their columns, one after the other.

    The last column is the mean of the columns ``averaged``, NaN where one of them is. Implements
    :class:`sim.recommend.contract.Sampler`.
    """

    def __init__(self, samplers: Sequence[CellSampler], averaged: Sequence[int]) -> None:
        self._samplers, self._averaged = samplers, list(averaged)
        self._numbers: list[Sequence[int]] = []

    def add(self, numbers: Sequence[Sequence[int]]) -> None:
        """Take in more candidates: of each its ``numbers`` in the samplers of the scenarios."""
        self._numbers += numbers

    @property
    def population(self) -> int | None:
        """So many that each scenario has all of its replications equally often; None where one has no end of them."""
        counts = [each.population for each in self._samplers]
        known = [count for count in counts if count is not None]
        return math.lcm(*known) if len(known) == len(counts) else None

    def sample(self, wanted: Mapping[int, range]) -> Mapping[int, Floats]:
        """Return rows of all scenarios side by side, and the mean.

        A scenario that has no more replications begins with its first again.
        """
        parts: dict[int, list[Floats]] = {candidate: [] for candidate in wanted}
        for place, sampler in enumerate(self._samplers):
            most = sampler.population
            asked: dict[int, range] = {}
            for candidate, each in wanted.items():
                needed = each if most is None or each.stop <= most else range(most)
                asked[self._numbers[candidate][place]] = needed
            found = sampler.sample(asked)
            for candidate, each in wanted.items():
                number = self._numbers[candidate][place]
                numbers = np.arange(each.start, each.stop) % (most or each.stop)
                parts[candidate].append(found[number][numbers - asked[number].start])
        return {candidate: self._side_by_side(rows) for candidate, rows in parts.items()}

    def _side_by_side(self, rows: Sequence[Floats]) -> Floats:
        joined = np.concatenate(rows, axis=1)
        return np.column_stack([joined, joined[:, self._averaged].mean(axis=1)])
