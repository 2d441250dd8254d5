from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from sim.faults import InputError
from sim.traces import splitting
from sim.traces.opening import open_trace
from sim.units import KIB, MIB
from tests.traces.made import USE, csv_text, everything, parquet_bytes, plainly, prometheus_text, written

if TYPE_CHECKING:
    from pathlib import Path

    from tests.traces.made import Row

PROMETHEUS = {"series": "vm", "user": {"column": "value", "unit": "1MiB"}}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Samples of up to four series, interleaved in any way."""
    clocks: dict[str, float] = {}
    held: list[Row] = []
    step = st.integers(0, 10**9).map(lambda us: us / 1e6)
    for _ in range(draw(st.integers(1, 30))):
        series = draw(st.sampled_from(["a", "b", "vm 7", "ünï"]))
        clocks[series] = round(clocks.get(series, draw(st.sampled_from([0.0, 1.4e9]))) + draw(step), 6)
        held.append((series, clocks[series], draw(st.none() | st.integers(0, 1 << 30).map(lambda k: k / 1024))))
    return held


@given(rows(), st.integers(4, 60))
def test_every_format_gives_the_same_samples_also_in_many_runs(
    tmp_path_factory: pytest.TempPathFactory, held: list[Row], most: int
) -> None:
    folder = tmp_path_factory.mktemp("trace")
    vms, times, uses = zip(*held, strict=True)
    table = parquet_bytes({"vm": list(vms), "t": list(times), "use": pa.array(uses, pa.float64())})
    expected = plainly(held)

    with pytest.MonkeyPatch.context() as patch:
        assert everything(open_trace(written(folder, csv_text(held), "a.csv"), USE)) == expected
        patch.setattr(splitting, "MOST_VALUES", most)
        assert everything(open_trace(written(folder, csv_text(held), "b.csv"), USE)) == expected
        assert everything(open_trace(written(folder, table, "c.parquet"), USE)) == expected
        patch.setattr("sim.traces.content.LARGE", 1)
        again = written(folder, csv_text(held), "d.csv")
        assert everything(open_trace(again, USE)) == everything(open_trace(again, USE)) == expected
    series = list(expected)
    results = [
        ({"vm": each}, [(t, "NaN" if use is None else repr(use)) for vm, t, use in held if vm == each])
        for each in series
    ]
    found = open_trace(written(folder, prometheus_text(results), "e.json"), PROMETHEUS)
    same_time_once = {name: list({row[0]: row for row in rows}.values()) for name, rows in expected.items()}
    assert everything(found) == same_time_once


def test_columns_of_parquet_may_be_of_any_type_that_holds_what_they_say(tmp_path: Path) -> None:
    when = np.array(["2026-11-26T16:00", "2026-11-26T16:05", "2026-11-26T16:10"], "datetime64[ns]")
    columns = {
        "time": "t",
        "series": ["host", "vm"],
        "user": {"column": "a", "unit": "1KiB"},
        "free": "b",
        "missing": "-1",
    }
    table = parquet_bytes(
        {
            "t": when,
            "vm": pa.array([7, 8, 7]),
            "host": pa.array(["x", "x", "x"]).dictionary_encode(),
            "a": pa.array([1.5, float("nan"), 2], pa.float32()),
            "b": pa.array([5, -1, None], pa.int32()),
        }
    )

    assert everything(open_trace(written(tmp_path, table), columns)) == {
        "x/7": [(0, 3 * KIB // 2, 5), (600_000_000, 2 * KIB, -1)],
        "x/8": [(300_000_000, -1, -1)],
    }


def test_fields_of_records_and_times_since_a_start_are_columns_of_parquet_too(tmp_path: Path) -> None:
    when = pa.array(np.array([0, 300, 600], "timedelta64[s]"))
    usage = pa.array([{"cpu": 1, "memory": {"used": 5, "free": None}}, None, {"cpu": 2, "memory": {"used": 7}}])
    table = parquet_bytes({"t": when, "usage": usage, "none": pa.nulls(3)})
    columns = {"time": "t", "user": "usage.memory.used", "page_cache": "none"}

    trace = open_trace(written(tmp_path, table), columns)

    assert everything(trace) == {"": [(0, 5, -1), (300_000_000, -1, -1), (600_000_000, 7, -1)]}
    assert trace.told("") == ["user"]


def test_two_columns_of_parquet_of_one_name_are_a_fault(tmp_path: Path) -> None:
    stream = io.BytesIO()
    values = [pa.array(["a"]), pa.array([1]), pa.array([2]), pa.array([3])]
    parquet.write_table(pa.Table.from_arrays(values, ["vm", "t", "use", "use"]), stream)

    with pytest.raises(InputError, match="the schema: there are 2 columns 'use'"):
        open_trace(written(tmp_path, stream.getvalue()), USE)


def test_dates_of_parquet_are_told_as_dates(tmp_path: Path) -> None:
    when = np.array(["2026-11-26T16:00", "2026-11-26T15:55"], "datetime64[ns]")
    for times, shown in ((when, "'2026-11-26T15:55'"), (when - when.min(), "'0 s'")):
        path = written(tmp_path, parquet_bytes({"t": times, "vm": pa.array([b"a", b"a"]), "use": pa.array([1, 2])}))
        with pytest.raises(InputError, match=f"the sample above of series 'a', but is {shown}: sort the rows"):
            open_trace(path, USE)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"use": pa.array(["1", "2"])}, "column use: must hold numbers, but holds string"),
        ({"t": pa.array(["1", "2"])}, "column t: must hold numbers or timestamps"),
        ({"vm": pa.array([["a"], ["b"]])}, "column vm: must hold names, but holds list<"),
        ({"vm": pa.array([b"a", b"b"], pa.binary(1))}, "column vm: must hold names, but holds fixed_size_binary"),
        ({"use": pa.array([1, -5])}, "row 2, column use: must not be negative, but is '-5'"),
        ({"t": pa.array([5, 4])}, "row 2, column t: must not be before the sample above of series 'a'"),
        ({"t": pa.array([5, None])}, "row 2, column t: must be a number, but is empty"),
        ({"vm": pa.array(["a", None])}, "row 2, column vm: must name the series, but is empty"),
        ({"use": pa.array([1.0, float("inf")])}, "row 2, column use: must be a number, but is 'inf'"),
        ({"x": None}, "the schema: unknown column 'use'; did you mean"),
    ],
)
def test_faults_of_parquet_are_told_by_row_and_column(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    columns: dict[str, Any] = {"vm": pa.array(["a", "a"]), "t": pa.array([1, 2]), "use": pa.array([1, 2])} | changed
    if "x" in changed:
        columns = {"vm": columns["vm"], "t": columns["t"], "used": columns["use"]}

    with pytest.raises(InputError, match=r"trace\.csv") as caught:
        open_trace(written(tmp_path, parquet_bytes(columns)), USE)

    assert says in str(caught.value)


def test_metrics_of_prometheus_are_put_together_by_labels_and_time(tmp_path: Path) -> None:
    columns = {
        "series": ["job", "instance"],
        "user": {"column": ["anon", "shmem"], "unit": "1KiB"},
        "capacity": {"column": "total", "unit": "1MiB"},
    }
    first = prometheus_text(
        [
            ({"__name__": "anon", "job": "n", "instance": "i"}, [(10, "1"), (20, "2")]),
            ({"__name__": "other", "job": "n", "instance": "i"}, [(10, "x")]),
            ({"__name__": "shmem", "job": "n", "instance": "i"}, [(10, "3"), (20, "NaN")]),
            ({"__name__": "total", "job": "n", "instance": "i"}, [(20, "5"), (25.5, "6")]),
            ({"__name__": "total", "job": "n", "instance": "k"}, [(20, "5")]),
        ]
    )
    second = prometheus_text([({"__name__": "anon", "job": "n", "instance": "i"}, [(30, "4")])])

    assert everything(open_trace(written(tmp_path, first + "\n" + second), columns)) == {
        "n/i": [(0, 4 * KIB, -1), (10_000_000, -1, 5 * MIB), (15_500_000, -1, 6 * MIB), (20_000_000, -1, -1)],
        "n/k": [(10_000_000, -1, 5 * MIB)],
    }


ONE = [({"vm": "a"}, [(1, "5")])]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '{"status":"error","errorType":"bad_data","error":"wrong"}',
            "answer.json: is an error of Prometheus: 'wrong'",
        ),
        ('{"status":"error"}', "answer.json: is no answer with results: its status is 'error'"),
        ('{"status":"success","data":{"resultType":"vector","result":[]}}', "not a matrix: ask /api/v1/query_range"),
        ('{"status":"success","data":{"resultType":"matrix","result":[]}}', "holds no results"),
        ("[1,2]", "is a JSON list; wanted is the answer of /api/v1/query_range"),
        (prometheus_text(ONE)[:-20], "is no JSON near its byte"),
        ('{"a":' * 40 + "1" + "}" * 40, "is JSON in over 32 levels"),
        (prometheus_text([({"x": "a"}, [(1, "5")])]), "result 1: has no label 'vm'; its labels are x"),
        (prometheus_text(ONE * 2), "result 2: is another result for column value of series 'a'"),
        (prometheus_text([({"vm": "a"}, [(1, "5"), (0, "5")])]), "result 1, value 2, column value: must not be before"),
        (prometheus_text([({"vm": "a"}, [(1, "+Inf")])]), "result 1, value 1, column value: must be a number"),
        (prometheus_text([({"vm": "a"}, [(1, "-1")])]), "must not be negative, but is '-1'"),
        (prometheus_text([({"vm": "a"}, [("1", "1")])]), "value 1, column value: must be a pair of time and value"),
        (prometheus_text([({"vm": "a"}, [(1, "1", "2")])]), "must be a pair of time and value"),
        (prometheus_text(ONE).replace("[[1,", '[{"a":1},[1,').replace("[[1", "[5,[1"), "must be a list of pairs"),
        (
            json.dumps({"data": {"result": [{"metric": {"vm": "a"}, "values": [], "histograms": [[1, {}]]}]}}),
            "histograms",
        ),
    ],
)
def test_faults_of_prometheus_are_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        open_trace(written(tmp_path, text, "answer.json"), PROMETHEUS)

    assert says in str(caught.value)


def test_an_answer_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, b"\xef\xbb\xbf" + prometheus_text(ONE).encode()), PROMETHEUS)

    assert everything(trace) == {"a": [(0, 5 * MIB)]}


def test_a_mapping_for_files_with_rows_does_not_do_for_prometheus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave time out of the columns"):
        open_trace(written(tmp_path, prometheus_text(ONE)), PROMETHEUS | {"time": "t"})


def test_a_metric_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    text = prometheus_text(
        [({"__name__": "anon_bytes", "vm": "a"}, [(1, "5")]), ({"__name__": "b", "vm": "a"}, [(1, "5")])]
    )

    with pytest.raises(InputError, match="unknown metric 'anon_byte'; did you mean 'anon_bytes'"):
        open_trace(written(tmp_path, text), {"series": "vm", "user": "anon_byte", "free": "b"})
