"""``memhp-sim show``: of an experiment, of results at any time, and of real machines' files."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.api import open_results, run
from sim.cli.main import BAD_INPUT, main
from sim.experiment.load import load
from sim.snapshot.lsmem_view import lsmem_text
from tests.support.shared import by_module

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

LOG = "t_s,op,device,kind,size_bytes\n10,plug,d0,dimm,256MiB\n60,unplug,d0,,\n90,plug,d1,dimm,128MiB\n"
EXPERIMENT = """
machines = [{ label = "small", boot_memory = "1GiB" }]
workloads = [{ name = "request-replay", label = "log", path = "log.csv" }]
policies = [{ name = "auto-movable" }]
guest.model = "linux"
"""
SMALL = """\
RANGE                                  SIZE  STATE REMOVABLE BLOCK NODE ZONES
0x0000000000000000-0x0000000007ffffff  128M online       yes     0    0  None
0x0000000008000000-0x000000003fffffff  896M online       yes   1-7    0 DMA32

Memory block size:       128M
Total online memory:       1G
Total offline memory:      0B

"""


def show(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["show", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope=by_module)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment and its results in ``results/one``."""
    place = tmp_path_factory.mktemp("show")
    (place / "log.csv").write_text(LOG, "utf-8")
    (place / "one.toml").write_text(EXPERIMENT, "utf-8")
    run(place / "one.toml", place / "results")
    return place


def test_a_machine_is_shown_as_it_boots(folder: Path) -> None:
    text = show(folder / "one.toml").stdout
    assert text.startswith(SMALL)
    rest = [line.split() for line in text.removeprefix(SMALL).splitlines()]
    assert rest[0] == ["NODE", "ZONE", "BLOCKS", "SIZE", "PRESENT", "MANAGED"]
    assert rest[1][:5] == ["0", "DMA", "0", "0B", "15.6M"]
    assert rest[2][:4] == ["0", "DMA32", "7", "896M"]
    assert rest[3] == ["0", "several", "1", "128M"]
    assert ["MOVABLE", ":", "KERNEL:", "0.0", "%"] in rest
    assert ["Configured", "ratio:", "301", "%"] in rest


def test_a_file_without_workloads_is_enough(tmp_path: Path) -> None:
    (tmp_path / "bare.toml").write_text('machines = [{ boot_memory = "1GiB" }]\npolicies = [{ name = "offline" }]\n')
    assert show(tmp_path / "bare.toml").stdout.startswith(SMALL)


def test_dimms_at_boot_go_where_the_policy_puts_them(tmp_path: Path) -> None:
    (tmp_path / "cold.toml").write_text(
        """
machines = [{ boot_memory = "1GiB", cold_dimms = [{ size = "256MiB" }] }]
policies = [{ name = "offline" }, { name = "online-movable" }, { name = "udev", state = "online_movable", delay = 2 }]
"""
    )
    for policy, line in {
        "offline": "256M offline           32-33    0 Normal/Movable",
        "online-movable": "256M  online       yes 32-33    0 Movable",
        "udev": "256M  online       yes 32-33    0 Movable",
    }.items():
        text = " ".join(show(tmp_path / "cold.toml", "--policy", policy).stdout.split())
        assert " ".join(line.split()) in text
        assert text.endswith(f"policy {policy}")


def test_a_run_is_shown_at_any_time(folder: Path) -> None:
    results = folder / "results" / "one"
    texts = {at: show(results, "--at", at).stdout for at in ("0", "30", "0.5min", "70s", "end")}
    assert texts["0"].startswith(SMALL)
    assert texts["0"].endswith("machine small, workload log, policy auto-movable, replication 0, at 0 s\n")
    assert texts["30"] == texts["0.5min"]
    assert "0x0000000100000000-0x000000010fffffff  256M online       yes 32-33    0 Movable\n" in texts["30"]
    assert "\nd0        0      256M    256M   256M\n" in texts["30"]
    assert texts["70s"].startswith(SMALL)
    assert "DEVICE" not in texts["70s"]
    assert "0x0000000100000000-0x0000000107ffffff  128M online       yes    32    0" in texts["end"]
    assert texts["end"] == show(results).stdout
    assert "MemTotal:" in texts["end"]


