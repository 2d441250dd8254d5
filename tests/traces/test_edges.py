"""What few files have: each read as it says, or refused with what would be right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from sim.faults import InputError
from sim.traces import content, index, source, splitting
from sim.traces.arrays import NotPlainError
from sim.traces.batches import SeriesNames
from sim.traces.columns_of import columns_of
from sim.traces.csv_fast import read_fast
from sim.traces.mapping import read_columns
from sim.traces.opening import open_trace
from sim.traces.told import TraceFaults
from tests.traces.made import USE, csv_text, everything, parquet_bytes, plainly, prometheus_text, written

if TYPE_CHECKING:
    from pathlib import Path

    from sim.traces.stored import StoredTrace

WIDE: dict[str, Any] = {
    "time": "t",
    "step": 5,
    "user": {"column": "m1", "last": "m0"},
    "free": {"column": "m0", "last": "m0"},
}
DATES = {"time": {"column": "t", "form": "iso-8601"}, "user": "use"}


def refused(path: Path, columns: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        open_trace(path, columns)
    return str(caught.value)


def test_wide_rows_must_agree(tmp_path: Path) -> None:
    path = written(tmp_path, "t,m0,m1\n0,1,2\n")

    assert "line 1: m0 must stand behind m1, but stands before it" in refused(path, WIDE)
    assert "equally many columns" in refused(path, WIDE | {"user": {"column": "m0", "last": "m1"}})
    assert "no rows of several samples" in refused(
        written(tmp_path, prometheus_text([({}, [(0, "1")])])), {key: WIDE[key] for key in WIDE if key != "time"}
    )


def test_dates_are_read_the_fast_way_where_all_are_written_alike(tmp_path: Path) -> None:
    columns = read_columns(DATES)
    faults = TraceFaults(tmp_path)
    for text in ("2026-11-26T16:00:00Z", "2026-11-26 16:00", "2026-11-26T17:00:00.000000+01:00"):
        (batch,) = read_fast(iter([f"t,use\n{text},1\n".encode()]), columns, SeriesNames(faults), faults)
        assert batch.t_us.tolist() == [1_795_708_800_000_000]
    with pytest.raises(NotPlainError):
        list(read_fast(iter([b"t,use\n2026-11-26,1\n2026-11-26T16:00Z,1\n"]), columns, SeriesNames(faults), faults))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-02-30", "must be a date such as 2026-11-26T16:04:00Z, but is '2026-02-30': day"),
        ("5", "but is '5'; for numbers leave form away"),
        ("noon", "but is 'noon'"),
    ],
)
def test_dates_that_are_none_are_told(tmp_path: Path, text: str, says: str) -> None:
    assert says in refused(written(tmp_path, f"t,use\n{text},1\n"), DATES)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"1,234"', "must be a number with a point and without commas, but is '1,234'"),
        ("n/a", "if it stands for a missing value: missing = ['n/a']"),
        ("1e70", "is the unit right?"),
    ],
)
def test_numbers_that_are_none_are_told(tmp_path: Path, text: str, says: str) -> None:
    assert says in refused(written(tmp_path, f"vm,t,use\na,0,{text}\n"), USE)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("month-day-year", "11/26/2026, 4:00:00\u202fPM"),
        ("month-day-year", "11/26/26 16:00"),
        ("day-month-year", "26.11.2026 16:00:00.000"),
        ("day-month-year", "26-11-2026 04:00 p.m."),
        ("year-month-day", "2026/11/26 16:00"),
    ],
)
def test_dates_as_a_locale_has_them(tmp_path: Path, form: str, text: str) -> None:
    columns = {"time": {"column": "t", "form": form}, "user": "use"}
    (samples,) = open_trace(written(tmp_path, f't,use\n"{text}",1\n'), columns).samples("")
    assert samples.t_us.tolist() == [0]  # times count from the first
    midnight = {**columns, "time": {"column": "t", "form": "month-day-year"}}
    both = written(tmp_path, "t,use\n11/26/2026 12:30 AM,1\n11/26/2026 12:30 PM,2\n")
    assert everything(open_trace(both, midnight)) == {"": [(0, 1), (12 * 3600 * 1_000_000, 2)]}


@pytest.mark.parametrize(
    "text", ["2026-11-26T16:00Z", "26/11/2026", "13/1/2026 0:00 AM", "1/2/3", "1/2/2026 25:00", "7"]
)
def test_dates_that_a_form_does_not_have_are_told(tmp_path: Path, text: str) -> None:
    columns = {"time": {"column": "t", "form": "month-day-year"}, "user": "use"}
    said = refused(written(tmp_path, f"t,use\n{text},1\n"), columns)
    assert f"must be a date by month-day-year and a time, such as 11/26/2026 16:04:00, but is '{text}'" in said


def test_fields_that_say_their_own_unit_are_read_by_it_unless_the_column_has_one(tmp_path: Path) -> None:
    path = written(tmp_path, "t,use\n0,1.5 GiB\n1,512MB\n2,100\n3,2 kB\n")
    assert everything(open_trace(path, {"time": "t", "user": "use"})) == {
        "": [(0, 3 << 29), (1_000_000, 1 << 29), (2_000_000, 100), (3_000_000, 2048)]
    }
    said = refused(path, {"time": "t", "user": {"column": "use", "unit": "1MiB"}})
    assert "must be a number, as its column has a unit, but is '1.5 GiB'" in said


def test_parquet_without_rows_or_with_dates_as_text(tmp_path: Path) -> None:
    empty = {"t": pa.array([], pa.int64()), "use": pa.array([], pa.int64())}
    text = {"t": pa.array(["2026-11-26", "2026-11-27"]), "use": pa.array([1, 2])}

    assert "holds no rows" in refused(written(tmp_path, parquet_bytes(empty)), {"time": "t", "user": "use"})
    assert "must hold dates, as its form says" in refused(written(tmp_path, parquet_bytes(empty)), DATES)
    assert everything(open_trace(written(tmp_path, parquet_bytes(text)), DATES)) == {
        "": [(0, 1), (86_400_000_000, 2)],
    }


def test_a_difference_of_metrics_that_is_negative_is_told(tmp_path: Path) -> None:
    metrics = [({"__name__": name, "vm": "x"}, [(0, size)]) for name, size in (("total", "5"), ("free", "7"))]
    columns = {"series": "vm", "user": {"column": "total", "less": "free"}}

    said = refused(written(tmp_path, prometheus_text(metrics)), columns)

    assert said == "trace.csv: user of series 'x': total - free must be from 0 to 64TiB at every time"


def test_zstd_and_ends_of_lines_that_fall_between_two_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a", float(at), float(at)) for at in range(20)]
    packed = bytes(pa.compress(csv_text(rows).replace("\n", "\r\n").encode(), codec="zstd", asbytes=True))

    for size in (5, 7, 64, 1 << 20):
        monkeypatch.setattr(source, "CHUNK", size)
        assert everything(open_trace(written(tmp_path, packed), USE)) == plainly(rows)


def test_columns_are_named_for_somebody_who_has_not_said_which_is_what(tmp_path: Path) -> None:
    many = ",".join(f"c{number}" for number in range(40))

    assert columns_of(written(tmp_path, "# x\n a , b\n1,2\n")) == ["a", "b"]
    assert columns_of(written(tmp_path, many))[-1] == "and 10 more"
    assert columns_of(written(tmp_path, parquet_bytes({"a": [1], "b": [{"c": 2}]}))) == ["a", "b.c"]
    assert columns_of(written(tmp_path, b"PAR1 no more")) == []
    assert columns_of(written(tmp_path, '{"a": 1}')) == columns_of(written(tmp_path, b"\xff\xff")) == []


def test_an_index_that_a_killed_process_left_is_removed_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, new = index.unfinished(), index.unfinished()
    os.utime(old, (1, 1))

    index.unfinished()

    assert not old.exists()
    assert new.exists()


def test_who_comes_second_takes_the_index_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(content, "LARGE", 1)
    monkeypatch.setattr(splitting, "MOST_VALUES", 10)
    rows = [("a", float(at), 1.0) for at in range(50)]
    path = written(tmp_path, csv_text(rows))
    expected = everything(open_trace(path, USE))
    real = index.read_index
    looks = 0

    def late(folder: Path) -> StoredTrace | None:
        """See nothing at the first look: the other process is not done yet."""
        nonlocal looks
        looks += 1
        return None if looks == 1 else real(folder)

    monkeypatch.setattr(index, "read_index", late)

    assert everything(open_trace(path, USE)) == expected == plainly(rows)
    assert len([each for each in content.cache_folder().iterdir() if each.name != "hashes"]) == 1
