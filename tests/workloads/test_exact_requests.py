"""Requests to the microsecond and the byte, from draws that are written down here instead of drawn at random."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.units import GIB, MIB
from tests.workloads.fake_host import calls
from tests.workloads.written_draws import SECOND, Written, asked, short
from workloads.dimm_slots import DimmSlots
from workloads.parts.draws import even_waits, exponential_waits
from workloads.random_mix import RandomMix
from workloads.virtio_mem_resize import VirtioMemResize

if TYPE_CHECKING:
    import numpy as np


# DIMM slots ----

PLUG, UNPLUG = 0.1, 0.9
"""How a coin lands that is to plug half of the time."""


def test_a_dimm_may_go_once_it_has_been_held_that_long_and_not_a_step_later() -> None:
    """Requests every 10 s and a hold time of 30: the three of second 0 are asked back from second 30 on."""
    load = DimmSlots(slots=3, initial=3, grow_probability=0.0, hold=30.0, interval=10.0, spacing="fixed", duration=90.0)
    unplugs = [entry for entry in short(calls(load)) if entry[1] == "unplug"]
    assert unplugs == [(30.0, "unplug", "dimm2"), (40.0, "unplug", "dimm1"), (50.0, "unplug", "dimm0")]


def test_the_newest_is_the_newest_of_those_that_may_go() -> None:
    load = DimmSlots(slots=3, hold=20.0, interval=10.0, spacing="fixed", duration=70.0)
    found = asked(load, dimm__direction=[PLUG, PLUG, UNPLUG, UNPLUG, PLUG, UNPLUG, UNPLUG])
    assert short(found) == [
        (10.0, "plug", "dimm0"),
        (20.0, "plug", "dimm1"),
        (30.0, "unplug", "dimm0"),
        (40.0, "unplug", "dimm1"),
        (50.0, "plug", "dimm2"),  # the slot that has been empty longest; it may go at 70
        (70.0, "unplug", "dimm2"),
    ]


def test_a_dimm_that_goes_leaves_the_hold_times_of_the_others_alone() -> None:
    load = DimmSlots(slots=2, hold=20.0, interval=5.0, spacing="fixed", duration=40.0)
    coin = [PLUG, UNPLUG, UNPLUG, PLUG, UNPLUG, UNPLUG, UNPLUG, UNPLUG]
    assert short(asked(load, dimm__direction=coin)) == [
        (5.0, "plug", "dimm0"),
        (20.0, "plug", "dimm1"),
        (25.0, "unplug", "dimm0"),
        (40.0, "unplug", "dimm1"),
    ]


def test_a_random_victim_is_one_of_those_that_may_go() -> None:
    """Of three held two may go at second 40; 0.9 of two is the second of them."""
    load = DimmSlots(slots=3, hold=20.0, removal="random", interval=10.0, spacing="fixed", duration=40.0)
    found = asked(load, dimm__direction=[PLUG, PLUG, PLUG, UNPLUG], dimm__victims=[0.9])
    assert short(found)[-1] == (40.0, "unplug", "dimm1")


def test_a_dimm_that_is_wanted_again_is_not_asked_back_any_more() -> None:
    """It was asked back at second 20 and once more at 30, when the plan came to want a DIMM in its slot."""
    load = DimmSlots(slots=1, interval=10.0, spacing="fixed", ask_again=True, duration=60.0)
    found = asked(load, "stubborn", dimm__direction=[PLUG, UNPLUG, PLUG, PLUG, PLUG, PLUG])
    assert short(found) == [
        (10.0, "plug", "dimm0"),
        (20.0, "unplug", "dimm0"),
        (30.0, "unplug", "dimm0"),
        (30.0, "keep", "dimm0"),
    ]


def test_sizes_and_nodes_come_from_streams_of_their_own() -> None:
    load = DimmSlots(sizes=[GIB, 2 * GIB], nodes=[0, 1], interval=10.0, spacing="fixed", duration=30.0)
    found = asked(load, dimm__direction=[PLUG], dimm__sizes=[0.0, 0.5, 0.99], dimm__nodes=[0.5, 0.49, 0.99])
    assert [what for *_, what in found] == [
        DimmSpec("dimm0", GIB, 1),
        DimmSpec("dimm1", 2 * GIB, 0),
        DimmSpec("dimm2", 2 * GIB, 1),
    ]


MOVES = {-2: 0.0, -1: 0.2, 0: 0.5, 1: 0.6, 2: 0.99}
"""Draws of the target's moves where it moves by two at most."""


