"""Cells that are handed to a worker process together: one by one, short ones take hardly longer than handing them over.

They cross as plain tuples, what they combine packed once for all replications: instances of dataclasses take longest.
"""

from __future__ import annotations

import pickle
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.plan import Cell
from sim.experiment.run_cell import Outcome, run_cell, run_for_row
from sim.results.identity import CellId

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Sequence

    from sim.experiment.plan import Combination

    Task = tuple[Cell, CellId]
    Sent = tuple[bytes, int, int, str, tuple[Any, ...]]
    """A packed combination, seed, replication and folder of a cell; the values of its identity."""
    Told = tuple[Any, ...]
    """What became of it: the values of :class:`Outcome` behind its identity."""

BATCH_S: Final = 0.1
"""Seconds of CPU time that cells which are handed over together may take: who waits for outcomes hardly notices."""
MOST_TOGETHER: Final = 16
_REMEMBERED: Final = 256
"""Combinations that each process keeps, packed or unpacked."""

_TOLD: Final = attrgetter(*(each.name for each in fields(Outcome)[1:]))


class Lengths:
    """How many cells to hand over together, by the CPU time that those before have taken."""

    def __init__(self) -> None:
        self._mean_s = 0.0

    def note(self, outcome: Outcome) -> None:
        """Take in how long a cell took; of one that does not say, nothing is known."""
        seconds = outcome.times.get("cpu_s")
        if seconds is not None:
            self._mean_s = max(seconds, 1e-6) if not self._mean_s else 0.8 * self._mean_s + 0.2 * seconds

    def together(self) -> int:
        """Return how many cells are to be handed over at once: one while nothing is known."""
        return max(1, min(MOST_TOGETHER, int(BATCH_S / self._mean_s))) if self._mean_s else 1


def how(task: Task, kept: int | None) -> Callable[..., Outcome]:
    """Return what runs ``task``: of replications from ``kept`` on (None: of none), only the row is written."""
    return run_cell if kept is None or task[1].replication < kept else run_for_row


class Packer:
    """Hands tasks over, each combination packed once."""

    def __init__(self) -> None:
        self._packed: dict[int, tuple[Combination, bytes]] = {}

    def submit(
        self,
        executor: concurrent.futures.Executor,
        tasks: Sequence[Task],
        folder: str | None,
        timeout: float | None,
        kept: int | None,
    ) -> concurrent.futures.Future[Any]:
        """Give ``tasks`` to ``executor``, and return what will be something for :func:`outcomes`."""
        if len(tasks) == 1:
            return executor.submit(how(tasks[0], kept), *tasks[0], folder, timeout)
        return executor.submit(run_batch, [self._sent(*task) for task in tasks], folder, timeout, kept)

    def _sent(self, cell: Cell, identity: CellId) -> Sent:
        found = self._packed.get(id(cell.combination))
        if found is None:
            if len(self._packed) >= _REMEMBERED:
                self._packed.clear()
            # Kept together with it, so that no other one gets its id.
            found = self._packed[id(cell.combination)] = cell.combination, pickle.dumps(cell.combination)
        values = (
            identity.key,
            identity.machine,
            identity.workload,
            identity.policy,
            identity.replication,
            identity.seed,
            identity.factors,
        )
        return found[1], cell.seed, cell.replication, cell.folder, values


@lru_cache(_REMEMBERED)
def _unpacked(combination: bytes) -> Combination:
    found: Combination = pickle.loads(combination)  # noqa: S301  this program packed it
    return found


def run_batch(sent: Sequence[Sent], folder: str | None, timeout: float | None, kept: int | None) -> list[Told]:
    """Run cells one after the other in a worker process, as :func:`how` says; see :func:`outcomes`."""
    told: list[Told] = []
    for combination, seed, replication, place, values in sent:
        task = Cell(_unpacked(combination), seed, replication, place), CellId(*values)
        told.append(_TOLD(how(task, kept)(*task, folder, timeout)))
    return told


def outcomes(tasks: Sequence[Task], told: Outcome | Sequence[Told]) -> list[Outcome]:
    """Return what became of ``tasks``, given the result of what :meth:`Packer.submit` returned for them."""
    if isinstance(told, Outcome):
        return [told]
    return [Outcome(identity, *each) for (_, identity), each in zip(tasks, told, strict=True)]
