"""Logs of requests that say where a device lies: what they may say, and a run in which it decides what arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.fixed import OnlineKernel
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import ENOSPC
from sim.plugins.parameters import ParameterError
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.workloads.fake_host import calls
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "t_s,op,device,kind,size_bytes,address,max_bytes,count\n"


def written(folder: Path, rows: str) -> str:
    path = folder / "log.csv"
    path.write_text(HEADER + rows)
    return str(path)


def test_an_address_is_a_number_of_bytes_a_size_or_hexadecimal(tmp_path: Path) -> None:
    rows = "0,plug,a,dimm,1GiB,0x108000000,,\n1,plug,b,dax,2MiB,6GiB,,\n2,plug,c,virtio-mem,,8589934592,1GiB,\n"
    assert [call[3] for call in calls(RequestReplay(path=written(tmp_path, rows)))] == [
        DimmSpec("a", GIB, address=4 * GIB + 128 * MIB),
        DaxSpec("b", 2 * MIB, address=6 * GIB),
        VirtioMemSpec("c", GIB, address=8 * GIB),
    ]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("0,plug,a,dimm,1GiB,4097001,,", "line 2: address: must be a multiple of 4KiB, but is 4097001"),
        ("0,plug,a,dimm,1GiB,0xmany,,", "line 2: address: '0xmany' is not a size"),
        ("0,plug,a,dimm,1GiB,there,,", "line 2: address: "),
        ("0,plug,a,dimm,1GiB,8GiB,,2", "line 2: address: must be empty with a count"),
        ("0,plug,a,dimm,1GiB,,,\n1,unplug,a,,,8GiB,,", "line 3: address: must be empty with unplug"),
        (
            "0,plug,a,dimm,1GiB,8GiB,,\n1,plug,b,dax,1GiB,9214MiB,,",
            "line 3: address: 'a' lies from 0x200000000 on, 1GiB",
        ),
        ("0,plug,a,virtio-mem,,8GiB,4GiB,\n1,plug,b,dimm,1GiB,11GiB,,", "line 3: address: 'a' lies from"),
    ],
)
def test_faults_of_addresses(rows: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        RequestReplay(path=written(tmp_path, rows + "\n"))
    assert any(says in fault for fault in caught.value.faults), caught.value.faults


def test_an_address_is_free_again_once_its_device_was_asked_back(tmp_path: Path) -> None:
    rows = "0,plug,a,dimm,1GiB,8GiB,,\n1,unplug,a,,,,,\n2,plug,b,dimm,1GiB,8GiB,,\n"
    assert len(calls(RequestReplay(path=written(tmp_path, rows)))) == 3


def added(tmp_path: Path, rows: str) -> tuple[list[tuple[int, int]], list[int]]:
    """First block and blocks of what was added, and the errnos of what failed."""
    workload = RequestReplay(path=written(tmp_path, rows), tail=10.0)
    events = simulate(MachineSpec((NodeSpec(2 * GIB),)), OnlineKernel(), workload, Streams(1, 0)).events
    blocks = [(int(row[3]), int(row[4])) for row in events if row[1] in {EventKind.PLUG, EventKind.ADD}]
    return blocks, [int(row[5]) for row in events if row[1] == EventKind.FAILED]


def test_behind_a_device_of_an_odd_size_only_an_address_on_the_grid_brings_memory(tmp_path: Path) -> None:
    """As reported of nemu: behind an NVDIMM of 2 MiB a DIMM lies at 0x100200000, and nothing of it is added."""
    first = "0,plug,nv,dimm,2MiB,,,\n"
    assert added(tmp_path, first + "5,plug,d,dimm,1GiB,,,\n")[0] == []
    assert added(tmp_path, first + "5,plug,d,dimm,1GiB,0x108000000,,\n")[0] == [(33, 8)]


def test_an_address_where_no_device_can_lie_fails_when_it_is_plugged(tmp_path: Path) -> None:
    rows = "0,plug,a,dimm,1GiB,1GiB,,\n1,plug,b,dimm,1GiB,,,\n2,plug,c,dimm,1GiB,4GiB,,\n3,plug,d,dimm,1GiB,5GiB,,\n"
    blocks, failed = added(tmp_path, rows)
    assert blocks == [(32, 8), (40, 8)]
    assert failed == [ENOSPC, ENOSPC], "boot memory lies at 1 GiB, and b, which named none, at 4 GiB"
