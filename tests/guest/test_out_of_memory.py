"""Whom a failure to find memory hits: kinds of failures, the choice of a victim, the death of the guest.

The small guest of test_amounts.py: DMA32 and MOVABLE of 65,536 pages, watermarks 256, 321 and 386.
"""

from __future__ import annotations

import pytest

from sim.guest import OomKind
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE
from tests.guest.machines import SIZE, small
from tests.guest.test_amounts import MIN


def test_slab_that_finds_no_room_is_a_failure_of_the_kernel() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.pin("p", SIZE - MIN)
    outcome = model.demands.disk_files("/d", 100)
    assert [(e.kind, e.victim) for e in outcome.ooms] == [(OomKind.KERNEL, "p")]
    assert (outcome.pages, outcome.share) == (100, 1.0)


def test_kernel_pages_of_a_user_load_that_find_no_room_are_a_failure_of_the_kernel() -> None:
    model = small(ZONE_MOVABLE, anon_table_share=1.0)
    model.demands.pin("p", SIZE - MIN - 10)
    outcome = model.demands.anonymous("a", 20)
    assert [(e.kind, e.victim) for e in outcome.ooms] == [(OomKind.KERNEL, "p")]
    # Steps of 1 of 64: the eleventh page of tables is the 21st or so of 40.
    assert outcome.ooms[0].done_share == 21 / 40
    assert (outcome.pages, outcome.share) == (40, 1.0)


@pytest.mark.parametrize(
    ("loads", "victim"),
    [
        ("abc", "c"),  # of equals the youngest
        ("aBc", "B"),
        ("Abc", "A"),
        ("aBC", "C"),
    ],
)
def test_the_biggest_process_dies_and_of_equals_the_youngest(loads: str, victim: str) -> None:
    model = small(ZONE_MOVABLE)
    for name in loads:
        model.demands.anonymous(name, 2000 if name.isupper() else 1000)
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert event.victim == victim
    assert victim not in model.loads
    assert len(model.loads) == 2


def test_a_kill_names_the_equals_of_the_victim_that_lie_elsewhere() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("movable", 30_000)
    model.demands.pin("kernel", 30_002)
    model.demands.anonymous("movable too", 30_001)
    model.demands.anonymous("smaller", 29_000)
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert (event.victim, event.tie, event.equals) == ("kernel", 2, ("movable too", "movable"))
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert (event.victim, event.tie, event.equals) == ("movable too", 1, ())  # its equal is in the same zone


def test_a_kill_without_equals_names_none() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 20_000)
    model.demands.pin("b", 20_003)
    assert [event.equals for event in model.killer.kill(OomKind.KERNEL)] == [()]


def test_what_counts_against_a_process() -> None:
    """Resident pages and page tables; not what pipes and sockets hold; one of many processes for itself."""
    model = small(ZONE_MOVABLE, anon_table_share=0.5)
    model.demands.anonymous("anonymous", 1000)
    model.demands.page_tables("tables", 1400)
    model.demands.pin("pins", 1300)
    model.demands.pipes("pipes", 1000)
    model.demands.sockets("sockets", 5000)
    model.demands.processes("processes", 2000)
    model.demands.tmpfs_data("/run/x", 9000)
    model.demands.kernel_memory("kernel", 9000)
    badness = {name: load.badness() for name, load in model.loads.items()}
    assert badness == {
        "anonymous": 1500,
        "tables": 1400,
        "pins": 1300,
        "pipes": 0,
        "sockets": 0,
        "processes": 1,
        "/run/x": 9000,
        "kernel": 0,
    }
    victims = [event.victim for _ in range(4) for event in model.killer.kill(OomKind.KERNEL)]
    assert victims == ["anonymous", "tables", "pins", "processes"]
    assert not model.killer.guest_died


@pytest.mark.parametrize(("count", "left"), [(640, 630), (100, 99), (64, 63), (129, 127), (2, 1)])
def test_of_many_processes_a_64th_dies_at_a_time(count: int, left: int) -> None:
    model = small(ZONE_MOVABLE)
    model.demands.processes("p", count)
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert (event.victim, event.guest_died) == ("p", False)
    load = model.loads["p"]
    assert (load.units, load.user_pages(), load.kernel_pages()) == (left, left, 2 * left)


@pytest.mark.parametrize("count", [1, 64, 4000])
def test_children_that_asked_to_die_with_their_parent_go_with_it(count: int) -> None:
    model = small(ZONE_MOVABLE)
    model.demands.workers("p", count)
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert (event.victim, event.tie, event.guest_died) == ("p", 0, False)
    assert not model.loads


