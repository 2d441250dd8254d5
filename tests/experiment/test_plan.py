from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w

from sim.experiment.effective_config import effective_tables
from sim.experiment.load import load
from sim.experiment.plan import Cell, Combination, Experiment
from sim.experiment.settings import Conditions
from sim.kernel.timing import Timing
from sim.results.identity import canonical_json
from tests.experiment.examples import BAD_POLICIES, small
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path


_NOT_ALWAYS = {"factors", "most_replications", "rivals", "conditions"}
CHECKED = [field for field in dataclasses.fields(Combination) if field.name not in _NOT_ALWAYS]


def keys(experiment: Experiment) -> list[str]:
    return [cell.id.key for cell in experiment.cells()]


FROM_FILES = small(
    policies=[{"name": "my.py:Fine"}], workloads=[{"name": "request-replay", "path": "log.csv"}, {"name": "dimm-slots"}]
)


def with_files(folder: Path) -> dict[str, Any]:
    """Return an experiment whose policy and one of whose workloads come from files, which are put into ``folder``."""
    folder.mkdir(parents=True)
    (folder / "my.py").write_text(BAD_POLICIES)
    shipped = ROOT / "workloads" / "data" / "sail-2026.csv"
    (folder / "log.csv").write_bytes(shipped.read_bytes())
    return FROM_FILES


def test_a_cell_crosses_to_other_processes_and_does_not_change() -> None:
    parts = [{"name": "dimm-slots"}, {"name": "random-mix"}]
    for cell in load(small(guest={"model": "linux"}, workloads=[{"name": "dimm-slots"}, {"together": parts}])).cells():
        again: Cell = pickle.loads(pickle.dumps(cell))  # noqa: S301  made here

        assert again == cell
        assert again.id == cell.id
        for checked in (again.combination, *(getattr(again.combination, field.name) for field in CHECKED)):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(checked, dataclasses.fields(checked)[0].name, None)


def test_other_conditions_make_another_cell_that_crosses_as_well() -> None:
    cell = next(load(small(guest={"model": "linux"})).cells())
    under = dataclasses.replace(cell.combination, conditions=Conditions(kernel=2.0))
    other = dataclasses.replace(cell, combination=under)

    assert pickle.loads(pickle.dumps(other)) == other  # noqa: S301  made here
    changed = [Conditions(kernel=2.0), Conditions(kernel=3.0), Conditions(boot=0.5), None]
    keys = {
        dataclasses.replace(cell, combination=dataclasses.replace(under, conditions=each)).id.key for each in changed
    }
    assert len(keys) == len(changed)
    assert cell.id.key in keys


def test_results_depend_on_every_field_of_the_machine_the_times_and_the_guest() -> None:
    nodes = [{"boot_memory": "1GiB"}, {"boot_memory": 0}]
    tables = small(
        machines=[{"label": "m", "nodes": nodes}],
        guest={
            "model": "linux",
            "sample_every": 2,
            "regrow_keep_share": 0.5,
            "preset": "kata",
            "as": {"mem_total": "950MiB", "used": "1MiB"},
            "draw": True,
        },
        timing={"offline": 1},
    )
    made = load(tables).combinations[0]

    identity = made.identity()

    assert identity.keys() == {"machine", "policy", "workload", "guest", "timing"}
    assert canonical_json(identity["machine"]) == canonical_json(
        {"label": "m", **dataclasses.asdict(made.machine.spec)}
    )
    assert identity["machine"]["nodes"] == [{"boot_memory": 1 << 30, "cpus": None}, {"boot_memory": 0, "cpus": None}]
    assert identity["guest"] == {
        "model": "linux",
        "sample_every": 2.0,
        "parameters": {"regrow_keep_share": 0.5},
        "preset": "kata",
        "free": {"mem_total": 950 << 20, "used": 1 << 20, "boot_memory": None},
        "draw": True,
    }
    assert identity["timing"] == {**dataclasses.asdict(Timing()), "offline": 1_000_000}


def test_every_cell_has_its_own_key_and_it_does_not_change() -> None:
    first, second = keys(load(small())), keys(load(small()))

    assert first == second
    assert len(set(first)) == len(first) == 8


def test_how_a_value_is_written_does_not_matter() -> None:
    written = small(machines=[{"label": "vm", "boot_memory": 1 << 30, "block_size": "131072KiB", "cma": 0}])
    written["policies"][1]["numa_aware"] = True

    assert keys(load(written)) == keys(load(small()))


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 8},
        {"machines": [{"label": "vm", "boot_memory": "2GiB"}]},
        {"machines": [{"label": "mv", "boot_memory": "1GiB"}]},
        {"timing": {"offline": 0.005}},
        {"guest": {"model": "linux"}},
        {"policies": [{"name": "online-kernel"}, {"name": "auto-movable", "ratio": 300}]},
        {"workloads": [{"name": "request-replay", "label": "sail", "log": "sail-2026", "speed": 2}]},
    ],
)
def test_what_changes_results_changes_keys(changed: dict[str, Any]) -> None:
    assert not set(keys(load(small(**changed)))) & set(keys(load(small())))


