"""Runs whose requests are recorded: the log says what was asked, and replayed gives the same run byte for byte."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from policies.udev import Udev
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.faults import InputError
from sim.guest.contract import DemandKind
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins import lookup
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.cells import Script
from tests.support.recorded_runs import Anything, differences, run_and_replay
from workloads.parts.requests.columns import OPS
from workloads.parts.requests.kept import KeptRequests
from workloads.parts.requests.log import RequestLog, read_request_log
from workloads.parts.requests.recording import Recorded
from workloads.parts.requests.request import Request
from workloads.parts.requests.writer import csv_lines, jsonl_lines
from workloads.parts.together import Together
from workloads.request_replay import RequestReplay
from workloads.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    import simpy

    from sim.record.run_result import RunResult
    from workloads.contract import Host, Workload
    from workloads.contract import Streams as StreamsContract

MACHINE = MachineSpec((NodeSpec(2 * GIB), NodeSpec(0)), kernel="7.3", slots=2)
DIMM = DimmSpec('a, "b" ü/💾', 384 * MIB, 1, 64 * GIB, 1, (256 * MIB, 128 * MIB), 128 * MIB)
VMEM = VirtioMemSpec("v", GIB, 1, 4 * MIB, 256 * MIB, 65 * GIB, unplug_online=False, force_bbm=True, bbm_block_size=MIB)
DAX = DaxSpec("x", 256 * MIB, 1, 66 * GIB, bytes_for_pages=True, self_host=True)


class Asks(Script):
    """Does what it is given, and then ends the run or not."""

    def __init__(self, does: Callable[[Host], Iterable[Any]], *, ends_run: bool = False, seconds: float = 100) -> None:
        super().__init__(seconds=seconds)
        self._does = does
        self.ends_run = ends_run  # type: ignore[misc]

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        for wait in self._does(host):
            yield host.env.timeout(wait)


def simulated(workload: Workload, timing: Timing | None = None) -> RunResult:
    return simulate(MACHINE, Udev(delay=0.0), workload, Streams(1, 0), guest=GuestSpec(), timing=timing)


def recorded(does: Callable[[Host], Iterable[Any]], timing: Timing | None = None) -> list[Request]:
    workload = Recorded(Asks(does))
    simulated(workload, timing)
    return workload.log


def read_back(log: Sequence[Request], folder: Path, form: str) -> RequestLog:
    path = folder / f"log.{form}"
    lines = csv_lines(log, "a run") if form == "csv" else jsonl_lines(log, "a run")
    path.write_text("".join(lines), "utf-8")
    return read_request_log(path)


def everything(host: Host) -> Iterable[int]:
    """Ask for one thing of each kind, with everything that can be said of it."""
    host.plug(DIMM)
    host.plug(VMEM)
    host.plug(DAX)
    host.plug(DimmSpec("no room", -GIB, 7))
    yield 1_500_001
    host.resize("v", 512 * MIB)
    host.resize("v", 3)
    yield 0
    host.set_demand("l", "anonymous", 100 * MIB, wanted=GIB)
    host.set_demand("p", "processes", 7, node=0)
    host.set_demand("l", "sideways", -1, node=9)
    yield 20_000_000
    host.drop_caches(slab=False)
    host.drop_caches()
    host.set_dax_state("x", "unplugged")
    host.online_memory("x", "online_movable")
    host.unplug(DIMM.id)
    host.keep(DIMM.id)
    host.keep("nothing")
    yield 10_000_000
    host.online_memory("x", "online_kernel")
    host.online_memory("x", "offline")
    host.unbind("x")
    host.bind("nothing")


EVERYTHING = [
    Request(0, "plug", DIMM.id, DIMM),
    Request(0, "plug", "v", VMEM),
    Request(0, "plug", "x", DAX),
    Request(0, "plug", "no room", DimmSpec("no room", -GIB, 7), refused=True),
    Request(1_500_001, "resize", "v", size=512 * MIB),
    Request(1_500_001, "resize", "v", size=3, refused=True),
    Request(1_500_001, "demand", "l", size=100 * MIB, wanted=GIB, kind="anonymous", turn=1),
    Request(1_500_001, "demand", "p", size=7, kind="processes", turn=1),
    Request(1_500_001, "demand", "l", size=-1, kind="sideways", node=9, turn=1, refused=True),
    Request(21_500_001, "drop-caches", "", state="1"),
    Request(21_500_001, "drop-caches", "", state="3"),
    Request(21_500_001, "state", "x", state="unplugged"),
    Request(21_500_001, "online", "x", state="online_movable", refused=True),
    Request(21_500_001, "unplug", DIMM.id),
    Request(21_500_001, "keep", DIMM.id),
    Request(21_500_001, "keep", "nothing", refused=True),
    Request(31_500_001, "online", "x", state="online_kernel"),
    Request(31_500_001, "online", "x", state="offline", refused=True),
    Request(31_500_001, "unbind", "x"),
    Request(31_500_001, "bind", "nothing", refused=True),
]


def test_everything_that_is_asked_stands_in_the_log_with_all_that_was_said_of_it() -> None:
    assert recorded(everything) == [*EVERYTHING, Request(100_000_000, "end", "")]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_log_is_read_back_as_it_was_written(tmp_path: Path, form: str) -> None:
    stop, end = Request(31_500_001, "stop", "", turn=2), Request(100_000_000, "end", "")
    assert read_back([*EVERYTHING, stop, end], tmp_path, form) == RequestLog(
        KeptRequests(EVERYTHING), stop, 100_000_000
    )


def test_a_csv_file_has_the_columns_that_its_rows_need() -> None:
    text = "".join(csv_lines([*EVERYTHING[4:7], EVERYTHING[9]], "a run"))
    assert text == (
        "t_s,op,device,kind,size_bytes,wanted_bytes,state,turn,refused\n"
        "1.500001,resize,v,,536870912,,,,\n"
        "1.500001,resize,v,,3,,,,yes\n"
        "1.500001,demand,l,anonymous,104857600,1073741824,,1,\n"
        "21.500001,drop-caches,,,,,1,,\n"
    )


def test_a_jsonl_file_has_numbers_for_numbers_and_leaves_out_what_is_empty() -> None:
    lines = list(jsonl_lines([EVERYTHING[5], EVERYTHING[1]], "a run"))
    assert json.loads(lines[0]) == {"t_s": 1.500001, "op": "resize", "device": "v", "size_bytes": 3, "refused": True}
    assert json.loads(lines[1]) == {
        "t_s": 0.0, "op": "plug", "device": "v", "kind": "virtio-mem", "size_bytes": 256 * MIB, "max_bytes": GIB,
        "node": 1, "block_bytes": 4 * MIB, "address": 65 * GIB, "unplug_online": False, "force_bbm": True,
        "bbm_block_bytes": MIB,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["two\nlines", " blank", "half \ud800"])
def test_a_name_that_csv_cannot_hold_is_refused_in_words(name: str) -> None:
    with pytest.raises(InputError, match="cannot hold the name"):
        list(csv_lines([Request(0, "unplug", name)], "a run"))


def test_jsonl_holds_names_that_csv_cannot(tmp_path: Path) -> None:
    requests = [Request(0, "unplug", name, refused=True) for name in ("two\nlines", " blank ")]
    assert read_back(requests, tmp_path, "jsonl").requests == requests


def test_parts_of_a_composition_stand_there_with_their_full_names() -> None:
    workload = Recorded(Together(parts=[Asks(in_turns), Steps(steps=["plug dimm:1GiB,id=d"])], names=["ü", "b"]))
    simulated(workload)
    assert [request.device for request in workload.log] == ["ü/d", "ü/e", "ü/d", "b/d", ""]


def test_devices_that_the_machine_has_stand_at_the_head_and_can_be_resized(tmp_path: Path) -> None:
    machine = replace(MACHINE, cold_devices=(VirtioMemSpec("cold", GIB),))
    workload = Recorded(Asks(lambda host: [3, host.resize("cold", GIB)]), machine.cold_devices)
    simulate(machine, Udev(), workload, Streams(1, 0))
    head = Request(0, "attached", "cold", VirtioMemSpec("cold", GIB))
    assert workload.log == [head, Request(0, "resize", "cold", size=GIB), Request(100_000_000, "end", "")]
    assert read_back(workload.log, tmp_path, "csv").requests == workload.log[1:2]


def in_turns(host: Host) -> Iterable[int]:
    """Plug a DIMM, and ask for it back at the same microsecond once user space has put it online."""
    yield 5
    host.plug(DimmSpec("d", 256 * MIB))
    yield 0
    host.plug(DimmSpec("e", 256 * MIB))
    host.unplug("d")


@pytest.mark.parametrize("ends_run", [False, True])
@pytest.mark.parametrize("does", [everything, in_turns])
def test_the_end_of_a_run_is_the_same_whoever_ends_it(
    tmp_path: Path, does: Callable[[Host], Iterable[int]], *, ends_run: bool
) -> None:
    workload = Recorded(Asks(does, ends_run=ends_run))
    result = simulated(workload, Timing.instant())
    read_back(workload.log, tmp_path, "csv")
    again = simulated(RequestReplay(path=str(tmp_path / "log.csv")), Timing.instant())
    assert differences(result, again) == []
    assert result.duration_us == (100_000_000 if not ends_run else 5 if does is in_turns else 31_500_001)


def test_requests_of_one_moment_are_made_in_the_turns_in_which_they_were(tmp_path: Path) -> None:
    """User space puts the DIMM online between two requests of one microsecond; made in one go, they end otherwise."""
    log = recorded(in_turns, Timing.instant())
    assert [(request.device, request.turn) for request in log[:-1]] == [("d", 0), ("e", 1), ("d", 1)]
    read_back(log, tmp_path, "csv")
    original = simulated(Asks(in_turns), Timing.instant())
    replayed = simulated(RequestReplay(path=str(tmp_path / "log.csv")), Timing.instant())
    assert differences(original, replayed) == []
    read_back([replace(request, turn=0) for request in log], tmp_path, "csv")
    in_one_go = simulated(RequestReplay(path=str(tmp_path / "log.csv")), Timing.instant())
    assert differences(original, in_one_go) != []


def check(numbers: Iterable[int], folder: Path) -> Counter[str]:
    """Run and replay, and return how often what happened."""
    counts: Counter[str] = Counter()
    for number in numbers:
        this, result, replayed, workload = run_and_replay(number, folder)
        assert differences(result, replayed) == [], this.about
        if number % 5 == 0:
            unheard = this.simulate(this.workload())
            assert differences(result, unheard) == [], f"{this.about}, recorded or not"
        counts[this.about.split(": ")[1].partition(" on ")[0]] += 1
        counts.update(f"op {request.op}" for request in workload.log)
        counts["refused"] += any(request.refused for request in workload.log)
        counts["in turns"] += any(request.turn for request in workload.log)
        counts["without a guest"] += not result.guest
        counts["ended early"] += result.duration_us < workload.log[-1].t_us
        counts["killed"] += result.counters["decisions"] > 0 and 12 in result.events[:, 1]
    return counts


def test_any_run_is_the_same_when_its_log_is_replayed(tmp_path: Path) -> None:
    counts = check(range(42), tmp_path)
    assert set(lookup.names(lookup.WORKLOAD)) <= set(counts)
    assert min(counts[f"op {op}"] for op in OPS) > 0
    assert min(counts[what] for what in ("refused", "in turns", "without a guest", "ended early", "killed")) > 0


@pytest.mark.slow
def test_a_thousand_runs_are_the_same_when_their_logs_are_replayed(tmp_path: Path) -> None:
    assert sum(check(range(1000, 2000), tmp_path).values()) > 1000


def test_what_anything_asks_does_not_hang_on_what_others_ask() -> None:
    """The test's own workload draws from its number alone, so that a case is the same whenever it is run."""
    logs = [Recorded(Anything(3, kernel=(7, 3), ends_run=True)) for _ in range(2)]
    for workload in logs:
        simulated(workload)
    assert logs[0].log == logs[1].log
    assert DemandKind.ANONYMOUS in {request.kind for request in logs[0].log}
