"""Earlier runs that are no part of an experiment any more: told, set aside, taken back, kept."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w

import sim.experiment.run
from sim.api import open_results
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import Report, run
from sim.results import earlier
from sim.results.atomic import temporary_name
from sim.results.damage import DamageWarning
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore
from tests.experiment.examples import BAD_POLICIES, small
from tests.experiment.test_killed import kill_all, wait_for_more_cells
from tests.experiment.test_run import files
from tests.experiment.test_two_at_once import command

if TYPE_CHECKING:
    from pathlib import Path

A: dict[str, Any] = small()
B: dict[str, Any] = small(policies=[{"name": "contig-zones"}, {"name": "auto-movable", "ratio": 150}])


class Told:
    """Runs experiments, and remembers what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()

    def __call__(self, tables: dict[str, Any], **how: Any) -> Report:  # noqa: ANN401
        self.notes = []
        experiment = load(tables, folder=self.folder)
        return run(experiment, self.folder, workers=InProcess(), on_note=self.notes.append, **how)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_it_is_told_how_many_runs_go_and_of_what_and_then_they_go(told: Told) -> None:
    before = told(A)
    after = told(B)
    assert (after.reused, after.completed) == (3, 3)
    place = before.folder / "earlier" / "1"
    assert "".join(told.notes).split("\n") == [
        f"{before.folder} holds 3 runs that are no part of the experiment any more:",
        "  2 of auto-movable / dimms / vm",
        "  1 of auto-movable / sail / vm",
        f"They go when all new ones are there, and are in {place} until then; --keep keeps them for good.",
    ]
    assert not (after.folder / "earlier").exists()
    there = files(after.folder)
    told(B)
    assert told.notes == []
    assert files(after.folder) == there
    assert there == files(Told(told.folder / "calm")(B).folder)


def test_what_a_run_that_was_stopped_set_aside_is_taken_back_when_it_is_wanted_again(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = told(A)
    there, seen = files(before.folder), ResultStore(before.folder).runs()

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sim.experiment.run, "run_all", stopped)
        with pytest.raises(KeyboardInterrupt):
            told(B)
    aside = open_results(before.folder / "earlier" / "1")
    assert set(aside.runs()["policy"]) == {"auto-movable"}
    assert aside.manifest["config"]["policies"][1]["ratio"] == 301
    key = aside.runs()["cell"][0]
    assert aside.store.result(key).duration_us > 0
    assert len(aside.store.timings()) == 3
    assert set(ResultStore(before.folder).runs()["policy"]) == {"contig-zones"}, "who reads sees none of them"

    again = told(A)
    assert (again.reused, again.completed) == (6, 0)
    assert told.notes == [f"3 earlier runs that the experiment has again: taken back from {before.folder / 'earlier'}."]
    assert files(again.folder) == there
    assert ResultStore(again.folder).runs().equals(seen)


def test_they_are_kept_for_good_where_that_is_wanted_and_can_be_opened(told: Told) -> None:
    before = told(A)
    told(B, keep=True)
    assert told.notes[0].endswith(f"They are kept in {before.folder / 'earlier' / '1'}.")
    told(A)  # takes some back, and leaves them where they are
    assert len(open_results(before.folder / "earlier" / "1").runs()) == 3
    assert not (before.folder / "earlier" / "2").exists()
    told(small(seed=8), keep=True)
    assert len(open_results(before.folder / "earlier" / "2").runs()) == 6
    assert [path.name for path in earlier.folders(before.folder)] == ["1", "2"]


def test_they_stay_while_new_ones_fail(told: Told, tmp_path: Path) -> None:
    before = told(A)
    (tmp_path / "bad.py").write_text(BAD_POLICIES)
    failing = small(policies=[{"name": "bad.py:Raising"}])
    after = told(failing)
    place = before.folder / "earlier" / "1"
    assert after.failures
    assert told.notes[1:] == [f"Earlier runs stay in {place} until all new ones are there."]
    assert len(open_results(place).runs()) == 6
    told(failing)
    assert told.notes == [f"Earlier runs stay in {place} until all new ones are there."]
    told(B)
    assert not (before.folder / "earlier").exists()


def test_replications_that_the_experiment_has_no_more_are_told(told: Told) -> None:
    told(small(replications=4))
    told(small(replications=1))
    assert "  3 of auto-movable / dimms / vm (replications 1 to 3)\n" in told.notes[0]