def levels(load: DimmSlots, *moves: int) -> list[tuple[float, int]]:
    """(seconds, DIMMs that are wanted then) after every moment with a request."""
    held, found = 0, {}
    for now, verb, _, _ in asked(load, dimm__target=[MOVES[move] for move in moves]):
        held += 1 if verb == "plug" else -1
        found[now / SECOND] = held
    return list(found.items())


def test_the_target_walks_as_drawn_and_is_turned_back_at_both_ends() -> None:
    load = DimmSlots(slots=5, mode="target", initial=1, largest_step=2, interval=10.0, spacing="fixed", duration=80.0)
    # 3, 5, 7 thrown back to 3, 1, -1 thrown back to 1, 2, 2, 1.
    assert levels(load, 2, 2, 2, -2, -2, 1, 0, -1) == [
        (0.0, 1), (10.0, 3), (20.0, 5), (30.0, 3), (40.0, 1), (60.0, 2), (80.0, 1),
    ]  # fmt: skip


def test_what_the_hold_time_kept_goes_all_at_once() -> None:
    """The target is 2, then 0, but nothing may go before second 25: at second 30 all four do."""
    load = DimmSlots(
        slots=4, mode="target", initial=4, largest_step=2, hold=25.0, interval=10.0, spacing="fixed", duration=30.0
    )
    assert levels(load, -2, -2, 0) == [(0.0, 4), (30.0, 0)]


# virtio-mem ----


