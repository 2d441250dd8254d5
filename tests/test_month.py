"""The tables of the page "A month of VMs", by hand."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from sim.experiment.load import load
from sim.incidents.runs import run_all
from sim.units import GIB
from tests.support.month import asked, classes, figure, tables
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def runs() -> pd.DataFrame:
    """Three VMs under two policies: one never asks, one asks for 2 GiB, one for 20 and fails under the second."""
    columns = ["replication", "policy", "asked_max", "died", "kernel_ooms", "failed_adds", "guest_full_ooms"]
    rows = [
        (0, "debian-13", 0, 0, 0, 0, 0, 0.0, None, None),
        (1, "debian-13", 2 * GIB, 0, 0, 0, 0, 0.0, 50.0, 100.0),
        (2, "debian-13", 20 * GIB, 0, 0, 0, 1, 3600.0 * GIB, 95.0, 100.0),
        (0, "firecracker", 0, 0, 0, 0, 0, 0.0, None, None),
        (1, "firecracker", 2 * GIB, 0, 0, 0, 0, 0.0, 100.0, 100.0),
        (2, "firecracker", 3 * GIB, 0, 1, 0, 0, 7200.0 * GIB, 100.0, 50.0),
    ]
    table = pd.DataFrame(rows, columns=[*columns, "unserved_byte_seconds", "returned_share", "arrived_share"])
    return table.astype({"returned_share": float, "arrived_share": float})


def test_vms_are_told_apart_by_what_they_ask_for_under_contig_zones() -> None:
    found = dict(classes(asked(runs())))

    assert found == {"nothing": [0], "up to 1 GiB": [], "1 to 4 GiB": [1], "4 to 16 GiB": [], "more": [2]}


def test_the_tables_count_failures_and_what_came_back() -> None:
    lines = list(tables(runs()))

    assert lines[0].startswith("3 VMs; the host ever asks for more than the boot memory in 2 of them.")
    assert lines[3].startswith(
        "| `debian-13` | 0 of 3 (0.0 to 70.8 %) | 0 of 3 (0.0 to 70.8 %) | 1 of 3 (0.8 to 90.6 %) | 0.33"
    )
    assert lines[4].startswith("| `firecracker` | 1 of 3 (0.8 to 90.6 %) |")
    assert "| `debian-13` | 72.50 (50.00 to 95.00) | 1 of 2 (1.3 to 98.7 %) | 100.00 (100.00 to 100.00) |" in lines
    assert "| `firecracker` | 1 | 0 | 0 |" in lines
    assert lines[-1] == "| more | 1 | 0 fail, 95.0 % back | 1 fail, 100.0 % back |"


def test_the_figure_has_a_panel_for_each_policy(tmp_path: Path) -> None:
    figure(runs(), tmp_path / "month.svg")

    drawn = (tmp_path / "month.svg").read_text("utf-8")
    assert "debian-13" in drawn
    assert "firecracker" in drawn


def test_policies_are_compared_vm_by_vm() -> None:
    lines = list(tables(runs()))

    # The second VM gets back 50 points more and the third 5; the third is not served for 1 GiB h more.
    (row,) = [line for line in lines if line.startswith("| `firecracker` to `debian-13` |")]
    assert row.startswith("| `firecracker` to `debian-13` | 1 | 0 | 1 | 27.50 (5.00 to 50.00) | 0.33 (0.00 to 1.00) |")


@pytest.mark.slow
@pytest.mark.parametrize(("boot_gib", "fail"), [(1, {"firecracker"}), (2, set())])
def test_the_first_vm_fails_with_little_boot_memory_and_all_the_rest_movable(
    shared_dir: Path, boot_gib: int, fail: set[str]
) -> None:
    recipe = ROOT / "experiments" / "recipes" / "bitbrains-month.toml"
    experiment = tomllib.loads(recipe.read_text("utf-8")) | {"replications": 1}
    experiment["machines"][0]["boot_memory"] = f"{boot_gib}GiB"
    demand, controller = experiment["workloads"][0]["together"]
    # Until an hour after the first failure.
    demand |= {"path": str(shared_dir / "data/bitbrains-rnd/hourly.csv.gz"), "series": "1", "end": 90_000}
    controller["minimum"] = boot_gib
    experiment["policies"] = [each for each in experiment["policies"] if each["label"] != "debian-12"]

    failed = {run.policy for run in run_all(load(experiment, folder=recipe.parent)) if run.ooms}

    assert failed == fail
