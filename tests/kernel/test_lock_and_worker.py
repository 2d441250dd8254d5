"""The device hotplug lock, first come first served, and the worker that drives a driver's work."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import TYPE_CHECKING

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.kernel.timing import Timing, scale
from sim.kernel.worker import HotplugLock, Threads, Worker
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.devices.rig import BLOCK, FIRST, Rig
from tests.support.reach import Reach

if TYPE_CHECKING:
    from sim.kernel.worker import Work

# Three devices at the same moment ----


def test_two_virtio_mem_devices_and_a_dimm_take_turns() -> None:
    """A DIMM goes in in one go; virtio-mem gives the lock back after every block, to whoever has waited longest."""
    rig = Rig(timing=Timing(virtio_mem_plug=10_000, dimm_add=2_000))
    first = rig.virtio_mem("first", size=4 * GIB)
    second = rig.virtio_mem("second", size=4 * GIB, address=rig.base + 4 * GIB)
    dimm = rig.unplugged_dimm("dimm", (rig.base + 8 * GIB, 4 * BLOCK))
    first.resize(3 * BLOCK)
    second.resize(3 * BLOCK)
    dimm.plug()
    rig.env.run()
    names = {first.index: "first", second.index: "second", dimm.index: "dimm"}
    assert [(t, names[device], count) for t, _, device, _, count, _ in rig.events(EventKind.PLUG)] == [
        (10_000, "first", 1),
        (20_000, "second", 1),
        (28_000, "dimm", 4),
        (38_000, "first", 1),
        (48_000, "second", 1),
        (58_000, "first", 1),
        (68_000, "second", 1),
    ]
    assert not rig.core.lock.held


def test_the_order_of_asking_is_the_order_of_being_served() -> None:
    """The DIMM asked first, so both virtio-mem devices wait until all of it is in."""
    rig = Rig(timing=Timing(virtio_mem_plug=10_000, dimm_add=2_000))
    device = rig.virtio_mem(size=4 * GIB)
    dimm = rig.unplugged_dimm("dimm", (rig.base + 8 * GIB, 4 * BLOCK))
    dimm.plug()
    device.resize(2 * BLOCK)
    rig.env.run()
    assert [event[0] for event in rig.events(EventKind.PLUG)] == [8_000, 18_000, 28_000]


def test_who_comes_while_the_lock_changes_hands_waits_too() -> None:
    """The lock passes on in an event of its own: in between nobody holds it for long, yet nobody slips in."""
    rig = Rig(timing=Timing(virtio_mem_plug=10_000, dimm_add=2_000))
    first = rig.virtio_mem("first", size=4 * GIB)
    second = rig.virtio_mem("second", size=4 * GIB, address=rig.base + 4 * GIB)
    late = rig.unplugged_dimm("late", (rig.base + 8 * GIB, BLOCK))
    first.resize(2 * BLOCK)
    second.resize(BLOCK)
    rig.env.timeout(10_000).callbacks.append(lambda _event: late.plug())
    rig.env.run()
    assert [(event[0], event[2]) for event in rig.events(EventKind.PLUG)] == [
        (10_000, first.index),
        (20_000, second.index),
        (30_000, first.index),
        (32_000, late.index),
    ]


def test_filling_a_block_that_is_there_needs_no_lock() -> None:
    rig = Rig(timing=Timing(virtio_mem_plug=10_000, dimm_add=1_000_000))
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(BLOCK // 2)
    rig.env.run()
    dimm = rig.unplugged_dimm("dimm", (rig.base + 8 * GIB, BLOCK))
    dimm.plug()
    device.resize(BLOCK)
    rig.run_for(5_000)
    assert (device.plugged, dimm.busy) == (BLOCK, True)


@pytest.mark.parametrize(("dimm_first", "zones"), [(True, ("M", "N")), (False, ("N", "M"))])
def test_zones_depend_on_who_was_served_before(dimm_first: bool, zones: tuple[str, str]) -> None:  # noqa: FBT001
    """12 GiB may be MOVABLE: to a DIMM that is served last, two virtio-mem devices have left nothing of them."""
    rig = Rig(timing=Timing(virtio_mem_plug=10_000, dimm_add=0))
    devices = [rig.virtio_mem(str(at), size=8 * GIB, address=rig.base + at * 8 * GIB) for at in range(2)]
    dimm = rig.unplugged_dimm("dimm", (rig.base + 16 * GIB, 12 * GIB))
    if dimm_first:
        dimm.plug()
    for device in devices:
        device.resize(6 * GIB)
    rig.env.run(until=10_000 * 95)
    if not dimm_first:
        dimm.plug()
    rig.env.run()
    assert rig.states(FIRST + 128, 96) == f"{zones[0]}x96"
    assert rig.states(FIRST, 1) == f"{zones[1]}x1"


# The lock ----


REACH = Reach({"the lock is free": 20, "the lock is held": 50, "held by whoever asks again": 5, "held for no time": 10})


@REACH.test()
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=12))
def test_one_holder_at_a_time_in_order_of_arrival(jobs: list[tuple[int, int, int]]) -> None:
    """Each job arrives, asks for the lock, and holds it for a while, several times over."""
    env = simpy.Environment()
    lock = HotplugLock(env)
    holder: list[int] = []
    asked: list[int] = []
    served: list[int] = []

    def work(number: int, hold: int, rounds: int) -> Work:
        for _ in range(rounds):
            asked.append(number)
            REACH("the lock is held" if holder else "the lock is free")
            REACH("held by whoever asks again", served[-1:] == [number])
            REACH("held for no time", hold == 0)
            yield lock
            assert holder == []
            holder.append(number)
            served.append(number)
            yield hold
            assert holder == [number]
            holder.clear()
            lock.release()

    def arrive(worker: Worker, job: Work, _event: object) -> None:
        worker.start(job)

    workers = [Worker(env, Threads()) for _ in jobs]
    for number, (arrival, hold, rounds) in enumerate(jobs):
        job = work(number, hold, rounds)
        env.timeout(arrival).callbacks.append(partial(arrive, workers[number], job))
    env.run()
    assert served == asked
    assert len(served) == sum(rounds for _, _, rounds in jobs)
    assert not lock.held
    assert not any(worker.busy for worker in workers)


def test_a_lock_is_taken_once_and_free_again_after_its_release() -> None:
    lock = HotplugLock(simpy.Environment())
    assert not lock.held
    assert [lock.try_take(), lock.try_take(), lock.held] == [True, False, True]
    lock.release()
    assert [lock.held, lock.try_take(), lock.held] == [False, True, True]


def test_a_released_lock_is_on_its_way_to_who_waits_longest_and_nobody_can_take_it() -> None:
    env = simpy.Environment()
    lock = HotplugLock(env)
    served: list[tuple[str, float]] = []
    lock.try_take()
    for name in ("first", "second"):
        lock.take_later(lambda _event, name=name: served.append((name, env.now)))  # type: ignore[misc]
    env.timeout(5).callbacks.append(lambda _event: lock.release())
    env.run()
    assert served == [("first", 5)]
    lock.release()
    assert (lock.held, lock.try_take(), served) == (True, False, [("first", 5)])
    env.run()
    assert served == [("first", 5), ("second", 5)]
    lock.release()
    assert not lock.held


# The worker ----


def test_waits_of_one_worker_reuse_one_event_and_end_when_they_should() -> None:
    env = simpy.Environment()
    worker = Worker(env, Threads())
    times: list[float] = []

    def work() -> Work:
        for wait in (5, 0, 7, 0, 0, 1):
            yield wait
            times.append(env.now)

    worker.start(work())
    assert (worker.busy, times) == (True, [])
    env.run()
    assert times == [5, 5, 12, 12, 12, 13]
    assert not worker.busy
    worker.start(work())
    env.run()
    assert times[6:] == [18, 18, 25, 25, 25, 26]


def test_work_without_a_wait_is_over_at_once() -> None:
    env = simpy.Environment()
    worker = Worker(env, Threads())
    done: list[bool] = []

    def work() -> Work:
        yield 0
        done.append(worker.busy)

    worker.start(work())
    assert (done, worker.busy, env.peek()) == ([True], False, float("inf"))


def test_workers_keep_to_the_order_of_simultaneous_events() -> None:
    env = simpy.Environment()
    seen: list[str] = []

    def work(name: str, waits: tuple[int, ...]) -> Work:
        for wait in waits:
            yield wait
            seen.append(name)

    for name, waits in (("a", (2, 2, 2)), ("b", (1, 1, 4)), ("c", (6,))):
        Worker(env, Threads()).start(work(name, waits))
    env.run()
    assert seen == ["b", "a", "b", "a", "c", "b", "a"]


def test_what_work_raises_reaches_who_runs_the_simulation() -> None:
    env = simpy.Environment()
    worker = Worker(env, Threads())

    def work() -> Work:
        yield 3
        raise LookupError("on purpose")

    worker.start(work())
    with pytest.raises(LookupError, match="on purpose"):
        env.run()


def test_when_a_guest_dies_no_work_goes_on_wherever_it_waits_and_all_of_it_stays_busy() -> None:
    env, threads = simpy.Environment(), Threads()
    lock = HotplugLock(env)
    done: list[str] = []

    def work(name: str, *waits: int | HotplugLock) -> Work:
        for number, wait in enumerate(waits):
            yield wait
            done.append(f"{name}{number}")

    def deadly() -> Work:
        yield 4
        threads.end()
        done.append("deadly")
        threads.go_on()
        done.append("never")

    names = ("holds", "queues", "waits", "rests", "dies")
    workers = dict(zip(names, (Worker(env, threads) for _ in names), strict=True))
    workers["rests"].start(work("rests", 1))
    workers["holds"].start(work("holds", lock, 5, 1))
    workers["queues"].start(work("queues", lock, 1))
    workers["waits"].start(work("waits", 2, 2, 1))
    workers["dies"].start(deadly())
    env.run()
    # What waits for the same moment is served in the order in which it began to wait: "waits" at 2, "dies" at 0.
    assert done == ["holds0", "rests0", "waits0", "deadly"]
    assert {name for name, worker in workers.items() if worker.busy} == {"holds", "queues", "waits", "dies"}
    assert lock.held
    workers["rests"].start(work("late", 0))
    env.run()
    assert (workers["rests"].busy, done[-1]) == (True, "deadly")


def test_threads_of_the_living_go_on_and_gone_workers_are_forgotten() -> None:
    env, threads = simpy.Environment(), Threads()
    threads.go_on()
    worker = Worker(env, threads)
    there = weakref.ref(worker)
    del worker
    gc.collect()
    assert there() is None


def order_of_ends(waits: list[tuple[bool, int]]) -> tuple[float, list[int]]:
    """Let work (where True) and events of SimPy's own wait; return when and in which order they were over."""
    env = simpy.Environment()
    over: list[int] = []

    def work(number: int, wait: int) -> Work:
        yield wait
        over.append(number)

    def note(number: int, _event: simpy.Event) -> None:
        over.append(number)

    for number, (by_worker, wait) in enumerate(waits):
        if by_worker:
            Worker(env, Threads()).start(work(number, wait))
        else:
            env.timeout(wait).callbacks.append(partial(note, number))
    env.run()
    return env.now, over


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=1, max_size=30))
def test_a_wait_is_queued_as_simpy_schedules_an_event(waits: list[tuple[bool, int]]) -> None:
    """Among events of SimPy's own at the same moments, work goes on in the order in which the waits began."""
    assert order_of_ends(waits) == order_of_ends([(False, wait) for _, wait in waits])


# Durations ----


def test_durations_scale_with_bytes_and_are_never_negative() -> None:
    assert [scale(27_000, kib << 10) for kib in (0, 4, 2048, 131_072, 262_144)] == [0, 0, 421, 27_000, 54_000]
    with pytest.raises(ValueError, match="offline must not be negative, but is -1 microseconds"):
        Timing(offline=-1)
    instant = Timing.instant()
    work = ("virtio_mem_plug", "virtio_mem_unplug", "dimm_add", "online", "offline", "refused", "migrate")
    assert [getattr(instant, name) for name in work] == [0] * len(work)
    assert (instant.retry_first, instant.retry_most) == (50_000_000, 300_000_000)
