from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment import build
from sim.experiment.load import load
from sim.experiment.plan import Cell
from sim.faults import InputError
from sim.recommend.candidates import Space, refine, space
from sim.recommend.contract import Judged, LimitFound, Objective

if TYPE_CHECKING:
    from pathlib import Path

GRID = (25, 50, 100, 200, 301, 400, 800, 1600, 3200, 6400)
COME_BACK = Objective("came_back", "higher", 0.01)


def scenario(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever TOML can hold
    """Return an experiment of one scenario whose runs take some milliseconds: two DIMMs of one block each."""
    return {
        "machines": [{"label": "vm", "boot_memory": "1GiB", "kernel": "6.12"}],
        "policies": [{"name": "contig-zones"}],
        "workloads": [{"name": "steps", "label": "plug", "steps": ["plug dimm:128MiB", "plug dimm:256MiB"]}],
        **changed,
    }


def made(**changed: Any) -> Space:  # noqa: ANN401  as above
    return space(load(scenario(**changed)), "vm", "plug")


def labels(found: Space) -> list[str]:
    return [each.label for each in found.candidates]


def test_what_every_linux_has_is_added_over_its_whole_range() -> None:
    assert labels(made()) == [
        "contig-zones",
        "online-movable",
        *(f"auto-movable, ratio {ratio}" for ratio in GRID),
    ]


def test_only_the_users_policies_are_tried_where_that_is_asked_for() -> None:
    found = made(policies=[{"name": "online-kernel"}], recommend={"add_linux_policies": False})
    assert labels(found) == ["online-kernel"]


def test_a_value_of_the_file_joins_the_range_under_its_own_label() -> None:
    found = made(policies=[{"name": "auto-movable", "label": "ours", "ratio": 150}])
    ratios = [each.policy.parameters["ratio"] for each in found.candidates if "ratio" in each.varied]
    assert found.candidates[0].label == "ours"
    assert sorted(ratios) == sorted((150, *GRID))


def test_a_list_of_the_users_is_tried_as_it_stands() -> None:
    found = made(
        policies=[{"name": "auto-movable", "label": "ours", "ratio": 150}],
        recommend={"add_linux_policies": False, "search": {"auto-movable": {"ratio": [100, 60]}}},
    )
    assert labels(found) == ["auto-movable, ratio 100", "auto-movable, ratio 60"]


def test_several_nodes_make_a_difference_to_numa_aware_and_one_does_not() -> None:
    nodes = [{"boot_memory": "1GiB"}, {"boot_memory": "1GiB"}]
    found = made(machines=[{"label": "vm", "nodes": nodes}])
    aware = {each.policy.parameters["numa_aware"] for each in found.candidates if "ratio" in each.varied}
    assert aware == {True, False}
    told = made(recommend={"search": {"auto-movable": {"numa_aware": [True, False]}}})
    assert len(told.candidates) == 2 + len(GRID)
    assert "auto-movable: numa_aware is not searched, as it changes nothing here" in told.notes


def test_a_policy_that_no_linux_has_stands_as_it_is_and_is_marked() -> None:
    found = made(policies=[{"name": "headroom"}, {"name": "auto-movable-patch8"}])
    assert [each.label for each in found.candidates if not each.in_linux] == ["headroom", "auto-movable-patch8"]
    searched = made(policies=[{"name": "headroom"}], recommend={"search": {"headroom": {"expected": [15, 25]}}})
    assert [each.label for each in searched.candidates if not each.in_linux] == [
        "headroom, expected 15",
        "headroom, expected 25",
    ]


def test_who_looks_ahead_is_no_candidate() -> None:
    found = made(policies=[{"name": "contig-zones"}, {"name": "clairvoyant"}])
    assert "clairvoyant" not in labels(found)
    assert "clairvoyant looks ahead, which nobody can: it is no candidate" in found.notes


def test_the_same_setting_in_other_words_is_one_candidate() -> None:
    line = "memhp_default_state=online memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=401"
    tables = scenario(machines=[{"label": "vm", "boot_memory": "1GiB", "cmdline": line}])
    del tables["policies"]
    found = space(load(tables), "vm", "plug")
    assert found.candidates[0].label == "as booted"
    ratios = sorted(
        each.policy.parameters.get("ratio", each.policy.parameters.get("auto_movable_ratio"))
        for each in found.candidates
        if each.varied
    )
    assert ratios == sorted((401, *GRID))


def test_only_the_named_policies_are_chosen_from_with_all_their_swept_values() -> None:
    found = made(
        policies=[{"name": "contig-zones"}, {"name": "udev"}],
        sweep=[{"product": {"policies": {"udev": {"delay": [0.1, 0.2]}}}}],
        recommend={"policies": ["udev"], "add_linux_policies": False},
    )
    assert labels(found) == ["udev, delay 0.1", "udev, delay 0.2"]


def test_many_parameters_are_varied_one_at_a_time() -> None:
    search = {"reserve": {"from": "64MiB", "to": "1GiB", "steps": 30}, "expected": {"from": 5, "to": 45, "steps": 30}}
    found = made(
        policies=[{"name": "headroom"}], recommend={"add_linux_policies": False, "search": {"headroom": search}}
    )
    assert 55 <= len(found.candidates) <= 60


def test_a_policy_that_is_searched_is_a_candidate_though_no_policy_of_the_experiment() -> None:
    search = {"auto-movable": {"ratio": [60, 70]}, "headroom": {"expected": [15]}}
    found = made(recommend={"add_linux_policies": False, "search": search})
    assert labels(found) == [
        "contig-zones",
        "auto-movable, ratio 60",
        "auto-movable, ratio 70",
        "headroom, expected 15",
    ]
    told = made(policies=[{"name": "udev", "label": "rule"}], recommend={"search": {"rule": {"delay": [1.0, 2.0]}}})
    assert [label for label in labels(told) if "delay" in label] == ["udev, delay 1.0", "udev, delay 2.0"]


def test_one_of_ones_own_in_a_file_is_searched_by_the_name_that_it_has_in_files(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from policies.contig_zones import ContigZones\n"
        "from typing import Annotated\n\n"
        "class Mine(ContigZones):\n"
        "    name = summary = 'mine'\n"
        "    def __init__(self, *, often: Annotated[int, 'a number'] = 1):\n"
        "        super().__init__()\n"
    )
    given = scenario(
        policies=[{"name": "mine.py:Mine"}],
        recommend={"add_linux_policies": False, "search": {"mine.py:Mine": {"often": [2, 3]}}},
    )
    found = space(load(given, folder=tmp_path), "vm", "plug")
    assert [each.policy.parameters["often"] for each in found.candidates] == [2, 3]


def test_an_unknown_scenario_is_told_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="no scenario play on vm; there are: plug on vm"):
        space(load(scenario()), "vm", "play")


