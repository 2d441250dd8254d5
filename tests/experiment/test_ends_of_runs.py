"""What is left when an experiment has ended: of failed cells, of earlier runs, and in the manifest."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

import sim.engine
import sim.results.cells
import sim.scores.registry
from sim.experiment.executors import InProcess, LocalProcesses
from sim.experiment.load import load
from sim.experiment.run import Report, run
from sim.experiment.run_cell import Outcome, run_cell
from sim.kernel.policy_answers import PolicyError
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore
from sim.scores.registry import SCORES
from tests.experiment.examples import BAD_POLICIES, small
from tests.experiment.test_run import files
from tests.support.packed import packs, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.experiment.executors import Workers
    from sim.experiment.plan import Experiment

MOODY = f"""{BAD_POLICIES}
from pathlib import Path


class Moody(Fine):
    def zone_for(self, request, memory):
        if Path(__file__).with_name("bad mood").exists():
            raise KeyError("not today")
        return ZoneType.MOVABLE
"""
"""A policy that fails while a file stands beside it: the same cell, with the same key, completes or fails."""


def moody(folder: Path, **changed: Any) -> Experiment:  # noqa: ANN401  whatever TOML can hold
    """Return an experiment of two cells a replication, one of the moody policy, whose guest is modelled."""
    (folder / "moody.py").write_text(MOODY)
    tables = small(
        policies=[{"name": "moody.py:Moody"}, {"name": "contig-zones"}],
        workloads=[{"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 300}],
        guest={"model": "linux", "sample_every": 60},
        **{"replications": 1, **changed},
    )
    return load(tables, folder=folder)


ALL = ["details", "events", "guest", "runs", "series", "timings"]


# What a failed cell leaves --------------------------------------------------------------------------------------------


def test_a_cell_that_fails_after_it_had_completed_leaves_nothing_of_its_old_results(tmp_path: Path) -> None:
    experiment = moody(tmp_path)
    calm = run(experiment, tmp_path, workers=InProcess())
    before = files(calm.folder)
    assert tables_of(calm.folder, "Moody") == tables_of(calm.folder, "contig-zones") == ALL
    (tmp_path / "bad mood").touch()

    forced = run(experiment, tmp_path, workers=InProcess(), force=True)

    assert forced.summary() == "1 of 2 runs completed, 1 failed"
    assert tables_of(forced.folder, "Moody") == ["runs", "timings"]
    assert tables_of(forced.folder, "contig-zones") == ALL
    store = ResultStore(forced.folder)
    rows = store.runs().set_index("policy")
    assert dict(rows["status"]) == {"Moody": "failed", "contig-zones": "completed"}
    assert rows.loc["Moody", list(SCORES)].isna().all()
    assert len(store.runs()) == 2

    again = run(experiment, tmp_path, workers=InProcess())
    assert (again.reused, again.completed, again.failures) == (1, 0, 1)
    assert again.summary() == "1 of 2 runs completed (1 of them were there already), 1 failed"
    (tmp_path / "bad mood").unlink()
    last = run(experiment, tmp_path, workers=InProcess())
    assert (last.reused, last.completed, last.failures) == (1, 1, 0)
    assert files(last.folder) == before


def failing_at(place: str, error: BaseException, patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    patch.setattr(place, fail)


def outcome_of(experiment: Experiment, folder: Path, timeout: float | None = None) -> Outcome:
    cell, identity = next(experiment.tasks())
    return run_cell(cell, identity, str(folder), timeout)


@pytest.mark.parametrize(
    ("place", "error", "stage", "told"),
    [
        ("sim.experiment.build.workload", ValueError("no"), "build", "ValueError: no"),
        ("sim.experiment.build.guest", ValueError("no"), "build", "ValueError: no"),
        ("sim.engine.simulate", ValueError("a\n   b"), "simulate", "ValueError: a b"),
        ("sim.engine.simulate", SystemExit("bye"), "simulate", "SystemExit: bye"),
        ("sim.engine.simulate", PolicyError("policy 'x'\nfails"), "policy", "policy 'x' fails"),
        ("sim.engine.simulate", sim.engine.WorkloadError("workload 'x' fails"), "workload", "workload 'x' fails"),
        ("sim.record.series.run_series", ZeroDivisionError("no"), "score", "ZeroDivisionError: no"),
        ("sim.scores.registry.compute_scores", ZeroDivisionError("no"), "score", "ZeroDivisionError: no"),
        ("sim.results.frames.run_row", OSError(5, "No answer"), "store", "OSError: [Errno 5] No answer"),
        ("sim.results.frames.series_block", OSError(5, "No answer"), "store", "OSError: [Errno 5] No answer"),
        ("sim.results.frames.details", OSError(5, "No answer"), "store", "OSError: [Errno 5] No answer"),
    ],
)
def test_a_failure_is_put_to_its_stage_and_leaves_a_row_and_no_file(
    place: str, error: BaseException, stage: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = moody(tmp_path)
    run(experiment, tmp_path, workers=InProcess())
    failing_at(place, error, monkeypatch)

    outcome = outcome_of(experiment, tmp_path / "experiment")

    assert (outcome.stage, outcome.error, outcome.completed) == (stage, told, False)
    ResultStore(tmp_path / "experiment").pack()
    assert tables_of(tmp_path / "experiment", "Moody") == ["runs", "timings"]
    row = json.loads(outcome.row)
    assert (row["status"], row["stage"], row["error"]) == ("failed", stage, told)
    assert (row["cell"], row["replication"], row["seed"]) == (outcome.id.key, 0, 7)
    assert type(error).__name__ in row["traceback"]
    assert "fail" in row["traceback"]


def test_what_is_pressed_by_a_person_is_no_failure_of_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = moody(tmp_path)

    def pressed(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    def pressed_and_caught(*_: object, **__: object) -> None:
        try:
            pressed()
        except KeyboardInterrupt:
            raise ValueError("a plug-in that catches everything") from None

    for simulates in (pressed, pressed_and_caught):
        monkeypatch.setattr("sim.engine.simulate", simulates)
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            outcome_of(experiment, tmp_path)
        assert signal.getsignal(signal.SIGINT) is before


ODD = """
class Odd(Fine):
    def zone_for(self, request, memory):
        raise {raised}


