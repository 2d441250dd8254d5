"""Machines with CMA through the whole program: experiment, run, files. No memory is counted twice or below nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from tests.plain.run_files import completed_runs, read_run, read_series
from tests.plain.scores import plain_scores
from tests.support.real_runs import simulated

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
HOLES = 130 * 4096
"""Bytes of a machine of up to 64 GiB that firmware keeps."""

MACHINES: tuple[tuple[dict[str, Any], int, int, int], ...] = (
    ({"label": "below", "boot_memory": "2GiB", "cma": "64MiB"}, 2048, 0, 64),
    ({"label": "above", "boot_memory": "6GiB", "cma": "1GiB"}, 6144, 0, 1024),
    ({"label": "in MOVABLE", "boot_memory": "8GiB", "cma": "256MiB", "kernelcore": "3068MiB"}, 3072, 5120, 0),
    ({"label": "beside MOVABLE", "boot_memory": "8GiB", "cma": "256MiB", "movablecore": "1GiB"}, 7168, 1024, 256),
    ({"label": "ignored", "boot_memory": "8GiB", "cma": "64MiB", "movablecore": "1GiB", "movable_node": True},
     8192, 0, 64),
    ({"label": "nodes", "nodes": [{"boot_memory": "2GiB"}] * 2, "cma": "256MiB", "kernel": "7.3"},
     4096, 0, 3 * 256),
)  # fmt: skip
"""A machine, and MiB of its kernel zones (firmware's part included), of ZONE_MOVABLE, and of CMA in kernel zones."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables: dict[str, Any] = {
        "machines": [machine for machine, _, _, _ in MACHINES],
        "policies": [{"name": "online-kernel"}, {"name": "auto-movable", "ratio": 150}],
        "workloads": [{"name": "virtio-mem-resize", "maximum": "2GiB", "duration": 400}],
    }
    return simulated(tables, tmp_path_factory.mktemp("cma"))


def runs(folder: Path) -> list[dict[str, Any]]:
    return list(completed_runs(folder))


def test_boot_memory_is_that_of_the_zones_and_cma_a_part_of_it(folder: Path) -> None:
    expected = {machine["label"]: tuple(part * MIB for part in parts) for machine, *parts in MACHINES}
    for row in runs(folder):
        kernel, movable, cma = expected[row["machine"]]
        boot = (row["boot_kernel_bytes"] + HOLES, row["boot_movable_bytes"], row["boot_cma_bytes"])
        assert boot == (kernel, movable, cma), row["machine"]


def test_series_and_ratios_are_a_plain_count_and_never_below_nothing(folder: Path) -> None:
    expected = {machine["label"]: tuple(part * MIB for part in parts) for machine, *parts in MACHINES}
    cells = 0
    for row in runs(folder):
        cells += 1
        kernel, movable, cma = expected[row["machine"]]
        series = read_series(folder, row["cell"])
        hot_movable, hot_kernel = series["hotplugged_movable_bytes"], series["hotplugged_kernel_bytes"]
        assert series["movable_bytes"] == [movable + pages for pages in hot_movable]
        assert series["kernel_bytes"] == [kernel - HOLES + pages for pages in hot_kernel]
        assert series["auto_movable_bytes"] == [movable + cma + pages for pages in hot_movable]
        assert set(series["auto_kernel_bytes"]) == {kernel - HOLES - cma}
        ratio = 100 * (movable + hot_movable[-1]) / (kernel - HOLES + hot_kernel[-1])
        assert row["ratio_end"] == pytest.approx(ratio, rel=1e-12)
        scores = plain_scores(read_run(folder, row["cell"]))
        for name in ("ratio_mean", "ratio_max", "auto_ratio_mean", "auto_ratio_max", "auto_ratio_end"):
            assert row[name] == pytest.approx(scores[name], rel=1e-12)
            assert row[name] >= 0
    assert cells == 2 * len(MACHINES)


def test_cma_that_fits_nowhere_is_a_fault_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "cma.toml"
    file.write_text(
        '[[machines]]\nboot_memory = "1GiB"\ncma = "1000MiB"\n'
        '[[policies]]\nname = "online-kernel"\n[[workloads]]\nname = "dimm-slots"\n'
    )
    done = CliRunner().invoke(main, ["validate", str(file)])
    assert done.exit_code == 2
    assert "machines[0].cma: 1000MiB do not fit" in done.output
    assert "Traceback" not in done.output
