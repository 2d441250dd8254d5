"""The plan of the house: who may import whom, and that no room is missing from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import plan
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("memhp_sim", "sim", "policies", "workloads")

TURNED = {
    "memory that knows the kernel": ("sim/memory/zones.py", "from sim.kernel.hotplug_core import HotplugCore"),
    "memory that knows time, for its types only": (
        "sim/memory/view.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sim.kernel.timing import Timing",
    ),
    "a policy that looks at the guest": ("policies/headroom.py", "from sim.guest.model import GuestModel"),
    "a policy that knows another": ("policies/headroom.py", "from policies.auto_movable import AutoMovable"),
    "a workload that knows a policy": ("workloads/watermark.py", "def f():\n    import policies.udev"),
    "a workload that touches blocks": ("workloads/random_mix.py", "from sim.kernel.hotplug_core import HotplugCore"),
    "a kernel that knows a kind of device": ("sim/kernel/hotplug_core.py", "from sim.devices.dimm import Dimm"),
    "an experiment that knows the command": ("sim/experiment/run.py", "from sim.cli.main import main"),
    "results that know how cells are run": ("sim/results/store.py", "from sim.engine import simulate"),
    "a log of requests that knows a controller": (
        "workloads/parts/requests/request.py",
        "from workloads.parts.controllers.watch import watch",
    ),
    "a circle of two modules": ("sim/units.py", "from sim.memory.unit_index import UnitIndex"),
}
"""Imports against the direction: where, and what."""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the packages in ``folder`` by the plan in its pyproject.toml."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_every_room_imports_only_from_the_floors_below_it(copy: Path) -> None:
    said = lint(copy)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("what", TURNED)
def test_an_import_against_the_direction_is_found(what: str, copy: Path) -> None:
    name, line = TURNED[what]
    path = copy / name
    before = path.read_text("utf-8")
    path.write_text(f"{before}\n{line}\n", "utf-8")
    said = lint(copy)
    path.write_text(before, "utf-8")
    assert said.returncode == 1
    assert "BROKEN" in said.stdout


def test_every_module_at_the_top_and_every_package_is_in_the_plan() -> None:
    planned = [room for floor in plan.floors() for room in floor]
    assert len(planned) == len(set(planned))
    there = set()
    for package in PACKAGES[1:]:
        for path in (ROOT / package).iterdir():
            if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.stem != "__init__"):
                there.add(f"{package}.{path.stem}")
    assert set(planned) == there | {"memhp_sim"}


def test_every_workload_and_every_room_of_their_helpers_stands_under_the_narrower_rules() -> None:
    there = {room for floor in plan.floors() for room in floor if room.startswith("workloads.")}
    assert set(plan.contract("Workloads see")["source_modules"]) == there - {"workloads.contract", "workloads.testkit"}
    helpers = plan.contract("Helpers of controllers")
    assert helpers["containers"] == ["workloads.parts"]
    assert helpers["exhaustive"] is True


def test_every_room_says_what_lives_there_and_every_package_what_it_must_not_know() -> None:
    for floor in plan.floors():
        for room in floor:
            what, forbidden = plan.said_of(room)
            assert what, room
            if room.startswith("sim.") and plan.place(room).name == "__init__.py":
                assert forbidden, room


def test_the_documentation_shows_the_plan() -> None:
    assert plan.page() == plan.PAGE.read_text("utf-8")


def test_a_module_has_at_most_four_hundred_lines() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for folder in (*PACKAGES, "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}
