"""What an installation contains: the wheel has everything that the program reads, and runs without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from hatchling.builders.wheel import WheelBuilder

import sim
from sim.results.identity import code_version

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("memhp_sim", "sim", "policies", "workloads")
RUN_TIME_FILES = ("*.py", "py.typed", "*.csv", "*.mplstyle", "*.j2", "*.css", "*.js")

OWN_POLICY = """
from memhp_sim import Policy, ZoneType


class Even(Policy):
    name = "even"
    summary = "every second block MOVABLE"

    def zone_for(self, request, memory):
        return ZoneType.MOVABLE if request.first_page // memory.block_pages % 2 else ZoneType.NORMAL

    def explain(self, request, memory):
        from memhp_sim import Explanation

        return Explanation(ZoneType(self.zone_for(request, memory)), "even or odd", {})
"""
SMALL = """
[[machines]]
boot_memory = "1GiB"

[[policies]]
name = "auto-movable"

[[policies]]
name = "policies/mine.py:Even"

[[workloads]]
name = "dimm-slots"
slots = 2
duration = 600
"""


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


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was installed into; the libraries are those that run the tests."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", "--target", str(folder), str(wheel)], check=True)
    return folder


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    """Run Python with the installed program before the checkout on its path; return what it prints."""
    said = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env={"PYTHONPATH": str(installed), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_the_installed_program_runs_an_experiment_with_a_policy_of_ones_own(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "mine.py").write_text(OWN_POLICY, "utf-8")
    (tmp_path / "small.toml").write_text(SMALL, "utf-8")

    # As the script "memhp-sim" does it, whose own folder is first on the path.
    command = "import sys; sys.path.remove(''); from memhp_sim.__main__ import main; main()"
    said = run(installed, tmp_path, "-c", command, "run", "small.toml", "--workers", "1", "--no-plots")

    assert said.endswith("2 of 2 runs completed\n")
    assert run(installed, tmp_path, "-c", command, "incidents", "--help")


def test_a_shipped_experiment_runs_by_its_name_in_an_empty_folder_and_writes_nothing_beside_itself(
    installed: Path, tmp_path: Path
) -> None:
    command = (
        "import sys; sys.dont_write_bytecode = True; sys.path.remove(''); from memhp_sim.__main__ import main; main()"
    )
    before = sorted(installed.rglob("*"))
    asked = ("run", "tradeoff", "--replication", "0", "--workers", "1", "--no-plots")

    said = run(installed, tmp_path, "-c", command, *asked)

    assert said.endswith("49 of 49 runs completed\n")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert (tmp_path / "results" / "tradeoff" / "manifest.json").is_file()
    assert run(installed, tmp_path, "-c", command, "validate", "kernel-logs", "--no-probe")  # data beside it
    assert sorted(installed.rglob("*")) == before


def test_the_installed_program_is_the_checkout_s_code_whatever_else_is_installed_there(
    installed: Path, tmp_path: Path
) -> None:
    ask = "from sim.results import identity; print(identity.__file__); print(identity.code_version())"
    place, version = run(installed, tmp_path, "-c", ask).split()
    foreign = installed / "policies" / "of_another_distribution.py"
    foreign.write_text("", "utf-8")
    _, beside_others = run(installed, tmp_path, "-c", ask).split()
    foreign.unlink()

    assert place.startswith(str(installed))
    assert version == beside_others == code_version()


def test_the_version_stands_in_one_place(wheel: Path) -> None:
    assert wheel.name == f"memhp_sim-{sim.__version__}-py3-none-any.whl"
