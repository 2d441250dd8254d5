"""DIMMs and cards by need on the model of a guest: what comes with a program, and what goes when it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from policies.fixed import OnlineKernel, OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZoneType
from sim.record.recorder import EVENT_COLUMNS, EventKind
from sim.streams import Streams
from sim.units import GIB, MIB, MICROSECONDS
from tests.support.pages import PAGE_SIZE
from workloads.cxl_cards import CxlCards
from workloads.dimm_controller import DimmController
from workloads.guest_load import GuestLoad
from workloads.load_trace import LoadTrace
from workloads.parts.together import Together

if TYPE_CHECKING:
    from pathlib import Path

    from policies.contract import Policy
    from workloads.contract import Workload

ONE = MachineSpec((NodeSpec(2 * GIB),))
WITH_CARDS = MachineSpec((NodeSpec(2 * GIB), NodeSpec(0)), kernel="7.3")


def wished(policy: Policy, work: Workload, machine: MachineSpec, **program: Any) -> list[tuple[float, str, int]]:  # noqa: ANN401
    """Run ``work`` beside a program that ramps up and leaves after 121 s; return second, device, MiB wanted of it."""
    load = GuestLoad(shape="ramp", end=121.0, duration=300.0, **program)
    run = simulate(machine, policy, Together(parts=[work, load]), Streams(1, 0), guest=GuestSpec())
    events = dict(zip(EVENT_COLUMNS, run.events.T, strict=True))
    rows = zip(
        *(events[name][events["kind"] == EventKind.REQUEST] for name in ("t_us", "device", "pages")), strict=True
    )
    return [
        (int(at) / MICROSECONDS, run.device_names[device].partition("/")[2], int(pages) * PAGE_SIZE // MIB)
        for at, device, pages in rows
    ]


def test_movable_dimms_come_with_a_program_and_go_when_it_has_left() -> None:
    """Of 3 GiB and 2 at boot; the last is short of nothing but 25 percent."""
    came = [(25.0, "dimm0", 1024), (35.0, "dimm1", 1024), (45.0, "dimm2", 1024)]
    went = [(125.0, "dimm2", 0), (130.0, "dimm1", 0), (135.0, "dimm0", 0)]

    assert wished(OnlineMovable(), DimmController(), ONE, size=3 * GIB, rate=64 * MIB, kernel_share=0.1) == came + went


def test_a_dimm_with_kernel_memory_is_asked_for_5_10_20_and_40_seconds_after_it_was_seen_to_stay() -> None:
    wishes = wished(OnlineKernel(), DimmController(), ONE, size=3 * GIB, rate=64 * MIB, kernel_share=0.1)

    assert [at for at, device, size in wishes if device == "dimm0" and not size] == [135.0, 145.0, 160.0, 185.0, 230.0]


@pytest.mark.parametrize("way", ["daxctl", "state"])
def test_a_card_in_use_by_the_kernel_stays_whichever_way_it_is_asked_for(way: str) -> None:
    work = CxlCards(size=2 * GIB, way=way)
    processes = {"kind": "processes", "size": 30_000, "rate": 600}

    assert wished(OnlineMovable(), work, WITH_CARDS, **processes) == [(25.0, "cxl0", 2048), (125.0, "cxl0", 0)]
    assert wished(OnlineKernel(), work, WITH_CARDS, **processes) == [
        (25.0, "cxl0", 2048),
        *((at, "cxl0", 0) for at in (125.0, 135.0, 150.0, 175.0, 220.0)),
    ]


@pytest.mark.parametrize(("word", "zone"), [("online_movable", ZoneType.MOVABLE), ("online", ZoneType.NORMAL)])
def test_what_daxctl_left_offline_of_a_card_comes_back_with_the_next_program(
    word: str, zone: ZoneType, tmp_path: Path
) -> None:
    """Processes stay, and hold some blocks of the card; the others come back as daxctl or the policy has it."""
    (tmp_path / "loads.csv").write_text(
        "t_s,kind,name,amount\n0,anonymous,a,1600MiB\n10,anonymous,b,800MiB\n11,processes,p,3000\n"
        "40,anonymous,a,0\n40,anonymous,b,0\n80,anonymous,b,1600MiB\n"
    )
    load = LoadTrace(path=str(tmp_path / "loads.csv"), rate=512 * MIB, tail=20.0)
    work = CxlCards(size=2 * GIB, cards=1, word=word, again=1000.0)
    run = simulate(WITH_CARDS, OnlineKernel(), Together(parts=[work, load]), Streams(1, 0), guest=GuestSpec())
    events = [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in run.events.tolist()]
    gone = {event["block"] for event in events if event["kind"] == EventKind.OFFLINE}
    back = [event for event in events if event["kind"] == EventKind.ONLINE]
    assert 0 < len(gone) < 16
    assert [event["block"] for event in back] == sorted(gone)
    assert {event["zone"] for event in back} == {zone}
    assert [event["pages"] * PAGE_SIZE // GIB for event in events if event["kind"] == EventKind.REQUEST] == [2, 0, 2]
