"""Machines of public reports: their blocks come out to the number, and print as lsmem printed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.load import load
from sim.machine.boot_layout import lay_out
from sim.memory.zones import ZONE_NORMAL
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.reports.told import experiment, imported, log, runs

if TYPE_CHECKING:
    from pathlib import Path

CXL = """\
RANGE                                 SIZE  STATE REMOVABLE BLOCK NODE  ZONES
0x0000000000000000-0x000000007fffffff   2G online       yes     0    0   None
0x0000000080000000-0x00000000ffffffff   2G online       yes     1    0  DMA32
0x0000000100000000-0x0000000fffffffff  60G online       yes  2-31    0 Normal
0x0000001000000000-0x000000107fffffff   2G online       yes    32    0   None
0x0000001080000000-0x000000147fffffff  16G online       yes 33-40    1 Normal

Memory block size:         2G
Total online memory:      82G
Total offline memory:      0B
"""
"""linux-kernel 2022-08-29 (20220829232554.53763-1): 64 GiB, and 16 GiB of CXL memory on a node without CPUs."""


def shown(*files: Path) -> str:
    done = CliRunner().invoke(main, ["show", *map(str, files)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_blocks_of_the_cxl_machine_come_out_to_the_number(tmp_path: Path) -> None:
    """Memory of node 0 ends within block 32, where that of node 1 goes on: such a block has no zone of its own."""
    nodes = [{"boot_memory": "64GiB", "cpus": True}, {"boot_memory": "16GiB"}]
    path = tmp_path / "cxl.toml"
    path.write_text(
        tomli_w.dumps({"machines": [{"nodes": nodes, "block_size": "2GiB"}], "policies": [{"name": "kernel"}]})
    )
    pasted = tmp_path / "lsmem.txt"
    pasted.write_text(CXL)
    assert shown(path).startswith(CXL)
    assert shown(pasted).startswith(CXL)


def test_the_cxl_machine_comes_out_of_its_lsmem_as_it_went_in(tmp_path: Path) -> None:
    pasted, path = tmp_path / "lsmem.txt", tmp_path / "cxl.toml"
    pasted.write_text(CXL)
    imported(pasted, out=path)
    assert shown(path).startswith(CXL)
    nodes = load(path, idle=True).combinations[0].machine.spec.nodes
    assert nodes[1].boot_memory == 16 * GIB


CELLS = """\
<domain type='kvm'>
  <os><type arch='x86_64' machine='pc-i440fx-8.2'>hvm</type></os>
  <cpu><numa><cell id='0' cpus='0-7' memory='64' unit='GiB'/><cell id='1' memory='16' unit='GiB'/></numa></cpu>
</domain>
"""


def test_blocks_that_nodes_share_have_what_the_host_gave_each_node(tmp_path: Path) -> None:
    """The blocks of node 0 make 66 GiB: block 1 begins with a GiB below the hole, block 32 ends with one of node 1."""
    pasted, host, path = tmp_path / "lsmem.txt", tmp_path / "host.xml", tmp_path / "cxl.toml"
    pasted.write_text(CXL)
    host.write_text(CELLS)
    imported(pasted, host, out=path)
    machine = load(path, idle=True).combinations[0].machine.spec
    assert [node.boot_memory for node in machine.nodes] == [64 * GIB, 16 * GIB]
    assert not any("several zones" in line or "other blocks" in line for line in lay_out(machine).assumed)
    assert "1  Normal      8  16G     16G" in shown(path)
    assert shown(path).startswith(CXL)


def test_cxl_memory_that_is_added_later_gets_the_same_blocks(tmp_path: Path) -> None:
    """As a dax device where firmware has its window, at 66 GiB: blocks 33 to 40, all Normal, on node 1."""
    rows = "t_s,op,device,kind,size_bytes,node,address\n1,plug,cxl0,dax,16GiB,1,0x1080000000\n"
    machine = {"nodes": [{"boot_memory": "64GiB"}, {"boot_memory": 0}], "block_size": "2GiB"}
    run = runs(experiment(machine, log(tmp_path, rows)), tmp_path).one
    (plugged,) = (row for row in run.result.events.tolist() if row[1] == EventKind.PLUG)
    assert plugged[3:6] == [33, 8, ZONE_NORMAL]
    assert run.result.device_nodes == (1,)
