"""Experiments and their results from Python: run one, or open what it left, and get tables and figures.

Imported from :mod:`memhp_sim`, like all that is public:

    >>> from memhp_sim import run
    >>> results = run("experiments/quickstart.toml")
    >>> results.compare()

All tables are tidy pandas DataFrames: one row per observation, one column per variable.
"""

from __future__ import annotations

import contextlib
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.analysis.compare import HEADLINE_SCORES
from sim.analysis.compare import compare as compare_runs
from sim.analysis.regret import bound, regret
from sim.analysis.scenario import scenarios
from sim.comparison.whole import compared
from sim.experiment.choose_workers import choose_workers
from sim.experiment.executors import end_in_a_script_without_guard
from sim.experiment.exporting import PARTS, REQUESTS, export_part, form_of_part
from sim.experiment.load import load, load_stored
from sim.experiment.pictures import picture_of_cell
from sim.experiment.plan import Experiment
from sim.experiment.recording import requests_of
from sim.experiment.run import run as run_experiment
from sim.plots.registry import GUEST_PLOTS, HEAT_MAP, KINDS, PLOTS, heat_maps
from sim.results.locks import alone
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore
from workloads.parts.requests.columns import NAMES
from workloads.parts.requests.writer import row_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Unpack

    import pandas as pd
    from matplotlib.figure import Figure

    from sim.analysis.intervals import Method
    from sim.comparison.whole import Comparison
    from sim.recommend.document import Recommendation
    from sim.record.run_result import RunResult
    from sim.results.selection import Wanted
    from sim.snapshot.picture import Picture

__all__ = ["Results", "load", "open_results", "recommend", "run"]