def test_a_size_is_asked_for_whenever_it_differs_from_the_last() -> None:
    """4, 3, 4, 4, 3: the 4 in the middle is asked for again, the second 4 in a row is not."""
    load = VirtioMemResize(shape="diurnal", noise=0.5, maximum=100 * GIB, period=1e9, interval=10.0, duration=50.0)
    # The disturbance keeps 0.8 of itself; a draw of d adds 0.3 * d, as a share of 100 levels.
    wanted = [4.0, 3.0, 4.0, 4.0, 3.0]
    draws = [0.0]
    before = 0.0
    for level in wanted:
        draws.append((level / 100 - 0.8 * before) / 0.3)
        before = level / 100
    found = asked(load, vmem0__noise=draws)
    assert [(now // SECOND, what) for now, verb, _, what in found if verb == "resize"] == [
        (10, 4 * GIB),
        (20, 3 * GIB),
        (30, 4 * GIB),
        (50, 3 * GIB),
    ]


def test_noise_fades_by_a_fifth_from_sample_to_sample() -> None:
    load = VirtioMemResize(shape="diurnal", noise=0.5, maximum=100 * GIB, period=1e9, interval=1.0, duration=6.0)
    found = asked(load, vmem0__noise=[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    # 50, then 40, 32, 25.6, 20.48; then 16.384 and 30 fresh; then 37.1.
    assert [what for _, verb, _, what in found if verb == "resize"] == [
        level * GIB for level in (40, 32, 26, 20, 46, 37)
    ]


def test_bursts_come_as_drawn() -> None:
    load = VirtioMemResize(
        shape="bursts", minimum=GIB, maximum=4 * GIB, burst_gap=100.0, burst_length=10.0, duration=400.0
    )
    found = asked(load, vmem0__gaps=[0.5, 2.0], vmem0__lengths=[1.0, 0.1], vmem0__heights=[0.0, 0.99])
    assert [(now / SECOND, what) for now, _, _, what in found[1:]] == [
        (50.0, 2 * GIB),
        (60.0, GIB),
        (260.0, 4 * GIB),
        (261.0, GIB),
        (311.0, 2 * GIB),
        (321.0, GIB),
    ]


def test_devices_are_attached_as_described_and_start_one_after_the_other() -> None:
    load = VirtioMemResize(
        shape="ramp", minimum=GIB, maximum=2 * GIB, region=8 * GIB, devices=3, nodes=[2, 0], stagger=3.0,
        interval=10.0, device_block=4 * MIB, duration=20.0, device="v",
    )  # fmt: skip
    assert calls(load) == [
        *((0, "plug", f"v{n}", VirtioMemSpec(f"v{n}", 8 * GIB, (2, 0, 2)[n], 4 * MIB, GIB)) for n in range(3)),
        *(((10 + 3 * n) * SECOND, "resize", f"v{n}", 2 * GIB) for n in range(3)),
    ]


# Waits ----


def test_waits_are_rounded_to_the_nearest_microsecond() -> None:
    drawn = cast("np.random.Generator", Written([0.6, 0.04, 0.13]))
    assert list(islice(exponential_waits(drawn, 11), 3)) == [7, 1, 1]
    drawn = cast("np.random.Generator", Written([0.0, 0.5, 0.99, 0.28]))
    assert list(islice(even_waits(drawn, 1000, 0.25), 4)) == [750, 1000, 1245, 890]


# A random mix ----


def test_a_mix_as_drawn() -> None:
    """Two DIMMs, two virtio-mem devices of 4 GiB and a dax device of 3, of which 6 GiB in all may be wanted."""
    load = RandomMix(
        nodes=[0, 1], dimms=2, dimm_sizes=[GIB, 2 * GIB], virtio_mems=2, virtio_mem_size=4 * GIB, resize_step=GIB,
        dax_sizes=[3 * GIB], maximum=6 * GIB, interval=60.0, duration=750.0,
    )  # fmt: skip
    dimm, vmem, dax = 0.0, 0.6, 0.95
    # Kind, which device, how much, node, and whether it comes with the one before (below 0.2).
    draws = [
        (dimm, 0.9, 0.9, 0.9, 0.9),
        (vmem, 0.0, 0.99, 0.0, 0.1),
        (dax, 0.0, 0.0, 0.0, 0.5),  # 3 GiB where there is no room
        (vmem, 0.9, 0.99, 0.0, 0.5),  # nor for this one
        (vmem, 0.0, 0.5, 0.0, 0.5),
        (dimm, 0.0, 0.0, 0.0, 0.2),
        (vmem, 0.0, 0.99, 0.0, 0.5),  # 4 GiB cut down to the 2 that it has and the 1 that is left
        (dimm, 0.9, 0.0, 0.0, 0.5),
        (vmem, 0.0, 0.0, 0.0, 0.5),
        (dax, 0.0, 0.0, 0.9, 0.5),
        (dax, 0.0, 0.0, 0.0, 0.5),
        (dimm, 0.9, 0.9, 0.0, 0.5),
        (dax, 0.0, 0.0, 0.0, 0.5),  # exactly what is left
    ]
    kinds, devices, sizes, nodes, together = zip(*draws, strict=True)
    found = asked(
        load, mix__waits=[1.0], mix__same_moment=together, mix__kinds=kinds, mix__devices=devices, mix__sizes=sizes,
        mix__nodes=nodes,
    )  # fmt: skip
    assert [(now // SECOND, *rest) for now, *rest in found] == [
        (0, "plug", "vmem0", VirtioMemSpec("vmem0", 4 * GIB, 0)),
        (0, "plug", "vmem1", VirtioMemSpec("vmem1", 4 * GIB, 1)),
        (60, "plug", "dimm1", DimmSpec("dimm1", 2 * GIB, 1)),
        (60, "resize", "vmem0", 4 * GIB),
        (240, "resize", "vmem0", 2 * GIB),
        (300, "plug", "dimm0", DimmSpec("dimm0", GIB, 0)),
        (360, "resize", "vmem0", 3 * GIB),
        (420, "unplug", "dimm1", None),
        (480, "resize", "vmem0", 0),
        (540, "plug", "dax0", DaxSpec("dax0", 3 * GIB, 1)),
        (600, "unplug", "dax0", None),
        (660, "plug", "dimm1", DimmSpec("dimm1", 2 * GIB, 0)),
        (720, "plug", "dax0", DaxSpec("dax0", 3 * GIB, 0)),
    ]


def test_shares_are_relative_to_their_sum() -> None:
    """2 to 1 to 1: half of the draws go to DIMMs, a quarter each to the others."""
    load = RandomMix(dimm_share=2.0, virtio_mem_share=1.0, dax_share=1.0, dimms=1, virtio_mems=1, duration=240.0)
    kinds = [0.49, 0.5, 0.74, 0.75]
    found = asked(
        load, mix__waits=[1.0], mix__same_moment=[0.9], mix__kinds=kinds, mix__devices=[0.0], mix__nodes=[0.0],
        mix__sizes=[0.1, 0.2, 0.3, 0.4],
    )  # fmt: skip
    assert [device for now, _, device, _ in found if now] == ["dimm0", "vmem0", "vmem0", "dax0"]
