"""Which column is what: taken from names that are clear, told; asked for with its option where they are not."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sim.faults import Faults, InputError
from sim.traces.column_words import words_of
from sim.traces.opening import open_trace
from sim.traces.recognising import Recognised, recognise
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

ISO = {"column": "time", "form": "iso-8601"}


def recognised(
    folder: Path, text: str, given: dict[str, Any] | None = None, likely: int | None = 16 * GIB
) -> tuple[Recognised, list[str]]:
    path = folder / "trace.csv"
    path.write_text(text)
    faults = Faults()
    found = recognise(path, given or {}, faults, likely=likely)
    return found, [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("timestamp,mem_used_kb\n1764000000,2000000\n1764000060,2100000\n",
         {"time": "timestamp", "user": {"column": "mem_used_kb", "unit": "1KiB"}}),
        ("time;used MiB\n2026-11-26T16:04:00Z;2000.5\n2026-11-26T16:05:00Z;2100\n",
         {"separator": "semicolon", "time": ISO, "user": {"column": "used MiB", "unit": "1MiB"}}),
        ("time\tmemoryUsedBytes\n1764000000000\t2000000000\n",
         {"separator": "tab", "time": {"column": "time", "unit": 0.001}, "user": "memoryUsedBytes"}),
        ("t_s,vm,use_mib\n0,a,100\n0,b,120\n300,a,101\n",
         {"time": "t_s", "series": "vm", "user": {"column": "use_mib", "unit": "1MiB"}}),
        ("hour,anon [GiB],used [GiB]\n0,1,3\n1,2,4\n",
         {"time": {"column": "hour", "unit": 3600.0}, "user": {"column": "anon [GiB]", "unit": "1GiB"}}),
        ("time,cpu_pct,swap_used_mb,memory_mb,disk_read_kb\n0,1,2,3000,4\n",
         {"time": "time", "user": {"column": "memory_mb", "unit": "1MiB"}}),
        (("Timestamp [ms];\tCPU usage [%];\tMemory capacity provisioned [KB];\tMemory usage [KB];\tNetwork received\n"
         "1376314846;\t93.2;\t6.7e7;\t6129274.4;\t0.2\n"),
         {"separator": "semicolon", "time": "Timestamp [ms]", "user": {"column": "Memory usage [KB]", "unit": "1KiB"}}),
        (("# hostname;interval;timestamp;kbmemfree;kbmemused;%memused;kbcached\n"
         "web1;600;2026-11-26 00:10:01 UTC;5000000;2000000;28.5;900000\n"),
         {"separator": "semicolon",
          "names": ["hostname", "interval", "timestamp", "kbmemfree", "kbmemused", "%memused", "kbcached"],
          "time": {"column": "timestamp", "form": "iso-8601"}, "series": "hostname",
          "user": {"column": "kbmemused", "unit": "1KiB"}, "page_cache": {"column": "kbcached", "unit": "1KiB"}}),
        ("time,guest1\n1764000000,15.3 GiB\n1764000060,15.3 GiB\n1764000120,15.4 GiB\n",
         {"time": "time", "user": "guest1"}),
        ("time,rss,id\n0,209715200,1\n0,209715200,2\n9,209715200,1\n9,209715200,2\n",
         {"time": "time", "series": "id", "user": "rss"}),
        ("vm,t_s,use_mib\n1,0,100\n1,300,120\n1,600,101\n", {"time": "t_s", "series": "vm",
         "user": {"column": "use_mib", "unit": "1MiB"}}),
        ("t_s,anon_kib,anon_huge_kib,slab_unreclaimable_kib,kernel_stack_kib,page_tables_kib\n0,2000000,9,9,9,1\n",
         {"time": "t_s", "user": {"column": "anon_kib", "unit": "1KiB"},
          "slab_unreclaimable": {"column": "slab_unreclaimable_kib", "unit": "1KiB"},
          "page_tables": {"column": "page_tables_kib", "unit": "1KiB"},
          "kernel_stacks": {"column": "kernel_stack_kib", "unit": "1KiB"}}),
        ("t_s,memtotal_gib,memavailable_gib\n0,16,3\n9,16,2\n",
         {"time": "t_s", "user": {"column": "memtotal_gib", "less": "memavailable_gib", "unit": "1GiB"}}),
        ("time,rss,id\n0,209715200,1\n9,209715200,2\n", {"time": "time", "user": "rss"}),
        ("time,total_gb,free_gb,avail_gb\n0,16,3,9\n9,16,2,8\n",
         {"time": "time", "user": {"column": "total_gb", "less": "avail_gb", "unit": "1GiB"}}),
        ("time,mem_used_mib\n2026-11-26T16:04:00Z,NaN\n2026-11-26T16:05:00Z,2100\n",
         {"time": ISO, "user": {"column": "mem_used_mib", "unit": "1MiB"}, "missing": ["NaN"]}),
        # What monitoring systems export: Grafana (plain, with units), collectd, Zabbix, vSphere, PowerCLI, Proxmox.
        ('time,"{instance=""web01:9100"", job=""node""}"\n2026-11-26 16:04:00,2000000000\n',
         {"time": ISO, "user": '{instance="web01:9100", job="node"}'}),
        ('time,"node_memory_MemTotal_bytes{a=""b""} - node_memory_MemAvailable_bytes{a=""b""}",x\n1764000000,2e9,1\n',
         {"time": "time", "user": 'node_memory_MemTotal_bytes{a="b"} - node_memory_MemAvailable_bytes{a="b"}'}),
        ('"time","RAM Used","RAM Cache"\n"2026-11-26 16:04:00","1.50 GiB","512 MiB"\n',
         {"time": ISO, "user": "RAM Used", "page_cache": "RAM Cache"}),
        ("epoch,value\n1764000000.123,2000000000.000000\n", {"time": "epoch", "user": "value"}),
        ('"itemid","clock","value","ns"\n"29412","1764000000","2000000000","742682226"\n',
         {"time": "clock", "user": "value"}),
        (('\ufeff"Time","Active for web","Consumed for web"\n"11/26/2026, 4:04:20\u202fPM","1000000","2000000"\n'),
         {"time": {"column": "Time", "form": "month-day-year"},
          "user": {"column": "Consumed for web", "unit": "1KiB"}}),
        ('"Timestamp","MetricId","Value","Unit"\n"3/1/2026 12:05:00 AM","mem.consumed.average","2000000","KB"\n',
         {"time": {"column": "Timestamp", "form": "month-day-year"}, "user": {"column": "Value", "unit": "1KiB"}}),
        ("time,cpu,maxcpu,mem,maxmem\n1764000000,0.5,8,2000000000.5,8000000000\n", {"time": "time", "user": "mem"}),
        ("Zeit;used_mb\n26.11.2026 16:04;2000\n27.11.2026 16:04;2000\n",
         {"separator": "semicolon", "time": {"column": "Zeit", "form": "day-month-year"},
          "user": {"column": "used_mb", "unit": "1MiB"}}),
        ("Zeit;used_mb\n1.3.2026 16:04;2000\n1.3.2026 16:05;2000\n",
         {"separator": "semicolon", "time": {"column": "Zeit", "form": "day-month-year"},
          "user": {"column": "used_mb", "unit": "1MiB"}}),
    ],
)  # fmt: skip
def test_names_that_are_clear_are_taken_and_the_trace_opens(text: str, columns: dict[str, Any], tmp_path: Path) -> None:
    found, faults = recognised(tmp_path, text)
    assert faults == []
    assert found.columns == columns
    assert open_trace(tmp_path / "trace.csv", found.columns).series
    for name in {"time", "user", "page_cache"} & columns.keys():
        assert any(line.startswith(f"{name}: ") for line in (*found.said, *found.assumed))


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("timestamp,avg_used_mb,max_used_mb\n1764000000,1,2\n",
         [("--user: several columns may be the memory in use: avg_used_mb, max_used_mb. Say which:"
          " --user avg_used_mb:1MiB")]),
        ("timestamp,host,vm,used_mb\n1764000000,h1,a,1\n1764000060,h2,b,1\n",
         ["--series: several columns may tell machines apart: host, vm. Say which: --series host"]),
        ("start,end,used_mb\n2026-11-26,2026-11-27,1\n",
         ["--time: several columns may be the times: start, end. Say which: --time start"]),
        ("when,used_mb\nThu Nov 26 16:04:00 2026,1\n",
         [("--time: when has dates that are not read, such as 'Thu Nov 26 16:04:00 2026': write them as"
          " 2026-11-26T16:04:00Z")]),
        ("at noon,used_mb\n01/03/2026 10:00,1\n",
         [("--time: whether day or month stands first in at noon, such as '01/03/2026 10:00', is not seen. Say it:"
          " --time 'at noon:month-day-year' or --time 'at noon:day-month-year'")]),
        ("t,a x:c\n1764000000,1\n",
         [("--user: the unit of a x:c is not known (largest at first: 1). Say it: --user 'a x:c:1GiB', or 1MiB, 1KiB,"
          " 1B")]),
        ("t,web 1,web 2\n1764000000,2000000000,1\n",
         [("--user: no column is seen to be the memory in use; there are web 1, web 2. Say which, and its unit:"
          " --user 'web 1:1B'")]),
        ("date,time,used_mb\n2026-11-26,10:00:00,1\n",
         [("--time: date and time stand in two columns, date and time: put them into one, such as"
          " 2026-11-26T16:04:00Z")]),
        ("ts,mem_pct\n1764000000,40\n",
         [("--user: mem_pct is a percentage, of a size that the file does not say. Say the whole mapping, with"
          " that size: --columns \"time = 'ts', user = { column = 'mem_pct', percent_of = '16GiB' }\"")]),
        ("ts,used\n1764000000,40\n",
         ["--user: the unit of used is not known (largest at first: 40). Say it: --user used:1GiB, or 1MiB, 1KiB, 1B"]),
        ("ts,foo,bar\n1764000000,40,50\n",
         [("--user: no column is seen to be the memory in use; there are foo, bar. Say which, and its unit:"
          " --user foo:1MiB")]),
        ("1764000000,2000\n1764000060,2100\n",
         [("--columns: the first line is a row: no line names the columns. Say their names in order: --columns"
          " \"names = ['c1', 'c2'], time = 'c1', user = { column = 'c2', unit = '1MiB' }\"")]),
        ("1764000000,20000000000\n1764000060,21000000000\n",
         [("--columns: the first line is a row: no line names the columns. Say their names in order: --columns"
          " \"names = ['c1', 'c2'], time = 'c1', user = { column = 'c2', unit = '1B' }\"")]),
        ("Date,Time,used_mb\n10/24/2026,10:00:00 PM,2000\n10/24/2026,10:05:00 PM,2000\n",
         [("--time: date and time stand in two columns, Date and Time: put them into one, such as"
          " 2026-11-26T16:04:00Z")]),
        ('ts,used_kb\n1764000000,"14,648,025"\n1764000060,"948,025"\n1764000120,0\n',
         [("--user: no column of numbers is left that could be the memory in use: used_kb has marks between thousands,"
          " such as '14,648,025', write its numbers without them")]),
        ('ts,guest\n1764000000,"948,025"\n1764000060,"948,025"\n1764000120,"948,025"\n',
         [("--user: no column of numbers is left that could be the memory in use: guest has numbers with a comma,"
          " write them with a point (or without, at thousands)")]),
        ("ts;used_mb\n1764000000;40,5\n1764000060;40\n",
         [("--user: no column of numbers is left that could be the memory in use: used_mb has numbers with a comma,"
          " write them with a point (sed 's/,/./g' turns all commas of a file)")]),
        ("ts;used_mb\n1764000000;40,5\n",
         [("--user: no column of numbers is left that could be the memory in use: used_mb has numbers with a comma,"
          " write them with a point (sed 's/,/./g' turns all commas of a file)")]),
        ("ts;used\n1764000000;40,5\n1764000060;41,5\n",
         [("--user: no column of numbers is left that could be the memory in use: used has numbers with a comma,"
          " write them with a point (sed 's/,/./g' turns all commas of a file)")]),
        ("time,used_mib\n", ["--demand: holds no rows but the names of the columns"]),
        ("# only\n# comments\n", ["--demand: holds no rows"]),
        (f"time,used_mib\n0,{'5' * 200_000}\n", ["--demand: is no table: field larger than field limit (131072)"]),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_asked_for_with_its_option(text: str, asked: list[str], tmp_path: Path) -> None:
    assert recognised(tmp_path, text)[1] == asked


@pytest.mark.parametrize("raw", [b"\xff\xfet\x00i\x00\n\x00", bytes(range(256)), b"time,\0\n0,1\n"])
def test_what_is_no_text_is_refused_in_words(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_bytes(raw)
    with pytest.raises(InputError, match=r"^raw\.csv: .*no text in UTF-8$"):
        recognise(tmp_path / "raw.csv", {}, Faults())


def test_rows_with_the_newest_first_are_told_with_what_turns_them_round(tmp_path: Path) -> None:
    for times in (("1764000120", "1764000060", "1764000060"), ("26.11.2026 16:05", "26.11.2026 16:04", "26.11.2026")):
        _, faults = recognised(tmp_path, "".join(["t,used_mb\n", *(f"{time},2000\n" for time in times)]))
        (fault,) = faults
        name = str(tmp_path / "trace.csv")
        assert fault.endswith(f"(head -n 1 {name}; tail -n +2 {name} | tac) > oldest-first.csv")


def test_json_of_others_is_told_with_what_makes_csv_of_it(tmp_path: Path) -> None:
    _, faults = recognised(tmp_path, '[{"time": 1764000000, "mem": 2e9}]')
    (fault,) = faults
    assert "not what Prometheus answers" in fault
    assert "jq -r" in fault


def test_all_that_is_not_clear_is_asked_for_at_once(tmp_path: Path) -> None:
    _, faults = recognised(tmp_path, "a,b,host,vm,use_avg,use_max\n1,2,h,x,3,4\n1,2,i,y,3,4\n")
    assert [fault.partition(":")[0] for fault in faults] == ["--time", "--series", "--user"]


def test_what_is_given_is_left_as_it_is(tmp_path: Path) -> None:
    given = {"time": {"column": "a"}, "user": {"column": "use_max", "unit": MIB}}
    found, faults = recognised(tmp_path, "a,host,use_avg,use_max\n1,h,3,4\n2,i,3,4\n", given)
    assert faults == []
    assert found.columns == {**given, "series": "host"}
    assert given == {"time": {"column": "a"}, "user": {"column": "use_max", "unit": MIB}}


@pytest.mark.parametrize(
    ("largest", "likely", "unit"),
    [
        (6000, 16 * GIB, "1MiB"),
        (6_000_000, 16 * GIB, "1KiB"),
        (6_000_000_000, 16 * GIB, None),
        (900, 2 * GIB, "1MiB"),
        (500, 512 * GIB, "1GiB"),
        (6000, None, "1MiB"),
    ],
)
def test_a_unit_that_is_not_said_is_the_only_likely_one_and_that_is_told(
    largest: int, likely: int | None, unit: str | None, tmp_path: Path
) -> None:
    found, faults = recognised(tmp_path, f"time,used\n0,100\n60,{largest}\n", likely=likely)
    assert faults == []
    assert found.columns["user"] == ("used" if unit is None else {"column": "used", "unit": unit})
    assert "--user used:" in "".join(found.assumed)


def test_no_two_units_are_ever_both_likely(tmp_path: Path) -> None:
    """Whatever the figure and the machine, so that what is assumed is never a choice between two."""
    for power in range(7, 45):
        for likely in (None, 64 * MIB, GIB, 3 * GIB, 64 * GIB, 4096 * GIB):
            found, faults = recognised(tmp_path, f"time,used\n0,{2**power + 1}\n", likely=likely)
            assert bool(faults) != ("user" in found.columns)


def test_other_kinds_of_files(tmp_path: Path) -> None:
    table = pa.table({"ts": [1764000000, 1764000060], "mem_used_bytes": [2.0**31, 2.0**31]})
    parquet.write_table(table, tmp_path / "a.parquet")
    faults = Faults()
    found = recognise(tmp_path / "a.parquet", {}, faults)
    assert (found.columns, list(faults)) == ({"time": "ts", "user": "mem_used_bytes"}, [])
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"ts,used_mb\r\n1764000000,2000\r\n"))
    assert recognise(tmp_path / "a.csv.gz", {}, faults).columns["user"] == {"column": "used_mb", "unit": "1MiB"}
    (tmp_path / "a.json").write_text('{"status": "success"}')
    recognise(tmp_path / "a.json", {}, faults)
    assert "--user node_memory_AnonPages_bytes" in str(next(iter(faults)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kbmemused", ["kb", "mem", "used"]),
        ("%memused", ["percent", "mem", "used"]),
        ("Memory usage [KB]", ["memory", "usage", "kb"]),
        ("memoryUsedBytes", ["memoryusedbytes", "memory", "used", "bytes"]),
        ("used MiB", ["used", "mib"]),
        ("mem_pct", ["mem", "percent"]),
        ("node_memory_MemTotal_bytes", ["node", "memory", "memtotal", "mem", "total", "bytes"]),
    ],
)
def test_words_of_a_name(name: str, words: list[str]) -> None:
    assert list(words_of(name)) == words
