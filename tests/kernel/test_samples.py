"""Samples: whatever happens, each shows what asking for every figure afresh gives, though most repeat the last one."""
# ruff: noqa: S311, SLF001 - any numbers will do; what a sample follows from is the link's own

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import VirtioMemSpec
from sim.kernel.guest_samples import GuestSamples
from sim.record.guest_series import GUEST_SERIES
from sim.units import GIB, MIB
from tests.guest.watched import asked_one_by_one
from tests.kernel.guest_with_devices import FIRST, Guest, random_step
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from sim.kernel.guest_link import GuestLink


def plainly(link: GuestLink) -> dict[str, int]:
    """Return what a sample has to show now, and nothing of it is remembered."""
    returnable = link._samples.returnable
    assert returnable is not None
    sums, now = asked_one_by_one(link.model), int(link._env.now)
    shown = {
        "headroom": sums.headroom,
        "headroom_free": sums.headroom_free,
        "free_movable": sums.free_movable,
        "mem_available": sums.available,
        "mem_total": sums.managed,
        "returnable": returnable.pages(sums.room_for_user),
    }
    return {
        **(dict.fromkeys(shown, 0) if link.died else shown),
        "user": sums.user,
        "kernel": sums.kernel,
        "memmap": sums.memmap,
        "unserved": link._wishes.unserved // PAGE_SIZE,
        "stalled_us": link.model.stalls.total_us(now),
    }


class Checked:
    """Has every sample of a guest checked, whoever takes it. ``fresh`` counts those that showed something new."""

    def __init__(self, link: GuestLink) -> None:
        self.taken = self.fresh = 0
        self._link, self._sample = link, link.sample
        self._last: dict[str, int] = {}
        link.sample = link._samples.take = self.sample  # type: ignore[method-assign]

    def sample(self) -> None:
        self._sample()
        series = self._link.series()
        last = {name: int(series[name][-1]) for name in GUEST_SERIES}
        assert last == plainly(self._link)
        assert [len(column) for column in series.values()] == [len(series["t_us"])] * len(series)
        assert series["t_us"][-1] == self._link._env.now
        self.taken += 1
        self.fresh += last != self._last
        self._last = last


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_shows_what_asking_afresh_gives(seed: int) -> None:
    draw = Random(seed)
    policy = draw.choice([OnlineKernel(), OnlineMovable(), AutoMovable(ratio=200)])
    nodes = [draw.choice([1, 2]) * GIB for _ in range(draw.choice([1, 2, 9]))]
    guest = Guest(policy, *nodes, seconds=20, kernel=draw.choice(["6.1", "6.12"]))
    checked = Checked(guest.link)
    guest.link.start_sampling(5_000 * 1_000_000)
    for step in range(draw.randrange(5, 15)):
        random_step(guest, draw, step)
        if draw.random() < 0.2:
            guest.use("/written", "written-files", draw.choice([0, 20, 50]))
            guest.rest()
        if draw.random() < 0.2:
            guest.link.drop_caches(cache=draw.random() < 0.5, slab=True)
    assert 2 < checked.fresh < checked.taken


def sampled(seed: int) -> tuple[dict[str, list[int]], int]:
    """Return the samples of a guest that rests for long in between, and how many events its run was of."""
    draw = Random(seed)
    guest = Guest(OnlineKernel(), GIB, seconds=60, kernel=("6.1", "6.12")[seed % 2])
    numbers = guest.core.env._eid
    guest.link.start_sampling(5_000 * 1_000_000)
    for step in range(8):
        random_step(guest, draw, step)
        loads = [("/written", "written-files", 50), ("file", "page-cache", 900), ("program", "anonymous", 600)]
        guest.use(*draw.choice(loads))
        guest.rest()
        guest.use("program", "anonymous", 0)  # fills the lists of the CPUs, which newer kernels empty by and by
        guest.rest()
    return {name: column.tolist() for name, column in guest.link.series().items()}, next(numbers)


@pytest.mark.parametrize("seed", range(6))
def test_samples_taken_ahead_are_those_taken_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, few = sampled(seed)
    monkeypatch.setattr(GuestSamples, "_take_ahead", lambda *_: None)
    one_by_one, many = sampled(seed)
    assert ahead == one_by_one
    assert few < many / 2


def test_devices_that_unplug_what_is_offline_are_seen_one_by_one() -> None:
    """Nothing in the guest changes then, but what could be returned does."""
    guest = Guest(OnlineMovable())
    guest.plug(*(VirtioMemSpec(name, GIB, requested=128 * MIB) for name in "vw"))
    for block in (FIRST, FIRST + 8):
        guest.core.offline_block(-1, block)
    checked = Checked(guest.link)
    changes = guest.link.model.changes.count
    for name in "vw":
        guest.host.resize(name, 64 * MIB)
    while not guest.host.at_rest:
        guest.link.sample()
        guest.core.env.step()
    guest.link.sample()
    assert guest.link.model.changes.count == changes
    assert checked.fresh == 3
