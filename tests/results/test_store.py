from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.results.atomic import leftovers, write_atomically
from sim.results.failure import Failure, Stage
from sim.results.identity import CellId, cell_key
from sim.results.schema import LABEL_COLUMNS, RUNS, TABLES, TIMINGS
from sim.results.store import ResultStore
from sim.scores.registry import SCORES, compute_scores
from tests.support.packed import tables_of
from tests.support.pages import PAGE_SIZE
from tests.support.places import ROOT
from tests.support.synthetic import seeded_run

if TYPE_CHECKING:
    from pathlib import Path


def cell(number: int, policy: str = "auto-movable 301", factors: dict[str, object] | None = None) -> CellId:
    config = {"policy": policy, "number": number}
    return CellId(cell_key(config, "code"), "4 GiB / x", "a=b %41 workload", policy, number, 7, factors or {})


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file whose bytes must not depend on when and where it was written."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "timings"
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("packed", [False, True])
def test_a_run_comes_back_as_it_was(tmp_path: Path, seed: int, *, packed: bool) -> None:
    run = replace(
        seeded_run(seed), guest={"t_us": np.array([0, 5]), "unserved": np.array([3, 1 << 40])} if seed % 2 else {}
    )
    store = ResultStore(tmp_path)
    store.write(cell(1), run)
    if packed:
        store.pack()
    found = store.result(cell(1).key)
    assert (found.events == run.events).all()
    assert {name: values.tolist() for name, values in found.guest.items()} == {
        name: values.tolist() for name, values in run.guest.items()
    }
    assert replace(found, events=run.events, guest={}) == replace(run, guest={})


@pytest.mark.parametrize("packed", [False, True])
def test_the_tables_hold_the_scores_the_series_and_the_events(tmp_path: Path, *, packed: bool) -> None:
    store = ResultStore(tmp_path)
    run = seeded_run(5)
    scores = store.write(cell(1, factors={"policies.a.ratio": 301}), run)
    store.write(cell(0), seeded_run(6))
    if packed:
        store.pack()
    assert scores == pytest.approx(compute_scores(run), nan_ok=True)

    runs = store.runs()
    assert list(runs["replication"]) == [0, 1]
    assert list(runs.columns[:3]) == [column.name for column in LABEL_COLUMNS]
    row = runs.iloc[1]
    assert (row["machine"], row["workload"], row["policy"]) == ("4 GiB / x", "a=b %41 workload", "auto-movable 301")
    assert row["policies.a.ratio"] == 301
    assert row["status"] == "completed"
    for name in SCORES:
        assert row[name] == pytest.approx(scores[name], nan_ok=True), name

    events = store.events({cell(1).key})
    assert (
        events[["t_us", "kind", "device", "block", "count", "zone", "pages"]].to_numpy().tolist() == run.events.tolist()
    )
    series = store.series({cell(1).key})
    assert int(series["kernel_bytes"].iloc[-1]) == int(row["kernel_end"])
    assert int(series["not_given_bytes"].iloc[-1]) == int(row["not_given_end"])
    assert series["movable_bytes"].iloc[0] % PAGE_SIZE == 0
    assert list(store.runs(scores_only=True).columns) == [
        *(column.name for column in LABEL_COLUMNS), "replication", "policies.a.ratio", "status", *SCORES,
    ]  # fmt: skip


