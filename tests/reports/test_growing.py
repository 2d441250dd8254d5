"""Public reports of guests that grow: how far, by how much, where an add fails. Each from the report's own input."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from policies.contig_zones import ContigZones
from sim.engine import simulate
from sim.experiment.load import load
from sim.faults import InputError
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EINVAL
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, KIB, MIB
from tests.reports.told import LINUX, ONE_DIMM, experiment, imported, log, runs, scores, screen
from workloads.steps import Steps

if TYPE_CHECKING:
    from pathlib import Path

    from sim.incidents.runs import Run


def failures(run: Run) -> list[int]:
    """Errnos of what failed."""
    return [int(row[5]) for row in run.result.events if row[1] == EventKind.FAILED]


@pytest.mark.parametrize(("gib", "fits"), [(12, True), (13, True), (14, False), (15, False)])
def test_the_wall_of_a_kata_guest_follows_from_what_free_shows(gib: int, fits: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """kata-containers PR 4862, issue 1621: into 256 MiB 12 GiB go, 15 fail with ENOMEM; nothing in between was tried.

    The guest is known by ``free`` of another one, of 128 MiB (agent issue 363): 108 MiB in all, 22 in use.
    """
    free = {"mem_total": "108MiB", "used": "22MiB", "boot_memory": "128MiB"}
    tables = experiment({"boot_memory": "256MiB"}, {**ONE_DIMM, "sizes": [f"{gib}GiB"]}, guest={**LINUX, "as": free})
    run = runs(tables, tmp_path).one
    assert run.plugged_at_end == gib * GIB * fits
    assert (run.first_failed_add is None) == fits
    assert not run.died


FREE = """\
              total        used        free      shared  buff/cache   available
