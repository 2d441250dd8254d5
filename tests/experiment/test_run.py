from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from sim.experiment.executors import InProcess, LocalProcesses, local
from sim.experiment.load import load
from sim.experiment.run import MOST_FAILURES_KEPT, Report, run
from sim.experiment.run_cell import Outcome
from sim.results.damage import DamageWarning
from sim.results.failure import Stage
from sim.results.identity import CellId
from sim.results.manifest import TIMING_FIELD, read_manifest
from sim.results.store import ResultStore
from tests.experiment.examples import BAD_POLICIES, small
from tests.support.packed import packs

if TYPE_CHECKING:
    from sim.experiment.executors import Workers


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of everything in a results folder but the named timings."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "timings" not in path.parts and path.name != "manifest.json"
    }


def bad(tmp_path: Path, *classes: str, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    (tmp_path / "bad.py").write_text(BAD_POLICIES)
    return small(
        policies=[{"name": f"bad.py:{name}"} for name in classes],
        workloads=[{"name": "dimm-slots", "duration": 600}],
        replications=1,
        **changed,
    )


def test_results_are_written_and_scored(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []

    report = run(load(small()), tmp_path, workers=InProcess(), on_outcome=outcomes.append)

    assert report.summary() == "6 of 6 runs completed"
    assert [outcome.completed for outcome in outcomes] == [True] * 6
    runs = ResultStore(tmp_path / "experiment").runs()
    assert list(runs["status"].unique()) == ["completed"]
    assert set(runs["policy"]) == {"contig-zones", "auto-movable"}
    assert (runs.loc[runs["policy"] == "contig-zones", "movable_share_mean"].dropna() == 0).all()
    assert (runs.loc[runs["policy"] == "auto-movable", "movable_share_mean"].dropna() > 0).all()


def test_a_guest_takes_part(tmp_path: Path) -> None:
    tables = small(guest={"model": "linux", "idle_use_bytes": "64MiB", "sample_every": 60}, replications=1)

    report = run(load(tables), tmp_path, workers=InProcess())

    assert report.summary() == "4 of 4 runs completed"
    store = ResultStore(report.folder)
    guest = store.result(store.runs()["cell"][0]).guest
    assert len(guest["t_us"]) > 5
    assert (guest["headroom"] > 0).all()


def test_two_policies_meet_the_same_traffic(tmp_path: Path) -> None:
    report = run(load(small()), tmp_path, workers=InProcess())
    store = ResultStore(report.folder)
    runs = store.runs()
    for _, group in runs.groupby(["workload", "replication"]):
        requests = [
            [tuple(row) for row in events[events["kind"] == 9][["t_us", "device", "pages"]].to_numpy()]
            for events in (store.events({cell}) for cell in group["cell"])
        ]
        assert len(requests) == 2
        assert requests[0] == requests[1]


def test_processes_write_the_same_bytes_as_this_one(tmp_path: Path) -> None:
    here = run(load(small()), tmp_path / "a", workers=InProcess())
    there = run(load(small()), tmp_path / "b", workers=LocalProcesses(2))

    assert there.completed == 6
    assert files(here.folder) == files(there.folder)
    manifests = [read_manifest(report.folder) for report in (here, there)]
    assert manifests[0].pop(TIMING_FIELD) != manifests[1].pop(TIMING_FIELD)
    for manifest in manifests:
        manifest["program"].pop("git")  # somebody may commit while the test runs
    assert manifests[0] == manifests[1]


def test_a_second_run_computes_only_what_is_missing(tmp_path: Path) -> None:
    first = run(load(small()), tmp_path, workers=InProcess())
    before = files(first.folder)

    again = run(load(small()), tmp_path, workers=InProcess())
    assert (again.reused, again.completed) == (6, 0)

    store = ResultStore(first.folder)
    _, *others = sorted(store.keys())
    store.prune(others)
    third = run(load(small()), tmp_path, workers=InProcess())
    assert (third.reused, third.completed) == (5, 1)
    assert files(first.folder) == before

    # What a power failure makes of a file that was written just before, and a file that is lost: all cells in them go.
    for table, lost in (("events", False), ("series", True), ("details", True), ("runs", False)):
        (file,) = packs(first.folder, table)
        file.unlink() if lost else file.write_bytes(b"")
        with pytest.warns(DamageWarning, match=f"{'is not there' if lost else 'is empty'}; 6 runs have"):
            fourth = run(load(small()), tmp_path, workers=InProcess())
        assert (fourth.reused, fourth.completed) == (0, 6)
        assert files(first.folder) == before

    forced = run(load(small()), tmp_path, workers=InProcess(), force=True)
    assert (forced.reused, forced.completed) == (0, 6)
    assert files(forced.folder) == before


def test_the_written_experiment_reproduces_the_run(tmp_path: Path) -> None:
    first = run(load(small()), tmp_path / "a", workers=InProcess())

    second = run(load(first.folder / "experiment.toml"), tmp_path / "b", workers=InProcess())

    assert files(first.folder) == files(second.folder)


def test_a_replication_alone_gives_what_it_gives_among_all(tmp_path: Path) -> None:
    run(load(small(replications=3)), tmp_path / "a", workers=InProcess())
    run(load(small(replications=3)).only((1,)), tmp_path / "b", workers=InProcess())

    # In a recorded log nothing is random: among all, there is the first replication of it only.
    whole, single = (ResultStore(tmp_path / name / "experiment") for name in "ab")
    for table in ("events", "series"):
        among, one = (
            pd.concat(store.parts(table, workload="dimms", replications=[1]), ignore_index=True)
            for store in (whole, single)
        )
        assert among.equals(one)
        assert len(one) > 10
    runs = (ResultStore(tmp_path / name / "experiment").runs() for name in "ba")
    one, all_of_them = (table[table["workload"] != "sail"].reset_index(drop=True) for table in runs)
    assert one.equals(all_of_them[all_of_them["replication"] == 1].reset_index(drop=True))


@pytest.mark.parametrize("workers", [InProcess(), LocalProcesses(2)], ids=["in-process", "processes"])
def test_a_broken_policy_ends_its_own_runs_only(workers: Workers, tmp_path: Path) -> None:
    tables = bad(tmp_path, "Raising", "Nonsense", "Fine")

    report = run(load(tables, folder=tmp_path), tmp_path / "results", workers=workers)

    assert report.summary() == "1 of 3 runs completed, 2 failed"
    failed = {outcome.cell.partition(" / ")[0]: outcome for outcome in report.failed}
    assert failed["Raising"].stage == "policy"
    assert "raised KeyError" in failed["Raising"].error
    assert "answered 'ZONE_MOVABLE'" in failed["Nonsense"].error
    runs = ResultStore(report.folder).runs().set_index("policy")
    assert dict(runs["status"]) == {"Raising": "failed", "Nonsense": "failed", "Fine": "completed"}
    assert "what is this" in runs["traceback"]["Raising"]
    assert runs["error"]["Raising"] == failed["Raising"].error


@pytest.mark.parametrize("workers", [InProcess(), LocalProcesses(1)], ids=["in-process", "process"])
def test_a_hanging_policy_is_cut_off(workers: Workers, tmp_path: Path) -> None:
    tables = bad(tmp_path, "Hanging", "Fine", cell_timeout=0.5)
    start = time.monotonic()

    report = run(load(tables, folder=tmp_path), tmp_path / "results", workers=workers)

    assert [(outcome.stage, outcome.error) for outcome in report.failed] == [
        ("simulate", "took longer than its cell_timeout of 0.5 s")
    ]
    assert report.completed == 1
    assert time.monotonic() - start < 20


def test_a_policy_that_takes_its_process_along_does_not_stop_the_others(tmp_path: Path) -> None:
    tables = bad(tmp_path, "Dying", "Fine") | {"replications": 3}

    report = run(load(tables, folder=tmp_path), tmp_path / "results", workers=LocalProcesses(2))

    assert (report.completed, len(report.failed)) == (3, 3)
    assert {(outcome.stage, outcome.error) for outcome in report.failed} == {("worker", "the worker process died")}
    assert ResultStore(report.folder).runs().groupby("policy")["status"].unique().map(list).to_dict() == {
        "Dying": ["failed"],
        "Fine": ["completed"],
    }


def test_a_policy_that_will_not_be_interrupted_is_ended(tmp_path: Path) -> None:
    tables = bad(tmp_path, "Stubborn", "Fine", cell_timeout=0.5)

    report = run(load(tables, folder=tmp_path), tmp_path / "results", workers=LocalProcesses(2))

    assert report.completed == 1
    assert [outcome.stage for outcome in report.failed] == ["worker"]
    assert "cell_timeout of 0.5 s" in report.failed[0].error


def test_an_interrupted_run_ends_its_processes_and_goes_on_later(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())

    def interrupt(_: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(load(small()), tmp_path, workers=LocalProcesses(2), on_outcome=interrupt)

    deadline = time.monotonic() + 10
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(multiprocessing.active_children()) - before
    there = len(ResultStore(tmp_path / "experiment").completed())
    report = run(load(small()), tmp_path, workers=InProcess())
    assert report.reused == there
    assert report.done == 6


def test_what_an_earlier_version_of_the_experiment_left_is_removed(tmp_path: Path) -> None:
    run(load(small()), tmp_path, workers=InProcess())

    report = run(load(small(policies=[{"name": "contig-zones"}])), tmp_path, workers=InProcess())

    assert (report.reused, report.completed) == (3, 0)
    assert set(ResultStore(report.folder).runs()["policy"]) == {"contig-zones"}


def test_workers_are_told_apart() -> None:
    assert isinstance(local(1), InProcess)
    assert isinstance(local(3), LocalProcesses)
    assert local().count >= 1
    with pytest.raises(ValueError, match="at least one worker"):
        LocalProcesses(0)


def test_a_report_says_what_was_there() -> None:
    assert Report(Path(), planned=5, reused=2, completed=3).summary() == (
        "5 of 5 runs completed (2 of them were there already)"
    )


def test_a_report_does_not_grow_with_failures() -> None:
    report = Report(Path(), planned=5000)
    identity = CellId("0" * 32, "m", "w", "p", 0, 1)
    for _ in range(5000):
        report.count(Outcome(identity, "p / w / m", "{}", Stage.SIMULATE, "no"))
    assert report.summary() == "0 of 5000 runs completed, 5000 failed"
    assert len(report.failed) == MOST_FAILURES_KEPT