def test_an_undefined_score_is_null_in_the_file(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.write(cell(1), replace(seeded_run(5), configured_ratio=None))
    store.pack()
    import pyarrow.parquet as pq

    (file,) = (tmp_path / "runs").rglob("*.parquet")

    assert pq.read_table(file, partitioning=None)["auto_time_above_ratio"].to_pylist() == [None]
    assert math.isnan(store.runs()["auto_time_above_ratio"].iloc[0])


def test_files_have_the_documented_columns_types_and_units(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    store = ResultStore(tmp_path)
    store.write(cell(1), seeded_run(4))
    store.pack()
    for layout in TABLES.values():
        (file,) = (tmp_path / layout.name).rglob("*.parquet")
        schema = pq.read_schema(file)
        assert schema.names == [column.name for column in layout.columns]
        for column in layout.columns:
            assert str(schema.field(column.name).type) == column.type
            if layout in (RUNS, TIMINGS):
                assert schema.field(column.name).metadata[b"unit"].decode() == column.unit


@pytest.mark.parametrize("packed", [(), (0,), (1,), (0, 1)])
def test_a_failed_cell_is_a_row_and_leaves_nothing_else(tmp_path: Path, packed: tuple[int, ...]) -> None:
    store = ResultStore(tmp_path)
    store.write(cell(1), seeded_run(5))
    if 0 in packed:
        store.pack()
    store.write_failure(cell(1), Failure(Stage.SIMULATE, "policy 'mine' raised ValueError: no", "Traceback ..."))
    store.write_failure(cell(2), Failure(Stage.BUILD, "took more than 5 s"))
    if 1 in packed:
        store.pack()
    runs = store.runs()
    assert list(runs["status"]) == ["failed", "failed"]
    assert list(runs["stage"]) == ["simulate", "build"]
    assert runs["traceback"].isna().tolist() == [False, True]
    assert runs[list(SCORES)].isna().all(axis=None)
    assert store.keys() == {cell(1).key, cell(2).key}
    assert store.completed() == set()
    assert len(store.events()) == len(store.series()) == 0
    with pytest.raises(KeyError, match="no completed cell"):
        store.result(cell(1).key)


def test_an_empty_store_is_readable(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "none")
    assert store.keys() == store.completed() == set()
    for frame in (store.runs(), store.series(), store.events(), store.timings()):
        assert len(frame) == 0
    assert "ratio_mean" in store.runs()
    assert not (tmp_path / "none").exists()


def test_the_same_cells_are_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    for folder, order, stops in (("a", range(6), 7), ("b", reversed(range(6)), 1), ("c", (3, 1, 0, 5, 2, 4), 2)):
        store = ResultStore(tmp_path / folder)
        for number in order:
            store.write(cell(number), seeded_run(number), {"wall_s": time.perf_counter(), "cpu_s": 0.5})
            if number % stops == 0:
                store.pack()
        store.pack()
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")
    assert ResultStore(tmp_path / "a").timings()["cpu_s"].tolist() == [0.5] * 6


def test_prune_leaves_the_wanted_cells_and_no_leftovers(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "pruned")
    alone = ResultStore(tmp_path / "alone")
    for number, policy in ((1, "keep"), (2, "drop")):
        store.write(cell(number, policy), seeded_run(number))
    alone.write(cell(1, "keep"), seeded_run(1))
    alone.pack()
    store.pack()
    (file,) = (tmp_path / "alone" / "runs").rglob("*.parquet")
    (tmp_path / "pruned" / "runs" / f"{file.name}.tmp-0123456789abcdef").write_bytes(b"half")
    assert store.prune({cell(1, "keep").key}) == 1
    assert contents(tmp_path / "pruned") == contents(tmp_path / "alone")
    assert tables_of(tmp_path / "pruned", "drop") == []
    assert store.keys() == {cell(1, "keep").key}
    assert len(store.timings()) == 1


WRITER = """
import sys
from tests.results.test_store import cell
from tests.support.synthetic import seeded_run
from sim.results.store import ResultStore
store = ResultStore(sys.argv[1])
print("ready", flush=True)
for number in range(400):
    store.write(cell(number), seeded_run(number % 7))
    if number % 50 == 49:
        store.pack()
    print(number, flush=True)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_store_killed_at_any_moment_is_readable_and_complete_up_to_there(tmp_path: Path, kills: int) -> None:
    rng = np.random.default_rng(1)
    for attempt in range(kills):
        folder = tmp_path / str(attempt)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(float(rng.uniform(0.02, 0.4)))
            process.kill()
            reported = process.stdout.read().split()
        store = ResultStore(folder)
        runs = store.runs()
        assert set(runs["replication"]) >= {int(number) for number in reported}
        assert (runs["status"] == "completed").all()
        for key, number in zip(runs["cell"], runs["replication"], strict=True):
            assert (store.result(key).events == seeded_run(int(number) % 7).events).all()
        there = store.keys()
        # Whoever goes on only does what is missing, and ends where an undisturbed writer does.
        for number in range(len(reported) + 2):
            if cell(number).key not in there:
                store.write(cell(number), seeded_run(number % 7))
        store.prune({cell(number).key for number in range(len(reported) + 2)})
        calm = ResultStore(tmp_path / f"calm{attempt}")
        for number in range(len(reported) + 2):
            calm.write(cell(number), seeded_run(number % 7))
        calm.pack()
        assert contents(folder) == contents(calm.folder)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        write_atomically(path, b"new")
    assert error.value.filename == str(path)  # neither nothing, as the disk's error has, nor a name nobody knows
    assert path.read_bytes() == b"old"
    assert list(leftovers(tmp_path)) == []


def test_the_documented_line_of_sql_reads_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    from sim.results.docs_pages import SQL_EXAMPLE

    store = ResultStore(tmp_path / "results" / "quickstart")
    for policy in ("a b", "c"):
        for number in range(3):
            store.write(cell(number, policy), seeded_run(number))
    store.pack()
    monkeypatch.chdir(tmp_path)
    found = duckdb.connect().execute(SQL_EXAMPLE).df()
    assert found["policy"].tolist() == ["a b", "c"]
    assert found["workload"].tolist() == ["a=b %41 workload"] * 2
    expected = store.runs().groupby("policy")["movable_share_mean"].mean()
    assert found.iloc[:, 2].tolist() == pytest.approx(expected.tolist())


def test_a_key_is_that_of_configuration_and_code() -> None:
    one = cell_key({"a": 1, "b": {"c": 2.5}}, "x")
    assert one == cell_key(json.loads('{"b": {"c": 2.5}, "a": 1}'), "x")
    assert len({one, cell_key({"a": 1, "b": {"c": 2.5}}, "y"), cell_key({"a": 2, "b": {"c": 2.5}}, "x")}) == 3
    assert len(one) == 32
    with pytest.raises(ValueError, match="not JSON compliant"):
        cell_key({"a": math.nan})