Mem:            108          22          61           0          25          77
Swap:             0           0           0
"""


def test_the_same_wall_comes_out_of_what_free_printed_as_it_was_pasted(tmp_path: Path) -> None:
    pasted, path = tmp_path / "free.txt", tmp_path / "kata.toml"
    pasted.write_text(FREE)
    imported(pasted, out=path)
    tables = tomllib.loads(path.read_text())
    assert tables["machines"][0]["boot_memory"] == "128MiB"
    tables["machines"][0]["boot_memory"] = "256MiB"
    tables["workloads"] = [
        {**ONE_DIMM, "label": f"{gib} GiB", "sizes": [f"{gib}GiB"]} for gib in (12, 15)
    ]  # fmt: skip
    both = runs(tables, tmp_path)
    assert [both.of(label).plugged_at_end // GIB for label in ("12 GiB", "15 GiB")] == [12, 0]
    assert not any(run.died for run in both)


VMEM_128 = """t_s,op,device,kind,size_bytes,block_bytes,max_bytes
0,plug,vmem0,virtio-mem,0,2MiB,256MiB
5,resize,vmem0,,128MiB,,
60,resize,vmem0,,0,,
"""


def test_a_guest_of_128_mib_grows_by_exactly_a_block(tmp_path: Path) -> None:
    """cloud-hypervisor issue 1593: MemTotal 98,740 kB, and with 128 MiB of virtio-mem 131,072 kB more."""
    free = {"mem_total": "98740KiB", "used": "21900KiB"}
    tables = experiment({"boot_memory": "128MiB"}, log(tmp_path, VMEM_128), guest={**LINUX, "as": free})
    run = runs(tables, tmp_path).one
    totals = run.sampled("mem_total") // KIB
    assert int(totals[0]) == 98_740
    assert int(max(totals)) == 98_740 + 131_072
    assert run.first_failed_add is None


def test_the_same_block_goes_into_the_guest_that_its_meminfo_describes(tmp_path: Path) -> None:
    pasted, path = tmp_path / "meminfo.txt", tmp_path / "micro.toml"
    figures = {"MemTotal": 98_740, "MemFree": 70_840, "Buffers": 0, "Cached": 5_000, "SReclaimable": 1_000}
    pasted.write_text("".join(f"{name + ':':14} {kib:9} kB\n" for name, kib in figures.items()))
    imported(pasted, out=path)
    tables = tomllib.loads(path.read_text())
    assert tables["machines"][0]["boot_memory"] == "128MiB"
    run = runs({**tables, "workloads": [log(tmp_path, VMEM_128)]}, tmp_path).one
    totals = run.sampled("mem_total") // KIB
    assert (int(totals[0]), int(max(totals))) == (98_740, 98_740 + 131_072)


@pytest.mark.parametrize(("size", "blocks"), [("128MiB", 0), ("1GiB", 1)])
def test_with_sections_of_1_gib_less_than_one_is_refused(size: str, blocks: int, tmp_path: Path) -> None:
    """kata-containers issues 1769 and 1841, arm64 of its time: sections and blocks of 1 GiB, memory from 1 GiB on."""
    rows = f"t_s,op,device,kind,size_bytes\n1,plug,dimm0,dimm,{size}\n"
    machine = {"boot_memory": "2GiB", "architecture": "arm64", "section_size": "1GiB"}
    run = runs(experiment(machine, log(tmp_path, rows)), tmp_path).one
    assert (run.result.boot.runs[0].first, run.result.block_pages) == (1, GIB // (4 * KIB))
    assert len(run.zones_in_order) == blocks
    assert failures(run) == [EINVAL] * (not blocks)


def test_with_pages_of_64_kib_blocks_have_512_mib_and_memmap_is_a_1024th(tmp_path: Path) -> None:
    """tp-libvirt PRs 6105 and 5830, arm64: device blocks of 512 MiB are what its tests use there."""
    rows = (
        "t_s,op,device,kind,size_bytes,block_bytes,max_bytes\n0,plug,vmem0,virtio-mem,0,512MiB,4GiB\n"
        "5,resize,vmem0,,512MiB,,\n35,resize,vmem0,,1GiB,,\n"
    )
    tables = experiment({"boot_memory": "2GiB", "page_size": "64KiB"}, log(tmp_path, rows), guest=LINUX)
    run = runs(tables, tmp_path).one
    assert run.result.block_pages * run.result.page_size == 512 * MIB
    assert run.plugged_at_end == GIB
    memmap = run.sampled("memmap")
    assert int(memmap[-1] - memmap[0]) == GIB // 1024


def test_where_nobody_puts_blocks_online_the_guest_stays_at_972_mib(tmp_path: Path) -> None:
    """home-assistant/operating-system issue 1156: Proxmox with 4 GiB, 1 GiB at boot; the guest sees 972 MiB."""
    dimms = {**ONE_DIMM, "slots": 6, "initial": 6, "sizes": ["512MiB"]}
    guest = {**LINUX, "as": {"mem_total": "972MiB", "used": "200MiB"}}
    tables = experiment({"boot_memory": "1GiB"}, dimms, policies=("offline", "contig-zones"), guest=guest)
    both = runs(tables, tmp_path)
    assert [int(both.of(name).sampled("mem_total")[-1]) // MIB for name in ("offline", "contig-zones")] == [972, 4044]
    assert scores(both.of("offline"))["arrived_share"] == 0
    shown = screen(tables, tmp_path)
    assert "Arrived [%] least [MiB] ──────────── ─────────── ──────────── offline 0 " in shown


NVDIMM_FIRST = "t_s,op,device,kind,size_bytes,address\n1,plug,nvdimm0,dax,2MiB,\n2,plug,dimm0,dimm,1GiB,"


@pytest.mark.parametrize(("address", "blocks"), [("", []), ("0x108000000", list(range(33, 41)))])
def test_behind_an_nvdimm_of_2_mib_a_dimm_needs_an_address(address: str, blocks: list[int], tmp_path: Path) -> None:
    """intel/nemu issue 48: it lands at 0x100200000 and nothing is added; aligned to 0x108000000 it is."""
    run = runs(experiment({"boot_memory": "2GiB"}, log(tmp_path, f"{NVDIMM_FIRST}{address}\n")), tmp_path).one
    online = [row for row in run.result.events.tolist() if row[1] in {EventKind.PLUG, EventKind.ONLINE}]
    assert [block for row in online for block in range(row[3], row[3] + row[4])] == blocks
    assert run.plugged_at_end == len(blocks) * 128 * MIB


def test_the_same_in_steps_as_they_are_typed() -> None:
    steps = ("plug dax:2MiB", "plug dimm:1GiB,address=0x108000000")
    result = simulate(MachineSpec((NodeSpec(2 * GIB),)), ContigZones(), Steps(steps=steps), Streams(1, 0))
    assert [(int(row[3]), int(row[4])) for row in result.events if row[1] == EventKind.PLUG] == [(33, 8)]


def test_device_blocks_of_6_mib_are_refused_with_what_would_be_right(tmp_path: Path) -> None:
    """cloud-hypervisor issue 985: a device block that is no power of two misbehaves in the guest."""
    rows = "t_s,op,device,kind,size_bytes,block_bytes,max_bytes\n0,plug,vmem0,virtio-mem,0,6MiB,6GiB\n"
    resize = {"name": "virtio-mem-resize", "label": "resize", "device_block": "6MiB", "maximum": "6GiB", "step": "6MiB"}
    with pytest.raises(InputError) as caught:
        load(experiment({"boot_memory": "1GiB"}, log(tmp_path, rows), resize), folder=tmp_path)
    told = [str(fault) for fault in caught.value.faults]
    right = "must be a power of two from 1MiB to 1TiB, but is 6MiB"
    assert told == [
        f"workloads[0].path: log.csv, line 2: block_bytes: {right}",
        f"workloads[1].device_block: {right}",
    ]
