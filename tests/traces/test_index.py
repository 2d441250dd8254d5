"""The index of a large trace: made once, found by content, safe to delete, and for many processes at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sim.faults import InputError
from sim.traces import content, csv_exact, opening, splitting
from sim.traces.csv_fast import read_fast
from sim.traces.opening import open_trace
from tests.support.places import ROOT
from tests.traces.made import USE, csv_text, everything, plainly, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.traces.batches import Batch
    from sim.traces.splitting import Splitter
    from tests.traces.made import Row

ROWS: list[Row] = [(f"vm{(7 * at) % 5}", float(at), at / 4) for at in range(200)]


@pytest.fixture(autouse=True)
def _small_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(splitting, "MOST_VALUES", 100)
    monkeypatch.setattr(content, "LARGE", 1)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were read as CSV."""
    found: list[str] = []

    def reading(*given: Any) -> Iterator[Batch]:  # noqa: ANN401  passed on
        found.append("read")
        return read_fast(*given)

    monkeypatch.setattr(opening, "read_fast", reading)
    return found


def indexes() -> list[str]:
    return sorted(path.name for path in content.cache_folder().iterdir() if path.name != "hashes")


def test_which_series_tells_what_is_known_from_the_index_too(tmp_path: Path) -> None:
    rows = [(f"vm{at % 3}", at, "" if at % 3 == 1 else at, 1 if at == 150 else "") for at in range(200)]
    text = "\n".join(["vm,t,use,cached", *(",".join(map(str, row)) for row in rows)])
    path = written(tmp_path, text)
    columns = USE | {"page_cache": "cached"}

    for _ in ("made", "found"):
        trace = open_trace(path, columns)
        assert {name: trace.told(name) for name in trace.series} == {
            "vm0": ["user", "page_cache"],
            "vm1": [],
            "vm2": ["user"],
        }


def test_a_file_is_split_once_wherever_it_lies(tmp_path: Path, reads: list[str]) -> None:
    first, second = written(tmp_path, csv_text(ROWS), "a.csv"), written(tmp_path, csv_text(ROWS), "b.csv")

    assert everything(open_trace(first, USE)) == everything(open_trace(second, USE)) == plainly(ROWS)
    assert reads == ["read"]
    assert len(indexes()) == 1


def test_another_content_or_mapping_is_split_anew(tmp_path: Path, reads: list[str]) -> None:
    path = written(tmp_path, csv_text(ROWS))
    open_trace(path, USE)
    written(tmp_path, csv_text(ROWS[:-1]))

    assert everything(open_trace(path, USE)) == plainly(ROWS[:-1])
    open_trace(path, USE | {"free": "use"})
    assert len(reads) == len(indexes()) == 3


@pytest.mark.parametrize("damaged", ["series.json", "runs.json", "samples", "places"])
def test_a_damaged_index_is_made_again(tmp_path: Path, damaged: str) -> None:
    path = written(tmp_path, csv_text(ROWS))
    open_trace(path, USE)
    (file,) = content.cache_folder().glob(f"*/{damaged}")
    file.write_bytes(file.read_bytes()[:-40])

    assert everything(open_trace(path, USE)) == plainly(ROWS)


def test_without_a_cache_it_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no folder").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no folder"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = written(tmp_path, csv_text(ROWS))

    trace = open_trace(path, USE)
    assert everything(trace) == plainly(ROWS)
    assert len(list(tmp_path.glob("memhp-sim-trace-*"))) == 1
    del trace
    assert not list(tmp_path.glob("memhp-sim-trace-*"))


def test_what_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_exact, "_AT_ONCE", 40)
    path = written(tmp_path, csv_text(ROWS) + "vm0,300,x\n")

    with pytest.raises(InputError, match="row 201 "):
        open_trace(path, USE)
    assert indexes() == []


def test_the_content_of_a_file_that_has_settled_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, csv_text(ROWS))
    monkeypatch.setattr(content, "_SETTLED_S", -1.0)
    first = content.content_hash(path)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))

    assert content.content_hash(path) == first
    monkeypatch.undo()
    os.utime(path, ns=(1, 1))
    assert content.content_hash(path) == first


def test_a_small_trace_that_has_settled_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(content, "_SETTLED_S", -1.0)
    monkeypatch.setattr(splitting, "MOST_VALUES", 10_000)
    path = written(tmp_path, csv_text(ROWS))

    assert open_trace(path, USE) is open_trace(path, USE)
    assert reads == ["read"]
    path.write_text(csv_text(ROWS[:50]), "utf-8")
    assert everything(open_trace(path, USE)) == plainly(ROWS[:50])


_OPEN = """
import sys
from pathlib import Path
from sim.traces import content, opening, splitting
splitting.MOST_VALUES, content.LARGE = 100, 1
trace = opening.open_trace(Path(sys.argv[1]), {"time": "t", "series": "vm", "user": {"column": "use", "unit": "1MiB"}})
print(sum(int(some.values["user"].sum()) for name in trace.series for some in trace.samples(name)))
"""


def test_processes_may_split_the_same_file_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, csv_text(ROWS))
    running = [
        subprocess.Popen([sys.executable, "-c", _OPEN, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    sums = {process.communicate()[0] for process in running}

    assert sums == {f"{sum(round((use or 0) * (1 << 20)) for _, _, use in ROWS)}\n"}
    assert len(indexes()) == 1


def test_what_might_never_end_is_not_hashed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="not a file"):
            content.content_hash(path)


def test_a_full_disk_is_told_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Splitter) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(splitting.Splitter, "_write", full)

    with pytest.raises(InputError, match=r"its index cannot be written in .*/traces: No space left on device"):
        open_trace(written(tmp_path, csv_text(ROWS)), USE)


def test_a_file_that_is_written_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, csv_text(ROWS))

    def reading(*given: Any) -> Iterator[Batch]:  # noqa: ANN401  passed on
        with path.open("a") as file:
            file.write("vm0,1000,1\n")
        return read_fast(*given)

    monkeypatch.setattr(opening, "read_fast", reading)

    with pytest.raises(InputError, match="was written while it was read"):
        open_trace(path, USE)


def test_a_user_without_a_home_reads_traces_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert everything(open_trace(written(tmp_path, csv_text(ROWS)), USE)) == plainly(ROWS)