def test_a_machine_with_a_state_is_shown_in_it(tmp_path: Path) -> None:
    (tmp_path / "state.toml").write_text(
        """
policies = [{ name = "kernel", online_policy = "auto-movable" }]

[[machines]]
block_size = "128MiB"

[machines.state]
blocks = [
  { blocks = "0", zone = "None" },
  { blocks = "1-7", zone = "DMA32" },
  { blocks = "40-41", zone = "Movable" },
  { blocks = "50" },
]
devices = [
  { id = "dimm0", kind = "dimm", address = "0x140000000", size = "256MiB" },
  { id = "vm0", kind = "virtio-mem", address = "6GiB", max_size = "8GiB", requested = "384MiB", plugged = "64MiB" },
]
"""
    )
    text = show(tmp_path / "state.toml").stdout
    assert text.startswith(
        """\
RANGE                                  SIZE   STATE REMOVABLE BLOCK NODE          ZONES
0x0000000000000000-0x0000000007ffffff  128M  online       yes     0    0           None
0x0000000008000000-0x000000003fffffff  896M  online       yes   1-7    0          DMA32
0x0000000140000000-0x000000014fffffff  256M  online       yes 40-41    0        Movable
0x0000000190000000-0x0000000197ffffff  128M offline              50    0 Movable/Normal
"""
    )
    assert "\ndimm0     0      256M    256M   256M\nvm0       0      384M     64M     0B\n" in text
    with (tmp_path / "state.toml").open("a") as file:
        file.write(
            'seen = [{ blocks = "2-3", removable = false, zones = "DMA32/Normal" }, { blocks = 50, zones = "Normal" }]'
        )
    again = [line.split()[-5:] for line in show(tmp_path / "state.toml").stdout.splitlines()[2:7]]
    assert again == [
        ["online", "yes", "1", "0", "DMA32"],
        ["online", "no", "2-3", "0", "DMA32/Normal"],
        ["online", "yes", "4-7", "0", "DMA32"],
        ["online", "yes", "40-41", "0", "Movable"],
        ["128M", "offline", "50", "0", "Normal"],
    ]


def test_devices_that_are_alike_share_a_line(tmp_path: Path) -> None:
    (tmp_path / "slots.toml").write_text(
        """
machines = [{ boot_memory = "1GiB", cold_dimms = [{ size = "256MiB", count = 30 }, { size = "1GiB" }] }]
policies = [{ name = "online-movable" }]
"""
    )
    assert show(tmp_path / "slots.toml").stdout.endswith(
        "DEVICE          COUNT NODE REQUESTED PLUGGED ONLINE\n"
        "cold0 to cold29    30    0      7.5G    7.5G   7.5G\n"
        "cold30                   0        1G      1G     1G\n"
        "\n"
        "No guest was modelled: MemTotal and what is managed are what the modelled kernel of this series has.\n"
    )


def test_json_is_that_of_lsmem_and_more(folder: Path) -> None:
    shown = json.loads(show(folder / "results" / "one", "--at", 30, "--json").stdout)
    assert shown["memory"][-1] == {
        "range": "0x0000000100000000-0x000000010fffffff",
        "size": "256M",
        "state": "online",
        "removable": True,
        "block": "32-33",
        "node": 0,
        "zones": "Movable",
    }
    assert shown["policy"] == "auto-movable"
    assert shown["at_s"] == 30
    assert shown["devices"] == [
        {"id": "d0", "node": 0, "requested": 256 << 20, "plugged": 256 << 20, "online": 256 << 20}
    ]
    movable = next(zone for zone in shown["zone_totals"] if zone["zone"] == "Movable")
    assert (movable["blocks"], movable["present"], movable["managed"]) == (2, 256 << 20, 256 << 20)
    assert shown["mem_total"] == sum(zone["managed"] or 0 for zone in shown["zone_totals"])
    assert shown["movable_to_kernel_percent"] == pytest.approx(25, abs=0.2)
    assert shown["configured_percent"] == 301


DOMAIN = """
<domain type='kvm'>
  <maxMemory slots='16' unit='GiB'>64</maxMemory>
  <memory unit='GiB'>4</memory>
  <cpu><numa><cell id='0' cpus='0-3' memory='1' unit='GiB'/></numa></cpu>
  <devices>
    <memory model='dimm'><target><size unit='GiB'>1</size><node>0</node></target></memory>
    <memory model='dimm'><target><size unit='GiB'>1</size><node>0</node></target></memory>
    <memory model='virtio-mem'>
      <target>
        <size unit='GiB'>8</size><node>0</node><block unit='MiB'>2</block>
        <requested unit='GiB'>1</requested>
      </target>
    </memory>
  </devices>
</domain>
"""


def test_files_that_list_no_blocks_show_the_machine_that_they_describe(tmp_path: Path) -> None:
    (tmp_path / "guest.xml").write_text(DOMAIN)
    text = show(tmp_path / "guest.xml").stdout
    assert text.startswith("RANGE ")
    assert "0x0000000100000000-0x00000001bfffffff    3G online       yes 32-55    0 Normal\n" in text
    assert "\ndimm0 to dimm1     2    0        2G      2G     2G\n" in text
    assert "No file lists memory blocks: this is how the machine that they describe boots.\nAssumed: " in text


