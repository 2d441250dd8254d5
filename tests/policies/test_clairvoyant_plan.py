from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.clairvoyant.plan import Device, Future, Item, Need, Plan, best_plan

END = 20


def outcome(future: Future, needs: list[Need], plan: Plan) -> tuple[bool, int]:
    """Follow a plan change by change: whether every need is met, and the page-microseconds of MOVABLE memory."""
    changes = [(item.begin, 0, number, 1) for number, item in enumerate(future.items)]
    changes += [(item.end, 0, number, -1) for number, item in enumerate(future.items)]
    for number, device in enumerate(future.devices):
        changes += [(t, 1, number, change) for t, change in device.steps]
    changes.sort(key=lambda change: change[0])
    alive: set[int] = set()
    added = [iter(kinds) for kinds in plan.devices]
    kernel, movable = [0] * len(future.devices), [0] * len(future.devices)
    met, score = True, 0
    for place, (t, is_device, number, change) in enumerate(changes):
        if not is_device:
            alive ^= {number}
        elif change > 0:
            if next(added[number]):
                kernel[number] += 1
            else:
                movable[number] += 1
        elif movable[number]:
            movable[number] -= 1
        else:
            kernel[number] -= 1
        until = changes[place + 1][0] if place + 1 < len(changes) else future.end_us
        if until <= t:
            continue
        units = [device.unit for device in future.devices]
        have = sum(future.items[i].pages for i in alive if plan.items[i])
        have += sum(n * unit for n, unit in zip(kernel, units, strict=True))
        total = sum(future.items[i].pages for i in alive)
        total += sum((k + m) * unit for k, m, unit in zip(kernel, movable, units, strict=True))
        for now in range(t, until):
            need = next((need.pages for need in reversed(needs) if need.t_us <= now), 0)
            met &= have >= min(need, total)
        score += (total - have) * (until - t)
    return met, score


def every_plan(future: Future) -> list[Plan]:
    grown = [sum(change > 0 for _, change in device.steps) for device in future.devices]
    kinds = [itertools.product((False, True), repeat=n) for n in grown]
    items = itertools.product((False, True), repeat=len(future.items))
    return [Plan(tuple(of_items), tuple(of_devices)) for of_items, *of_devices in itertools.product(items, *kinds)]


@st.composite
def futures(draw: st.DrawFn, most_items: int = 3, most_devices: int = 2, most_steps: int = 4) -> Future:
    moment = st.integers(0, END - 1)
    items = []
    for _ in range(draw(st.integers(0, most_items))):
        begin = draw(moment)
        items.append(Item(begin, draw(st.integers(begin + 1, END)), draw(st.integers(1, 5))))
    devices = []
    for _ in range(draw(st.integers(0, most_devices))):
        size, steps = 0, []
        for t in sorted(draw(st.lists(moment, max_size=most_steps))):
            change = draw(st.sampled_from((1, 1, -1))) if size else 1
            size += change
            steps.append((t, change))
        devices.append(Device(draw(st.integers(1, 4)), tuple(steps)))
    return Future(tuple(items), tuple(devices), END)


def needs() -> st.SearchStrategy[list[Need]]:
    one = st.builds(Need, st.integers(0, END - 1), st.integers(0, 12))
    return st.lists(one, max_size=6, unique_by=lambda need: need.t_us).map(sorted)


def check_best(future: Future, needs: list[Need]) -> None:
    met, score = outcome(future, needs, best_plan(future, needs))
    assert met
    assert score == max(found for fits, found in (outcome(future, needs, plan) for plan in every_plan(future)) if fits)


@settings(max_examples=80, deadline=None)
@given(futures(), needs())
def test_no_assignment_of_zones_beats_the_plan(future: Future, needs: list[Need]) -> None:
    check_best(future, needs)


@settings(max_examples=80, deadline=None)
@given(futures(most_items=0, most_devices=1, most_steps=10), needs())
def test_no_assignment_beats_the_plan_for_a_single_device(future: Future, needs: list[Need]) -> None:
    check_best(future, needs)