@pytest.mark.parametrize(
    ("sizes", "victim", "tie"),
    [
        ((1000,), "0", 0),
        ((1000, 1000), "1", 1),
        ((1000, 1002), "1", 1),  # within two pages it is chance
        ((1002, 1000), "0", 1),
        ((1000, 1003), "1", 0),
        ((1000, 1000, 1001, 900), "2", 2),
    ],
)
def test_a_choice_among_equals_is_marked(sizes: tuple[int, ...], victim: str, tie: int) -> None:
    model = small(ZONE_MOVABLE)
    for number, size in enumerate(sizes):
        model.demands.anonymous(str(number), size)
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert (event.victim, event.tie) == (victim, tie)


def test_which_of_many_like_processes_dies_is_no_tie() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.processes("p", 640)
    assert [event.tie for event in model.killer.kill(OomKind.KERNEL)] == [0]


SMALL_TABLES, LARGE_TABLES = 1024, 1025


@pytest.mark.parametrize(
    ("tables", "asked", "victims"),
    [
        # Tables of the first are not free yet when whoever asks tries again.
        ({"a": LARGE_TABLES, "b": 2000}, "kernel", ["b", "a"]),
        ({"a": 2000, "b": 2000, "c": 3000}, "kernel", ["c", "b"]),
        # Few tables are freed in time. So are those of one that is killed for its own request: it asks no more.
        ({"a": 900, "b": SMALL_TABLES}, "kernel", ["b"]),
        ({"a": 2000, "b": 3000}, "b", ["b"]),
        # There is nobody else: then it has to wait.
        ({"a": 2000}, "kernel", ["a"]),
    ],
)
def test_a_second_process_dies_while_the_page_tables_of_the_first_are_freed(
    tables: dict[str, int], asked: str, victims: list[str]
) -> None:
    model = small(ZONE_MOVABLE)
    for name, pages in tables.items():
        model.demands.page_tables(name, pages)
    model.demands.kernel_memory("kernel", SIZE - MIN - sum(tables.values()))
    verb = model.demands.page_tables if asked != "kernel" else model.demands.kernel_memory
    outcome = verb(asked, 100)
    assert [(event.kind, event.victim) for event in outcome.ooms] == [(OomKind.KERNEL, name) for name in victims]
    free = [zone.free for event in outcome.ooms for zone in event.zones if zone.zone == ZONE_DMA32]
    assert free == [MIN] * len(victims)  # nothing was freed in between
    assert not model.loads.keys() & set(victims)
    model.check()


@pytest.mark.parametrize(("names", "ties"), [("ab", [0, 0]), ("abc", [1, 1]), ("abcd", [2, 2])])
def test_of_equals_that_all_die_none_was_chosen_by_chance(names: str, ties: list[int]) -> None:
    model = small(ZONE_MOVABLE)
    for name in names:
        model.demands.page_tables(name, 2000)
    model.demands.kernel_memory("kernel", SIZE - MIN - 2000 * len(names))
    assert [event.tie for event in model.killer.kill(OomKind.KERNEL)] == ties


def test_anonymous_memory_is_free_at_once_and_its_process_dies_alone() -> None:
    """Its user pages go first: with some of them in the kernel zone, the next attempt finds room."""
    model = small(anon_table_share=0.1)
    model.demands.anonymous("a", 20_000)
    model.demands.page_tables("b", 5000)
    model.demands.kernel_memory("kernel", SIZE - 2 * MIN - 27_000)
    assert [event.victim for event in model.killer.kill(OomKind.KERNEL)] == ["a"]
    assert model.loads.keys() == {"b", "kernel"}


def test_a_process_without_pages_of_its_own_is_better_than_none() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.pipes("pipes", 10)
    assert [event.victim for event in model.killer.kill(OomKind.KERNEL)] == ["pipes"]
    assert not model.killer.guest_died


def test_the_last_process_takes_its_load_along() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.processes("p", 1)
    assert [event.victim for event in model.killer.kill(OomKind.KERNEL)] == ["p"]
    assert not model.loads


def test_without_a_process_the_guest_dies_and_serves_nothing_any_more() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.tmpfs_files("/tmp/f", 1000)  # noqa: S108 - a path inside the guest
    (event,) = model.killer.kill(OomKind.KERNEL)
    assert (event.kind, event.victim, event.guest_died, event.done_share) == (OomKind.KERNEL, None, True, 0.0)
    assert model.killer.guest_died
    assert model.demands.anonymous("a", 5) == (0, 0.0, ())
    assert model.killer.events == [event]
    assert {u.zone: u.free for u in event.zones} == {ZONE_MOVABLE: SIZE, ZONE_DMA32: SIZE - 1000}
    assert event.mem_available == model.meminfo.available()