@pytest.mark.parametrize(
    ("kernel", "steps", "guest", "tried", "note"),
    [
        ("6.12", ["plug dimm:1GiB"], "linux", True, ""),
        ("6.1", ["plug dimm:128MiB"], "linux", True, ""),
        ("6.1", ["plug dimm:1GiB"], "linux", False, "before Linux 6.8 only a device of one memory block"),
        ("6.12", ["plug dimm:1GiB"], "none", False, "the run is the same with and without it"),
        ("6.12", ["plug virtio-mem:1GiB"], "linux", False, "it does nothing for virtio-mem, the only devices here"),
        ("6.12", ["plug dimm:1GiB", "plug virtio-mem:1GiB"], "linux", True, "nothing for the virtio-mem devices here"),
        ("6.12", ["plug dax:1GiB"], "linux", False, "a dax device has to ask for it itself"),
        ("6.12", ["unplug nothing"], "linux", False, "the first run plugs no device"),
    ],
)
def test_memmap_on_memory_is_tried_where_it_changes_anything(
    kernel: str, steps: list[str], guest: str, *, tried: bool, note: str
) -> None:
    found = made(
        machines=[{"label": "vm", "boot_memory": "2GiB", "kernel": kernel}],
        workloads=[{"name": "steps", "label": "plug", "steps": steps}],
        guest={"model": guest},
        recommend={"search": {"auto-movable": {"ratio": 301}}},
    )
    values = [each.machine.get("memmap_on_memory", False) for each in found.candidates]
    assert (True in values) is tried
    assert any(note in each for each in found.notes) if note else not found.notes


