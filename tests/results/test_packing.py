"""From segments to packs: what is there stays, whoever is killed when, and the files are always the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.faults import InputError
from sim.results import layout, packs
from sim.results.cells import write_row
from sim.results.failure import Failure, Stage
from sim.results.frames import failure_row
from sim.results.identity import CellId, cell_key
from sim.results.inspection import mend
from sim.results.store import ResultStore
from tests.results.test_store import contents
from tests.support.packed import cells_in
from tests.support.packed import packs as files_of
from tests.support.places import ROOT
from tests.support.synthetic import seeded_run

if TYPE_CHECKING:
    from pathlib import Path


def cell(number: int) -> CellId:
    """Return one of many cells: of three policies in more than one pack's replications."""
    key = cell_key({"number": number}, "code")
    return CellId(key, "m", f"w{number % 2}", f"p{number % 3}", 100 * (number // 6), 7)


def fill(store: ResultStore, numbers: range | list[int]) -> None:
    for number in numbers:
        store.write(cell(number), seeded_run(number % 7))


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many packs and row groups for few cells."""
    monkeypatch.setattr(layout, "_UNITS_IN_PACK", 2)
    monkeypatch.setattr(layout, "_CELLS_IN_PACK", 8)
    monkeypatch.setattr(packs, "ROWS_IN_GROUP", 60)
    monkeypatch.setattr(packs, "_MOST_IN_GROUP", 90)


def there(store: ResultStore) -> set[int]:
    """Return the cells that are there, each looked at."""
    keys = {cell(number).key: number for number in range(200)}
    for key in store.completed():
        assert (store.result(key).events == seeded_run(keys[key] % 7).events).all()
    return {keys[key] for key in store.runs()["cell"]}


# Torn tails -----------------------------------------------------------------------------------------------------------


def test_whatever_a_segment_breaks_off_at_the_cells_before_are_there(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    ends = []
    for number in range(3):
        write_row(tmp_path, cell(number), failure_row(cell(number), Failure(Stage.BUILD, "no")), completed=False)
        (segment,) = (tmp_path / "unpacked").iterdir()
        ends.append(segment.stat().st_size)
    content = segment.read_bytes()
    near = [end + more for end in ends for more in range(-12, 12)]
    for length in sorted({0, 1, *near, *range(0, len(content), 97)}):
        for rest in (b"", bytes(40)):  # zeros are what a power failure makes of the end of a file
            segment.write_bytes(content[:length] + rest)
            assert len(store.keys()) == sum(end <= length for end in ends)


def test_behind_half_a_frame_nothing_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultStore(tmp_path)
    fill(store, range(2))
    write, ftruncate = os.write, os.ftruncate

    def full(descriptor: int, data: memoryview) -> int:
        write(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    for truncates in (True, False):
        monkeypatch.setattr("os.ftruncate", ftruncate if truncates else lambda *_: None)
        with pytest.raises(OSError, match="No space left") as error:
            store.write(cell(50), seeded_run(1))
        assert str(tmp_path / "unpacked") in error.value.filename
    monkeypatch.undo()
    fill(store, range(2, 4))
    assert there(store) == {0, 1, 2, 3}
    store.pack()
    assert there(store) == {0, 1, 2, 3}


# The same files -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_the_files_are_the_same_whatever_was_packed_and_removed_when(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    calm = ResultStore(tmp_path / "calm")
    fill(calm, range(40))
    calm.pack()
    assert len(files_of(calm.folder, "events")) > 3
    store = ResultStore(tmp_path / "busy")
    wanted = set(range(40))
    for _ in range(4):
        some = rng.choice(60, size=int(rng.integers(1, 30)), replace=False).tolist()
        fill(store, some)
        if rng.random() < 0.5:
            store.write_failure(cell(some[0]), Failure(Stage.BUILD, "no"))
            store.pack()
            assert (store.runs().set_index("cell").loc[cell(some[0]).key, "status"]) == "failed"
            fill(store, [some[0]])
        if rng.random() < 0.7:
            keep = there(store) & (wanted | set(rng.choice(60, size=20).tolist()))
            store.prune({cell(number).key for number in keep})
            assert there(store) == keep
    fill(store, sorted(wanted - there(store)))
    store.prune({cell(number).key for number in wanted})
    assert contents(store.folder) == contents(calm.folder)
    before = {path: path.stat().st_ino for path in store.folder.rglob("*")}
    assert store.prune({cell(number).key for number in wanted}) == 0
    assert {path: path.stat().st_ino for path in store.folder.rglob("*")} == before


def test_twenty_thousand_cells_of_any_labels_are_in_less_than_a_thousand_files(tmp_path: Path) -> None:
    assert 6 * layout.MOST_PACKS < 1000
    store = ResultStore(tmp_path)
    for number in range(1500):
        identity = CellId(cell_key({"number": number}, "code"), "m", "w", f"policy {number}", 0, 7)
        write_row(tmp_path, identity, failure_row(identity, Failure(Stage.BUILD, "no")), completed=False)
    store.pack()
    assert len(files_of(tmp_path, "runs")) == layout.MOST_PACKS
    assert len(store.keys()) == 1500


PACKER = """
import sys
from sim.results import layout
layout._UNITS_IN_PACK, layout._CELLS_IN_PACK = 2, 8
from sim.results.store import ResultStore
print("ready", flush=True)
ResultStore(sys.argv[1]).prune(set(sys.argv[2].split()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.usefixtures("small_packs")
def test_who_is_killed_while_packing_loses_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    calm = ResultStore(tmp_path / "calm")
    fill(calm, range(60))
    calm.pack()
    store = ResultStore(tmp_path / "killed")
    keep = " ".join(cell(number).key for number in range(60))
    for upto in (10, 25, 60):
        fill(store, sorted(set(range(upto)) - there(store)))
        fill(store, [70, 71])
        command = [sys.executable, "-c", PACKER, str(store.folder), keep]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as packing:
            assert packing.stdout is not None
            assert packing.stdout.readline() == "ready\n"
            time.sleep(float(rng.uniform(0, 0.25)))
            packing.send_signal(signal.SIGKILL)
        assert there(store) - {70, 71} == set(range(upto))
        assert len(store.events()) == sum(len(seeded_run(number % 7).events) for number in there(store))
        assert store.runs()["cell"].is_unique
    store.prune(set(keep.split()))
    assert contents(store.folder) == contents(calm.folder)


@pytest.mark.usefixtures("small_packs")
def test_cells_in_packs_of_two_numbers_count_once(tmp_path: Path) -> None:
    """As somebody leaves them who is killed before the old ones are removed."""
    store, more = ResultStore(tmp_path / "a"), ResultStore(tmp_path / "b")
    fill(store, range(10))
    store.pack()
    fill(more, range(40))
    more.pack()
    for path in more.folder.rglob("*.parquet"):
        target = store.folder / path.relative_to(more.folder)
        assert not target.exists()
        target.write_bytes(path.read_bytes())
    assert there(store) == set(range(40))
    for table in ("runs", "events", "series"):
        assert getattr(store, table)().equals(getattr(more, table)())
    store.pack()
    assert contents(store.folder) == contents(more.folder)


def test_a_writer_whose_segment_was_packed_goes_on_in_another(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    command = (
        "import sys\nfrom tests.results.test_packing import cell\nfrom tests.support.synthetic import seeded_run\n"
        "from sim.results.store import ResultStore\nstore = ResultStore(sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    store.write(cell(int(line)), seeded_run(int(line) % 7))\n    print(line, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as writer:  # fmt: skip
        assert writer.stdin is not None
        assert writer.stdout is not None
        for number in range(4):
            writer.stdin.write(f"{number}\n")
            assert writer.stdout.readline() == f"{number}\n"
            writer.stdout.readline()
            assert there(store) == set(range(number + 1))
            if number % 2:
                store.pack()
                assert cells_in(tmp_path, "events") == {cell(each).key for each in range(number + 1)}
        writer.stdin.close()


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("packed", [0, 15, 30])
def test_what_is_chosen_is_what_filtering_everything_gives(tmp_path: Path, packed: int) -> None:
    store = ResultStore(tmp_path)
    fill(store, range(packed))
    store.pack()
    fill(store, range(packed, 30))
    everything = store.events()
    assert len(everything) == sum(len(seeded_run(number % 7).events) for number in range(30))
    order = everything[["machine", "workload", "policy", "replication", "cell"]].apply(tuple, axis=1)
    assert order.is_monotonic_increasing
    some = [cell(number).key for number in (3, 7, 28)]
    seconds = everything["t_us"] / 1e6
    for expected, found in (
        (everything["cell"].isin(some), store.events(some)),
        (everything["policy"] == "p1", store.events(policy="p1")),
        (
            (everything["policy"] != "p1")
            & (everything["workload"] == "w0")
            & everything["replication"].isin([0, 300]),
            store.events(policy=["p0", "p2"], workload="w0", replications=[0, 300]),
        ),
        (
            everything["kind"].isin([1, 9]) & (everything["replication"] < 250),
            store.events(kinds=[1, 9], replications=range(250)),
        ),
        (seconds.between(2, 9), store.events(between=(2, 9))),
        (everything["policy"] == "none", store.events(policy="none")),
    ):
        assert found.equals(everything[expected].reset_index(drop=True))
    columns = ["cell", "t_us", "kind"]
    parts = list(store.parts("events", columns=columns, kinds=[9], machine="m"))
    assert all(list(part.columns) == columns for part in parts)
    assert sum(map(len, parts)) == (everything["kind"] == 9).sum() > 0
    series = store.series(some, between=(0, 5))
    whole = store.series()
    assert series.equals(whole[whole["cell"].isin(some) & (whole["t_us"] <= 5_000_000)].reset_index(drop=True))
    blocks = store.blocks("series", some, ["t_us", "kernel_bytes"])
    for key in some:
        assert blocks[key].T.tolist() == whole[whole["cell"] == key][["t_us", "kernel_bytes"]].to_numpy().tolist()


@pytest.mark.usefixtures("small_packs")
def test_of_files_only_the_row_groups_with_chosen_cells_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    store = ResultStore(tmp_path)
    fill(store, range(60))
    store.pack()
    there = sum(pq.read_metadata(path).num_row_groups for path in files_of(tmp_path, "events"))
    read: list[int] = []
    read_row_group = pq.ParquetFile.read_row_group

    def noting(file: pq.ParquetFile, number: int, **named: object) -> object:
        read.append(number)
        return read_row_group(file, number, **named)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noting)
    assert len(store.events([cell(20).key])) == len(seeded_run(6).events)
    assert len(read) == 1 < there / 10
    read.clear()
    assert sum(map(len, store.parts("events"))) == sum(len(seeded_run(number % 7).events) for number in range(60))
    assert len(read) == there


def test_a_large_cell_is_read_by_the_times_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_MOST_IN_GROUP", 20)
    store = ResultStore(tmp_path)
    run = max((seeded_run(number) for number in range(7)), key=lambda each: len(each.events))
    store.write(cell(0), run)
    store.pack()
    times = run.events[:, 0]
    assert len(times) > 40
    cut = (times[25] / 1e6, times[30] / 1e6)
    parts = list(store.parts("events", between=cut))
    assert sum(map(len, parts)) == ((times >= times[25]) & (times <= times[30])).sum()
    assert sum(map(len, store.parts("events"))) == len(times)
    assert (store.result(cell(0).key).events == run.events).all()
    assert len(parts) < len(list(store.parts("events")))


def test_what_nothing_can_be_chosen_by_is_told(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    with pytest.raises(TypeError, match="nothing can be asked for by 'polcy'"):
        store.events(polcy="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="series has no kinds"):
        store.series(kinds=[1])
    with pytest.raises(KeyError, match="no column size"):
        next(store.parts("events", columns=["size"]))


def test_results_of_the_layout_before_are_refused_by_name_and_replaced_by_a_run(tmp_path: Path) -> None:
    old = tmp_path / "events" / "machine=m" / "workload=w" / "policy=p"
    old.mkdir(parents=True)
    (old / "0.parquet").write_bytes(b"PAR1")
    store = ResultStore(tmp_path)
    for look in (store.runs, store.events, store.keys, store.completed, store.labels, lambda: store.result("x")):
        with pytest.raises(InputError, match="an earlier version of the program, which kept a file for each run"):
            look()
    (damage,) = mend(tmp_path)
    assert damage.what == "holds results of an earlier version of the program (layout 1)"
    fill(store, [1])
    store.pack()
    assert there(store) == {1}
