"""virtio-mem's sub-block mode: requests that change while the worker is busy, and the timer of retries."""

from __future__ import annotations

import pytest

from sim.kernel.timing import Timing
from sim.memory.errors import ENOMEM, ENOSPC
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.devices.rig import BLOCK, FIRST, FakeGuest, Rig
from tests.devices.sub_blocks import by_hand

# Requests that change while the worker is busy ----

SLOW = Timing(virtio_mem_plug=1_000_000, virtio_mem_unplug=1_000_000)


def test_a_request_lowered_while_plugging_is_noticed_at_the_next_block() -> None:
    """The device refuses what goes beyond its request; the driver reads the new one and unplugs what is too much."""
    rig = Rig(timing=SLOW)
    device = rig.virtio_mem()
    assert (device.stalled, device.busy) == (0, False)
    device.resize(8 * BLOCK)
    rig.env.run(until=2_500_000)
    assert device.plugged == 2 * BLOCK
    device.resize(BLOCK)
    rig.env.run()
    assert (device.plugged, rig.states(FIRST, 3)) == (BLOCK, "Mx1 .x2")
    assert rig.env.now == 4_000_000, "the third block's attempt was refused, then one block went"
    assert [event[1] for event in rig.events(EventKind.PLUG, EventKind.UNPLUG)] == ["PLUG", "PLUG", "UNPLUG"]


def test_a_request_raised_while_plugging_is_met_in_a_second_run() -> None:
    rig = Rig(timing=SLOW)
    device = rig.virtio_mem()
    device.resize(2 * BLOCK)
    rig.env.run(until=500_000)
    device.resize(4 * BLOCK)
    rig.env.run()
    assert (device.plugged, rig.env.now, device.busy) == (4 * BLOCK, 4_000_000, False)


@pytest.mark.parametrize(("kernel", "low"), [("6.1", 2), ("6.6", 5), ("6.12", 5)])
def test_a_request_raised_while_unplugging(kernel: str, low: int) -> None:
    """Before 6.6 the driver finishes what it was asked first; since then it looks before every block."""
    rig = Rig(timing=SLOW, kernel=kernel)
    device = rig.virtio_mem()
    device.resize(6 * BLOCK)
    rig.env.run()
    start = rig.env.now
    device.resize(2 * BLOCK)
    rig.env.run(until=start + 500_000)
    device.resize(6 * BLOCK)
    lowest = 6 * BLOCK
    while device.busy:
        rig.run_for(500_000)
        lowest = min(lowest, device.plugged)
    assert (lowest, device.plugged) == (low * BLOCK, 6 * BLOCK)
    assert rig.env.now - start == ((6 - low) * 2) * 1_000_000


def test_who_is_told_of_a_result_may_ask_for_more_at_once() -> None:
    rig = Rig()
    results = []

    def done(_name: str, ok: bool) -> None:  # noqa: FBT001
        results.append((device.plugged // BLOCK, ok))
        if len(results) == 1:
            device.resize(3 * BLOCK)

    device = rig.virtio_mem(done=done)
    device.resize(BLOCK)
    rig.settle()
    assert results == [(1, True), (3, True)]
    assert (device.plugged, device.busy) == (3 * BLOCK, False)


# The retry timer ----


def test_the_wait_doubles_up_to_five_minutes_and_starts_anew_after_success() -> None:
    """50, 100, 200, 300, 300 seconds (W30)."""
    guest = FakeGuest()
    rig = by_hand("NN", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST, FIRST + 1}
    device.resize(0)
    attempts: list[int] = []
    while len(attempts) < 6:
        guest.calls.clear()
        rig.env.step()
        if guest.asked("give"):
            attempts.append(int(rig.env.now))
    waits = [later - earlier for earlier, later in zip([0, *attempts], attempts, strict=False)]
    assert waits == [second * 1_000_000 for second in (50, 100, 200, 300, 300, 300)]
    guest.refusing = {FIRST}
    rig.run_for(300_000_000)
    assert device.plugged == BLOCK, "one block went, the request is not met: the wait stays long"
    assert rig.until_next() == 300_000_000
    device.resize(BLOCK)
    assert rig.until_next() == 300_000_000, "the old timer is still in the queue, and does nothing"
    guest.calls.clear()
    rig.env.run()
    assert guest.asked("give") == []
    device.resize(0)
    assert rig.until_next() == 50_000_000


def test_a_new_request_replaces_the_timer() -> None:
    guest = FakeGuest()
    rig = by_hand("NN", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST, FIRST + 1}
    device.resize(0)
    rig.run_for(20_000_000)
    device.resize(BLOCK)
    guest.calls.clear()
    rig.run_for(49_999_999)
    assert guest.asked("give") == [], "the first timer would have fired at 50 s"
    rig.run_for(1)
    assert guest.asked("give") == [FIRST + 1, FIRST]


def test_of_two_runs_in_a_row_that_fail_the_second_sets_the_timer() -> None:
    """A request that changes during the first has the second follow at once; each takes a second in vain."""
    guest = FakeGuest()
    guest.memmap_blocks = 0
    rig = Rig(timing=SLOW, guest=guest)
    device = rig.virtio_mem()
    device.resize(2 * BLOCK)
    rig.run_for(500_000)
    device.resize(BLOCK)
    rig.run_for(1_500_000)
    assert (len(guest.calls), device.stalled, device.busy) == (2, ENOMEM, False)
    rig.run_for(50_500_000)
    assert len(guest.calls) == 2, "the timer of the first would have fired a second ago"
    rig.run_for(500_000)
    assert len(guest.calls) == 3


def test_a_stop_for_want_of_room_sets_no_timer_and_keeps_the_wait() -> None:
    guest = FakeGuest()
    rig = by_hand("N", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST}
    device.resize(0)
    rig.run_for(50_000_000)
    device.resize(16 * GIB)
    assert device.stalled == ENOSPC
    before = rig.env.now
    rig.env.run()
    assert rig.env.now - before <= 100_000_000
    device.resize(0)
    assert rig.until_next() == 100_000_000, "only a run that ends with 0 starts the waits anew"
