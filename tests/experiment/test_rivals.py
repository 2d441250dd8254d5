"""Which policies a policy that looks ahead is told of, and that a cell is another one with other rivals."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from policies.headroom import Headroom
from sim.experiment import build
from sim.experiment.load import load
from tests.experiment.examples import small

if TYPE_CHECKING:
    from sim.experiment.plan import Combination, Experiment

BEST = {"name": "clairvoyant"}


def rivals(combination: Combination) -> list[tuple[str, Any]]:
    """Return plug-in and ratio of each, in an order that does not matter."""
    return sorted((rival.plugin, rival.parameters.get("ratio")) for rival in combination.rivals)


def combinations(**tables: Any) -> list[Combination]:  # noqa: ANN401  whatever TOML can hold
    return list(load(small(**tables)).combinations)


def key(experiment: Experiment, policy: str) -> str:
    return next(cell.id.key for cell in experiment.cells() if cell.combination.policy.label == policy)


def test_only_who_wants_to_know_is_told_of_all_others() -> None:
    found = combinations(
        policies=[{"name": "auto-movable"}, BEST, {"name": "headroom"}, BEST | {"label": "more", "rehearsals": 99}],
        sweep=[{"product": {"policies": {"auto-movable": {"ratio": [100, 200]}}}}],
    )
    told = {each.policy.label: rivals(each) for each in found}
    everyone = [("auto-movable", 100), ("auto-movable", 200), ("headroom", None)]
    assert told == {
        "auto-movable, ratio 100": [], "auto-movable, ratio 200": [], "headroom": [],
        "clairvoyant": everyone, "more": everyone,
    }  # fmt: skip


def test_rivals_meet_on_one_machine_under_one_guest() -> None:
    found = combinations(
        machines=[{"boot_memory": "1GiB"}, {"boot_memory": "2GiB"}],
        policies=[{"name": "auto-movable"}, BEST],
        guest={"model": "linux"},
        sweep=[{"zip": {"machines": {"1GiB": {"slots": [4, 8]}}, "policies": {"auto-movable": {"ratio": [100, 200]}}}}],
    )
    told = {each.machine.label: rivals(each) for each in found if each.policy.plugin == "clairvoyant"}
    assert told == {
        "1GiB, slots 4": [("auto-movable", 100)],
        "1GiB, slots 8": [("auto-movable", 200)],
        "2GiB": [("auto-movable", 100), ("auto-movable", 200)],
    }


def test_another_rival_makes_another_cell_and_another_name_or_order_does_not() -> None:
    one, two = {"name": "headroom"}, {"name": "online-kernel"}
    first = load(small(policies=[one, two, BEST]))
    for same in ([two, one, BEST], [BEST, one | {"label": "x"}, two], [one, two, two | {"label": "again"}, BEST]):
        assert key(load(small(policies=same)), "clairvoyant") == key(first, "clairvoyant")
    for other in ([one, BEST], [BEST], [one | {"reserve": "1GiB"}, two, BEST]):
        experiment = load(small(policies=other))
        assert key(experiment, "clairvoyant") != key(first, "clairvoyant")
        if two in other:
            assert key(experiment, "online-kernel") == key(first, "online-kernel"), "who has none is the same"


def test_the_simulation_can_make_each_of_them_anew() -> None:
    experiment = load(small(policies=[BEST, {"name": "headroom", "reserve": "1GiB"}]))
    simulation = build.simulation(next(iter(experiment.cells())))
    assert isinstance(simulation, partial)
    (make,) = simulation.keywords["rivals"]
    first, second = make(), make()
    assert isinstance(first, Headroom)
    assert first is not second
    assert first.reserve == second.reserve == 1 << 30