class Unspeakable(BaseException):
    def __str__(self):
        raise self


class Ends(Workload):
    name = "ends"
    summary = "ends oddly"

    def duration(self):
        return 60.0

    def run(self, host, streams):
        yield host.env.timeout(1_000_000)
        raise {raised}
"""


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("GeneratorExit", "GeneratorExit"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("SystemExit(0)", "SystemExit( for block 32)?: 0"),
        ("MemoryError", "raised MemoryError"),
        ("RecursionError('deep')", "RecursionError( for block 32)?: deep"),
        ("BaseException('odd')", "BaseException( for block 32)?: odd"),
        ("ValueError(chr(0xd800))", r"ValueError( for block 32)?: \\ud800"),
        ("Unspeakable()", "Unspeakable"),
    ],
)
@pytest.mark.parametrize("workers", [InProcess(), LocalProcesses(1)], ids=["here", "in a process"])
def test_whatever_plug_ins_raise_the_other_cells_are_run(
    raised: str, told: str, workers: Workers, tmp_path: Path
) -> None:
    code = f"{BAD_POLICIES}\nfrom workloads.contract import Workload\n{ODD.format(raised=raised)}"
    (tmp_path / "odd.py").write_text(code)
    tables = small(
        policies=[{"name": "contig-zones"}, {"name": "odd.py:Odd"}],
        workloads=[
            {"name": "odd.py:Ends"},
            {"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 300},
        ],
        replications=1,
    )

    report = run(load(tables, folder=tmp_path), tmp_path, workers=workers)

    assert report.summary() == "1 of 4 runs completed, 3 failed"
    runs = ResultStore(report.folder).runs()
    failed = runs[runs["status"] == "failed"]
    assert len(failed) == 3
    assert failed["error"].map(lambda error: re.search(told, error) is not None).all(), list(failed["error"])
    assert set(failed["stage"]) <= {"policy", "workload", "simulate"}


# Times ----------------------------------------------------------------------------------------------------------------


class Clocks:
    """Clocks that stand still but for what is said to take time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.cpu, self.wall, self.date = 50.0, 70.0, 1000.0
        patch.setattr(time, "thread_time", lambda: self.cpu)
        patch.setattr(time, "perf_counter", lambda: self.wall)
        patch.setattr(time, "time", lambda: self.date)
        self._patch = patch

    def slow(self, place: str, function: Callable[..., Any], cpu: float, wall: float) -> None:
        """Have what stands at ``place``, which is ``function``, take so long."""

        def slowly(*arguments: object, **named: object) -> object:
            try:
                return function(*arguments, **named)
            finally:
                self.cpu += cpu
                self.wall += wall

        self._patch.setattr(place, slowly)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Simulating takes 5 s of CPU time and 7 of real time, scoring 3 and 3, writing 2 and 4."""
    found = Clocks(monkeypatch)
    found.slow("sim.engine.simulate", sim.engine.simulate, 5, 7)
    found.slow("sim.scores.registry.compute_scores", sim.scores.registry.compute_scores, 3, 3)
    found.slow("sim.results.cells.write_cell", sim.results.cells.write_cell, 2, 4)
    return found


def test_the_time_of_simulation_is_all_but_the_writing(tmp_path: Path, clocks: Clocks) -> None:
    experiment = moody(tmp_path)

    assert outcome_of(experiment, tmp_path).times == {"wall_s": 14.0, "cpu_s": 10.0, "simulation_cpu_s": 8.0}
    (tmp_path / "bad mood").touch()
    assert outcome_of(experiment, tmp_path).times == {"wall_s": 7.0, "cpu_s": 5.0, "simulation_cpu_s": 5.0}
    assert clocks.cpu == 65.0


def test_times_add_up_in_the_report_the_table_and_the_manifest(tmp_path: Path, clocks: Clocks) -> None:
    def finished(_: Outcome) -> None:
        clocks.date += 10.0

    (tmp_path / "bad mood").touch()
    report = run(moody(tmp_path, replications=2), tmp_path, workers=InProcess(), on_outcome=finished)

    # Two cells that failed before scores and two that completed.
    assert (report.cpu_s, report.simulation_cpu_s) == (2 * 5 + 2 * 10, 2 * 5 + 2 * 8)
    assert read_manifest(report.folder)["timings"] == {
        "started": "1970-01-01T00:16:40+00:00",
        "seconds": 40.0,
        "workers": 1,
        "computed": 4,
        "cells_cpu_s": 30.0,
        "simulation_cpu_s": 26.0,
    }
    table = ResultStore(report.folder).timings()
    columns = ["policy", "replication", "wall_s", "cpu_s", "simulation_cpu_s", "finished_unix_s"]
    assert table[columns].to_numpy().tolist() == [
        ["Moody", 0, 7.0, 5.0, 5.0, 1000.0],
        ["Moody", 1, 7.0, 5.0, 5.0, 1020.0],
        ["contig-zones", 0, 14.0, 10.0, 8.0, 1010.0],
        ["contig-zones", 1, 14.0, 10.0, 8.0, 1030.0],
    ]


# Going on -------------------------------------------------------------------------------------------------------------


def counted(report: Report) -> tuple[dict[str, int], int]:
    manifest = read_manifest(report.folder)
    return manifest["cells"], manifest["timings"]["computed"]


def test_the_manifest_counts_all_cells_that_are_there_and_not_only_the_new_ones(tmp_path: Path) -> None:
    def go(replications: int, *only: int, force: bool = False) -> Report:
        experiment = moody(tmp_path, replications=replications)
        chosen = experiment.only(only) if only else experiment
        return run(chosen, tmp_path, workers=InProcess(), force=force)

    assert counted(go(1)) == ({"planned": 2, "completed": 2, "failed": 0}, 2)
    assert counted(go(3)) == ({"planned": 6, "completed": 6, "failed": 0}, 4)
    assert counted(go(3)) == ({"planned": 6, "completed": 6, "failed": 0}, 0)
    assert counted(go(3, force=True)) == ({"planned": 6, "completed": 6, "failed": 0}, 6)
    (tmp_path / "bad mood").touch()
    assert counted(go(4)) == ({"planned": 8, "completed": 7, "failed": 1}, 2)
    alone = go(4, 2, 9)
    assert counted(alone) == ({"planned": 4, "completed": 3, "failed": 1}, 2)
    manifest = read_manifest(alone.folder)
    assert manifest["seeds"] == {"seed": 7, "replications": [2, 9]}
    assert manifest["config"]["replications"] == 4
    # Replication 9 is none of the file's, so it was kept only as long as others were asked for.
    assert sorted(set(ResultStore(alone.folder).runs()["replication"])) == [0, 1, 2, 3, 9]
    assert counted(go(4)) == ({"planned": 8, "completed": 7, "failed": 1}, 1)
    assert sorted(set(ResultStore(alone.folder).runs()["replication"])) == [0, 1, 2, 3]


def test_who_watches_is_told_first_how_much_there_is_and_then_of_every_cell(tmp_path: Path) -> None:
    told: list[object] = []

    def start(report: Report) -> None:
        told.append((report.planned, report.reused, report.done))

    def finished(outcome: Outcome) -> None:
        told.append(outcome.cell)

    def go(**options: Any) -> None:  # noqa: ANN401  passed on
        experiment = moody(tmp_path, replications=2)
        run(
            experiment,
            tmp_path,
            workers=InProcess(),
            on_start=start,
            on_outcome=lambda o: told.append(o.cell),
            **options,
        )

    cells = [f"{policy} / dimm-slots / vm / replication {k}" for k in (0, 1) for policy in ("Moody", "contig-zones")]
    go()
    assert told == [(4, 0, 0), *cells]
    told.clear()
    store = ResultStore(tmp_path / "experiment")
    moodies = {each["cell"] for each in store.labels() if each["policy"] == "Moody"}
    store.prune(store.keys() - {min(moodies)})
    go()
    assert told[0] == (4, 3, 3)
    assert told[1:] in ([cells[0]], [cells[2]])
    told.clear()
    go(force=True)
    assert told == [(4, 0, 0), *cells]


def test_rows_of_a_run_that_is_stopped_are_written_all_the_same(tmp_path: Path) -> None:
    seen: list[str] = []

    def stop(outcome: Outcome) -> None:
        seen.append(outcome.id.key)
        if len(seen) == 3:
            raise KeyboardInterrupt

    (tmp_path / "bad mood").touch()
    with pytest.raises(KeyboardInterrupt):
        run(moody(tmp_path, replications=2), tmp_path, workers=InProcess(), on_outcome=stop)

    # Failures are nowhere else: of the three cells, two had failed.
    rows = ResultStore(tmp_path / "experiment").runs()
    assert sorted(rows["cell"]) == sorted(seen)
    assert rows["status"].tolist() == ["failed", "failed", "completed"]
    assert not (tmp_path / "experiment" / "manifest.json").exists()


def test_what_a_killed_writer_left_half_written_goes(tmp_path: Path) -> None:
    experiment = moody(tmp_path)
    report = run(experiment, tmp_path, workers=InProcess())
    before = files(report.folder)
    (whole,) = packs(report.folder, "events")
    halves = [
        whole.with_name(f"{whole.name}.tmp-0123456789abcdef"),
        whole.with_name("events-03-of-64.parquet.tmp-fedcba9876543210"),
    ]
    for half in halves:
        half.write_bytes(b"half")
    run(experiment, tmp_path, workers=InProcess())
    assert files(report.folder) == before
