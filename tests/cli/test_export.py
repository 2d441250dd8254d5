"""``memhp-sim export``: the parts of a run as files that other programs read, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sim.api import Results, open_results, run
from sim.cli.main import main
from sim.faults import InputError
from sim.results.atomic import TEMPORARY_MARK
from sim.results.exported import EXPORTED
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

LOG = """\
t_s,op,device,kind,size_bytes,max_bytes,state
0,plug,"d, 1",dimm,256MiB,,
1,plug,v,virtio-mem,0,1GiB,
2.000001,resize,v,,256MiB,,
3,demand,k,kernel,64MiB,,
4,drop-caches,,,,,3
20,unplug,"d, 1",,,,
25,end,,,,,
"""
EXPERIMENT = """
machines = [{ label = "vm", boot_memory = "1GiB" }]
workloads = [{ name = "request-replay", label = "log", path = "log.csv" }]
guest.model = "linux"
policies = [{ name = "online-movable" }, { name = "online-kernel" }]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    (folder / "log.csv").write_text(LOG, "utf-8")
    (folder / "tiny.toml").write_text(EXPERIMENT, "utf-8")
    run(folder / "tiny.toml", folder / "out")
    return folder


def export(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)], catch_exceptions=False)


def rows(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text)))


MOVABLE = ("--policy", "online-movable")


def test_events_have_words_for_numbers_and_bytes_for_pages(folder: Path) -> None:
    result = export(folder / "out", *MOVABLE, "--events", "-")
    assert (result.exit_code, result.stderr) == (0, "")
    events = rows(result.stdout)
    assert [event["event"] for event in events[:4]] == ["attached", "request", "plug", "attached"]
    assert {name: value for name, value in events[2].items() if value} == {
        "t_s": "0.018", "event": "plug", "device": "d, 1", "node": "0", "block": "32", "blocks": "2",
        "address": str(4 << 30), "zone": "Movable", "change_bytes": str(256 << 20), "plugged_bytes": str(256 << 20),
    }  # fmt: skip
    assert (events[4]["t_s"], events[4]["requested_bytes"]) == ("2.000001", str(256 << 20))
    assert [(event["event"], event["device"], event["plugged_bytes"]) for event in events[-3:]] == [
        ("offline", "d, 1", str(256 << 20)),
        ("remove", "d, 1", "0"),
        ("gone", "d, 1", "0"),
    ]


def test_all_forms_hold_the_same(folder: Path, tmp_path: Path) -> None:
    for table, layout in EXPORTED.items():
        files = [tmp_path / f"{table}.{form}" for form in ("csv", "jsonl", "parquet", "csv.gz")]
        for file in files:
            assert export(folder / "out", *MOVABLE, f"--{table}", file).exit_code == 0
        stored = pq.read_table(files[2])
        names = [column.name for column in layout.columns]
        assert stored.schema.names == names
        assert stored.schema.field("t_s").metadata == {b"unit": b"s", b"meaning": layout.columns[0].meaning.encode()}
        expected = stored.to_pylist()
        assert len(expected) > 5
        assert [
            {name: row.get(name) for name in names} for row in map(json.loads, files[1].read_text("utf-8").splitlines())
        ] == expected
        text = files[0].read_text("utf-8")
        kinds = {column.name: {"double": float, "int64": int}.get(column.type, str) for column in layout.columns}
        assert [
            {name: None if not value else kinds[name](value) for name, value in row.items()} for row in rows(text)
        ] == expected
        assert gzip.decompress(files[3].read_bytes()).decode() == text
    assert not list(tmp_path.glob(f"*{TEMPORARY_MARK}*"))


def test_the_requests_of_a_stored_run_are_the_log_that_it_replayed(folder: Path) -> None:
    asked = rows(export(folder / "out", *MOVABLE, "--requests", "-").stdout)
    assert [(row["t_s"], row["op"], row["device"]) for row in asked] == [
        ("0", "plug", "d, 1"), ("1", "plug", "v"), ("2.000001", "resize", "v"), ("3", "demand", "k"),
        ("4", "drop-caches", ""), ("20", "unplug", "d, 1"), ("25", "end", ""),
    ]  # fmt: skip
    lines = export(folder / "out", *MOVABLE, "--requests", "-", "--format", "jsonl").stdout.splitlines()
    assert json.loads(lines[3]) == {"t_s": 3.0, "op": "demand", "device": "k", "kind": "kernel", "size_bytes": 64 << 20}


def test_an_experiment_is_run_for_it_and_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for part in ("requests", "events", "series", "guest"):
        stored = export(folder / "out", *MOVABLE, f"--{part}", "-")
        fresh = export(folder / "tiny.toml", *MOVABLE, f"--{part}", "-")
        assert stored.stdout_bytes == fresh.stdout_bytes != b""
    assert [path.name for path in (folder / "out").iterdir()] == ["tiny"]
    assert not list(tmp_path.iterdir())


def test_an_experiment_may_be_set_otherwise_for_it(folder: Path) -> None:
    small, large = (
        rows(export(folder / "tiny.toml", *MOVABLE, "--series", "-", *more).stdout)[0]["kernel_bytes"]
        for more in ((), ("--set", "machines.vm.boot_memory=2GiB"))
    )
    assert int(large) - int(small) == 1 << 30


