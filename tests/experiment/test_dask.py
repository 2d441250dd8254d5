"""The same experiment on a real scheduler with real workers, one of which is killed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.choose_workers import choose_workers
from sim.experiment.dask_workers import DaskWorkers, UnfitWorkerError, run_there
from sim.experiment.executors import InProcess, LocalProcesses, local
from sim.experiment.load import load
from sim.experiment.run import run
from sim.faults import InputError
from sim.results.identity import code_version
from sim.results.store import ResultStore
from tests.experiment.dask_cluster import cluster
from tests.experiment.examples import small
from tests.experiment.test_run import bad, files

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.run_cell import Outcome


def test_one_worker_two_workers_and_a_scheduler_write_the_same_files_also_when_a_worker_is_killed(
    tmp_path: Path,
) -> None:
    tables = small(guest={"model": "linux"}, replications=3)
    more = small(replications=10)
    calm = run(load(more), tmp_path / "calm", workers=InProcess())
    seen: list[Outcome] = []

    one = run(load(tables), tmp_path / "one", workers=InProcess())
    two = run(load(tables), tmp_path / "two", workers=LocalProcesses(2))
    with cluster(tmp_path, workers=2) as running:
        dask = run(load(tables), tmp_path / "dask", workers=DaskWorkers(running.address))
        victim = running.workers[0]

        def kill(outcome: Outcome) -> None:
            seen.append(outcome)
            if len(seen) == 10:
                victim.kill()

        report = run(load(more), tmp_path / "killed", workers=DaskWorkers(running.address), on_outcome=kill)
        assert victim.wait() != 0
        assert running.workers[1].poll() is None

    assert one.summary() == two.summary() == dask.summary() == "8 of 8 runs completed"
    assert len(ResultStore(one.folder).whole()) == 8
    assert files(one.folder) == files(two.folder) == files(dask.folder)

    # The killed one loses nothing and doubles nothing.
    assert report.summary() == "22 of 22 runs completed"
    assert len({outcome.id.key for outcome in seen}) == len(seen) == 22
    runs = ResultStore(report.folder).runs()
    assert len(runs) == runs["cell"].nunique() == 22
    assert files(report.folder) == files(calm.folder)


def test_a_scheduler_of_ones_own_and_a_policy_that_takes_its_workers_along(tmp_path: Path) -> None:
    tables = bad(tmp_path, "Dying", "Raising", "Fine")

    report = run(load(tables, folder=tmp_path), tmp_path / "results", workers=choose_workers(2, "local"))

    assert report.summary() == "1 of 3 runs completed, 2 failed"
    assert {outcome.cell.partition(" / ")[0]: outcome.stage for outcome in report.failed} == {
        "Dying": "worker",
        "Raising": "policy",
    }
    assert sorted(ResultStore(report.folder).runs()["status"]) == ["completed", "failed", "failed"]


@pytest.mark.parametrize("address", ["", "localhost:8786", "8786"])
def test_what_is_no_address_is_bad_input(address: str) -> None:
    with pytest.raises(InputError, match="no address of a scheduler"):
        choose_workers(None, address)


def test_where_nobody_answers_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.experiment.dask_workers.CONNECT_S", 0.5)
    with pytest.raises(InputError, match="no scheduler answers there"):
        run(load(small()), tmp_path, workers=choose_workers(None, "tcp://127.0.0.1:1"))
    with pytest.raises(InputError, match="no scheduler answers there"):
        run(load(small()), tmp_path, workers=choose_workers(None, "nonsense://127.0.0.1:1"))


def test_without_dask_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'memhp-sim\[dask\]'"):
        choose_workers(None, "tcp://127.0.0.1:8786")
    assert local(2).count == 2


def test_a_worker_that_is_unfit_says_so(tmp_path: Path) -> None:
    def never(*_: Any) -> None:  # noqa: ANN401
        raise AssertionError

    with pytest.raises(UnfitWorkerError, match=r"has version .* of memhp-sim, not other"):
        run_there("other", never, None, None, str(tmp_path), None)
    with pytest.raises(UnfitWorkerError, match="does not see the results folder"):
        run_there(code_version(), never, None, None, str(tmp_path), None)
