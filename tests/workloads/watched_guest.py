"""A guest for controllers to look at: its use follows a script, its devices answer in one of some characters.

Beside it a plain poller, which makes every look that :mod:`workloads.parts.controllers.watch` skips.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from unittest import mock

import simpy

from sim.devices.specs import VirtioMemSpec
from sim.guest.report import GuestReport, Pressure
from sim.streams import Streams
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.fake_host import FakeHost
from workloads.parts.controllers.watch import Due, moment

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from sim.devices.specs import DeviceSpec
    from tests.workloads.fake_host import Call
    from workloads.contract import Host
    from workloads.parts.controllers.controller import Beat, Controller
    from workloads.parts.controllers.watch import Watcher

Answer = Literal["prompt", "slow", "short", "moody", "late"]
ANSWERS: Final[tuple[Answer, ...]] = ("prompt", "slow", "short", "moody")
"""How devices answer: at once; after up to 20 s; after up to 20 s and a random share of the way; any of these.

A ``late`` one does each request 4.5 s after it, whatever has been asked for since then.
"""

_LATE_US: Final = 4_500_000
_AVERAGED_US: Final = 10 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Use:
    """What programs do from a moment on: memory in use, page cache (bytes), and percent of time somebody waits."""

    at_us: int
    used: int
    cached: int = 0
    waiting: float = 0.0
    huge_share: float = 1.0
    """Of the free memory, in chunks of 2 MiB and more."""


@dataclass
class WatchedGuest(FakeHost):
    """A guest of ``boot`` bytes and the devices that are plugged, whose programs use memory as in ``script``.

    Pressure is that of the script, and fades from then on by itself as ``some_avg10`` does (the other averages are a
    fraction of it); that is no change to be told of.
    """

    env_: simpy.Environment
    script: Sequence[Use]
    boot: int = 2 * GIB
    answer: Answer = "prompt"
    seed: int = 0
    has: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.env_)
        self._rng = random.Random(self.seed)  # noqa: S311  not for secrets
        self._use = Use(0, 0)
        self._asked: dict[str, int] = {}
        self.env.process(self._follow())

    def _follow(self) -> Generator[simpy.Event, object, None]:
        for use in self.script:
            if use.at_us > self.env.now:
                yield self.env.timeout(use.at_us - int(self.env.now))
            self._use = use
            self.tell_of_change()

    def report(self) -> GuestReport:
        use, total = self._use, self.boot + sum(self.has.values())
        free = max(0, total - use.used - use.cached)
        faded = use.waiting * math.exp(-(self.env.now - use.at_us) / _AVERAGED_US)
        return GuestReport(
            total=total,
            free=free,
            available=min(total, free + use.cached),
            cached=use.cached,
            anonymous=use.used,
            free_huge=int(free * use.huge_share) // (2 * MIB) * 2 * MIB,
            pressure=Pressure(some_avg10=faded, some_avg60=faded / 6, full_avg10=faded / 2, full_avg60=faded / 12),
            nodes=((total, free),),
        )

    def mem_available(self) -> int:
        return self.report().available

    def plug(self, spec: DeviceSpec) -> bool:
        if not super().plug(spec):
            return False
        self.has[spec.id] = 0
        self._answer(spec.id, spec.requested if isinstance(spec, VirtioMemSpec) else spec.size)
        return True

    def unplug(self, device: str) -> bool:
        self._record("unplug", device, None)
        if not self.present(device) or self.busy(device):
            return False
        self._answer(device, 0, gone=True)
        return True

    def resize(self, device: str, requested: int) -> bool:
        if not super().resize(device, requested):
            return False
        self._answer(device, requested)
        return True

    def plugged(self, device: str) -> int:
        return self.has.get(device, 0)

    def _answer(self, device: str, size: int, *, gone: bool = False) -> None:
        """Have the guest come to ``size``, or some of the way; ``gone``: all of the way or none."""
        if isinstance(self.devices[device], VirtioMemSpec):
            most = self.devices[device].max_size  # type: ignore[union-attr]
            assert 0 <= size <= most, f"{size} of at most {most} bytes"
        how = self._rng.choice(ANSWERS[:3]) if self.answer == "moody" else self.answer
        delay = (
            0
            if how == "prompt"
            else _LATE_US
            if how == "late"
            else self._rng.choice((self._rng.randrange(20 * MICROSECONDS), 5 * MICROSECONDS))
        )
        reaches = self._rng.choice((0.0, 0.5, 0.9, 1.0)) if how == "short" else 1.0
        self._asked[device] = asked = self._asked.get(device, 0) + 1
        self._busy_until[device] = int(self.env.now) + delay
        self.tell_of_change()
        if not delay:
            self._arrive(device, size, reaches, gone=gone)
            return

        def later() -> Generator[simpy.Event, object, None]:
            yield self.env.timeout(delay)
            if (self._asked[device] == asked or how == "late") and device in self.devices:
                self._arrive(device, size, reaches, gone=gone)

        self.env.process(later())

    def _arrive(self, device: str, size: int, reaches: float, *, gone: bool) -> None:
        before = self.has[device]
        if not gone:
            self.has[device] = before + int((size - before) * reaches) // (2 * MIB) * 2 * MIB
        elif reaches == 1.0:
            del self.has[device], self.devices[device]
        self.tell_of_change()


def poll(host: Host, watcher: Watcher, beat: Beat) -> Generator[simpy.Event, object, None]:
    """Make every look: as :func:`~workloads.parts.controllers.watch.watch`, but after a None look at each beat."""
    at = beat.first_us
    while (not beat.end_us or at <= beat.end_us) and not host.died:
        yield moment(host.env, at)
        then = watcher.look(at)
        if then is None:
            at = beat.after(at, at)
        else:
            at = min(then.at_us, beat.after(at, at)) if isinstance(then, Due) else then


def watched(
    controller: Controller,
    script: Iterable[Use],
    *,
    answer: Answer = "prompt",
    seed: int = 0,
    boot: int = 2 * GIB,
    end_us: int | None = None,
    skip: bool = True,
) -> tuple[WatchedGuest, int]:
    """Run ``controller`` beside the ``script`` until ``end_us`` (None: its own end). Returns the host, and its looks.

    Without ``skip`` every look is made.
    """
    env = simpy.Environment()
    host = WatchedGuest(env, tuple(script), boot, answer, seed)
    looks = 0
    make = controller.watcher

    def counted(host: Host) -> Watcher:
        watcher = make(host)
        look = watcher.look

        def counting(now_us: int) -> int | Due | None:
            nonlocal looks
            looks += 1
            then = look(now_us)
            assert then is None or (then.at_us if isinstance(then, Due) else then) > now_us
            return then

        return mock.Mock(look=counting, spec=["look"])

    with mock.patch.object(controller, "watcher", counted):
        if skip:
            process = env.process(controller.run(host, Streams(seed, 0)))
            env.run(until=process if end_us is None else end_us)
        else:
            with mock.patch("workloads.parts.controllers.controller.watch", poll):
                process = env.process(controller.run(host, Streams(seed, 0)))
                env.run(until=process if end_us is None else end_us)
    return host, looks


def same_with_all_looks(
    controller: Controller, script: Sequence[Use], *, answer: Answer, seed: int = 0, boot: int = 2 * GIB, end_us: int
) -> list[Call]:
    """Check that skipped looks ask for nothing: return what was asked for, the same at the same times either way."""
    skipping, few = watched(controller, script, answer=answer, seed=seed, boot=boot, end_us=end_us)
    plain, all_looks = watched(controller, script, answer=answer, seed=seed, boot=boot, end_us=end_us, skip=False)
    assert skipping.calls == plain.calls
    assert few <= all_looks
    return skipping.calls


def random_script(
    rng: random.Random, *, most: int, span_us: int, period_us: int, page: int = 2 * MIB
) -> tuple[Use, ...]:
    """Return a script of random levels with what is awkward: changes on the beat, pressure, long calm."""
    uses = []
    at = 0
    level = rng.randrange(most)
    while at < span_us:
        kind = rng.random()
        if kind < 0.4:  # a jump; else a drift, or the same again
            level = rng.randrange(most)
        elif kind < 0.8:
            level = min(most, max(0, level + rng.randrange(-most // 16, most // 16)))
        cached = rng.choice((0, rng.randrange(most // 4)))
        waiting = rng.choice((0.0, 0.0, rng.uniform(0, 60)))
        uses.append(Use(at, level // page * page, cached // page * page, waiting, rng.choice((1.0, 0.5, 0.25))))
        step = rng.choice((rng.randrange(1, period_us), rng.randrange(1, 60 * period_us), period_us))
        at += step
        if rng.random() < 0.3:  # exactly on a beat
            at = -(-at // period_us) * period_us
    return tuple(uses)


def sizes(calls: Iterable[Call]) -> list[tuple[float, int]]:
    """Return (seconds, bytes) of every request for another size of a virtio-mem device."""
    return [(at / MICROSECONDS, what) for at, verb, _, what in calls if verb == "resize" and isinstance(what, int)]