def test_runs_of_another_version_of_the_program_are_told_as_such(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sim.results.identity.code_version", lambda: "0.1+old")
        patch.setattr("sim.results.manifest.code_version", lambda: "0.1+old")
        before = told(A)
    told(A)
    assert told.notes[0].startswith(f"{before.folder} holds 6 runs of another version, 0.1+old:\n  2 of ")
    assert read_manifest(before.folder)["program"]["code"] != "0.1+old"


def test_of_replications_that_are_asked_for_others_stay_but_those_of_another_experiment(told: Told) -> None:
    before = told(A)
    changed = load(B).only((1,))
    run(changed, told.folder, workers=InProcess(), on_note=told.notes.append)
    assert "  2 of auto-movable / dimms / vm\n" in told.notes[0]
    assert told.notes[1:] == [f"Earlier runs stay in {before.folder / 'earlier' / '1'} until all new ones are there."]
    runs = ResultStore(before.folder).runs()
    assert not runs.duplicated(["machine", "workload", "policy", "replication"]).any()
    assert runs[["policy", "replication"]].drop_duplicates().to_numpy().tolist() == [
        ["auto-movable", 1],
        ["contig-zones", 0],
        ["contig-zones", 1],
    ]
    told(B)
    assert not (before.folder / "earlier").exists()


def test_many_combinations_are_counted() -> None:
    runs = [earlier.Run(("vm", f"load {n}", "p"), r, f"{n}-{r}") for n in range(8) for r in range(n + 1)]
    assert earlier.told(runs) == [
        "8 of p / load 7 / vm",
        "7 of p / load 6 / vm",
        "6 of p / load 5 / vm",
        "5 of p / load 4 / vm",
        "4 of p / load 3 / vm",
        "6 of 3 more combinations",
    ]
    assert earlier.told([earlier.Run(("vm", "w", "p"), 7, "k")]) == ["1 of p / w / vm (replication 7)"]


def test_a_kill_at_any_moment_loses_nothing_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    first = run(load(A), tmp_path / "x", workers=InProcess())
    there = files(first.folder)
    for number in range(3):
        path.write_text(tomli_w.dumps(small(seed=90 + number, replications=3000) | {"name": "experiment"}))
        with subprocess.Popen(
            command(path, "--workers", "1"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as running:
            if number:
                time.sleep(0.6 + 0.3 * number)
            else:
                wait_for_more_cells(first.folder, 6)
            kill_all(running)
    again = run(load(A), tmp_path / "x", workers=InProcess())
    assert (again.reused, again.completed) == (6, 0)
    assert files(again.folder) == there


def test_the_command_tells_it_before_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(tomli_w.dumps(A))
    subprocess.run(command(path), check=True, capture_output=True)
    path.write_text(tomli_w.dumps(B))
    done = subprocess.run(command(path, "--keep"), check=True, capture_output=True, text=True)
    folder = tmp_path / "x" / "experiment"
    assert done.stderr.startswith(f"Note: {folder} holds 3 runs that are no part of the experiment any more:\n  2 of ")
    assert done.stderr.endswith(f"They are kept in {folder / 'earlier' / '1'}.\n")


def test_what_a_killed_process_left_half_made_goes(told: Told) -> None:
    before = told(A)
    there = files(before.folder)
    half = before.folder / "earlier" / temporary_name("1") / "runs"
    half.mkdir(parents=True)
    (half / "runs-00-of-01.parquet").write_bytes(b"PAR1")
    (before.folder / temporary_name("experiment.toml")).write_bytes(b"nam")
    (before.folder / "plots").mkdir()
    (before.folder / "plots" / temporary_name("scores.png")).write_bytes(b"PNG")
    told(A)
    (before.folder / "plots").rmdir()
    assert files(before.folder) == there
    assert not (before.folder / "earlier").exists()


def test_what_only_looks_like_a_leftover_stays(told: Told) -> None:
    before = told(A).folder
    mine = [
        before / name
        for name in ("notes.tmp-1", "runs/x.tmp-keep.txt", "mine/a.tmp-0", "earlier/1.tmp-x", "earlier/2024/mine.txt")
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    told(B)
    told(A)
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert [path.name for path in earlier.folders(before)] == ["2024"]


def test_a_file_in_the_way_of_the_folder_for_earlier_runs_is_set_aside(told: Told) -> None:
    before = told(A).folder
    (before / "earlier").write_text("mine")
    with pytest.warns(DamageWarning, match="is no folder, as has to be there now; set aside as earlier.aside-"):
        told(B, keep=True)
    assert [path.read_text() for path in before.glob("earlier.aside-*")] == ["mine"]
    assert len(open_results(before / "earlier" / "1").runs()) == 3


def test_of_runs_that_are_damaged_none_is_said_to_be_kept(told: Told) -> None:
    before = told(A).folder
    (before / "series" / "series-00-of-01.parquet").write_bytes(b"PAR1")
    with pytest.warns(DamageWarning):
        after = told(small(seed=9))
    what = "6 runs that are no part of the experiment any more, with damaged tables: they cannot be kept."
    assert told.notes == [f"{before} holds {what}"]
    assert (after.reused, after.completed) == (0, 6)
    assert not (before / "earlier").exists()


def test_of_runs_that_were_set_aside_and_are_damaged_none_is_said_to_be_taken_back(told: Told) -> None:
    before = told(A).folder
    told(small(seed=9), keep=True)
    (before / "earlier" / "1" / "series" / "series-00-of-01.parquet").write_bytes(b"PAR1")
    with pytest.warns(DamageWarning):
        after = told(A)
    assert not [note for note in told.notes if "taken back" in note]
    assert (after.reused, after.completed) == (0, 6)
