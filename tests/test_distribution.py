"""What an installation contains: the built wheel has everything that the program reads at run time."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from hatchling.builders.wheel import WheelBuilder

import sim

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("memhp_sim", "sim", "policies", "workloads")
RUN_TIME_FILES = ("*.py", "py.typed", "*.csv", "*.mplstyle", "*.j2")


@pytest.fixture(scope="module")
def wheel(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(pytestconfig.rootpath)).build(directory=str(folder), versions=["standard"])
    return folder / built


def test_the_wheel_has_every_file_that_runs_or_is_read(wheel: Path, pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    wanted = {
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for pattern in RUN_TIME_FILES
        for path in (root / package).rglob(pattern)
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= wanted
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert wanted <= packed
    outside = {name for name in packed if name.split("/")[0] not in PACKAGES and ".dist-info/" not in name}
    assert outside == set()


def test_the_wheel_has_the_shipped_experiments(wheel: Path, pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.rootpath / "experiments"
    shipped = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    packed = {name.removeprefix("sim/shipped/") for name in zipfile.ZipFile(wheel).namelist()}
    assert any(name.startswith("incidents/") for name in shipped)
    assert shipped <= packed


def test_the_version_stands_in_one_place(wheel: Path) -> None:
    assert wheel.name == f"memhp_sim-{sim.__version__}-py3-none-any.whl"
