"""Watching: looks that would find nothing are skipped, and which of two things of one microsecond comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from tests.workloads.fake_host import FakeHost
from workloads.parts.controllers.controller import Beat
from workloads.parts.controllers.watch import Due, moment, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping


class Noting:
    """Notes when it looks, and answers as it is told by the time; None where it is told nothing."""

    def __init__(
        self, answers: Mapping[int, int | Due] | None = None, then: Callable[[int], None] | None = None
    ) -> None:
        self.looks: list[int] = []
        self._answers = answers or {}
        self._then = then

    def look(self, now_us: int) -> int | Due | None:
        self.looks.append(now_us)
        if self._then is not None:
            self._then(now_us)
        return self._answers.get(now_us)


def looks(
    beat: Beat, changes: list[int], answers: Mapping[int, int | Due] | None = None, *, until: int = 1000
) -> list[int]:
    """Return when a guest is looked at whose figures change at the times ``changes``."""
    env = simpy.Environment()
    host = FakeHost(env)

    def guest() -> Generator[simpy.Event, object, None]:
        for at in changes:
            yield env.timeout(at - int(env.now))
            host.tell_of_change()

    watcher = Noting(answers)
    env.process(guest())
    env.process(watch(host, watcher, beat))
    env.run(until=until)
    return watcher.looks


def test_nobody_looks_at_what_has_not_changed() -> None:
    assert looks(Beat(0, 10, 900), []) == [0]
    assert looks(Beat(3, 10, 0), []) == [3]


def test_a_change_is_seen_at_the_next_beat_and_one_on_a_beat_at_that() -> None:
    assert looks(Beat(3, 10, 0), [44, 45, 53, 54, 80]) == [3, 53, 63, 83]


def test_changes_before_the_first_look_bring_no_look() -> None:
    assert looks(Beat(30, 10, 0), [1, 29, 30, 31]) == [30, 40]


def test_it_looks_when_it_said_whatever_happens_until_then() -> None:
    assert looks(Beat(0, 10, 0), [15, 22], {0: 45, 45: 46}) == [0, 45, 46]


def test_what_is_due_is_looked_at_then_or_at_the_beat_after_a_change() -> None:
    assert looks(Beat(0, 10, 0), [], {0: Due(45)}) == [0, 45]
    assert looks(Beat(0, 10, 0), [15], {0: Due(45), 20: Due(45)}) == [0, 20, 45]
    assert looks(Beat(0, 10, 0), [42], {0: Due(45)}) == [0, 45]
    assert looks(Beat(0, 10, 0), [45], {0: Due(45)}) == [0, 45]
    assert looks(Beat(0, 10, 0), [46], {0: Due(45)}) == [0, 45, 50]


def test_after_a_look_between_beats_the_next_is_on_a_beat_or_a_period_later() -> None:
    assert looks(Beat(0, 10, 0), [46], {0: 43}) == [0, 43, 50]
    assert looks(Beat(0, 10, 0, sleeps=True), [46, 63], {0: 43}) == [0, 43, 53, 63]


def test_the_last_look_is_at_the_end() -> None:
    assert looks(Beat(0, 10, 40), [35, 41, 47]) == [0, 40]
    assert looks(Beat(0, 10, 39), [35, 41, 47]) == [0]
    assert looks(Beat(0, 10, 40), [], {0: Due(41)}) == [0]


def test_the_process_is_over_at_the_end_and_leaves_no_events_behind() -> None:
    env = simpy.Environment()
    host = FakeHost(env)

    def guest() -> Generator[simpy.Event, object, None]:
        for _ in range(50):
            yield env.timeout(7)
            host.tell_of_change()
            assert len(env._queue) < 5, "waits for the end do not pile up"  # noqa: SLF001  nothing else tells

    env.process(guest())
    process = env.process(watch(host, Noting(), Beat(0, 10, 400)))
    env.run(until=process)
    assert env.now == 401


def test_a_guest_that_has_died_is_looked_at_no_more() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    watcher = Noting({0: 10, 10: 20, 20: 30}, lambda now: setattr(host, "died", now >= 20))
    env.run(until=env.process(watch(host, watcher, Beat(0, 10, 900))))
    assert watcher.looks == [0, 10, 20]


def test_what_comes_after_a_look_in_its_own_microsecond_is_seen_at_the_next_beat() -> None:
    """Another controller of the guest looks later in the same microsecond, and changes something."""
    env = simpy.Environment()
    host = FakeHost(env)
    first = Noting()
    env.process(watch(host, first, Beat(20, 10, 0)))

    def second() -> Generator[simpy.Event, object, None]:
        yield env.timeout(15)
        yield moment(env, 20)
        host.tell_of_change()

    env.process(second())
    env.run(until=100)
    assert first.looks == [20, 30]
