"""Stores side by side: what is a pair, and what each policy and scenario is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.api import run
from sim.comparison.gather import Gathered, gather, short_names
from sim.comparison.whole import compared
from sim.faults import InputError

if TYPE_CHECKING:
    from pathlib import Path

STEPS = {
    "name": "virtio-mem-resize",
    "label": "vm",
    "maximum": "4GiB",
    "shape": "bursts",
    "interval": 60,
    "duration": 600,
}
TABLES: dict[str, Any] = {
    "seed": 3,
    "replications": 2,
    "machines": [{"label": "m", "boot_memory": "2GiB"}],
    "policies": [{"name": "contig-zones"}, {"name": "online-movable"}],
    "workloads": [STEPS],
    "guest": {"model": "linux"},
}


def made(folder: Path, name: str, **changed: Any) -> Path:  # noqa: ANN401  values of an experiment file
    return run({**TABLES, "name": name, **changed}, folder, workers=1).store.folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    kernel = [{"name": "online-kernel"}]
    return {
        "first": made(folder, "first"),
        "again": made(folder, "again"),
        "kernel": made(folder, "kernel", policies=kernel),
        "named": made(
            folder, "named", policies=kernel, machines=[{"label": "n", "boot_memory": "2GiB"}],
            workloads=[{**STEPS, "label": "other"}],
        ),
        "larger": made(folder, "larger", policies=kernel, machines=[{"label": "m", "boot_memory": "3GiB"}]),
        "seed": made(folder, "seed", policies=kernel, seed=4),
        "swept": made(folder, "swept", policies=kernel, sweep=[{"product": {"guest": {"sample_every": [20, 30]}}}]),
    }  # fmt: skip


def pairs(gathered: Gathered) -> dict[str, set[tuple[str, int]]]:
    """Return for each scenario the policies with the number of pairs that they make with the baseline."""
    from sim.comparison.whole import whole

    table = whole(gathered, ["kernel_mean"]).table
    return {
        f"{workload} on {machine}": set(zip(part["policy"], part["pairs"], strict=True))
        for (machine, workload), part in table.groupby(["machine", "workload"])
    }


def test_policies_of_two_stores_are_paired_where_the_traffic_is_the_same(stores: dict[str, Path]) -> None:
    found = gather([stores["first"], stores["kernel"]])
    assert found.policies == ("contig-zones", "online-movable", "online-kernel")
    assert found.baseline == "contig-zones"
    assert found.notes == ()
    assert pairs(found) == {"vm on m": {("contig-zones", 2), ("online-movable", 2), ("online-kernel", 2)}}


def test_the_same_label_in_two_stores_gets_the_folders_names(stores: dict[str, Path]) -> None:
    found = gather([stores["first"], stores["again"], stores["kernel"]])
    assert found.policies == (
        "contig-zones [first]", "online-movable [first]", "contig-zones [again]", "online-movable [again]",
        "online-kernel",
    )  # fmt: skip
    assert found.origin("contig-zones [again]").name == "again"
    assert "carry the name of their folder: contig-zones; online-movable" in found.notes[0]
    (scenario,) = compared([stores["first"], stores["again"]]).scenarios
    rows = [rows["contig-zones [again]"] for rows in scenario.by_score.values()]
    assert all(row["apart"] == 0 for row in rows)
    assert all(row["difference"] == 0 for row in rows if row["pairs"])


def test_the_traffic_counts_and_not_what_it_is_called(stores: dict[str, Path]) -> None:
    found = gather([stores["first"], stores["named"]])
    assert pairs(found) == {"vm on m": {("contig-zones", 2), ("online-movable", 2), ("online-kernel", 2)}}
    assert found.notes == ("named: the same traffic under another name: other on n is vm on m.",)


def test_machines_that_are_alike_but_for_their_label_stay_apart_in_one_store_and_are_paired_with_another_s(
    tmp_path: Path,
) -> None:
    def of(name: str, *machines: str) -> Path:
        policies = [{"name": "online-kernel" if name == "other" else "contig-zones"}]
        return made(
            tmp_path, name, policies=policies, machines=[{"label": each, "boot_memory": "2GiB"} for each in machines]
        )

    first, other = of("alike", "a", "b", "c"), of("other", "d", "b", "e", "f")
    assert gather([first]).scenarios == (("a", "vm"), ("b", "vm"), ("c", "vm"))
    assert pairs(gather([first])) == {f"vm on {machine}": {("contig-zones", 2)} for machine in "abc"}
    found = gather([first, other])
    both = {("contig-zones", 2), ("online-kernel", 2)}
    assert pairs(found) == {
        **dict.fromkeys(("vm on a", "vm on b", "vm on c"), both), "vm on f": {("online-kernel", 0)}
    }  # fmt: skip
    assert found.notes == ("other: the same traffic under another name: vm on d is vm on a; vm on e is vm on c.",)


def test_other_traffic_of_the_same_name_is_a_scenario_of_its_own(stores: dict[str, Path]) -> None:
    found = gather([stores["first"], stores["larger"]])
    assert found.scenarios == (("m", "vm"), ("m", "vm [larger]"))
    assert pairs(found)["vm [larger] on m"] == {("online-kernel", 0)}
    assert "vm on m: called as in another folder, but not known to be the same" in found.notes[0]


def test_other_seeds_stand_side_by_side_without_pairs(stores: dict[str, Path]) -> None:
    found = gather([stores["first"], stores["seed"]])
    assert pairs(found) == {"vm on m": {("contig-zones", 2), ("online-movable", 2), ("online-kernel", 0)}}
    assert "(seed 4, not 3)" in found.notes[0]
    (scenario,) = compared([stores["first"], stores["seed"]]).scenarios
    assert scenario.unpaired == ["online-kernel"]


def test_swept_conditions_are_scenarios_of_their_own_in_either_order(stores: dict[str, Path]) -> None:
    labels = [(f"m, guest sample_every {every}", "vm") for every in (20, 30)]
    assert gather([stores["swept"]]).scenarios == tuple(labels)
    assert gather([stores["first"], stores["swept"]]).scenarios == (("m", "vm"), *labels)
    assert gather([stores["swept"], stores["first"]]).scenarios == (*labels, ("m", "vm"))


def test_without_a_manifest_runs_are_paired_within_their_store_alone(stores: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(stores["first"], tmp_path / "cut")
    (folder / "manifest.json").unlink()
    found = gather([folder])
    assert pairs(found) == {"vm on m": {("contig-zones", 2), ("online-movable", 2)}}
    assert found.notes == ("cut has no manifest, as its run did not come to an end or is under way.",)
    assert gather([stores["first"], folder]).scenarios == (("m", "vm"), ("m", "vm [cut]"))


def test_another_baseline_is_one_of_the_policies(stores: dict[str, Path]) -> None:
    assert gather([stores["first"]], "online-movable").baseline == "online-movable"
    with pytest.raises(InputError, match="unknown policy 'x'"):
        gather([stores["first"]], "x")


def test_a_store_given_twice_is_taken_once(stores: dict[str, Path]) -> None:
    found = gather([stores["first"], stores["first"]])
    assert len(found.sources) == 1
    assert found.notes == ("A folder that was given twice is taken once.",)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no runs"):
        gather([tmp_path])


def test_short_names_take_as_much_of_a_path_as_tells_it_apart(tmp_path: Path) -> None:
    assert short_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert short_names([tmp_path / "x" / "a", tmp_path / "y" / "a"]) == ["x/a", "y/a"]
