"""Which workers an experiment gets: those of a Dask scheduler, local processes, or this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.experiment.executors import local

if TYPE_CHECKING:
    from sim.experiment.executors import Workers


def choose_workers(count: int | None, scheduler: str | None, *, apart: bool = False) -> Workers:
    """Return the workers of the Dask ``scheduler``, or ``count`` local ones where it is None.

    ``apart`` asks for processes of their own even for a single local worker, so that a cell can be ended. Raises
    InputError where there is something wrong with the scheduler's address, or Dask is not installed.
    """
    if scheduler is None:
        return local(count, apart=apart)
    # Only now: importing Dask takes longer than a small experiment, and it need not be installed.
    from sim.experiment.dask_workers import DaskWorkers

    return DaskWorkers(scheduler, count)
