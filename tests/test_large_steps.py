"""That work done in large steps is what it would be done block by block: rows, samples and counters are the same.

A driver goes from one block to the next without SimPy where nothing else happens in between. Something that ticks all
the time takes that from it, and must not change what the run leaves behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch8
from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.udev import Udev
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.guest.at_once import AtOnce
from sim.kernel.diary import Decided
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.ticking import Asked, Case, Requests

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from policies.contract import Policy
    from sim.kernel.diary import Note
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

SECONDS = 40
BLOCK = 128 * MIB
POLICIES: tuple[Callable[[], Policy], ...] = (
    AutoMovable,
    lambda: AutoMovable(ratio=30),
    lambda: AutoMovable(ratio=100, numa_aware=False),
    lambda: AutoMovable(ratio=3000),
    lambda: AutoMovable(ratio=0),
    AutoMovablePatch8,
    ContigZones,
    lambda: ContigZones(movable_node=True),
    OnlineKernel,
    OnlineMovable,
    Offline,
    Headroom,
    Udev,
)


class Resizing(Requests):
    """Requests of three virtio-mem devices, whose sub-blocks have ``sub`` bytes, of DIMMs and of programs."""

    seconds = SECONDS

    def __init__(self, asked: list[Asked], nodes: int, sub: int, tick_us: int | None) -> None:
        super().__init__(asked, nodes, tick_us)
        self._sub = sub

    def begin(self, host: Host) -> int:
        for number in range(3):
            host.plug(VirtioMemSpec(f"v{number}", 40 * GIB, block_size=self._sub, node=number % self._nodes))
        return 0

    def do(self, host: Host, asked: Asked) -> None:
        if asked.what == "resize":
            host.resize(f"v{asked.which}", asked.amount * BLOCK)
        elif asked.what == "a bit":
            host.resize(f"v{asked.which}", asked.amount * BLOCK + 4 * self._sub)
        elif asked.what == "plug":
            host.plug(DimmSpec(f"d{asked.which}", max(1, asked.amount % 24) * BLOCK))
        elif asked.what == "unplug":
            host.unplug(f"d{asked.which}")
        else:
            host.set_demand(f"{asked.what} {asked.which}", asked.what, asked.amount * 8 * MIB)


def asked() -> st.SearchStrategy[list[Asked]]:
    """Return what draws what is asked: requests of many blocks above all, some of them while others are under way."""
    after = st.sampled_from((0, 1, 26_500, 53_000, 100_000, 700_000, 2_000_000, 5_000_000))
    what = st.sampled_from(
        ("resize",) * 8 + ("a bit", "plug", "unplug", "anonymous", "kernel", "page-cache", "page-tables")
    )
    return st.lists(st.builds(Asked, after, what, st.integers(0, 2), st.integers(0, 300)), min_size=2, max_size=12)


@dataclass(frozen=True)
class ResizingCase(Case):
    """A case with sub-blocks of ``sub`` bytes."""

    sub: int

    def requests(self, tick_us: int | None) -> Requests:
        return Resizing(self.asked, self.nodes, self.sub, tick_us)


CASES = st.builds(
    ResizingCase,
    asked(),
    st.sampled_from(POLICIES),
    st.integers(1, 2),
    st.sampled_from((512 * MIB, 2 * GIB, 16 * GIB)),
    st.sampled_from(("5.15", "6.1", "6.12")),
    st.booleans(),
    st.sampled_from((False, False, True)),
    st.sampled_from((Timing(), Timing(virtio_mem_plug=500, virtio_mem_unplug=0), Timing(virtio_mem_unplug=900))),
    st.sampled_from((2 * MIB, 2 * MIB, 2 * MIB, 128 * MIB, 512 * MIB)),
)


def case(*asked: Asked, modelled: bool = False, timing: Timing | None = None) -> Case:
    """Return a case of auto-movable on one node of 16 GiB."""
    return ResizingCase(
        list(asked),
        AutoMovable,
        1,
        16 * GIB,
        "6.1",
        modelled,
        memmap_on_memory=False,
        timing=timing or Timing(),
        sub=2 * MIB,
    )


def test_a_request_that_falls_or_rises_while_blocks_come_and_go_stops_them_where_it_would_have() -> None:
    asked = [(0, 200), (700_000, 40), (700_000, 250), (1_000_000, 10), (500_000, 300)]
    requests = [Asked(after_us, "resize", 0, blocks) for after_us, blocks in asked]
    for modelled in (False, True):
        falling = case(*requests, modelled=modelled)
        assert falling.run(None) == falling.run(7_000)


def test_a_sample_at_the_very_microsecond_of_a_block_is_taken_before_it() -> None:
    quick = Timing(virtio_mem_plug=500, virtio_mem_unplug=500)
    exact = case(Asked(900_000, "resize", 0, 300), Asked(4_000_000, "resize", 0, 0), modelled=True, timing=quick)
    assert exact.run(None) == exact.run(490)


def test_who_waits_for_changes_hears_of_every_block() -> None:
    def heard(tick_us: int | None) -> list[tuple[int, int]]:
        class Watched(Resizing):
            def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
                host.env.process(self._watch(host))
                yield from super().run(host, streams)

            @staticmethod
            def _watch(host: Host) -> Generator[simpy.Event, object, None]:
                while True:
                    yield host.changed()
                    log.append((int(host.env.now), host.plugged("v0") // BLOCK))

        log: list[tuple[int, int]] = []
        asked = [Asked(1_000, "resize", 0, 60), Asked(5_000_000, "resize", 0, 0)]
        simulate(MachineSpec((NodeSpec(4 * GIB),)), AutoMovable(), Watched(asked, 1, 2 * MIB, tick_us), Streams(1, 0))
        return log

    assert heard(None) == heard(3_000)
    assert {blocks for _, blocks in heard(None)} == set(range(61))


def test_who_wants_reasons_is_told_that_of_every_block() -> None:
    notes: list[tuple[int, Note]] = []

    def log(at: int, note: Note) -> None:
        notes.append((at, note))

    asked = [Asked(1_000, "resize", 0, 60)]
    machine, load = MachineSpec((NodeSpec(4 * GIB),)), Resizing(asked, 1, 2 * MIB, None)
    simulate(machine, AutoMovable(), load, Streams(1, 0), log=log)
    decided = [(at, note.block) for at, note in notes if isinstance(note, Decided)]
    first = decided[0][1]
    assert decided == [(1_000 + 26_500 * number, first + number - 1) for number in range(1, 61)]


@pytest.mark.parametrize("modelled", [False, True])
def test_large_requests_take_few_events(modelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Else all of this would compare block by block with block by block."""
    steps: list[object] = []

    def counted(queue: list[Any]) -> object:
        steps.append(heappop(queue))
        return steps[-1]

    monkeypatch.setattr("sim.kernel.event_loop.heappop", counted)
    large = case(Asked(0, "resize", 0, 300), Asked(15_000_000, "resize", 0, 0), modelled=modelled)
    large.run(None)
    assert 2 < len(steps) < 150


