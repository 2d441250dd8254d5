"""The page on demand traces: commands print what it shows, mappings can be read, tables are complete."""

from __future__ import annotations

import gzip
import re
import shlex
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.faults import Faults, InputError
from sim.results.store import ResultStore
from sim.traces.mapping import SEPARATORS, read_columns
from sim.traces.opening import open_trace
from sim.traces.samples import QUANTITIES
from sim.units import GIB, KIB, MIB
from tests.support.places import ROOT
from tests.traces.made import everything
from workloads.parts.traces.columns import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "demand-traces.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ memhp-sim (.*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
MAPPINGS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0][:40])
def test_commands_print_what_the_page_shows(command: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(main, shlex.split(command[0]), env={"COLUMNS": "100"})

    assert [line.rstrip() for line in result.output.splitlines()] == [line.rstrip() for line in command[1].splitlines()]


@pytest.mark.parametrize("text", MAPPINGS)
def test_mappings_can_be_read(text: str) -> None:
    tables = tomllib.loads(text)["workloads"]
    table = tables[0] if isinstance(tables, list) else tables
    faults = Faults()
    mapping = COLUMNS.convert(table.get("together", [table])[-1]["columns"], faults)

    assert list(faults) == []
    assert isinstance(mapping, dict)
    assert read_columns(mapping).amounts


def test_the_example_with_a_controller_plays_each_machine(tmp_path: Path) -> None:
    (text,) = (text for text in MAPPINGS if "together" in text)
    samples = "".join(f"{vm},{60 * n},{mib}\n" for n in range(3) for vm, mib in (("a", 300 + 100 * n), ("b", 200)))
    (tmp_path / "vms.csv.gz").write_bytes(gzip.compress(f"vm,t_s,use_mib\n{samples}".encode()))
    machine = {"boot_memory": "1GiB", "label": "vm"}
    tables = {"machines": [machine], "guest": {"model": "linux"}, "policies": [{"name": "online-movable"}]}
    report = run(load({**tables, **tomllib.loads(text)}, folder=tmp_path), tmp_path, workers=InProcess())
    assert report.summary() == "2 of 2 runs completed"
    runs = ResultStore(report.folder).runs()
    assert runs["recording"].tolist() == ["a", "b"]
    assert (runs["unserved_byte_seconds"] == 0).all()


def test_quantities_and_keys_are_all_there() -> None:
    for name, meaning in QUANTITIES.items():
        assert f"| `{name}` | {meaning} |" in PAGE
    assert [key.name for key in COLUMNS.keys if f"`{key.name}`" not in PAGE] == []
    assert [name for name in SEPARATORS if f"`{name}`" not in PAGE] == []
    assert [
        name
        for name, _ in next(key for key in COLUMNS.keys if key.name == "user").type.details()
        if f"`{name}`" not in PAGE
    ] == []


def test_faults_are_told_as_the_page_shows_them(tmp_path: Path) -> None:
    rows = [f"web,{60 * at},5,1" for at in range(1, 11)]
    rows[6] = "web,420,n/a,1"
    rows[7] = "web,480,5"
    rows[8] = "web,360,5,1"
    shown = re.search(r"```text\n(Error: vms.csv.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    text = "# as exported\n" + "\n".join(["vm,t_s,use_mib,cached_mib", *rows])
    (tmp_path / "vms.csv").write_text(text, "utf-8")

    result = CliRunner().invoke(
        main,
        [
            "workloads",
            "describe",
            str(tmp_path / "vms.csv"),
            "--time",
            "t_s",
            "--series",
            "vm",
            "--user",
            "use_mib:1MiB",
        ],
    )

    assert result.exit_code == 2
    assert result.output == shown[1]


def test_a_file_for_each_machine_becomes_one_trace(tmp_path: Path) -> None:
    (line,) = re.findall(r"^\$ (awk .*)$", PAGE, re.MULTILINE)
    (text,) = (text for text in MAPPINGS if "Timestamp [ms]" in text)
    folder = tmp_path / "2013-7"
    folder.mkdir()
    names = "Timestamp [ms];\tCPU cores;\tMemory capacity provisioned [KB];\tMemory usage [KB]"
    for vm in (1, 2):
        rows = [f"{1372629804 + 300 * at};\t4;\t6.7108864E7;\t{1024.0 * vm + at}" for at in range(3)]
        (folder / f"{vm}.csv").write_text("\n".join([names, *rows, ""]), "utf-8")
    columns = tomllib.loads(text)["workloads"]["columns"]
    with pytest.raises(InputError, match="2013-7: is a folder: put its files behind each other in one"):
        open_trace(folder, columns)

    subprocess.run(line, shell=True, check=True, cwd=folder)  # noqa: S602  as the page has it
    trace = open_trace(tmp_path / "july.csv.gz", columns)

    assert everything(trace) == {
        f"{vm}.csv": [(300_000_000 * at, MIB * vm + KIB * at, 64 * GIB) for at in range(3)] for vm in (1, 2)
    }
