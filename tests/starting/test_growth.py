"""Which controller a machine's devices get, and with which figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.starting.growth import KINDS, Limits, growth
from sim.units import GIB, MIB, parse_size

BLOCK = 128 * MIB


def limits(boot: int = 4, most: int | None = None, slots: int | None = None) -> Limits:
    return Limits(boot * GIB, None if most is None else most * GIB, slots, BLOCK, 1)


def test_a_virtio_mem_device_is_the_controller_s_as_it_is() -> None:
    found = growth(limits(), [VirtioMemSpec("ua-hot", 32 * GIB, 1, 4 * MIB)], None)
    (table,) = found.controllers
    assert (table["name"], table["device"], table["maximum"]) == ("watermark", "ua-hot", "32GiB")
    assert (table["device_block"], table["node"], table["step"]) == ("4MiB", 1, "512MiB")
    assert (found.most, found.kept, found.made_up) == (36 * GIB, [], False)


def test_each_of_several_virtio_mem_devices_has_a_controller_that_looks_at_another_time() -> None:
    devices = [VirtioMemSpec(f"v{n}", 8 * GIB, n) for n in range(3)]
    found = growth(limits(), devices, None)
    assert [table.get("start", 0) for table in found.controllers] == [0, 1 / 3, 2 / 3]
    assert len({table["label"] for table in found.controllers}) == 3
    assert found.most == 28 * GIB


def test_dimms_are_plugged_in_the_size_that_is_there_and_as_many_as_there_is_room_for() -> None:
    found = growth(limits(4, 64, 16), [DimmSpec("dimm0", GIB), DimmSpec("dimm1", GIB)], None)
    (table,) = found.controllers
    assert (table["name"], table["slots"], table["sizes"]) == ("dimm-controller", 16, ["1GiB"])
    assert found.most == 20 * GIB
    few = growth(limits(4, 6, 16), [DimmSpec("dimm0", GIB)], None)
    assert few.controllers[0]["slots"] == 2


def test_without_a_device_slots_are_filled_with_dimms_that_reach_the_demand() -> None:
    needed = 13 * GIB  # and a quarter: 16.25; less 4 at boot: 12.25; in 16 slots 784 MiB each
    found = growth(limits(4, 64, 16), [], needed)
    assert found.controllers[0]["sizes"] == ["1GiB"]
    assert found.most >= 1.25 * needed
    assert growth(limits(4, 64, 16), [], None).controllers[0]["sizes"] == ["4GiB"]


def test_without_anything_a_virtio_mem_device_is_made_up_and_that_is_told() -> None:
    found = growth(limits(8), [], 10 * GIB)
    assert found.made_up
    assert found.most == 15 * GIB  # half as much again as is needed
    assert "virtio-mem device of 7GiB" in found.assumed[0]
    bounded = growth(limits(4, 32), [], 10 * GIB)
    assert bounded.most == 32 * GIB


def test_other_devices_stay() -> None:
    dimm = DimmSpec("dimm0", 2 * GIB)
    found = growth(limits(4, 64, 4), [dimm, VirtioMemSpec("v", 16 * GIB)], None)
    assert (found.kept, found.most) == ([dimm], 22 * GIB)


@given(
    boot=st.integers(2, 512).map(lambda n: n * BLOCK),
    most=st.none() | st.integers(1, 2048).map(lambda n: n * BLOCK),
    slots=st.none() | st.integers(0, 256),
    sizes=st.lists(st.integers(1, 400).map(lambda n: n * BLOCK), max_size=3),
    are_dimms=st.booleans(),
    needed=st.none() | st.integers(1, 2**40),
    kind=st.none() | st.sampled_from(KINDS),
)
def test_whatever_a_machine_has_its_controllers_stay_within_whole_blocks_and_the_limit(
    boot: int, most: int | None, slots: int | None, sizes: list[int], are_dimms: bool, needed: int | None,  # noqa: FBT001
    kind: str | None,
) -> None:  # fmt: skip
    devices: list[DimmSpec | VirtioMemSpec] = [
        DimmSpec(f"d{n}", size) if are_dimms else VirtioMemSpec(f"d{n}", size) for n, size in enumerate(sizes)
    ]
    found = growth(Limits(boot, most, slots, BLOCK, 1), devices, needed, kind)
    for table in found.controllers:
        size = table.get("maximum") or table.get("size") or table["sizes"][0]
        assert parse_size(size) % BLOCK == 0
        assert parse_size(size) > 0
        if table["name"] == "watermark":
            assert parse_size(table["step"]) % parse_size(table["device_block"]) == 0
            assert 0 < parse_size(table["step"]) <= parse_size(size)
        if table["name"] == "dimm-controller":
            assert 1 <= table["slots"] <= 256
    assert found.most > boot