@settings(max_examples=12)
@given(CASES, st.integers(1_000, 9_000))
def test_something_that_ticks_all_the_time_changes_nothing(case: Case, tick_us: int) -> None:
    assert case.run(None) == case.run(tick_us)


@pytest.mark.slow
@settings(max_examples=400)
@given(CASES, st.integers(100, 60_000))
def test_nor_does_it_in_many_more_runs(case: Case, tick_us: int) -> None:
    assert case.run(None) == case.run(tick_us)


def block_by_block(case: Case, *, at_once: bool) -> tuple[tuple[object, ...], int]:
    """Return what a run leaves behind in which each block goes by itself, and how many of them went ``at_once``."""
    gone = 0
    unplug_one = AtOnce.unplug_one

    def counted(guest: AtOnce, zone: int, node: int, block: int) -> bool:
        nonlocal gone
        goes = at_once and unplug_one(guest, zone, node, block)
        gone += goes
        return goes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AtOnce, "unplug_one", counted)
        return case.run(2_000), gone


def test_a_single_block_that_goes_at_once_leaves_behind_what_it_would_step_by_step() -> None:
    asked = [Asked(700_000, "resize", 0, 60), Asked(1_000, "anonymous", 0, 300), Asked(2_000_000, "resize", 0, 0)]
    found = case(*asked, Asked(4_000_000, "resize", 0, 9), Asked(800_000, "resize", 0, 3), modelled=True)
    short, gone = block_by_block(found, at_once=True)
    assert gone > 20
    assert short == block_by_block(found, at_once=False)[0]


@settings(max_examples=10)
@given(CASES)
def test_single_blocks_do_so_whatever_else_is_asked(case: Case) -> None:
    assert block_by_block(case, at_once=True)[0] == block_by_block(case, at_once=False)[0]


@pytest.mark.slow
@settings(max_examples=400)
@given(CASES)
def test_single_blocks_do_so_in_many_more_runs(case: Case) -> None:
    assert block_by_block(case, at_once=True)[0] == block_by_block(case, at_once=False)[0]
