"""The random mix: bounds over all devices, shares, and requests at the same moment."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.units import GIB, MIB
from tests.support.reach import Reach
from tests.workloads.fake_host import calls
from workloads.random_mix import RandomMix

REACH = Reach(
    {"dimm plug": 100, "dimm unplug": 100, "dax plug": 30, "dax unplug": 30, "vmem plug": 20, "vmem resize": 100}
    | {"the maximum leaves no room": 100, "at the same moment": 100, "several nodes": 10}
)


@REACH.test()
@given(
    nodes=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    dimms=st.integers(0, 5),
    virtio_mems=st.integers(0, 3),
    dax_devices=st.integers(0, 2),
    maximum=st.sampled_from([GIB, 8 * GIB - 4096, 20 * GIB, 200 * GIB]),
    step=st.sampled_from([4, 128, 3072]),
    same_moment=st.floats(0.0, 0.9),
    seed=st.integers(0, 1000),
)
def test_bounds(
    nodes: list[int],
    dimms: int,
    virtio_mems: int,
    dax_devices: int,
    maximum: int,
    step: int,
    same_moment: float,
    seed: int,
) -> None:
    if not dimms + virtio_mems + dax_devices:
        dimms = 1
    workload = RandomMix(
        nodes=nodes,
        dimms=dimms,
        virtio_mems=virtio_mems,
        virtio_mem_size=9 * GIB,
        resize_step=step * MIB,
        device_block=4 * MIB,
        dax_devices=dax_devices,
        maximum=maximum,
        same_moment=same_moment,
        interval=1.0,
        duration=300.0,
    )
    held: dict[str, int] = {}
    last = -1
    REACH("several nodes", len(set(nodes)) > 1)
    for now, verb, device, what in calls(workload, seed=seed):
        if verb == "plug":
            assert device not in held
            assert isinstance(what, (DimmSpec, DaxSpec, VirtioMemSpec))
            assert what.node in nodes
            if isinstance(what, VirtioMemSpec):
                assert (now, what.max_size, what.requested) == (0, 9 * GIB, 0)
                held[device] = 0
            else:
                held[device] = what.size
        elif verb == "unplug":
            assert not device.startswith("vmem")
            del held[device]
        else:
            assert isinstance(what, int)
            assert what % (step * MIB) == 0
            assert 0 <= what <= 9 * GIB
            assert what != held[device]
            held[device] = what
        assert sum(held.values()) <= maximum
        REACH(f"{device.rstrip('0123456789')} {verb}")
        REACH("the maximum leaves no room", sum(held.values()) + step * MIB > maximum)
        REACH("at the same moment", now == last)
        last = now
    names = {"dimm": dimms, "vmem": virtio_mems, "dax": dax_devices}
    assert all(int(device.strip("dimvexa")) < names[device.rstrip("0123456789")] for device in held)


def test_shares_and_moments() -> None:
    workload = RandomMix(interval=1.0, duration=20_000.0, same_moment=0.25, maximum=1024 * GIB)
    requests = [call for call in calls(workload) if call[0]]
    kinds = Counter(device.rstrip("0123456789") for _, _, device, _ in requests)
    # A resize to the size that a device has already, one in 65, falls away.
    assert kinds["dimm"] / len(requests) == pytest.approx(0.5, abs=0.02)
    assert kinds["vmem"] / len(requests) == pytest.approx(0.4, abs=0.02)
    assert kinds["dax"] / len(requests) == pytest.approx(0.1, abs=0.02)
    times = [now for now, *_ in requests]
    assert mean(after == before for before, after in pairwise(times)) == pytest.approx(0.25, abs=0.02)


def test_a_share_of_nothing_is_nothing() -> None:
    requests = calls(RandomMix(dimm_share=0.0, dax_share=0.0, duration=20_000.0))
    assert {device for _, _, device, _ in requests} == {"vmem0", "vmem1"}


def test_the_maximum_is_used_up_by_resizing() -> None:
    workload = RandomMix(dimms=0, dax_devices=0, virtio_mems=3, maximum=20 * GIB, interval=1.0, duration=3000.0)
    held = Counter[str]()
    totals = set()
    for _, verb, device, what in calls(workload):
        if verb == "resize" and isinstance(what, int):
            held[device] = what
            totals.add(sum(held.values()))
    assert max(totals) == 20 * GIB
