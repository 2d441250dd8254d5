"""The rows of a hand-made run, column by column and in their units; keys, and which cells share files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, RunResult
from sim.record.series import run_series
from sim.results.cells import write_cell
from sim.results.failure import Failure, Stage
from sim.results.frames import failure_row, timing_row
from sim.results.identity import KEY_LENGTH, CellId, cell_key
from sim.results.layout import packs_for, unit
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
        "machine": "m",
        "workload": "w",
        "policy": "p",
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
        "machine": "m",
        "workload": "w",
        "policy": "p",
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
        "machine": "m",
        "workload": "w",
        "policy": "p",
        "cell": "k" * 32,
        "replication": 3,
        "wall_s": 2.5,
    }


def test_a_key_is_the_beginning_of_a_hash_that_never_changes() -> None:
    # sha256sum of the text {"code":"c","config":{"a":1}}
    assert cell_key({"a": 1}, "c") == "7976c2b19544736b0e256985fac97741"
    assert KEY_LENGTH == 32


def test_packs_grow_with_cells_and_with_what_is_together_but_are_never_many() -> None:
    assert [packs_for(1, cells) for cells in (0, 1, 1024, 1025, 20_000, 10**7)] == [1, 1, 1, 2, 32, 64]
    assert [packs_for(units, units) for units in (1, 16, 17, 33, 5000)] == [1, 1, 2, 4, 64]


def test_cells_whose_replications_are_near_are_together_whatever_else_there_is() -> None:
    labels = ("m", "w", "p")
    assert len({unit(labels, number) for number in range(512)}) == 1
    assert len({unit(("m", "w", policy), number) for policy in "pq" for number in (0, 511, 512, 1023, 5000)}) == 6
    # The first 14 digits of sha256sum of ["m", "w", "p", 1]
    assert unit(labels, 512) == 0xA4AA161FE0CE18
