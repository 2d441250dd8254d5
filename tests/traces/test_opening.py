from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from sim.faults import InputError
from sim.plugins.parameters import ParameterError
from sim.traces.opening import open_trace
from sim.units import KIB, MIB
from tests.traces.made import USE, everything, written
from workloads.parts.traces.columns import opened

if TYPE_CHECKING:
    from pathlib import Path


def faults(path: Path, columns: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        open_trace(path, columns)
    assert caught.value.source == path.name
    return [str(fault) for fault in caught.value.faults]


TWO = "vm,t,use\nb,100.5,1\na,100,2.5\nb,101,\na,100,4\n"


def test_series_come_apart_in_the_order_in_which_they_come_and_times_count_from_the_earliest(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, TWO), USE)

    assert list(trace.series) == ["b", "a"]
    assert list(trace.quantities) == ["user"]
    assert everything(trace) == {
        "b": [(500_000, MIB), (1_000_000, -1)],
        "a": [(0, 5 * MIB // 2), (0, 4 * MIB)],
    }
    assert trace.span_us("b") == (500_000, 1_000_000)
    with pytest.raises(KeyError, match="unknown series 'c'"):
        next(iter(trace.samples("c")))


def test_gzip_is_known_by_content(tmp_path: Path) -> None:
    packed = gzip.compress(TWO[:20].encode()) + gzip.compress(TWO[20:].encode())

    assert everything(open_trace(written(tmp_path, packed), USE)) == everything(open_trace(written(tmp_path, TWO), USE))
    assert faults(written(tmp_path, packed[:-9]), USE) == ["is a gzip file that is cut short"]


def test_sums_differences_and_missing_parts(tmp_path: Path) -> None:
    columns = {"time": "t", "user": {"column": ["a", "b"], "less": "c", "unit": "1KiB"}, "missing": "NA"}
    path = written(tmp_path, "t,a,b,c\n0,1,2,3\n1,5,5,0.5\n2,NA,1,1\n")

    assert everything(open_trace(path, columns)) == {"": [(0, 0), (1_000_000, 9 * KIB + KIB // 2), (2_000_000, -1)]}


def test_a_difference_that_rounding_makes_negative_is_none(tmp_path: Path) -> None:
    columns = {"time": "t", "user": {"column": "a", "less": ["b", "c"], "unit": "1MiB"}}
    path = written(tmp_path, "t,a,b,c\n0,0.3,0.1,0.2\n")

    assert everything(open_trace(path, columns)) == {"": [(0, 0)]}
    assert everything(open_trace(written(tmp_path, '# exactly\nt,a,b,c\n"0",0.3,0.1,0.2\n +1,1,0,1\n'), columns)) == {
        "": [(0, 0), (1_000_000, 0)]
    }
    assert faults(written(tmp_path, "t,a,b,c\n0,0.3,0.1,0.3\n"), columns) == [
        "row 1 (line 2), column a: a - b - c must not be negative, but is -104858 bytes"
    ]


def test_a_row_may_hold_a_day(tmp_path: Path) -> None:
    columns = {
        "time": {"column": "day", "unit": 86400},
        "series": "job",
        "step": 43200,
        "user": {"column": "m0", "last": "m1", "percent_of": 1000},
    }
    path = written(tmp_path, "job,day,m0,m1\nx,1,1,2\ny,1,,9.5\nx,2,3,4\n")

    assert everything(open_trace(path, columns)) == {
        "x": [(0, 10), (43_200_000_000, 20), (86_400_000_000, 30), (129_600_000_000, 40)],
        "y": [(0, -1), (43_200_000_000, 95)],
    }


def test_dates_are_utc_unless_they_say_more(tmp_path: Path) -> None:
    columns = {"time": {"column": "t", "form": "iso-8601"}, "user": "a"}
    path = written(tmp_path, "t,a\n2026-11-26 16:00,1\n2026-11-26T17:00:00.25+01:00,2\n2026-11-27T00:00:00Z,3\n")

    assert everything(open_trace(path, columns)) == {"": [(0, 1), (250_000, 2), (28_800_000_000, 3)]}


def test_all_faults_are_told_at_once_by_row_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "# a comment\nvm,t,use\nb,0,x\nb,1\n\nb,-1,2\n,2,-3\nb,3,1e30\n")

    assert faults(path, USE) == [
        "row 1 (line 3), column use: must be a number, but is 'x'",
        "row 2 (line 4): has 2 fields, but there are 3 columns",
        "row 3 (line 6), column t: must not be before the sample above of series 'b', but is '-1': sort the rows",
        "row 4 (line 7), column vm: must name the series, but is empty",
        "row 4 (line 7), column use: must not be negative, but is '-3'; 'missing' says what stands for no value",
        "row 5 (line 8), column use: must be at most 64TiB, but is '1e30' times 1.04858e+06 bytes: is the unit right?",
    ]


def test_a_workload_refuses_its_parameters_by_name(tmp_path: Path) -> None:
    path = str(written(tmp_path, "t,use,vm\n1,x,a\n"))

    with pytest.raises(ParameterError) as caught:
        opened(path, USE)
    assert caught.value.faults == ("path: trace.csv, row 1 (line 2), column use: must be a number, but is 'x'",)
    with pytest.raises(ParameterError) as caught:
        opened(path, {"time": "t", "user": {"unit": 1}})
    assert caught.value.faults == ("columns: user: its column is missing",)


def test_a_file_may_lack_the_names_of_its_columns(tmp_path: Path) -> None:
    """As traces of Alibaba's clusters do; those of ``sadf -d`` have them in a comment."""
    columns = {"names": ["vm", "t", "use"], "missing": "-"} | USE

    assert everything(open_trace(written(tmp_path, "a,60,1\nb,61,2\na,62,-\n"), columns)) == {
        "a": [(0, MIB), (2_000_000, -1)],
        "b": [(1_000_000, 2 * MIB)],
    }
    assert faults(written(tmp_path, "a,60,1\nb,61\n"), columns) == [
        "row 2 (line 2): has 2 fields, but there are 3 columns"
    ]
    (unknown, *_) = faults(written(tmp_path, "a,60,1\nb,61,2\n"), USE)
    assert unknown.endswith("; if it is a row, say what the columns are: names = ['t', ...]")


def test_files_of_sadf_and_of_the_grid_workloads_archive_can_be_mapped(tmp_path: Path) -> None:
    sadf = "# hostname;interval;timestamp;kbmemused\nx;600;2026-11-26 16:10:01 UTC;5\nx;600;2026-11-26 16:20:01 UTC;7\n"
    columns = {
        "names": ["host", "interval", "timestamp", "kbmemused"],
        "separator": "semicolon",
        "time": {"column": "timestamp", "form": "iso-8601"},
        "user": {"column": "kbmemused", "unit": "1KiB"},
    }
    archive = "Timestamp [ms];\tCPU cores;\tMemory usage [KB]\r\n1376314846;\t4;\t6.1\r\n1376315146;\t4;\t7\r\n"
    of_archive = {
        "time": "Timestamp [ms]",
        "separator": "semicolon",
        "user": {"column": "Memory usage [KB]", "unit": "1KiB"},
    }

    assert everything(open_trace(written(tmp_path, sadf), columns)) == {"": [(0, 5 * KIB), (600_000_000, 7 * KIB)]}
    assert everything(open_trace(written(tmp_path, archive), of_archive)) == {
        "": [(0, 6246), (300_000_000, 7 * KIB)],
    }


def test_what_no_trace_has_so_many_of_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.traces.batches.MOST_SERIES", 3)
    many = "vm,t,use\n" + "".join(f"{name},0,1\n" for name in "abcd")
    wide = ",".join(["vm", "t", "use", *(f"m{n}" for n in range(60_000))]) + "\n"

    assert faults(written(tmp_path, many), USE) == ["holds over 3 series: is the right column taken for them?"]
    assert "a name of over 300 characters" in faults(written(tmp_path, f"vm,t,use\n{'a' * 301},0,1\n"), USE)[0]
    assert faults(written(tmp_path, wide), USE) == ["line 1: there are 60,003 columns; 50,000 is the most"]
