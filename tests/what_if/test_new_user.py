"""From what somebody has of a machine to what adding memory would do: three commands, by what they print alone."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.units import GIB

if TYPE_CHECKING:
    from pathlib import Path

LSMEM = """\
RANGE                                 SIZE  STATE REMOVABLE BLOCK NODE   ZONES
0x0000000000000000-0x0000000007ffffff 128M online       yes     0    0    None
0x0000000008000000-0x00000000bfffffff 2.9G online       yes  1-23    0   DMA32
0x0000000100000000-0x000000013fffffff   1G online       yes 32-39    0  Normal
0x0000000140000000-0x000000017fffffff   1G online       yes 40-47    0 Movable

Memory block size:       128M
Total online memory:       5G
Total offline memory:      0B
"""
XML = """\
<domain type='kvm'>
  <name>shop</name>
  <maxMemory slots='4' unit='GiB'>64</maxMemory>
  <memory unit='GiB'>5</memory>
  <os><cmdline>memhp_default_state=online memory_hotplug.online_policy=auto-movable console=ttyS0</cmdline></os>
  <cpu><numa><cell id='0' cpus='0-3' memory='4' unit='GiB'/></numa></cpu>
  <devices>
    <memory model='dimm'>
      <target><size unit='GiB'>1</size><node>0</node></target>
      <alias name='dimm0'/><address type='dimm' slot='0' base='0x140000000'/>
    </memory>
  </devices>
</domain>
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "domain.xml").write_text(XML, "utf-8")
    (tmp_path / "lsmem.txt").write_text(LSMEM, "utf-8")
    monkeypatch.chdir(tmp_path)


def typed(command: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, shlex.split(command)[1:], env={"COLUMNS": "80"})
    assert result.exit_code == code, result.output
    return result.output


def test_three_commands_answer_what_comes_of_16_gib_and_what_comes_back() -> None:
    """A DIMM of 16 GiB is more than three times what boot memory carries: 128 blocks to the kernel zone, none safe."""
    imported = typed("memhp-sim import domain.xml lsmem.txt --out guest.toml")
    assert "memhp-sim plan guest.toml --plug" in imported, "what comes next is said"
    assert "KERNEL" in typed("memhp-sim show guest.toml")
    lines = typed("memhp-sim plan guest.toml --plug dimm:16GiB").splitlines()
    row = next(line.split() for line in lines if line.startswith("as booted *"))
    assert row[3:5] == ["0", "16GiB"]
    assert row[-4:] == ["no", "16GiB", "0", "0"]
    assert "    blocks 48-175 (16GiB, node 0) -> Normal" in lines
    assert any("ratio 301 %" in line for line in lines)
    movable = next(line.split() for line in lines if line.startswith("online-movable"))
    assert (movable[1], movable[-2]) == ("16GiB", "16GiB")


def test_one_command_does_it_too() -> None:
    found = json.loads(typed("memhp-sim plan domain.xml lsmem.txt --plug dimm:16GiB --json"))
    assert found["source"] == "domain.xml, lsmem.txt"
    assert any(remark.startswith("Assumed: kernel ") for remark in found["remarks"])
    own = next(outcome for outcome in found["outcomes"] if outcome["own"])
    assert (own["returned"], own["safe"]) == (16 * GIB, 0)
    assert own["before"]["devices"] == {"dimm0": GIB}


def test_figures_that_no_guest_can_have_are_left_out_and_told(tmp_path: Path) -> None:
    heading = "               total        used        free      shared  buff/cache   available"
    (tmp_path / "free.txt").write_text(
        f"{heading}\nMem:         5242000      100000     5100000        1000       42000     5100000\n"
    )
    found = json.loads(typed("memhp-sim plan domain.xml lsmem.txt free.txt --plug dimm:1GiB --json"))
    assert any("They are left out" in remark for remark in found["remarks"])


def test_what_the_machine_has_already_can_be_asked_back() -> None:
    found = json.loads(typed("memhp-sim plan domain.xml lsmem.txt --json"))
    assert found["back"] == ["unplug dimm0"]
    assert {(outcome["returned"], outcome["safe"]) for outcome in found["outcomes"]} == {(GIB, GIB)}


def test_help_leads_there() -> None:
    assert re.search(r"import +\S.*\n(.*\n)* +plan +", typed("memhp-sim --help"))
    assert "memhp-sim plan guest.toml --plug dimm:16GiB" in typed("memhp-sim import --help")
    assert "memhp-sim import" in typed("memhp-sim plan --help")


def test_files_that_cannot_be_a_machine_are_told() -> None:
    typed("memhp-sim import domain.xml lsmem.txt --out guest.toml")
    assert typed("memhp-sim plan guest.toml lsmem.txt", 2) == (
        "Error: guest.toml: is a machine by itself; leave out lsmem.txt\n"
    )
    assert "nowhere.txt" in typed("memhp-sim plan nowhere.txt --plug dimm:1GiB", 2)