def test_other_cells_do_not_change_a_cells_key() -> None:
    """One more policy, workload, machine or replication, or another baseline, leaves finished cells finished."""
    tables = small(replications=5, baseline="auto-movable")
    for section, table in (
        ("machines", {"label": "big", "boot_memory": "8GiB"}),
        ("policies", {"name": "online-movable"}),
        ("workloads", {"name": "random-mix"}),
    ):
        tables[section].insert(0, table)

    assert set(keys(load(small()))) < set(keys(load(tables)))


def test_files_count_by_their_content_not_by_their_place(tmp_path: Path) -> None:
    here = keys(load(with_files(tmp_path / "a"), folder=tmp_path / "a"))
    there = keys(load(with_files(tmp_path / "b"), folder=tmp_path / "b"))
    assert here == there

    with (tmp_path / "b" / "log.csv").open("a") as log:
        log.write("# one more line\n")
    edited = keys(load(FROM_FILES, folder=tmp_path / "b"))
    same = [a == b for a, b in zip(here, edited, strict=True)]
    assert same == [False, True] * 2  # the replayed log, then the workload without a file, in two replications


def test_an_edited_policy_changes_its_keys(tmp_path: Path) -> None:
    before = keys(load(with_files(tmp_path / "a"), folder=tmp_path / "a"))
    tables = with_files(tmp_path / "b")
    (tmp_path / "b" / "my.py").write_text(BAD_POLICIES.replace("MOVABLE", "NORMAL"))

    assert not set(before) & set(keys(load(tables, folder=tmp_path / "b")))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"cell_timeout": 5, "timing": {"offline": 0.1}, "baseline": "auto-movable"},
        {"sweep": [{"product": {"policies": {"auto-movable": {"ratio": [50, 100]}}}}]},
        {"guest": {"model": "linux", "preset": "kata", "as": {"mem_total": "950MiB", "used": "1MiB"}, "draw": True}},
        {"timing": {"profile": "qemu-vfio", "offline": 0.1}},
        {"guest": {"model": "linux"}, "sweep": [{"product": {"timing": {"profile": ["qemu-bare", "neon"]}}}]},
        {"guest": {"model": "linux"}, "sweep": [{"product": {"guest": {"preset": ["kata", "debian-7.3"]}}}]},
        {
            "guest": {
                "model": "linux",
                "regrow_keep_share": 0.3,
                "idle_use_bytes": "20MiB",
                "lowmem_reserve_ratio": [1, 2, 3],
            }
        },
        {
            "workloads": [
                {
                    "label": "m",
                    "machines": ["vm"],
                    "together": [{"name": "dimm-slots"}, {"name": "random-mix", "label": "r"}],
                }
            ]
        },
        {"machines": [{"nodes": [{"boot_memory": "1GiB"}, {"boot_memory": 0}], "memmap_on_memory": "force"}]},
    ],
)
def test_the_effective_experiment_is_complete_and_means_the_same(changed: dict[str, Any], tmp_path: Path) -> None:
    experiment = load(small(**changed))
    path = tmp_path / "again" / "experiment.toml"
    path.parent.mkdir()
    path.write_text(tomli_w.dumps(effective_tables(experiment)))

    again = load(path)

    assert keys(again) == keys(experiment)
    assert (again.baseline, again.cell_timeout, again.name) == (
        experiment.baseline,
        experiment.cell_timeout,
        experiment.name,
    )
    assert effective_tables(again) == effective_tables(experiment)


def test_the_effective_experiment_finds_its_files_from_anywhere(tmp_path: Path) -> None:
    experiment = load(with_files(tmp_path / "a"), folder=tmp_path / "a")

    again = load(effective_tables(experiment), folder=tmp_path)

    assert keys(again) == keys(experiment)


def test_one_replication_alone_has_the_cells_it_has_among_all() -> None:
    experiment = load(small(replications=4))

    assert set(keys(experiment.only((2,)))) < set(keys(experiment))
    assert keys(experiment.only((0, 1, 2, 3))) == keys(experiment)


def test_replications_come_one_after_the_other() -> None:
    assert [cell.replication for cell in load(small()).cells()] == [0] * 4 + [1] * 4
