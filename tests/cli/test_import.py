"""``memhp-sim import``: files in, an experiment file out, and every word of how it came about."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner

from sim.cli.main import BAD_INPUT, main
from sim.experiment.load import load
from sim.units import GIB

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

XML: Final = """<domain type='kvm' id='3'>
  <maxMemory slots='16' unit='GiB'>64</maxMemory>
  <memory unit='GiB'>13</memory>
  <os><type arch='x86_64' machine='pc-q35-9.2'>hvm</type></os>
  <cpu><numa><cell id='0' cpus='0-3' memory='4' unit='GiB'/></numa></cpu>
  <devices>
    <memory model='dimm'>
      <source><pagesize unit='KiB'>2048</pagesize></source>
      <target><size unit='GiB'>1</size><node>0</node></target>
      <alias name='dimm0'/><address type='dimm' slot='0' base='0x180000000'/>
    </memory>
    <memory model='virtio-mem'>
      <target><size unit='GiB'>8</size><node>0</node><block unit='MiB'>2</block>
      <requested unit='GiB'>1</requested><current unit='GiB'>1</current><address base='0x1c0000000'/></target>
      <alias name='virtiomem0'/>
    </memory>
  </devices>
</domain>
"""
LSMEM: Final = """RANGE                                 SIZE  STATE REMOVABLE BLOCK NODE   ZONES
0x0000000000000000-0x0000000007ffffff 128M online       yes     0    0    None
0x0000000008000000-0x000000007fffffff 1.9G online       yes  1-15    0   DMA32
0x0000000100000000-0x000000017fffffff   2G online       yes 32-47    0  Normal
0x0000000180000000-0x00000001bfffffff   1G online       yes 48-55    0 Movable
0x00000001c0000000-0x00000001ffffffff   1G online       yes 56-63    0 Movable

Memory block size:       128M
Total online memory:       6G
Total offline memory:      0B
"""
FREE: Final = """               total        used        free      shared  buff/cache   available
Mem:         5970000      420000     5100000        1000      450000     5400000
Swap:              0           0           0
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    paths = {}
    for name, text in (("guest.xml", XML), ("lsmem.txt", LSMEM), ("free.txt", FREE)):
        path = tmp_path / name
        path.write_text(text)
        paths[name] = str(path)
    return paths


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])


def test_the_experiment_goes_to_standard_output_and_the_account_to_standard_error(files: dict[str, str]) -> None:
    result = run(*files.values())
    assert result.exit_code == 0
    tables = tomllib.loads(result.stdout)
    assert tables["guest"] == {
        "model": "linux",
        "as": {"mem_total": "3872848KiB", "used": "387232KiB", "boot_memory": "4GiB"},
    }
    (machine,) = tables["machines"]
    assert {key: machine[key] for key in ("boot_memory", "max_memory", "slots", "max_ram_below_4g")} == {
        "boot_memory": "4GiB",
        "max_memory": "64GiB",
        "slots": 16,
        "max_ram_below_4g": "2GiB",
    }
    assert machine["state"]["blocks"] == [
        {"blocks": "0", "zone": "None"},
        {"blocks": "1-15", "zone": "DMA32"},
        {"blocks": "32-47", "zone": "Normal"},
        {"blocks": "48-63", "zone": "Movable"},
    ]
    assert [device["id"] for device in machine["state"]["devices"]] == ["dimm0", "virtiomem0"]
    said = " ".join(result.stderr.split())
    assert f"boot memory 4GiB <- {files['guest.xml']}, /domain/cpu/numa/cell" in said
    assert f"48 blocks of 128MiB, none of them offline <- {files['lsmem.txt']}, line 2 to line 6" in said
    assert "kernel 6.1 (to say otherwise: --kernel SERIES" in said
    assert "the host's page size is not modelled" in said
    # What was taken and assumed stands in the file, too.
    assert f"#   boot memory 4GiB <- {files['guest.xml']}" in result.stdout
    assert "#   kernel 6.1 (--kernel SERIES" in result.stdout


