"""virtio-mem resizing: every shape is what it says, within its bounds."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import VirtioMemSpec
from sim.units import GIB, MIB
from tests.support.reach import Reach
from tests.workloads.fake_host import SLOW_US, Call, calls
from workloads.virtio_mem_resize import SHAPES, VirtioMemResize


def sizes(requests: list[Call], device: str = "vmem0") -> list[tuple[int, int]]:
    """(seconds, GiB or a part of one) of each resize of ``device``."""
    return [(now // 1_000_000, what) for now, verb, name, what in requests if verb == "resize" and name == device]  # type: ignore[misc]


REACH = Reach(
    {f"{shape} resizes": 5 for shape in SHAPES}
    | {"at the maximum": 10, "at the minimum": 10, "in between": 10, "several devices": 10, "a region of its own": 10}
)


@REACH.test(examples=72)
@given(
    shape=st.sampled_from(SHAPES),
    block=st.sampled_from([1, 2, 4, 8, 128]),
    minimum=st.integers(0, 40),
    extra=st.integers(1, 60),
    step=st.integers(1, 30),
    region=st.integers(0, 20),
    jitter=st.floats(0.0, 1.0),
    noise=st.floats(0.0, 3.0),
    devices=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_bounds_and_multiples(  # noqa: PLR0917  one for each thing that is drawn
    shape: str,
    block: int,
    minimum: int,
    extra: int,
    step: int,
    region: int,
    jitter: float,
    noise: float,
    devices: int,
    seed: int,
) -> None:
    unit = block * MIB
    workload = VirtioMemResize(
        shape=shape,
        minimum=minimum * unit,
        maximum=(minimum + extra) * unit,
        step=step * unit,
        region=(minimum + extra + region) * unit if region else 0,
        device_block=unit,
        interval=10.0,
        period=300.0,
        jitter=jitter,
        noise=noise,
        burst_gap=20.0,
        burst_length=10.0,
        devices=devices,
        duration=1000.0,
    )
    requests = calls(workload, seed=seed)
    last: dict[str, int] = {}
    for now, verb, device, what in requests:
        if verb == "plug":
            assert isinstance(what, VirtioMemSpec)
            assert (now, what.requested, what.block_size) == (0, minimum * unit, unit)
            assert what.max_size == (minimum + extra + region) * unit
            last[device] = what.requested
            continue
        assert verb == "resize"
        assert isinstance(what, int)
        assert minimum * unit <= what <= (minimum + extra) * unit
        assert (what - minimum * unit) % (step * unit) == 0 or what == (minimum + extra) * unit
        assert what != last[device], "the same size is not asked for twice in a row"
        at = {minimum * unit: "at the minimum", (minimum + extra) * unit: "at the maximum"}
        REACH(at.get(what, "in between"))
        REACH(f"{shape} resizes")
        last[device] = what
    assert len(last) == devices
    REACH("several devices", devices > 1)
    REACH("a region of its own", region > 0)


def test_ramp() -> None:
    workload = VirtioMemResize(shape="ramp", minimum=GIB, maximum=4 * GIB, interval=10.0, duration=1000.0)
    assert sizes(calls(workload)) == [(10, 2 * GIB), (20, 3 * GIB), (30, 4 * GIB)]


def test_the_last_step_may_be_shorter() -> None:
    workload = VirtioMemResize(shape="ramp", maximum=5 * GIB, step=2 * GIB, interval=10.0)
    assert [size for _, size in sizes(calls(workload))] == [2 * GIB, 4 * GIB, 5 * GIB]


def test_triangle() -> None:
    workload = VirtioMemResize(shape="triangle", maximum=3 * GIB, interval=10.0, duration=100.0)
    assert sizes(calls(workload)) == [
        (10 * step, level * GIB) for step, level in enumerate([1, 2, 3, 2, 1, 0, 1, 2, 3, 2], start=1)
    ]


def test_saw_tooth() -> None:
    workload = VirtioMemResize(shape="saw-tooth", maximum=3 * GIB, interval=10.0, duration=90.0)
    assert sizes(calls(workload)) == [
        (10 * step, level * GIB) for step, level in enumerate([1, 2, 3, 0, 1, 2, 3, 0, 1], start=1)
    ]


def test_jitter_spreads_the_intervals() -> None:
    workload = VirtioMemResize(interval=100.0, jitter=0.3, duration=200_000.0)
    waits = [after - before for (before, *_), (after, *_) in pairwise(calls(workload))]
    assert all(70e6 <= wait <= 130e6 for wait in waits)
    assert mean(waits) == pytest.approx(100e6, rel=0.02)
    assert min(waits) < 72e6
    assert max(waits) > 128e6


def test_a_day_without_noise_is_a_smooth_hill() -> None:
    workload = VirtioMemResize(shape="diurnal", noise=0.0, maximum=16 * GIB, step=128 * MIB, duration=86_400.0)
    day = sizes(calls(workload))
    morning = [size for now, size in day if now <= 43_200]
    evening = [size for now, size in day if now > 43_200]
    assert morning == sorted(morning)
    assert evening == sorted(evening, reverse=True)
    assert morning[-1] == 16 * GIB
    assert evening[-1] == 0
    # The steepest hour, around a quarter of the day, changes by pi/24 of the range.
    at = dict(day)
    assert (at[23_400] - at[19_800]) / (16 * GIB) == pytest.approx(0.13, abs=0.01)
    assert at[21_600] == 8 * GIB


def test_days_are_alike_without_noise() -> None:
    workload = VirtioMemResize(shape="diurnal", noise=0.0, period=3600.0, interval=60.0, duration=36_000.0)
    days = sizes(calls(workload))
    first = [(now, size) for now, size in days if now <= 3600]
    assert days == [(now + 3600 * day, size) for day in range(10) for now, size in first]


def test_noise_has_the_spread_it_says() -> None:
    workload = VirtioMemResize(
        shape="diurnal", noise=0.05, maximum=1024 * GIB, period=1e9, interval=1.0, duration=50_000.0
    )
    # At the bottom of so long a day only the noise moves; its lower half is cut off at 0.
    levels = [size / (1024 * GIB) for _, size in sizes(calls(workload))]
    above = [level for level in levels if level > 0]
    spread = pstdev([*above, *(-level for level in above)])
    assert spread == pytest.approx(0.05, rel=0.1)


def test_bursts_rise_from_the_minimum_and_fall_back() -> None:
    workload = VirtioMemResize(
        shape="bursts", minimum=GIB, maximum=9 * GIB, burst_gap=100.0, burst_length=20.0, duration=100_000.0
    )
    found = sizes(calls(workload))
    assert all(size > GIB for _, size in found[::2])
    assert all(size == GIB for _, size in found[1::2])
    assert {size for _, size in found[::2]} == {level * GIB for level in range(2, 10)}
    times = [now for now, _ in found]
    gaps = [after - before for before, after in zip([0, *times[1::2]], times[::2], strict=False)]
    lengths = [after - before for before, after in zip(times[::2], times[1::2], strict=False)]
    assert mean(gaps) == pytest.approx(100, rel=0.1)
    assert mean(lengths) == pytest.approx(20, rel=0.1)


def test_devices_are_dealt_out_and_staggered() -> None:
    workload = VirtioMemResize(devices=3, nodes=[0, 2], stagger=7.0, interval=10.0, duration=100.0, maximum=2 * GIB)
    requests = calls(workload)
    assert [what.node for _, _, _, what in requests[:3] if isinstance(what, VirtioMemSpec)] == [0, 2, 0]
    first = sizes(requests, "vmem0")
    for number in (1, 2):
        assert sizes(requests, f"vmem{number}") == [
            (now + 7 * number, size) for now, size in first if now + 7 * number <= 100
        ]
    assert list(workload.node_capacity()) == [0, 2]
    assert list(VirtioMemResize(devices=1, nodes=[5, 2]).node_capacity()) == [5]


def test_devices_at_the_same_moment_are_asked_in_order() -> None:
    requests = calls(VirtioMemResize(devices=3, interval=10.0, duration=50.0))
    assert [device for now, verb, device, _ in requests if now == 20_000_000] == ["vmem0", "vmem1", "vmem2"]


def test_waiting_for_the_guest_leaves_out_requests() -> None:
    workload = VirtioMemResize(shape="saw-tooth", interval=10.0, duration=1000.0, wait_for_guest=True)
    reference = calls(workload, "obliging")
    requests = calls(workload, "slow")
    assert [call for call in requests if call in reference] == requests
    assert all(after - before >= SLOW_US for (before, *_), (after, *_) in pairwise(requests))
    assert len(requests) == 1 + 1000 // 50
