"""Logs of requests: what is read, what is refused and with which words, and when the requests are made."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.plugins.parameters import ParameterError
from sim.units import GIB, MIB
from tests.support.reach import Reach
from tests.workloads.fake_host import CHARACTERS, Character, calls
from workloads.parts.requests.columns import OPS
from workloads.parts.requests.log import __doc__ as format_text
from workloads.parts.table import MOST_FAULTS
from workloads.request_replay import SHIPPED, RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "t_s,op,device,kind,size_bytes,node,block_bytes,max_bytes,note\n"


def written(folder: Path, text: str | bytes, name: str = "log.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def faults_of(folder: Path, text: str | bytes, name: str = "log.csv") -> list[str]:
    with pytest.raises(ParameterError) as caught:
        RequestReplay(path=written(folder, text, name))
    return [fault.removeprefix(f"path: {name}") for fault in caught.value.faults]


def test_every_operation(tmp_path: Path) -> None:
    text = HEADER + (
        "0,plug,vmem0,virtio-mem,1GiB,1,8MiB,47GiB,\n"
        "0.5,plug,dimm0,dimm,1073741824,,,,\n"
        "0.5,plug,dax0,dax,8GiB,2,,,from a card\n"
        "2,resize,vmem0,,8388608,,,,\n"
        "3.25,unplug,dimm0,,,,,,\n"
        "3.25,demand,web,anonymous,1GiB,,,,\n"
        "4,plug,dimm0,dimm,2GiB,0,,,\n"
    )
    workload = RequestReplay(path=written(tmp_path, text), tail=6.0)
    assert calls(workload) == [
        (0, "plug", "vmem0", VirtioMemSpec("vmem0", 47 * GIB, 1, 8 * MIB, GIB)),
        (500_000, "plug", "dimm0", DimmSpec("dimm0", GIB)),
        (500_000, "plug", "dax0", DaxSpec("dax0", 8 * GIB, 2)),
        (2_000_000, "resize", "vmem0", 8 * MIB),
        (3_250_000, "unplug", "dimm0", None),
        (3_250_000, "set_demand", "web", ("anonymous", GIB)),
        (4_000_000, "plug", "dimm0", DimmSpec("dimm0", 2 * GIB)),
    ]
    assert workload.duration() == 10.0
    assert list(workload.node_capacity()) == [0, 1, 2]


def test_the_example_of_the_format_is_a_log(tmp_path: Path) -> None:
    assert format_text is not None
    example = format_text.split("::\n")[1].partition("and one with")[0]
    assert [call[:3] for call in calls(RequestReplay(path=written(tmp_path, example)))] == [
        (0, "plug", "vmem0"),
        (5_000_000, "resize", "vmem0"),
        (5_000_000, "plug", "dimm0"),
        (65_500_000, "unplug", "dimm0"),
    ]


def test_columns_may_be_few_and_in_any_order(tmp_path: Path) -> None:
    text = (
        '\ufeff# mine\r\n\r\n  size_bytes , "kind",device,op,t_s\r\n'
        "4GiB, dimm ,a,plug, 1\r\n # so far\r\n,,a,unplug,2\r\n"
    )
    expected = [(1_000_000, "plug", "a", DimmSpec("a", 4 * GIB)), (2_000_000, "unplug", "a", None)]
    assert calls(RequestReplay(path=written(tmp_path, text))) == expected
    packed = written(tmp_path, gzip.compress(text.encode()), "log.csv.gz")
    assert calls(RequestReplay(path=packed)) == expected


def test_all_faults_at_once_with_their_lines(tmp_path: Path) -> None:
    text = HEADER + (
        "# line 2 is a comment\n"
        "0,plug,vmem0,virtio-mem,3MiB,,2MiB,16GiB,\n"
        "1,plug,dimm0,dimm,,,2MiB,,\n"
        "soon,grow,x,,,,,,\n"
        "2,resize,vmem0,,1GiB,,,,\n"
        "2,unplug,dimm9,,,,,,\n"
        "1.5,plug,dimm1,dimm,1 GB,,,,\n"
        "3,plug,dimm2,dimm\n"
        "4,plug,dimm3,disk,1GiB,-1,,,\n"
        "5,plug,vmem1,virtio-mem,,,3MiB,,\n"
        '6,plug,"dimm4,dimm,1GiB,,,,\n'
    )
    assert faults_of(tmp_path, text) == [
        ", line 3: size_bytes: must be a multiple of 2MiB, but is 3MiB; the nearest are 2MiB and 4MiB",
        ", line 4: block_bytes: must be empty with a dimm device, but is '2MiB'",
        ", line 4: size_bytes: is needed with plug",
        ", line 5: t_s: must be a number of seconds, but is 'soon'",
        f", line 5: op: unknown word 'grow'. Valid: {', '.join(sorted(OPS))}",
        ", line 7: device: 'dimm9' is not plugged",
        ", line 8: t_s: must not be before the row above (2), but is '1.5'",
        ", line 9: has 4 fields, but there are 9 columns",
        ", line 10: kind: unknown word 'disk'. Valid: dax, dimm, virtio-mem",
        ", line 10: node: must be a whole number, but is '-1'",
        ", line 11: block_bytes: must be a power of two from 1MiB to 1TiB, but is 3MiB",
        ", line 11: max_bytes: is needed with plug",
        ", line 12: is not a line of CSV: unexpected end of data",
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("0,plug,a,dimm,1GiB,,,,\n1,plug,a,dimm,1GiB,,,,\n", "line 3: device: 'a' is plugged already"),
        ("0,plug,a,dimm,1GiB,,,,\n1,resize,a,,1GiB,,,,\n", "line 3: op: 'a' is no virtio-mem device"),
        ("0,plug,a,virtio-mem,0,,,1GiB,\n1,unplug,a,,,,,,\n", "line 3: op: virtio-mem device 'a' cannot be unplugged"),
        (
            "0,plug,a,virtio-mem,0,,,1GiB,\n1,resize,a,,2GiB,,,,\n",
            "line 3: size_bytes: must be at most the device's max",
        ),
        ("0,plug,a,virtio-mem,2GiB,,,1GiB,\n", "line 2: size_bytes: must be at most the device's max_bytes, 1GiB"),
        ("0,plug,a,virtio-mem,0,,,1GiB,\n1,resize,a,,1MiB,,,,\n", "line 3: size_bytes: must be a multiple of 2MiB"),
        ("0,plug,a,virtio-mem,0,,,1GiB,\n1,resize,a,,,,,,\n", "line 3: size_bytes: is needed with resize"),
        ("0,resize,a,,1GiB,,,,\n", "line 2: device: 'a' is not plugged"),
        ("0,plug,a,dimm,1000,,,,\n", "line 2: size_bytes: must be a multiple of 4KiB, but is 1000B"),
        ("0,plug,,dimm,1GiB,,,,\n", "line 2: device: must be a name"),
        ("0,plug,a,dimm,1GiB,1,,,\n1,unplug,a,,,1,,,\n", "line 3: node: must be empty with unplug, but is '1'"),
        ("0,demand,a,,1GiB,,,,\n", "line 2: kind: unknown word ''"),
        ("0,demand,a,anon,1GiB,,,,\n", "line 2: kind: unknown word 'anon'"),
        (
            "0,demand,a,tmpfs,1GiB,,,,\n1,demand,a,pinned,1GiB,,,,\n",
            "line 3: kind: 'a' is tmpfs in a row above, and cannot be pinned",
        ),
        ("nan,demand,a,anonymous,1GiB,,,,\n", "line 2: t_s: must be a number of seconds, but is nan"),
        ("1e300,demand,a,anonymous,1GiB,,,,\n", "line 2: t_s: must be at most"),
        ("-1,demand,a,anonymous,1GiB,,,,\n", "line 2: t_s: must be no less than 0 seconds"),
        (f"0,demand,a,anonymous,{'9' * 5000},,,,\n", "line 2: size_bytes: '99"),
        (f"0,plug,a,dimm,1GiB,{'9' * 5000},,,\n", "line 2: node: must be a whole number, but is '99"),
        ("0,plug,a,dimm,1GiB,²,,,\n", "line 2: node: must be a whole number, but is '"),
    ],
)
def test_a_faulty_row(tmp_path: Path, rows: str, expected: str) -> None:
    found = faults_of(tmp_path, HEADER + rows)
    assert any(fault.startswith(f", {expected}") for fault in found), found
    assert all(len(fault) < 400 for fault in found)


def test_one_fault_is_not_blamed_on_later_rows(tmp_path: Path) -> None:
    rows = "0,plug,a,dimm,lots,,,,\n1,unplug,a,,,,,,\n2,plug,a,dimm,1GiB,,,,\n"
    assert [fault[:8] for fault in faults_of(tmp_path, HEADER + rows)] == [", line 2"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "holds no rows"),
        ("# nothing\n\n", "holds no rows"),
        (HEADER, "holds no request"),
        ("time,what\n1,2\n", "there is no column t_s"),
        (HEADER.replace(",", ";"), ", line 1: its fields are separated by ';'; separate them by commas"),
        (f"{HEADER}1764151200.5,unplug,a,,,,,,\n", "'1764151200.5': of Unix times take off that of the first row"),
        ("t_s,op,device,kind,kind\n0,unplug,a,,\n", "there are 2 columns 'kind'"),
        ("t_s,op,device,knid\n0,unplug,a,\n", "unknown column 'knid'; did you mean 'kind'?"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not text in UTF-8 (byte 0 is 0x89)"),
        (HEADER.encode("utf-16"), "is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_log(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert any(expected in fault for fault in faults_of(tmp_path, content))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert faults_of(tmp_path, b"not gzip", "log.csv.gz") == [
        ": is not the gzip file that its name says, or is cut short"
    ]
    assert faults_of(tmp_path, gzip.compress(HEADER.encode())[:-9], "log.csv.gz")[0].endswith("is cut short")
    with pytest.raises(ParameterError, match="No such file"):
        RequestReplay(path=str(tmp_path / "none.csv"))
    with pytest.raises(ParameterError, match="is a folder, not a file"):
        RequestReplay(path=str(tmp_path))
    with pytest.raises(ParameterError, match=r"path: .* cannot be read: File name too long"):
        RequestReplay(path=str(tmp_path / ("x" * 5000)))


def test_a_file_full_of_faults_is_cut_off(tmp_path: Path) -> None:
    found = faults_of(tmp_path, HEADER + "x\n" * (MOST_FAULTS + 7))
    assert len(found) == MOST_FAULTS + 1
    assert found[-1] == ": and 7 more like these"


#: Rows that a log of a virtio-mem device, a DIMM and a load may have, at any place; and what a field may hold instead.
ROWS = (
    "{t},plug,v,virtio-mem,0,,2MiB,1GiB,",
    "{t},plug,d,dimm,1GiB,1,,,x",
    "{t},unplug,d,,,,,,",
    "{t},resize,v,,2MiB,,,,",
    "{t},resize,v,,1GiB,,,,",
    "{t},demand,web,anonymous,4KiB,,,,",
)
FIELDS = (
    "",
    "0",
    "1",
    "plug",
    "unplug",
    "resize",
    "a",
    "v",
    "d",
    "dimm",
    "virtio-mem",
    "1GiB",
    "3MiB",
    "4KiB",
    "x",
    '"',
)
LOGS = Reach(
    {f"accepted with a {verb}": 5 for verb in ("plug", "unplug", "resize", "set_demand")}
    | {"accepted": 8, "refused for one fault": 10, "refused for several": 10, "a row was damaged": 20}
)


@st.composite
def logs(draw: st.DrawFn) -> list[str]:
    """Return a few rows, some in an order that makes no sense, some with a field of another kind."""
    rows = []
    for t in range(draw(st.integers(1, 6))):
        row = ROWS[t] if t < 2 and draw(st.integers(0, 5)) else draw(st.sampled_from(ROWS[2:] * 3 + ROWS[:2]))
        fields = row.format(t=t).split(",")
        if draw(st.integers(0, 9)) == 0:
            fields[draw(st.integers(0, len(fields) - 1))] = draw(st.sampled_from(FIELDS))
            LOGS("a row was damaged")
        rows.append(",".join(fields))
    return rows


BYTES = Reach({"not UTF-8": 5, "not a line of CSV": 3, "too few fields": 5, "a field of a row": 5, "anything else": 0})
BAD_ROWS = st.lists(
    st.lists(st.sampled_from(FIELDS) | st.text(max_size=5), min_size=9, max_size=9).map(",".join), min_size=1
)


@BYTES.test(examples=72)
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | BAD_ROWS.map(lambda rows: "\n".join(rows).encode())
)
def test_no_file_gives_anything_but_words(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    assert faults_of(folder, content)
    for fault in faults_of(folder, HEADER.encode() + content)[:1]:
        field = any(f": {column}: " in fault for column in HEADER.strip().split(","))
        words = {"not UTF-8": "UTF-8", "not a line of CSV": "line of CSV", "too few fields": " fields, but there are"}
        told = [kind for kind, word in words.items() if word in fault]
        BYTES(told[0] if told else "a field of a row" if field else "anything else")


@LOGS.test(examples=90)
@given(logs())
def test_what_is_accepted_can_be_replayed(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> None:
    text = HEADER + "".join(f"{row}\n" for row in rows)
    try:
        workload = RequestReplay(path=written(tmp_path_factory.mktemp("any"), text))
    except ParameterError as error:
        assert all(fault.startswith("path: log.csv, line ") for fault in error.faults)  # noqa: PT017
        LOGS("refused for one fault" if len(error.faults) == 1 else "refused for several")
    else:
        LOGS("accepted")
        asked = calls(workload)
        verbs = ["set_demand" if row.split(",")[1] == "demand" else row.split(",")[1] for row in rows]
        assert [verb for _, verb, *_ in asked] == verbs
        assert [now for now, *_ in asked] == [int(row.split(",")[0] or 0) * 1_000_000 for row in rows]
        for verb in set(verbs):
            LOGS(f"accepted with a {verb}")


def test_speed_and_repeat(tmp_path: Path) -> None:
    rows = (
        "1,plug,v,virtio-mem,1GiB,,,4GiB,\n1,plug,d,dimm,1GiB,,,,\n"
        "3,resize,v,,2GiB,,,,\n5,plug,e,dimm,1GiB,,,,\n6,unplug,e,,,,,,\n"
    )
    workload = RequestReplay(path=written(tmp_path, HEADER + rows), speed=2.0, repeat=2, tail=10.0)
    once = [(500_000, "plug", "v"), (500_000, "plug", "d"), (1_500_000, "resize", "v"), (2_500_000, "plug", "e")]
    again = [(500_000, "resize", "v"), (1_500_000, "resize", "v"), (2_500_000, "plug", "e")]
    last = (3_000_000, "unplug", "e")
    assert [call[:3] for call in calls(workload)] == [
        *once,
        last,
        *((13_000_000 + now, verb, device) for now, verb, device in [*again, last]),
    ]
    assert [call[3] for call in calls(workload) if call[1] == "resize"] == [2 * GIB, GIB, 2 * GIB]
    assert workload.duration() == 26.0


def test_only_the_first_plug_of_what_stayed_is_left_out(tmp_path: Path) -> None:
    rows = "0,plug,d,dimm,1GiB,,,,\n1,unplug,d,,,,,,\n2,plug,d,dimm,2GiB,,,,\n"
    requests = calls(RequestReplay(path=written(tmp_path, HEADER + rows), repeat=2, tail=8.0))
    assert [(now // 1_000_000, verb) for now, verb, *_ in requests] == [
        (0, "plug"),
        (1, "unplug"),
        (2, "plug"),
        (11, "unplug"),
        (12, "plug"),
    ]


@pytest.mark.parametrize("log", SHIPPED)
@pytest.mark.parametrize("character", CHARACTERS)
def test_a_replay_does_not_mind_the_guest(log: str, character: Character) -> None:
    assert calls(RequestReplay(log=log, repeat=2), character) == calls(RequestReplay(log=log, repeat=2))


def facts(shared: Path, log: str) -> list[dict[str, str]]:
    with (shared / "data" / "kernel-hotplug-logs" / "events.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["log"] == log]


@pytest.mark.parametrize("log", SHIPPED)
def test_shipped_logs_tell_what_the_kernels_logged(shared_dir: Path, log: str) -> None:
    requests = calls(RequestReplay(log=log))
    logged = [
        (round(float(row["uptime_s"]) * 1e6), int(row["requested_bytes"]))
        for row in facts(shared_dir, log)
        if row["event"] == "request"
    ]
    assert [(now, what) for now, verb, _, what in requests if verb == "resize"] == logged
    found = [round(float(row["uptime_s"]) * 1e6) for row in facts(shared_dir, log) if row["event"] == "config"]
    assert [now for now, verb, *_ in requests if verb == "plug"] == (found or [0])


def test_shipped_devices() -> None:
    devices: dict[str, Any] = {log: calls(RequestReplay(log=log))[0][3] for log in SHIPPED}
    assert devices == {
        "neonvm-pr705": VirtioMemSpec("vmem0", max_size=47 * GIB, block_size=8 * MIB),
        "sail-2026": VirtioMemSpec("vmem0", max_size=16 * GIB, block_size=2 * MIB),
    }