def test_with_out_the_file_loads_and_what_to_do_next_is_said(files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "new" / "guest.toml"
    result = run(*files.values(), "--out", str(out), "--policy", "auto-movable", "--kernel", "6.12")
    assert result.exit_code == 0
    assert result.stderr == ""
    experiment = load(out, idle=True)
    assert experiment.policies == ["auto-movable"]
    assert experiment.combinations[0].machine.spec.kernel == "6.12"
    assert f"memhp-sim plan {out} --plug dimm:1GiB" in result.stdout
    shipped = tomllib.loads(run(files["guest.xml"], "--policy", "as-shipped:by=rhel-10").stdout)["policies"]
    assert shipped == [{"name": "as-shipped", "by": "rhel-10", "label": "as-shipped, by rhel-10"}]
    before = out.read_bytes()
    again = run(files["guest.xml"], "--out", str(out))
    assert (again.exit_code, out.read_bytes()) == (BAD_INPUT, before)
    assert "is there already; --force writes over it" in again.stderr
    assert run(files["guest.xml"], "--out", str(out), "--force").exit_code == 0
    assert out.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing argument 'FILE...'"),
        (("nowhere.txt",), "nowhere.txt: cannot be read: No such file or directory"),
        (("guest.xml", "--out", "guest.txt"), "guest.txt: experiment files end in .toml"),
        (("guest.xml", "--boot-memory", "much"), "'much' is not a size"),
        (("guest.xml", "--policy", "best"), "unknown policy 'best'"),
        (("guest.xml", "--page-size", "8KiB"), "x86-64 has no pages of 8KiB"),
        (("guest.xml", "--kernel", "new"), "kernel 'new' has no series"),
        (("guest.xml", "--boot-memory", "100TiB"), "is more than"),
        (("guest.xml", "--architecture", "sparc"), "'sparc' is not one of"),
    ],
)
def test_what_is_wrong_is_told_in_words_with_exit_code_2(
    files: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    result = run(*(files.get(each, each) for each in arguments))
    assert result.exit_code == BAD_INPUT
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_json_has_experiment_and_account(files: dict[str, str]) -> None:
    found = json.loads(run(files["guest.xml"], files["lsmem.txt"], "--json").stdout)
    assert set(found) == {"experiment", "account"}
    assert set(found["account"]) == {"taken", "conflicts", "assumed", "unknown", "left_out"}
    assert {"what": "boot memory 4GiB", "file": files["guest.xml"], "place": "/domain/cpu/numa/cell"} in found[
        "account"
    ]["taken"]
    assert load(found["experiment"], idle=True).machines == ["imported"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_account_fits_the_screen(files: dict[str, str], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("--json", *files.values()).stdout, run(*files.values()).stderr.splitlines()
    long = [line for line in lines[1] if len(line) > width]
    # Only a single word, such as a path, may be longer than a line.
    assert not [line for line in long if len(line.split()) > 1 and not re.search(r"/\S{30}", line)]


def test_a_file_name_cannot_end_a_comment_or_talk_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\n[guest]\x1b[31m"
    path.write_text(LSMEM)
    result = run(str(path))
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout + result.stderr
    assert tomllib.loads(result.stdout)["guest"] == {"model": "linux"}


def test_figures_that_no_guest_can_have_are_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "free.txt"
    path.write_text(FREE.replace("5970000", "1048000").replace("5100000", "100000"))
    result = run(str(path), "--boot-memory", "1GiB")
    assert result.exit_code == 0
    assert tomllib.loads(result.stdout)["guest"] == {"model": "linux"}
    assert "They are left out" in " ".join(result.stderr.split())


def test_standard_input_is_a_file_called_minus(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "memhp_sim", "import", "-"]
    done = subprocess.run(command, input=LSMEM, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "standard input" in done.stderr
    assert tomllib.loads(done.stdout)["machines"][0]["boot_memory"] == "4GiB"


def test_every_combination_of_files_from_the_field_imports_or_says_why_not(shared_dir: Path, tmp_path: Path) -> None:
    field = sorted((shared_dir / "cases" / "field").glob("f16-*"))
    assert len(field) >= 4
    for count in range(1, len(field) + 1):
        for chosen in itertools.combinations(field, count):
            out = tmp_path / f"{'+'.join(path.stem + path.suffix for path in chosen)}.toml"
            result = run(*map(str, chosen), "--out", str(out))
            assert result.exit_code == 0, result.stderr
            machine = load(out, idle=True).combinations[0].machine.spec
            if any("lsmem" in path.name for path in chosen):
                assert machine.boot_memory == 82 * GIB
                assert machine.state is not None
                assert len(machine.state.blocks) == 5
            else:
                assert machine.boot_memory == GIB
            told = "f16-domain.xml does not describe the machine of the blocks" in result.stdout.replace("\n    ", " ")
            assert told == ({"f16-domain.xml"} < {path.name for path in chosen} and machine.boot_memory > GIB)


def test_what_an_option_says_is_checked(tmp_path: Path) -> None:
    (tmp_path / "lsmem.txt").write_text(LSMEM, "utf-8")
    for option, fault in (
        (("--kernel", ""), "kernel '' has no series such as 6.12 in it"),
        (("--boot-memory", "100GiB"), "--boot-memory: 100GiB are more than all blocks, 6GiB"),
        (("--boot-memory", "512MiB"), "2GiB of them are boot memory, of which the machine has 512MiB"),
        (("--policy", "nope"), "--policy 'nope': unknown policy 'nope'"),
    ):
        result = CliRunner().invoke(main, ["import", str(tmp_path / "lsmem.txt"), *option])
        assert (result.exit_code, fault in result.output) == (BAD_INPUT, True), result.output