def test_a_unit_becomes_kernel_memory_as_late_as_it_can() -> None:
    device = Device(10, tuple((t, 1) for t in range(5)))
    plan = best_plan(Future((), (device,), END), [Need(0, 0), Need(10, 15)])
    assert plan.devices == ((False, False, False, True, True),)


def test_what_is_needed_before_more_comes_has_to_be_there() -> None:
    device = Device(10, ((0, 1), (1, 1), (15, 1)))
    plan = best_plan(Future((), (device,), END), [Need(10, 5), Need(17, 15)])
    assert plan.devices == ((False, True, True),)


def test_a_unit_that_nothing_needs_after_all_others_have_gone_is_movable() -> None:
    device = Device(10, ((0, 1), (5, -1), (10, 1)))
    plan = best_plan(Future((), (device,), END), [Need(0, 5), Need(4, 0)])
    assert plan.devices == ((True, False),)


def test_of_two_dimms_that_would_do_the_one_that_costs_less_is_kernel_memory() -> None:
    items = (Item(0, 16, 10), Item(2, 12, 10), Item(4, END, 10))
    plan = best_plan(Future(items, (), END), [Need(6, 5), Need(10, 0)])
    assert plan.items == (False, True, False)


def test_memory_is_kernel_memory_for_as_long_as_it_is_there_whenever_it_comes() -> None:
    items = (Item(0, 12, 11), Item(8, END, 10))
    plan = best_plan(Future(items, (), END), [Need(9, 5), Need(10, 0)])
    assert plan.items == (False, True)


def test_the_plan_is_the_best_to_the_page() -> None:
    """Of 14 DIMMs of odd sizes, those that meet the need with the least: known from all sums that there are."""
    draw = random.Random(0)  # noqa: S311 - any numbers will do
    sizes = [draw.randrange(100_000, 999_999) for _ in range(14)]
    need = sum(sizes) // 2 + 1
    sums = {0}
    for size in sizes:
        sums |= {found + size for found in sums}
    plan = best_plan(Future(tuple(Item(0, END, size) for size in sizes), (), END), [Need(0, need)])
    assert sum(itertools.compress(sizes, plan.items)) == min(found for found in sums if found >= need)


def test_a_device_that_shrinks_keeps_its_kernel_memory_longest() -> None:
    """Its kernel unit would stay to the end, and the DIMM goes before."""
    future = Future((Item(0, 15, 10),), (Device(10, ((0, 1), (0, 1), (10, -1))),), END)
    assert best_plan(future, [Need(0, 5), Need(10, 0)]) == Plan((True,), ((False, False),))


def test_one_dimm_for_two_needs_beats_one_for_each() -> None:
    # Taking the cheapest that helps whenever something is missing would pick the last two.
    future = Future((Item(0, 20, 10), Item(1, 9, 10), Item(12, 19, 10), Item(4, 16, 10)), (), END)
    needs = [Need(5, 5), Need(6, 0), Need(14, 5), Need(15, 0)]
    assert best_plan(future, needs).items == (False, False, False, True)


def test_nothing_to_come_needs_no_plan() -> None:
    assert best_plan(Future((), (), END), [Need(0, 5)]) == Plan((), ())


def test_a_device_gives_back_movable_units_first_so_that_a_kernel_one_stays() -> None:
    """One page is needed until 2: a unit of a device that shrinks at 2 would cost until the end, an item until 8.

    What is given back at 2 is the MOVABLE unit, and not the kernel one.
    """
    future = Future((Item(0, 8, 1),), (Device(1, ((0, 1), (0, 1), (2, -1))),), END)
    wanted = [Need(0, 1), Need(2, 0)]
    plan = best_plan(future, wanted)
    assert plan == Plan((True,), ((False, False),))
    assert outcome(future, wanted, plan) == (True, 2 * 2 + 1 * (END - 2))
