"""What no zones can pass, worked out by hand; that it holds is tested against all zones in test_clairvoyant.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.clairvoyant.following import Decision
from policies.clairvoyant.relaxation import UNLIMITED, Relaxation
from policies.clairvoyant.trials import asked_of, trial_of
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP, dynamic_group
from sim.record.recorder import EventKind
from tests.policies.rehearsed import REQUEST, S, rehearsed
from tests.policies.stage import BLOCK

if TYPE_CHECKING:
    from sim.record.run_result import RunResult

M, N = ZONE_MOVABLE, ZONE_NORMAL
PLUG, OFFLINE = EventKind.PLUG, EventKind.OFFLINE
SECONDS = BLOCK * S
"""Page-microseconds of a block for a second."""

FOUR = ((10, REQUEST, 0, -1, 0, 4 * BLOCK), (70, REQUEST, 0, -1, 0, 2 * BLOCK))
DEMAND = ((30, 1), (50, BLOCK + 1), (80, 0))


def relaxed(result: RunResult) -> Relaxation:
    return Relaxation(asked_of(result), result)


def test_what_the_host_asks_less_what_the_kernel_needs_in_whole_blocks() -> None:
    """The memmap of four blocks fills what was free at boot; a page more takes a block of them, a block and one two."""
    result = rehearsed(*FOUR, demand=DEMAND, boot_free=4 * 512)
    relaxation = relaxed(result)
    # From 70 on the host wants two blocks, and there may be four.
    assert relaxation.total == (20 * 4 + 20 * 3 + 20 * 2 + 30 * 2) * SECONDS
    assert relaxation.possible
    assert relaxation.needs == (
        (0, 0), (10 * S, 0), (30 * S, BLOCK), (50 * S, 2 * BLOCK), (70 * S, 2 * BLOCK), (80 * S, 0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("boot_free", "memmap", "total"),
    [
        (4 * 512 - 1, 512, 20 * 3 + 20 * 3 + 20 * 2 + 10 * 2 + 20 * 2),
        (4 * 512 + 1, 512, 20 * 4 + 20 * 4 + 20 * 3 + 30 * 2),
        (0, 0, 20 * 4 + 20 * 3 + 20 * 2 + 30 * 2),
        (8 * BLOCK, 512, 60 * 4 + 30 * 2),
    ],
)
def test_every_page_that_is_free_at_boot_counts(boot_free: int, memmap: int, total: int) -> None:
    assert relaxed(rehearsed(*FOUR, demand=DEMAND, boot_free=boot_free, memmap=memmap)).total == total * SECONDS


def test_what_is_not_known_is_not_counted() -> None:
    failed = rehearsed(*FOUR[:1], (50, EventKind.OOM, -1, 0, 1, 0), *FOUR[1:], demand=DEMAND, boot_free=4 * 512)
    until = relaxed(failed)
    assert until.needs[-1] == (50 * S, 2 * BLOCK), "what failed was asked for"
    assert until.total == UNLIMITED
    assert until.possible
    assert relaxed(rehearsed(*FOUR, guest=False)).total == (60 * 4 + 30 * 2) * SECONDS
    boot_memory = rehearsed(*FOUR, (5, OFFLINE, -1, 2, 1, N), demand=DEMAND, boot_free=4 * 512)
    assert relaxed(boot_memory).total == (60 * 4 + 30 * 2) * SECONDS


def test_where_all_memory_does_not_suffice_nothing_is_possible() -> None:
    for pages, possible in ((4 * BLOCK, True), (4 * BLOCK + 1, False)):
        relaxation = relaxed(rehearsed(*FOUR, demand=[(40, pages)], boot_free=4 * 512))
        assert relaxation.possible == possible
        assert (relaxation.total > 0) == possible


def test_a_device_that_was_larger_may_still_have_its_blocks() -> None:
    """Asked for one block and a page (two), then for one, then for two again: there may be two all the time."""
    steps = ((0, REQUEST, 0, -1, 0, BLOCK + 1), (20, REQUEST, 0, -1, 0, BLOCK), (60, REQUEST, 0, -1, 0, 2 * BLOCK))
    relaxation = relaxed(rehearsed(*steps, demand=[(0, 1)], boot_free=2 * 512))
    assert relaxation.needs == tuple((t * S, BLOCK) for t in (0, 20, 60))
    assert relaxation.total == 100 * SECONDS


def test_a_decision_counts_until_the_host_asks_for_less() -> None:
    """A device of units of a block: kernel memory at second 11, MOVABLE at 21; at 60 the host takes one back."""
    result = rehearsed(
        (10, REQUEST, 0, -1, 0, BLOCK),
        (11, PLUG, 0, 40, 1, N),
        (20, REQUEST, 0, -1, 0, 2 * BLOCK),
        (21, PLUG, 0, 41, 1, M),
        (60, REQUEST, 0, -1, 0, BLOCK),
        groups=(dynamic_group(BLOCK),),
    )
    trial = trial_of(result, [Decision(11 * S, 40, kernel=True), Decision(21 * S, 41, kernel=False)])
    relaxation = relaxed(result)
    assert [relaxation.lasting(choice) for choice in trial.choices] == [(11 * S, 60 * S), (21 * S, 60 * S)]
    assert list(relaxation.siblings(trial, 0)) == [
        (0, (9 * 1 + 40 * 2 + 40 * 1) * SECONDS),
        # Both in kernel zones: nothing until second 60; whether one of them has gone then is not sure.
        (1, 40 * SECONDS),
    ]
    assert list(relaxation.siblings(trial, 1)) == [(1, 40 * SECONDS)]


def test_a_decision_at_the_time_at_which_less_is_asked_for_is_not_sure_to_last() -> None:
    result = rehearsed(
        (10, REQUEST, 0, -1, 0, 2 * BLOCK),
        (30, PLUG, 0, 40, 2, N),
        (30, REQUEST, 0, -1, 0, 0),
        (40, REQUEST, 0, -1, 0, 2 * BLOCK),
        groups=(STATIC_GROUP,),
    )
    trial = trial_of(result, [Decision(30 * S, 40, kernel=True)])
    assert relaxed(result).lasting(trial.choices[0]) == (30 * S, 30 * S)


def test_what_is_decided_and_what_is_needed_are_not_added_up() -> None:
    """Two DIMMs of a block and a need of one: the sibling in which one is kernel memory has what is needed."""
    result = rehearsed(
        (0, REQUEST, 0, -1, 0, BLOCK), (0, PLUG, 0, 40, 1, M), (0, REQUEST, 1, -1, 0, BLOCK), (5, PLUG, 1, 50, 1, M),
        demand=[(0, 1)], boot_free=2 * 512,
    )  # fmt: skip
    trial = trial_of(result, [Decision(0, 40, kernel=False), Decision(5 * S, 50, kernel=False)])
    assert list(relaxed(result).siblings(trial, 0)) == [(0, 100 * SECONDS), (1, (5 + 95) * SECONDS)]
