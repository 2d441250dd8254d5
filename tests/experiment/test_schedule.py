"""What is not random is run once: found out from the streams, in whatever order and by however many workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.executors import InProcess, LocalProcesses
from sim.experiment.load import load
from sim.experiment.run import run
from sim.experiment.schedule import Schedule
from sim.results.store import ResultStore
from sim.streams import Streams

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Experiment
    from sim.experiment.run import Report

REPLICATIONS = 3


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Return two policies on a log, in which nothing is random, and on random traffic, three replications each."""
    (tmp_path / "log.csv").write_text(
        "t_s,device,op,kind,node,size_bytes\n0,d0,plug,dimm,0,134217728\n5,d0,unplug,,,\n", "utf-8"
    )
    tables: dict[str, Any] = {
        "name": "both",
        "replications": REPLICATIONS,
        "machines": [{"label": "vm", "boot_memory": "1GiB"}],
        "policies": [{"name": "online-kernel"}, {"name": "online-movable"}],
        "workloads": [
            {"name": "request-replay", "label": "log", "path": str(tmp_path / "log.csv"), "tail": 5},
            {"name": "dimm-slots", "label": "random", "duration": 60},
        ],
    }
    return load(tables, folder=tmp_path)


def rows(report: Report) -> list[tuple[str, str, int]]:
    runs = ResultStore(report.folder).runs()
    return list(zip(runs["workload"], runs["policy"], runs["replication"], strict=True))


def files(report: Report) -> dict[str, bytes]:
    """Return everything but what tells times."""
    return {
        path.relative_to(report.folder).as_posix(): path.read_bytes()
        for path in sorted(report.folder.rglob("*.parquet"))
        if "timings" not in path.relative_to(report.folder).parts
    }


EXPECTED = [
    *(("log", policy, 0) for policy in ("online-kernel", "online-movable")),
    *(("random", policy, number) for policy in ("online-kernel", "online-movable") for number in range(REPLICATIONS)),
]


def test_where_nothing_is_random_every_policy_has_one_run_and_all_counts_agree(
    experiment: Experiment, tmp_path: Path
) -> None:
    planned = []
    report = run(experiment, tmp_path, workers=InProcess(), on_start=lambda it: planned.append(it.planned))

    assert rows(report) == EXPECTED
    assert len(experiment) == planned[0] == 12
    assert (report.planned, report.completed, report.reused) == (8, 8, 0)
    assert report.summary() == "8 of 8 runs completed"
    manifest = json.loads((report.folder / "manifest.json").read_text("utf-8"))
    assert manifest["cells"] == {"planned": 8, "completed": 8, "failed": 0}
    assert manifest["nothing_random"] == [{"machine": "vm", "workload": "log"}]


def test_it_stays_one_run_when_run_again_or_by_force_or_by_several_workers(
    experiment: Experiment, tmp_path: Path
) -> None:
    first = run(experiment, tmp_path / "a", workers=InProcess())
    again = run(experiment, tmp_path / "a", workers=InProcess())
    assert (again.planned, again.reused, again.completed) == (8, 8, 0)
    forced = run(experiment, tmp_path / "a", workers=InProcess(), force=True)
    assert (forced.planned, forced.reused, forced.completed) == (8, 0, 8)
    several = run(experiment, tmp_path / "b", workers=LocalProcesses(2))
    assert (several.planned, several.completed) == (8, 8)
    assert files(first) == files(again) == files(forced) == files(several)


def test_what_was_run_for_itself_before_does_not_stay_beside_the_first_replication(
    experiment: Experiment, tmp_path: Path
) -> None:
    alone = run(experiment.only((2,)), tmp_path / "a", workers=InProcess())
    assert rows(alone) == [(*row[:2], 2) for row in EXPECTED if row[2] == 0]
    after = run(experiment, tmp_path / "a", workers=InProcess())
    assert rows(after) == EXPECTED
    assert (after.planned, after.done) == (8, 8)
    assert files(after) == files(run(experiment, tmp_path / "b", workers=InProcess()))


def keys(experiment: Experiment, replication: int = 0) -> dict[tuple[str, str], str]:
    """Return the keys of the cells of a replication by workload and policy."""
    tasks = (identity for cell, identity in experiment.tasks() if cell.replication == replication)
    return {(identity.workload, identity.policy): identity.key for identity in tasks}


def test_one_policy_that_draws_makes_the_workload_random_for_all(experiment: Experiment) -> None:
    drawn = dict.fromkeys(keys(experiment).values(), 0)
    assert len(Schedule(experiment, drawn)) == 4
    assert len(Schedule(experiment, drawn | {keys(experiment)["log", "online-movable"]: 1})) == 8
    assert Schedule(experiment, drawn).single() == [("vm", "log"), ("vm", "random")]


def test_later_replications_wait_for_all_that_decide_about_them(experiment: Experiment) -> None:
    schedule = Schedule(experiment, {})
    tasks = schedule.tasks([False] * len(experiment))
    first = [next(tasks) for _ in range(4)]
    assert [task and task[1].replication for task in first] == [0] * 4
    assert next(tasks) is None
    for key in list(keys(experiment).values())[:-1]:
        schedule.note(key, '{"streams_drawn": 0}')
    # Of the log all is known, and nothing of it is left to run; of the other, one is missing.
    assert next(tasks) is None
    schedule.note(keys(experiment)["random", "online-movable"], '{"streams_drawn": 2}')
    rest = [task[1] for task in tasks if task is not None]
    assert [(cell.workload, cell.replication) for cell in rest] == [("random", 1)] * 2 + [("random", 2)] * 2


def test_a_failed_run_says_nothing_and_a_workload_of_which_nothing_is_known_counts_as_random(
    experiment: Experiment,
) -> None:
    schedule = Schedule(experiment, {})
    of = keys(experiment)
    for key in (of["log", "online-kernel"], of["random", "online-kernel"], of["random", "online-movable"]):
        schedule.note(key, '{"status": "failed"}')
    schedule.note(of["log", "online-movable"], '{"streams_drawn": 0}')
    assert schedule.single() == [("vm", "log")]
    assert len(schedule) == 8


def test_streams_know_whether_anything_was_drawn_from_them() -> None:
    streams = Streams(1, 0)
    assert streams.drawn == 0
    streams("a")
    assert streams.drawn == 0, "asked for is not drawn"
    streams("a").random()
    streams("b").integers(5)
    streams("c")
    assert streams.drawn == 2