def test_a_recorded_experiment_replayed_exports_the_same_events(tmp_path: Path) -> None:
    """From a shipped experiment to its log, and through an experiment that replays it: what a user would do."""
    source = ROOT / "experiments" / "incidents" / "sail-reactive.toml"
    log = tmp_path / "log.jsonl"
    events = export(source, "--requests", log, "--events", tmp_path / "events.csv", "--guest", tmp_path / "guest.csv")
    assert events.exit_code == 0
    text = source.read_text("utf-8").partition("[[workloads")[0]
    (tmp_path / "again.toml").write_text(f'{text}[[workloads]]\nname = "request-replay"\npath = "log.jsonl"\n', "utf-8")
    for part in ("events", "guest"):
        again = export(tmp_path / "again.toml", f"--{part}", "-")
        assert again.stdout_bytes == (tmp_path / f"{part}.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "say what to export: --requests, --events, --series or --guest, each with a file"),
        (("--events", "-", "--series", "-"), "one at most can be written to standard output"),
        (("--events", "x.txt"), "x.txt: the name must end in .csv, .jsonl, .parquet, .csv.gz or .jsonl.gz"),
        (("--requests", "x.parquet"), "x.parquet: the name must end in .csv, .jsonl, .csv.gz or .jsonl.gz"),
        (("--events", "x.parquet.gz"), "x.parquet.gz: the name must end in"),
        (("--events", "-"), "--policy online-kernel\n  --policy online-movable"),
        (("--events", "-", "--policy", "online"), "online"),
        ((*MOVABLE, "--events", "-", "--replication", "7"), "replication 7"),
        ((*MOVABLE, "--events", "/dev/null/x.csv"), "/dev/null"),
        ((*MOVABLE, "--events", "-", "--set", "machines.vm.boot_memory=2GiB"), "--set is for experiments"),
    ],
)
def test_what_cannot_be_exported_is_told(folder: Path, arguments: tuple[str, ...], expected: str) -> None:
    result = export(folder / "out", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr


@pytest.mark.parametrize(("source", "expected"), [("log.csv", "is no experiment"), ("nowhere", "holds no results")])
def test_what_is_neither_results_nor_an_experiment_is_told(folder: Path, source: str, expected: str) -> None:
    result = export(folder / source, "--events", "-")
    assert (result.exit_code, expected in result.stderr) == (2, True)


def test_an_experiment_of_several_runs_lists_the_options_that_choose(folder: Path) -> None:
    result = export(folder / "tiny.toml", "--events", "-")
    assert (result.exit_code, "--policy online-movable" in result.stderr) == (2, True)
    assert export(folder / "tiny.toml", "--events", "-", "--policy", "online-moveable").exit_code == 2


def test_a_run_without_a_guest_has_none_to_export(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG, "utf-8")
    (tmp_path / "tiny.toml").write_text(EXPERIMENT.replace('guest.model = "linux"', ""), "utf-8")
    result = export(tmp_path / "tiny.toml", *MOVABLE, "--guest", "-")
    assert (result.exit_code, "no guest is modelled" in result.stderr) == (2, True)


def test_a_file_stays_as_it_was_where_the_export_fails(tmp_path: Path) -> None:
    """A name that CSV cannot hold is met in the middle of the log."""
    (tmp_path / "log.jsonl").write_text(
        '{"t_s": 1, "op": "unplug", "device": "two\\nlines", "refused": true}\n', "utf-8"
    )
    (tmp_path / "tiny.toml").write_text(EXPERIMENT.replace("log.csv", "log.jsonl"), "utf-8")
    target = tmp_path / "old.csv"
    target.write_text("as it was", "utf-8")
    result = export(tmp_path / "tiny.toml", *MOVABLE, "--requests", target)
    assert (result.exit_code, "cannot hold the name" in result.stderr) == (2, True)
    assert target.read_text("utf-8") == "as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", "tiny.toml", "old.csv"}


def test_requests_of_a_run_whose_files_have_changed_are_not_made_up(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG, "utf-8")
    (tmp_path / "tiny.toml").write_text(EXPERIMENT, "utf-8")
    run(tmp_path / "tiny.toml", tmp_path / "out")
    (tmp_path / "log.csv").write_text(LOG.replace("256MiB", "512MiB"), "utf-8")
    result = export(tmp_path / "out", *MOVABLE, "--requests", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "run again, the run is another" in result.stderr
    assert export(tmp_path / "out", *MOVABLE, "--events", "-").exit_code == 0


@pytest.mark.parametrize("page", ["logs", "results"])
def test_the_commands_of_the_pages_do_what_they_say(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(
        r"^\$ memhp-sim export (.*)$", (ROOT / "docs" / f"{page}.md").read_text("utf-8"), re.MULTILINE
    )
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert export(*words).exit_code == 0
        assert all((tmp_path / file).stat().st_size > 500 for file in words[2::2])


def test_from_python(folder: Path, tmp_path: Path) -> None:
    results: Results = open_results(folder / "out" / "tiny")
    cell = str(results.runs().query("policy == 'online-movable'")["cell"].iloc[0])
    asked = results.requests(cell)
    assert list(asked.columns) == ["t_s", "op", "device", "kind", "size_bytes", "max_bytes", "state"]
    assert list(asked["op"]) == ["plug", "plug", "resize", "demand", "drop-caches", "unplug", "end"]
    results.export(cell, requests=tmp_path / "log.csv", events=str(tmp_path / "events.csv"))
    assert (tmp_path / "events.csv").read_bytes() == export(folder / "out", *MOVABLE, "--events", "-").stdout_bytes
    with pytest.raises(ValueError, match="no part 'pictures' of a run; there are: requests, events, series, guest"):
        results.export(cell, pictures="x.png")
    with pytest.raises(ValueError, match="must end in"):
        results.export(cell, events="x.png")
    (folder / "out" / "tiny" / "manifest.json").rename(tmp_path / "manifest.json")
    with pytest.raises(InputError, match="needs the experiment in the manifest"):
        results.requests(cell)
    (tmp_path / "manifest.json").rename(folder / "out" / "tiny" / "manifest.json")