def test_columns_are_chosen_as_for_lsmem(folder: Path) -> None:
    usual = show(folder / "one.toml", "--json", "-o", "RANGE,SIZE,STATE,REMOVABLE,BLOCK").stdout
    assert [*json.loads(usual)["memory"][0]] == ["range", "size", "state", "removable", "block"]
    assert [entry["block"] for entry in json.loads(usual)["memory"]] == ["0-7"]
    assert show(folder / "one.toml", "-o", "ZONES,BLOCK").stdout.startswith("ZONES BLOCK\n None     0\nDMA32   1-7\n")
    assert show(folder / "one.toml", "--output-all").stdout.startswith(SMALL)
    assert "unknown column 'ZONE'; did you mean 'ZONES'?" in show(folder / "one.toml", "-o", "ZONE", code=2).stderr


def test_python_gets_the_same_picture(folder: Path) -> None:
    results = open_results(folder / "results" / "one")
    cell = results.runs()["cell"].iloc[0]
    assert show(folder / "results" / "one", "--at", 30).stdout.startswith(str(results.picture(cell, 30)))
    assert str(results.picture(cell)).startswith(lsmem_text(results.picture(cell)))
    with pytest.raises(KeyError):
        results.picture("none")


def test_which_of_several_runs_has_to_be_said(folder: Path) -> None:
    tables = {
        "machines": [{"label": "a b", "boot_memory": "1GiB"}, {"label": "two", "boot_memory": "2GiB"}],
        "policies": [{"name": "offline"}, {"name": "online-kernel"}],
        "workloads": [{"name": "request-replay", "label": "log", "path": "log.csv"}],
        "replications": 2,
        "name": "several",
    }
    results = run(load(tables, folder=folder), folder / "results").store.folder
    error = show(results, code=2).stderr
    assert "--machine 'a b' --policy offline\n" in error
    assert "--machine two --policy online-kernel\n" in error
    assert "--workload" not in error
    assert show(results, "--machine", "a b", "--policy", "offline", "--at", 0).stdout.startswith(SMALL)
    shown = show(results, "--machine", "two", "--policy", "offline", "--json")
    assert json.loads(shown.stdout)["replication"] == 0
    assert "there are: 0" in show(results, "--replication", 7, code=2).stderr
    assert "there are: a b, two" in show(results, "--machine", "three", code=2).stderr


def test_results_whose_machine_is_not_known_show_their_blocks(folder: Path, tmp_path: Path) -> None:
    store, copy = folder / "results" / "one", tmp_path / "copy"
    shutil.copytree(store, copy)
    (copy / "manifest.json").unlink()
    whole, blocks = show(store).stdout, show(copy).stdout
    assert blocks.split("\n\nNODE")[0] == whole.split("\n\nNODE")[0]
    assert "Which machine it was is not known" in blocks
    assert "PRESENT" not in blocks
    assert "MemTotal:" not in blocks


@pytest.mark.parametrize("table", ["runs", "events", "guest"])
def test_damaged_results_are_told_of(folder: Path, tmp_path: Path, table: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "results" / "one", copy)
    for file in (copy / table).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:300])
    told = show(copy, code=2).stderr
    assert f"{table}-00-of-01.parquet: is no file of this program, or its end is missing; " in told
    assert "what it held of 1 run is left out here" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one.toml", "--at", "5"], "--at is for results"),
        (["one.toml", "--replication", "1"], "--replication is for results"),
        (["one.toml", "--policy", "auto-movabel"], "did you mean 'auto-movable'"),
        (["one.toml", "--machine", "big"], "unknown machine"),
        (["one.toml", "log.csv"], "shown alone"),
        (["results/one", "--at", "9999"], "the run lasts"),
        (["results/one", "--at", "-5"], "is not a time"),
        (["results/one", "--at", "soon"], "is not a time"),
        (["results/one", "--at", "5 days"], "is not a time"),
        (["missing.toml"], "missing.toml"),
        (["log.csv"], "log.csv"),
        (["missing"], "missing"),
    ],
)
def test_what_cannot_be_shown_is_told_in_words(
    folder: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    result = show(*arguments, code=2)
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("width", [40, 80, 200])
def test_only_remarks_are_wrapped(folder: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "none.toml").write_text('machines = [{ boot_memory = "1GiB" }]\npolicies = [{ name = "offline" }]\n')
    monkeypatch.setenv("COLUMNS", str(width))
    text = show(folder / "none.toml").stdout
    assert text.startswith(SMALL)
    remark = text.partition("\n\nNo guest")[2].splitlines()
    assert remark
    assert all(len(line) <= width for line in remark)
    assert all(len(line) <= 41 for line in text.removeprefix(SMALL).split("\n\nNo guest")[0].splitlines())


def test_of_several_results_one_has_to_be_chosen(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").symlink_to(folder / "results" / "one")
    assert show(tmp_path, "--at", "0").stdout == show(folder / "results" / "one", "--at", "0").stdout
    (tmp_path / "alone").unlink()
    for number in range(30):
        (tmp_path / f"{number:02}" / "runs").mkdir(parents=True)
    result = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert result.exit_code == BAD_INPUT
    assert f"holds the results of several experiments; choose one: {tmp_path / '00'}, " in result.output
    assert result.output.endswith(f", {tmp_path / '19'} and 10 more\n")