@pytest.mark.parametrize(
    ("page", "kernel", "values"),
    [
        ("16KiB", "6.12", {False, "force"}),  # 2 MiB of memmap for 512 MiB, in a pageblock of 32 MiB
        ("16KiB", "6.1", {False}),  # which does not know force
        ("64KiB", "6.12", {False}),  # a pageblock is the whole block
    ],
)
def test_arm_with_large_pages_needs_force(page: str, kernel: str, values: set[object]) -> None:
    machine = {"label": "vm", "boot_memory": "4GiB", "page_size": page, "kernel": kernel}
    found = made(
        machines=[machine],
        workloads=[{"name": "steps", "label": "plug", "steps": ["plug dimm:2GiB"]}],
        guest={"model": "linux"},
    )
    assert {each.machine.get("memmap_on_memory", False) for each in found.candidates} == values
    assert values == {False, "force"} or "memmap_on_memory changes nothing here" in found.notes[0]


def test_a_candidate_is_run_as_it_says() -> None:
    found = made(guest={"model": "linux"})
    chosen = next(each for each in found.candidates if each.label == "auto-movable, ratio 50, memmap_on_memory true")
    combination = found.combination(chosen)
    assert combination.machine.spec.memmap_on_memory is True
    assert combination.policy.label == chosen.label
    assert build.simulation(Cell(combination, 1, 0, "."))().configured_ratio == 50


def judged(found: tuple[Any, ...], means: dict[int, float], feasible_up_to: int) -> list[Judged]:
    """Return a verdict of each auto-movable of ``found``: its mean by ratio, and whether it holds."""
    verdicts = []
    for number, each in enumerate(found):
        ratio = each.policy.parameters.get("ratio")
        if ratio is not None:
            verdict: Any = "holds" if ratio <= feasible_up_to else "broken"
            limit = LimitFound(10, 10, 0.0, 1.0, verdict)
            verdicts.append(Judged(number, (limit,), 10, means.get(ratio, ratio)))
    return verdicts


def test_values_between_the_best_and_its_neighbours_are_tried_next() -> None:
    found = made(recommend={"policies": ["contig-zones"]})
    new = refine(found, found.candidates, judged(found.candidates, {}, 301), COME_BACK)
    assert [each.varied["ratio"] for each in new] == [245, 347]  # between 200, 301 and 400
    assert [each.label for each in new] == ["auto-movable, ratio 245", "auto-movable, ratio 347"]


def test_rounds_end_near_the_wall() -> None:
    found = made()
    tried = found.candidates
    rounds = 0
    while new := refine(found, tried, judged(tried, {}, 517), COME_BACK):
        tried += new
        rounds += 1
    best = max(each.policy.parameters["ratio"] for each in tried if 0 < each.policy.parameters.get("ratio", 0) <= 517)
    assert rounds < 8
    assert best > 517 * 0.94


def test_where_the_best_is_not_at_the_wall_both_are_looked_at() -> None:
    found = made()
    new = refine(found, found.candidates, judged(found.candidates, {100: 1e9}, 1600), COME_BACK)
    assert sorted(each.varied["ratio"] for each in new) == [71, 141, 2263]


def test_where_nothing_holds_a_narrow_window_is_looked_for() -> None:
    found = made()
    verdicts = []
    for number, each in enumerate(found.candidates):
        ratio = each.policy.parameters.get("ratio")
        if ratio is not None:
            low: Any = "broken" if ratio <= 200 else "holds"
            high: Any = "broken" if ratio > 200 else "holds"
            verdicts.append(Judged(number, tuple(LimitFound(1, 9, 0, 1, each) for each in (low, high)), 9))
    new = refine(found, found.candidates, verdicts, COME_BACK)
    assert [each.varied["ratio"] for each in new] == [245]
