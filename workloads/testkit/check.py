"""Checks for authors of workloads: does a workload keep to its contract?

In a test of your own, with any test runner::

    from memhp_sim import check_workload

    def test_my_workload():
        check_workload(MyWorkload)

The workload is run in processes of its own, on a machine that has what it says that it needs, with a guest, under two
policies and two seeds: what ``memhp-sim check-workload`` shows check by check.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.faults import MemhpSimError
from sim.plugins.verdicts import LIMIT_S, failed
from workloads.contract import Workload
from workloads.testkit.verdicts import workload_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plugins.verdicts import Verdict


class WorkloadCheckError(MemhpSimError, AssertionError):
    """A workload breaks its contract. The message has a line for each check that failed, and how to see it again."""


@dataclass(frozen=True, slots=True)
class WorkloadReport:
    """What was checked: a verdict for each check, in order."""

    verdicts: tuple[Verdict, ...]

    def __getitem__(self, check: str) -> Verdict:
        """Return the verdict of the check of this name."""
        return next(each for each in self.verdicts if each.check == check)


def check_workload(
    workload: type[Workload] | str,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    seconds: float = LIMIT_S,
) -> WorkloadReport:
    """Check ``workload``, a class that stands in a file of its own or a name as experiments have it.

    ``parameters`` are given as in an experiment file; no process of it may take more than so many ``seconds``. Raises
    WorkloadCheckError with all that fails, InputError for parameters that it does not take, PluginError for an unknown
    name, and TypeError for what is no workload.
    """
    name = workload if isinstance(workload, str) else _place(workload)
    verdicts = workload_verdicts(name, parameters or {}, seed=seed, limit=seconds)
    wrong = failed(verdicts)
    if wrong:
        shown = workload if isinstance(workload, str) else workload.name
        lines = "\n".join(f"{each.check}: {each.what}" for each in wrong)
        raise WorkloadCheckError(
            f"workload {shown!r}: {lines}\nsee it again with check_workload(..., seed={seed}), or"
            f" memhp-sim check-workload {name} --seed {seed}"
        )
    return WorkloadReport(tuple(verdicts))


def _place(workload: object) -> str:
    """Return where a class stands, as ``file.py:Class``. Raises TypeError where that is no file, or inside a call."""
    if not (inspect.isclass(workload) and issubclass(workload, Workload)):
        raise TypeError(f"{workload!r} is no class of a Workload, and no name of one")
    file = inspect.getsourcefile(workload)
    if file is None or "." in workload.__qualname__:
        raise TypeError(f"{workload!r} does not stand in a file by itself: a process of its own could not find it")
    return f"{file}:{workload.__qualname__}"