class Results:
    """The results of one experiment, finished or not, in ``folder``."""

    def __init__(self, folder: Path | str) -> None:
        self.store = ResultStore(folder)

    def __repr__(self) -> str:
        return f"Results({str(self.store.folder)!r})"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """How the results came about. Raises ValueError where the run has not got to writing it."""
        return read_manifest(self.store.folder)

    @cached_property
    def experiment(self) -> Experiment | None:
        """The experiment as the manifest has it; None where there is no manifest."""
        return load_stored(self.store.folder)

    @property
    def policies(self) -> list[str]:
        """Labels of all policies, in the experiment's order if that is known, else by name."""
        return self.experiment.policies if self.experiment else sorted(set(self.runs()["policy"]))

    @property
    def baseline(self) -> str | None:
        """Label of the policy that the others are compared with; None where that is not known."""
        return self.experiment.baseline if self.experiment else None

    @property
    def bound(self) -> str | None:
        """Label of the policy that knows the future; None where the experiment is not known or has none."""
        return bound(self.experiment) if self.experiment else None

    def runs(self) -> pd.DataFrame:
        """Return one row per run: labels, replication, swept values, status and all scores. See ``docs/results.md``."""
        return self.store.runs()

    def series(self, cells: Collection[str] | None = None, **wanted: Unpack[Wanted]) -> pd.DataFrame:
        """Return the step series of the runs with the keys ``cells`` (all where None), sizes in bytes.

        ``wanted`` chooses further, as in :meth:`parts`.
        """
        return self.store.series(cells, **wanted)

    def events(self, cells: Collection[str] | None = None, **wanted: Unpack[Wanted]) -> pd.DataFrame:
        """Return the events of the runs with the keys ``cells`` (all where None).

        ``wanted`` chooses further, as in :meth:`parts`, which takes little memory however many there are.
        """
        return self.store.events(cells, **wanted)

    def parts(
        self,
        table: str,
        cells: Collection[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        **wanted: Unpack[Wanted],
    ) -> Iterator[pd.DataFrame]:
        """Yield the table ``events``, ``series`` or ``guest`` of the runs with the keys ``cells`` in parts.

        ``columns`` names what is read; ``machine``, ``workload``, ``policy``, ``replications``, ``kinds`` and
        ``between`` say of what: see :meth:`sim.results.store.ResultStore.parts`.
        """
        return self.store.parts(table, cells, columns=columns, **wanted)

    def result(self, cell: str) -> RunResult:
        """Return the run with the key ``cell`` as the engine gave it. Raises KeyError if there is none."""
        return self.store.result(cell)

    def requests(self, cell: str) -> pd.DataFrame:
        """Return what the host was asked in the run with the key ``cell``, which is run again for it.

        One row per request, with the columns of a log (``docs/logs.md``) that any row needs. Raises KeyError if there
        is no such run, and InputError where it does not come out as it is stored.
        """
        import pandas as pd

        rows = [row_of(request) for request in requests_of(self.store, cell)]
        return pd.DataFrame(rows, columns=[name for name in NAMES if any(name in row for row in rows)])

    def export(self, cell: str, **files: Path | str) -> None:
        """Write the parts ``requests``, ``events``, ``series`` and ``guest`` of a run to ``files``, as their names end.

        As ``memhp-sim export`` does: ``results.export(cell, events="events.parquet", requests="log.csv")``. Raises
        ValueError for other parts or endings, KeyError if there is no such run, and else as :meth:`requests`.
        """
        unknown = set(files) - set(PARTS)
        if unknown:
            raise ValueError(f"there is no part {min(unknown)!r} of a run; there are: {', '.join(PARTS)}")
        forms = {part: form_of_part(part, Path(file)) for part, file in files.items()}
        result = self.result(cell)
        requests = requests_of(self.store, cell) if REQUESTS in files else ()
        for part, file in files.items():
            export_part(part, Path(file), forms[part], result, requests)

    def picture(self, cell: str, at: float | None = None) -> Picture:
        """Return what there is ``at`` so many seconds (None: at the end) in the run with the key ``cell``.

        As ``lsmem`` sees it in the guest, with zones, devices and MemTotal. Raises KeyError if there is no such run.
        """
        return picture_of_cell(self.store, cell, at)

    def compare(self, scores: Sequence[str] = HEADLINE_SCORES, *, method: Method = "auto") -> pd.DataFrame:
        """Return means and differences to the baseline with intervals, in stored units: a row per policy and score.

        See :func:`sim.analysis.compare.compare`. Of several folders, and all that ``memhp-sim compare`` says:
        :func:`compare`.
        """
        return compare_runs(self.runs(), self.baseline, scores, policies=self.policies, method=method)

    def regret(self) -> pd.DataFrame:
        """Return what each policy lacks of clairvoyant's objective; see :func:`sim.analysis.regret.regret`.

        Raises ValueError where the experiment is not known or has no clairvoyant policy.
        """
        if self.bound is None:
            raise ValueError("regret needs the policy clairvoyant in the experiment")
        return regret(self.runs(), self.bound, policies=self.policies)

    def report(self, out: Path | str | None = None) -> Path:
        """Write what the results say into one HTML file, ``out`` or ``report.html`` in their folder; return its path.

        The same results give the same bytes. Raises OSError where it cannot be written, and without ``out`` InputError
        where another process is at work in the folder.
        """
        from sim.report.page import write_report

        if out is not None:
            return write_report(self.store.folder, Path(out))
        with alone(self.store.folder):
            return write_report(self.store.folder)

    def plot(self, kind: str, workload: str | None = None, machine: str | None = None, **choices: Any) -> Figure:  # noqa: ANN401
        """Return the figure ``kind`` of a workload on a machine, the first of each where None.

        Kinds are those of ``docs/plots.md``. ``choices`` are what the kind lets one choose: ``score`` of distribution,
        ``scores`` of scores and differences, ``score``, ``across`` and ``up`` of heatmap (the figure is the first of
        those that there are). Raises ValueError where there is no such plot, or no completed run to draw.
        """
        if kind not in KINDS:
            raise ValueError(f"there is no plot {kind!r}; there are: {', '.join(KINDS)}")
        runs = self.runs()
        if kind == HEAT_MAP:
            for column, label in (("workload", workload), ("machine", machine)):
                runs = runs if label is None else runs[runs[column] == label]
            figure = next(heat_maps(runs, **choices), None)
            if figure is None:
                raise ValueError("no combination of what would lie across and up was run")
            return figure
        drawable = list(scenarios(runs, self.policies, self.bound, self.baseline))
        for scenario in drawable:
            if workload in (None, scenario.workload) and machine in (None, scenario.machine):
                return (PLOTS | GUEST_PLOTS)[kind].draw(self.store, scenario, **choices)
        titles = "; ".join(scenario.title for scenario in drawable) or "nothing"
        what = "any workload" if workload is None else repr(workload)
        raise ValueError(f"no completed run of {what} on {machine or 'any machine'}; there are: {titles}")


def compare(
    results: Sequence[Results | Path | str], baseline: str | None = None, scores: Sequence[str] | None = None
) -> Comparison:
    """Return the comparison of all that is in ``results`` (or their folders) as one object: see ``docs/compare.md``.

    ``baseline`` is the label of what others are held against, ``scores`` are names of :data:`SCORES`, all where None.
    ``table`` of the comparison has a row for each machine, workload, policy and score; each of its ``scenarios`` what
    is said of it (``said``) and what decisions cost (``decisions``). Raises InputError where a folder holds no runs or
    no policy is called as ``baseline``, and ValueError for an unknown score.
    """
    folders = [each.store.folder if isinstance(each, Results) else each for each in results]
    return compared(folders, baseline, scores)


def open_results(folder: Path | str) -> Results:
    """Return the results in ``folder``. Raises ValueError where there are none."""
    if not ResultStore(folder).exists:
        raise ValueError(f"{folder} holds no results: it has no folder runs, and nothing unpacked")
    return Results(folder)


def run(
    experiment: Experiment | Path | str | Mapping[str, Any],
    out: Path | str = "results",
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    force: bool = False,
    keep: bool = False,
    settings: Mapping[str, Any] | None = None,
    wait: bool = False,
) -> Results:
    """Run what is missing of ``experiment`` (its file, or a mapping of the same shape) and return its results.

    They are in ``out/<name>``. ``workers`` processes share the work; with None this process does it all, so that a
    plain script needs no guard. More than one starts processes that import the caller's main module again, where this
    must stand below ``if __name__ == "__main__":``; else WorkersDoNotStartError is raised.
    ``scheduler`` is the address of a Dask scheduler whose workers do it instead, or "local" for one on this machine.
    ``force`` computes everything again. Earlier runs that are no part of the experiment any more are told in a warning;
    they are set aside until all new ones are there, with ``keep`` for good. ``settings`` take the place of what stands
    in the file, by key, as ``--set`` does: ``{"workloads.recorded.path": "trace.csv"}``. Raises InputError with every
    fault of the experiment, and where another process or thread is at work in the folder; with ``wait``, waits until
    none is. A run that fails does not stop the others: it is a row with its status and error.
    """
    if isinstance(experiment, Experiment) and settings:
        raise ValueError("settings: belong to load(), where the experiment was loaded already")
    planned = experiment if isinstance(experiment, Experiment) else load(experiment, settings=settings)
    who = choose_workers(
        1 if workers is None and scheduler is None else workers, scheduler, apart=planned.cell_timeout is not None
    )
    with _alone(Path(out) / planned.name, wait=wait):
        report = run_experiment(planned, Path(out), workers=who, force=force, keep=keep, on_note=warnings.warn)
    return Results(report.folder)


def recommend(
    experiment: Experiment | Path | str | Mapping[str, Any],
    out: Path | str = "results",
    *,
    limits: Sequence[str] = (),
    workers: int | None = None,
    keep: bool = False,
    settings: Mapping[str, Any] | None = None,
    wait: bool = False,
    **terms: Any,  # noqa: ANN401  as sim.recommend.asked.asked takes them
) -> Recommendation:
    """Return which setting to take for ``experiment``, with all runs in ``out/<name>-recommend``.

    ``limits`` say in words what must hold (``"no death in 99 % of replications"``), ``terms`` what else the command
    takes: ``maximise`` or ``minimise`` a score, ``indifference``, ``confidence``, ``most`` replications of a candidate,
    ``budget`` of runs in a scenario. Where they say nothing, the experiment's ``[recommend]`` is gone by. All else is
    as in :func:`run`. Raises InputError with everything that is wrong, TypeError for terms that there are not.
    """
    from sim.recommend.asked import asked
    from sim.recommend.recommend import recommend as found_for
    from sim.recommend.recommend import results_name

    if isinstance(experiment, Experiment) and settings:
        raise ValueError("settings: belong to load(), where the experiment was loaded already")
    planned = experiment if isinstance(experiment, Experiment) else load(experiment, settings=settings)
    who = choose_workers(1 if workers is None else workers, None, apart=planned.cell_timeout is not None)
    wanted = asked(planned, limit=limits, **terms)
    with _alone(Path(out) / results_name(planned), wait=wait):
        return found_for(planned, Path(out), wanted, workers=who, keep=keep, on_note=warnings.warn).found


@contextlib.contextmanager
def _alone(folder: Path, *, wait: bool) -> Iterator[None]:
    end_in_a_script_without_guard()  # before it asks for the folder, which the process that it works for is in
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, wait=wait):
        yield
