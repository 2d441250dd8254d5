"""The rows of a hand-made run, column by column and in their units; and the files that rows are gathered in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, RunResult
from sim.record.series import run_series
from sim.results import rows
from sim.results.cells import cell_path, drop_cell, is_completed, write_cell
from sim.results.failure import Failure, Stage
from sim.results.frames import failure_row, timing_row
from sim.results.identity import KEY_LENGTH, CellId, cell_key
from sim.results.layout import labels_of, partition
from sim.results.rows import REPLICATIONS_IN_FILE, RowWriter
from sim.results.store import ResultStore
from sim.scores.registry import SCORES, compute_scores

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 32768
"""Pages of a memory block."""
BYTES = 128 << 20

RUN = RunResult(
    # Second 1: two blocks to MOVABLE; second 3: one to NORMAL; second 6: the first two go.
    events=np.array(
        [
            (1_000_000, EventKind.PLUG, 0, 40, 2, ZONE_MOVABLE, 2 * BLOCK),
            (3_000_000, EventKind.PLUG, 1, 50, 1, ZONE_NORMAL, BLOCK),
            (6_000_000, EventKind.UNPLUG, 0, 40, 2, ZONE_MOVABLE, 2 * BLOCK),
        ],
        dtype=np.int64,
    ),
    device_names=("a", "b"),
    device_nodes=(0, 0),
    device_groups=(STATIC_GROUP, STATIC_GROUP),
    block_pages=BLOCK,
    duration_us=8_500_000,
    boot=BootMemory((BootRun(0, 8, ZONE_NORMAL, 0), BootRun(10, 3, ZONE_MOVABLE, 0)), 8 * BLOCK, 3 * BLOCK, 1000),
    configured_ratio=301,
    counters={"decisions": 3, "failed_requests": 0, "failed_operations": 0, "streams_drawn": 4},
    guest={"t_us": np.array([0, 5]), "headroom": np.array([7, 9])},
)


def cell(replication: int, policy: str = "p", key: str = "") -> CellId:
    return CellId(key or cell_key({"number": replication, "policy": policy}, "code"), "m", "w", policy, replication, 77)


def write(store: Path, identity: CellId) -> str:
    series = run_series(RUN)
    return write_cell(store, identity, RUN, series, compute_scores(RUN, series))


def test_the_row_of_a_run_is_in_seconds_and_bytes(tmp_path: Path) -> None:
    row = json.loads(write(tmp_path, CellId("k" * 32, "m", "w", "p", 5, 77, {"policy.ratio": 301, "a": "b"})))
    scores = {name: row.pop(name) for name in SCORES}
    assert row == {
        "cell": "k" * 32,
        "replication": 5,
        "seed": 77,
        "factors": '{"a":"b","policy.ratio":301}',
        "recording": None,
        "status": "completed",
        "duration_s": 8.5,
        "page_bytes": 4096,
        "block_bytes": BYTES,
        "configured_ratio": 301,
        "boot_kernel_bytes": 8 * BYTES,
        "boot_movable_bytes": 3 * BYTES,
        "boot_cma_bytes": 1000 * 4096,
        "devices": 2,
        "events": 3,
        "plan_proved": None,
        "guest_drawn": None,
        "plan_rehearsals": None,
        "plan_bound_byte_seconds": None,
        "death_cause": None,
        "streams_drawn": 4,
    }
    assert scores["kernel_end"] == 9 * BYTES
    # What no run defines is null and never 0; see the scores' own tests for the rest.
    assert {name for name, value in scores.items() if value is None} == {
        name for name, value in compute_scores(RUN).items() if np.isnan(value)
    }
    assert None in scores.values()


def test_the_series_is_in_microseconds_and_bytes(tmp_path: Path) -> None:
    write(tmp_path, cell(0))
    series = ResultStore(tmp_path).series()
    assert series["t_us"].tolist() == [0, 1_000_000, 3_000_000, 6_000_000]
    assert series["movable_bytes"].tolist() == [3 * BYTES, 5 * BYTES, 5 * BYTES, 3 * BYTES]
    assert series["kernel_bytes"].tolist() == [8 * BYTES, 8 * BYTES, 9 * BYTES, 9 * BYTES]


def test_the_row_of_a_failure_and_of_times() -> None:
    assert json.loads(failure_row(cell(3, key="k" * 32), Failure(Stage.SCORE, "it broke", "line 3"), "vm7")) == {
        "cell": "k" * 32,
        "replication": 3,
        "seed": 77,
        "factors": "{}",
        "recording": "vm7",
        "status": "failed",
        "stage": "score",
        "error": "it broke",
        "traceback": "line 3",
    }
    assert json.loads(failure_row(cell(3), Failure(Stage.SCORE, "no", "")))["traceback"] is None
    halved = Failure(Stage.SCORE, "half \ud800 of a pair")
    assert json.loads(failure_row(cell(3), halved))["error"] == "half ? of a pair"
    assert json.loads(timing_row(cell(3, key="k" * 32), {"wall_s": 2.5})) == {
        "cell": "k" * 32,
        "replication": 3,
        "wall_s": 2.5,
    }


def test_a_cell_is_complete_only_with_all_that_it_consists_of(tmp_path: Path) -> None:
    write(tmp_path, cell(0))
    assert is_completed(tmp_path, cell(0))
    assert not is_completed(tmp_path, cell(1))
    for table in ("events", "series"):
        path = cell_path(tmp_path, table, cell(0))
        content = path.read_bytes()
        path.write_bytes(b"")
        assert not is_completed(tmp_path, cell(0))
        path.unlink()
        assert not is_completed(tmp_path, cell(0))
        path.write_bytes(content)
    drop_cell(tmp_path, cell(0))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_whoever_writes_a_cell_writes_first_what_nobody_goes_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "sim.results.cells.write_cell_table", lambda path, _: written.append(path.relative_to(tmp_path).parts[0])
    )
    write(tmp_path, cell(0))
    assert written == ["guest", "series", "events"]


@pytest.mark.parametrize("labels", [("4 GiB", "a/b", "x=1, y"), ("ä%41", "..", "a+b (c)"), ("a", "b", "c")])
def test_labels_come_back_from_the_names_of_folders(labels: tuple[str, str, str]) -> None:
    folder = partition(labels)
    assert labels_of(folder) == labels
    assert len(folder.split("/")) == 3
    assert partition(("4 GiB", "w", "p, ratio 3")) == "machine=4 GiB/workload=w/policy=p, ratio 3"


def test_a_key_is_the_beginning_of_a_hash_that_never_changes() -> None:
    # sha256sum of the text {"code":"c","config":{"a":1}}
    assert cell_key({"a": 1}, "c") == "7976c2b19544736b0e256985fac97741"
    assert KEY_LENGTH == 32


# Files of rows --------------------------------------------------------------------------------------------------------


class Writer(RowWriter):
    """Writes rows into ``store``, and cells where they completed."""

    def __init__(self, store: Path) -> None:
        super().__init__(store)
        self.store = store


def add(writer: Writer, replication: int, *, completed: bool = False, policy: str = "p", error: str = "no") -> CellId:
    identity = cell(replication, policy)
    row = write(writer.store, identity) if completed else failure_row(identity, Failure(Stage.SIMULATE, error))
    writer.add(identity.labels, replication, row, timing_row(identity, {"cpu_s": float(replication)}))
    return identity


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def names(folder: Path, table: str) -> list[str]:
    return sorted(path.relative_to(folder / table).as_posix() for path in (folder / table).rglob("*.parquet"))


def test_512_replications_share_a_file(tmp_path: Path, writer: Writer) -> None:
    assert REPLICATIONS_IN_FILE == 512
    for replication in (0, 511, 512, 1023, 5000):
        add(writer, replication)
    writer.flush()
    expected = [f"machine=m/workload=w/policy=p/{{}}-{number:06d}.parquet" for number in (0, 1, 9)]
    for table in ("runs", "timings"):
        assert names(tmp_path, table) == [name.format(table) for name in expected]
    store = ResultStore(tmp_path)
    assert store.runs()["replication"].tolist() == [0, 511, 512, 1023, 5000]
    assert store.timings()[["replication", "cpu_s"]].to_numpy().tolist() == [
        [number, number] for number in (0, 511, 512, 1023, 5000)
    ]


def test_rows_of_several_folders_and_files_end_up_in_theirs(tmp_path: Path, writer: Writer) -> None:
    for replication in (600, 3, 601, 1):
        for policy in ("q", "p"):
            add(writer, replication, policy=policy, error=f"{policy} {replication}")
    writer.flush()
    table = ResultStore(tmp_path).runs()[["policy", "replication", "error"]].to_numpy().tolist()
    assert table == [[policy, number, f"{policy} {number}"] for policy in "pq" for number in (1, 3, 600, 601)]
    # In the files they are in order, too, whoever reads them.
    for path in (tmp_path / "runs").rglob("*.parquet"):
        numbers = rows.read_rows(path, "runs")["replication"].to_pylist()
        assert numbers == ([1, 3] if path.stem.endswith("0") else [600, 601])


def test_a_later_row_of_a_cell_takes_the_place_of_the_earlier_one(tmp_path: Path, writer: Writer) -> None:
    for error in ("first", "second"):
        for replication in (2, 0, 1):
            add(writer, replication, error=f"{error} {replication}")
        writer.flush()
    writer.flush()
    assert ResultStore(tmp_path).runs()["error"].tolist() == ["second 0", "second 1", "second 2"]
    assert len(ResultStore(tmp_path).timings()) == 3


def test_rows_are_written_when_many_wait(tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_WAITING", 3)
    add(writer, 0)  # written at once
    counts = []
    for replication in range(1, 8):
        add(writer, replication)
        counts.append(len(ResultStore(tmp_path).keys()))
    assert counts == [1, 1, 4, 4, 4, 7, 7]


def test_settling_keeps_what_agrees_with_the_cells_that_are_there(tmp_path: Path, writer: Writer) -> None:
    done = [add(writer, number, completed=True) for number in range(4)]
    failed = [add(writer, number) for number in (10, 11)]
    writer.flush()
    drop_cell(tmp_path, done[0])  # a row that says completed, and no cell
    add(writer, 1, error="failed meanwhile")  # a row that says failed of a cell that is there
    writer.flush()
    left = tmp_path / "series" / "machine=m" / "workload=w" / "policy=p" / f"{done[2].key}.parquet.tmp-1"
    left.write_bytes(b"half")
    (tmp_path / "guest" / "machine=old" / "workload=w").mkdir(parents=True)

    assert RowWriter(tmp_path).settle() == 1

    assert not left.exists()
    assert not (tmp_path / "guest" / "machine=old").exists()
    table = ResultStore(tmp_path).runs()[["replication", "status"]].to_numpy().tolist()
    assert table == [[1, "completed"], [2, "completed"], [3, "completed"], [10, "failed"], [11, "failed"]]
    (file,) = (tmp_path / "runs").rglob("*.parquet")
    assert set(rows.read_rows(file, "runs")["cell"].to_pylist()) == {each.key for each in (*done[1:], *failed)}

    keep = {done[2].key, failed[1].key}
    assert RowWriter(tmp_path).settle(keep.__contains__) == 6  # events, series and guest of two cells
    store = ResultStore(tmp_path)
    assert store.keys() == set(store.timings()["cell"]) == keep
    assert store.completed() == {done[2].key}
