"""Logs of requests: many DIMMs in one row, dax devices of several ranges and what user space does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.plugins.parameters import ParameterError
from sim.units import GIB, MIB
from tests.workloads.fake_host import calls
from workloads.parts.requests.log import __doc__ as format_text
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "t_s,op,device,kind,size_bytes,gap_bytes,count,interval_s,state\n"


def written(folder: Path, text: str) -> str:
    path = folder / "log.csv"
    path.write_text(text)
    return str(path)


def test_the_second_example_of_the_format_is_a_log(tmp_path: Path) -> None:
    assert format_text is not None
    example = format_text.split("::\n")[2]
    made = calls(RequestReplay(path=written(tmp_path, example)))
    dimms = [(500_000 * n, "plug", f"dimm{n}", DimmSpec(f"dimm{n}", 512 * MIB)) for n in range(32)]
    assert made == [
        *dimms,
        (20_000_000, "plug", "cxl", DaxSpec("cxl", 5 * GIB // 2, ranges=(GIB, 3 * GIB // 2), gap=512 * MIB)),
        (30_000_000, "set_dax_state", "cxl", "unplugged"),
        (30_500_000, "online_memory", "cxl", "online_movable"),
        (31_000_000, "unbind", "cxl", None),
        (40_000_000, "bind", "cxl", None),
        (50_000_000, "unplug", "dimm31", None),
    ]


def test_what_many_dimms_take_is_woven_into_the_rows_behind(tmp_path: Path) -> None:
    text = HEADER + (
        "0,plug,a,dimm,1GiB,,3,10,\n"
        "5,plug,b,dimm,1GiB+1GiB,2MiB,,,\n"
        "10,unplug,a1,,,,,,\n"
        "20,plug,a1,dimm,2GiB,,,,\n"
        "20,plug,c,dimm,1GiB,,2,,\n"
    )
    workload = RequestReplay(path=written(tmp_path, text), tail=1.0)
    assert [call[:3] for call in calls(workload)] == [
        (0, "plug", "a0"),
        (5_000_000, "plug", "b"),
        (10_000_000, "plug", "a1"),
        (10_000_000, "unplug", "a1"),
        (20_000_000, "plug", "a2"),
        (20_000_000, "plug", "a1"),
        (20_000_000, "plug", "c0"),
        (20_000_000, "plug", "c1"),
    ]
    assert calls(workload)[1][3] == DimmSpec("b", 2 * GIB, ranges=(GIB, GIB), gap=2 * MIB)
    assert workload.duration() == 21.0
    assert workload.needs_kernel() is None


def test_only_a_state_needs_a_newer_kernel(tmp_path: Path) -> None:
    log = HEADER + "0,plug,x,dax,1GiB,,,,\n1,unbind,x,,,,,,\n2,bind,x,,,,,,\n"
    log += "2,online,x,,,,,,online\n"
    assert RequestReplay(path=written(tmp_path, log)).needs_kernel() is None
    assert RequestReplay(path=written(tmp_path, log + "3,state,x,,,,,,online\n")).needs_kernel() == "7.3"


def test_any_device_can_be_told_where_to_lie(tmp_path: Path) -> None:
    text = (
        "t_s,op,device,kind,size_bytes,max_bytes,address\n"
        "0,plug,d,dimm,1GiB,,5GiB\n0,plug,x,dax,1GiB,,8GiB\n0,plug,v,virtio-mem,0,4GiB,12GiB\n"
    )
    specs = [call[3] for call in calls(RequestReplay(path=written(tmp_path, text)))]
    assert specs == [
        DimmSpec("d", GIB, address=5 * GIB),
        DaxSpec("x", GIB, address=8 * GIB),
        VirtioMemSpec("v", 4 * GIB, address=12 * GIB),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("0,state,x,,,,,,online", "line 2: device: 'x' is not plugged"),
        ("0,plug,x,dimm,1GiB,,,,\n0,unbind,x,,,,,,", "line 3: op: 'x' is no dax device; there is no unbind of others"),
        (
            "0,plug,x,dax,1GiB,,,,\n0,state,x,,,,,,offline",
            "line 3: state: unknown word 'offline'; did you mean 'online'?",
        ),
        ("0,plug,x,dax,1GiB,,,,\n0,state,x,,,,,,", "line 3: state: unknown word ''"),
        ("0,plug,x,dax,1GiB,,,,\n0,online,x,,,,,,unplugged", "line 3: state: unknown word 'unplugged'"),
        ("0,plug,x,dimm,1GiB,,,,\n0,online,x,,,,,,online", "line 3: op: 'x' is no dax device; there is no online of"),
        ("0,plug,x,dax,1GiB,,,,\n0,bind,x,,,,,,online", "line 3: state: must be empty with bind, but is 'online'"),
        ("0,plug,x,dax,1GiB,,2,,", "line 2: count: must be empty with a dax device, but is '2'"),
        ("0,plug,x,dimm,1GiB,,0,,", "line 2: count: must be from 1 to 256, but is 0"),
        ("0,plug,x,dimm,1GiB,,257,,", "line 2: count: must be from 1 to 256, but is 257"),
        ("0,plug,x,dimm,1GiB,,many,,", "line 2: count: must be a whole number, but is 'many'"),
        ("0,plug,x,dimm,1GiB,,2,-1,", "line 2: interval_s: "),
        ("0,plug,x,dimm,1GiB,,2,soon,", "line 2: interval_s: must be a number of seconds, but is 'soon'"),
        ("0,plug,x,dimm,1GiB,,,1,", "line 2: interval_s: needs a count"),
        ("0,plug,x,dimm,1GiB,,2,9,\n8,unplug,x1,,,,,,", "line 3: t_s: 'x1' is plugged later, at 9"),
        ("0,plug,x1,dimm,1GiB,,,,\n8,plug,x,dimm,1GiB,,2,,", "line 3: device: 'x1' is plugged already"),
        ("0,plug,x,dax,1GiB,1MiB,,,", "line 2: gap_bytes: needs several ranges in size_bytes, such as 1GiB+2GiB"),
        ("0,plug,x,dax,1GiB+,1MiB,,,", "line 2: size_bytes: is needed with plug"),
        ("0,plug,x,dax,1GiB+5,,,,", "line 2: size_bytes: must be a multiple of 4KiB, but is 5"),
        ("0,plug,x,virtio-mem,1GiB,1MiB,,,", "line 2: gap_bytes: must be empty with a virtio-mem device"),
    ],
)
def test_faults_of_the_new_columns(row: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        RequestReplay(path=written(tmp_path, HEADER + row + "\n"))
    assert any(says in fault for fault in caught.value.faults), caught.value.faults
