"""Requests to the microsecond and the byte from traces, loads in the guest, and parts of a composition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simpy

from sim.devices.specs import VirtioMemSpec
from sim.plugins.parameters import ParameterError
from sim.units import GIB, MIB
from tests.workloads.fake_host import FakeHost, calls
from tests.workloads.written_draws import SECOND, short
from workloads.demand_trace import DemandTrace
from workloads.guest_load import GuestLoad
from workloads.load_trace import LoadTrace
from workloads.parts.together import PartHost
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.contract import Workload


# Traces ----


def demand(folder: Path, *samples: tuple[float, float], **more: object) -> DemandTrace:
    path = folder / "demand.csv"
    path.write_text("t_s,gib\n" + "".join(f"{t},{gib}\n" for t, gib in samples), "utf-8")
    options = {"headroom": 0.0, "boot_memory": 0, "step": GIB, "tail": 7.0, **more}
    columns = {"time": "t_s", "user": {"column": "gib", "unit": GIB}}
    return DemandTrace(path=str(path), columns=columns, **options)  # type: ignore[arg-type]


def sizes(load: DemandTrace) -> list[tuple[float, float]]:
    """(seconds, GiB) of every resize."""
    return [
        (now / SECOND, what / GIB) for now, verb, _, what in calls(load) if verb == "resize" and isinstance(what, int)
    ]


def test_less_is_asked_for_at_the_sample_that_is_the_hold_time_behind(tmp_path: Path) -> None:
    """3 GiB at 30 s, held for 60: at 90 s they are given up. Hold times are of recorded time, at twice the speed."""
    load = demand(tmp_path, (0, 2), (30, 3), (60, 1), (90, 1), (120, 4), hold=60.0, speed=2.0)
    assert sizes(load) == [(0.0, 2.0), (15.0, 3.0), (45.0, 1.0), (60.0, 4.0)]
    assert load.duration() == 67.0


@pytest.mark.parametrize(("hold", "at"), [(30.0, 60.0), (30.001, 90.0), (29.999, 60.0), (0.0, 60.0), (60.0, 90.0)])
def test_a_hold_time_of_a_whole_number_of_samples_ends_with_the_last_of_them(
    tmp_path: Path, hold: float, at: float
) -> None:
    load = demand(tmp_path, (0, 1), (30, 3), (60, 1), (90, 1), (120, 1), hold=hold)
    assert sizes(load) == [(0.0, 1.0), (30.0, 3.0), (at, 1.0)]


def test_headroom_is_a_share_of_the_demand_and_boot_memory_is_taken_off_once(tmp_path: Path) -> None:
    """2.02 GiB with a quarter more are 2.525; less half a GiB of boot memory, 2.025: three steps."""
    load = demand(tmp_path, (0, 2.02), (60, 2.0), (120, 0.1), (180, 9), headroom=0.25, boot_memory=GIB // 2, hold=0.0,
                  maximum=3 * GIB + 512 * MIB)  # fmt: skip
    assert sizes(load) == [(0.0, 3.0), (60.0, 2.0), (120.0, 0.0), (180.0, 3.0)]
    assert calls(load)[0] == (0, "plug", "vmem0", VirtioMemSpec("vmem0", 3 * GIB))
    assert list(load.node_capacity()) == [0]


def test_a_demand_far_below_the_boot_memory_asks_for_nothing(tmp_path: Path) -> None:
    load = demand(tmp_path, (0, 1), (60, 5), (120, 0), (180, 4.5), boot_memory=4 * GIB, hold=0.0)
    assert sizes(load) == [(60.0, 1.0), (120.0, 0.0), (180.0, 1.0)]


def test_the_device_is_on_the_node_that_is_told(tmp_path: Path) -> None:
    load = demand(tmp_path, (0, 1), node=3)
    assert list(load.node_capacity()) == [3]
    assert calls(load)[0][3] == VirtioMemSpec("vmem0", 16 * GIB, 3)


def test_after_a_row_out_of_order_the_latest_time_counts(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t_s,op,device,kind,size_bytes\n2,demand,a,tmpfs,1\n1,demand,a,tmpfs,1\n1.5,demand,a,tmpfs,1\n")
    with pytest.raises(ParameterError) as caught:
        RequestReplay(path=str(path))
    assert [fault.partition(", line ")[2][:6] for fault in caught.value.faults] == ["3: t_s", "4: t_s"]


def test_a_log_repeated_leaves_what_stayed_and_sets_sizes_again(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "t_s,op,device,kind,size_bytes,max_bytes\n"
        "0,plug,v,virtio-mem,1GiB,4GiB\n0,plug,d,dimm,1GiB,\n2,unplug,d,,,\n4,plug,d,dimm,1GiB,\n6,resize,v,,2GiB,\n"
    )
    load = RequestReplay(path=str(path), repeat=2, speed=2.0, tail=5.0)
    first = [(0.0, "plug", "v"), (0.0, "plug", "d"), (1.0, "unplug", "d"), (2.0, "plug", "d"), (3.0, "resize", "v")]
    again = [(8.0, "resize", "v"), (9.0, "unplug", "d"), (10.0, "plug", "d"), (11.0, "resize", "v")]
    assert short(calls(load)) == [*first, *again]
    assert [what for _, verb, _, what in calls(load) if verb == "resize"] == [2 * GIB, GIB, 2 * GIB]
    assert load.duration() == 16.0


# Loads in the guest ----


def set_to(load: Workload, name: str = "load0") -> list[tuple[float, object]]:
    """(seconds, amount) of what a load was set to."""
    return [
        (now / SECOND, what[1])
        for now, verb, device, what in calls(load)
        if verb == "set_demand" and device == name and isinstance(what, tuple)
    ]


def test_a_load_that_wants_nothing_new_is_looked_at_every_ten_seconds_or_every_second() -> None:
    single = GuestLoad(size=100, start=3.0, duration=30.0)
    assert set_to(single) == [(3.0, 100), (13.0, 100), (23.0, 100)]
    several = GuestLoad(size=100, cache_share=0.25, start=26.0, duration=30.0)
    assert set_to(several) == [(float(second), 75) for second in range(26, 30)]
    assert set_to(several, "load0-cache") == [(float(second), 25) for second in range(26, 30)]


def test_the_last_tick_before_the_next_target_is_a_shorter_one() -> None:
    """100 a second in ticks of 0.4 s: by the end at 1 s, 40, 80 and 100 have come."""
    load = GuestLoad(shape="ramp", size=1000, rate=100, tick=0.4, end=1.0, duration=2.0)
    assert set_to(load) == [(0.4, 40), (0.8, 80), (1.0, 100), (1.0, 0)]


def test_a_step_due_at_the_very_end_does_not_come() -> None:
    load = GuestLoad(shape="steps", size=100, step=10, interval=1.0, end=3.0, duration=5.0)
    assert set_to(load) == [(0.0, 0), (1.0, 10), (2.0, 20), (3.0, 0)]


def test_steps_end_with_a_shorter_one_and_start_when_told() -> None:
    load = GuestLoad(shape="steps", size=25, step=10, interval=2.0, start=1.0, processes=2, stagger=0.5, duration=8.0)
    assert set_to(load) == [(1.0, 0), (3.0, 10), (5.0, 20), (7.0, 25)]
    assert set_to(load, "load1") == [(1.5, 0), (3.5, 10), (5.5, 20), (7.5, 25)]


@pytest.mark.parametrize(("what", "flags"), [(1, (True, False)), (2, (False, True)), (3, (True, True))])
def test_a_trace_drops_what_its_number_says(tmp_path: Path, what: int, flags: tuple[bool, bool]) -> None:
    path = tmp_path / "load.csv"
    path.write_text(f"t_s,kind,name,amount\n0,drop-caches,,{what}\n0,tmpfs,a,10\n3,drop-caches,,{what}\n", "utf-8")
    load = LoadTrace(path=str(path), speed=2.0, tail=1.0)
    assert [call for call in calls(load) if call[1] == "drop_caches"] == [
        (0, "drop_caches", "", flags),
        (1_500_000, "drop_caches", "", flags),
    ]
    assert load.duration() == 2.5


def test_a_trace_takes_its_memory_at_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("t_s,kind,name,amount\n1,tmpfs,a,25\n4,tmpfs,a,5\n", "utf-8")
    load = LoadTrace(path=str(path), rate=10, tick=1.0, tail=2.0)
    assert set_to(load, "a") == [(2.0, 10), (3.0, 20), (4.0, 25), (4.0, 5)]


# Parts ----


def test_a_part_gets_the_answers_about_its_own_devices() -> None:
    class Host(FakeHost):
        def busy(self, device: str) -> bool:
            return device == "a/x"

        def plugged(self, device: str) -> int:
            return {"a/x": 5, "x": 6}[device]

        def requested(self, device: str) -> int:
            return {"a/x": 7, "x": 8}[device]

        def present(self, device: str) -> bool:
            return device == "a/x"

    host = Host(simpy.Environment())
    part = PartHost(host, "a/")
    assert (part.busy("x"), part.plugged("x"), part.requested("x"), part.present("x")) == (True, 5, 7, True)
    assert part.mem_available() == host.available
    part.drop_caches(cache=True, slab=False)
    part.drop_caches(cache=False, slab=True)
    assert host.calls == [(0, "drop_caches", "", (True, False)), (0, "drop_caches", "", (False, True))]
    assert part.set_demand("load", "tmpfs", 3)
    assert host.calls[-1] == (0, "set_demand", "a/load", ("tmpfs", 3))
