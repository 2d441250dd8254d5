"""Other packages of the program's names that come first on Python's path: found at import, told with both paths."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, folder: Path, path: Path = ROOT) -> tuple[int, str]:
    """Run Python in ``folder`` with ``path`` on its path; return the exit code and the last line of what it says."""
    environment = {"PYTHONPATH": str(path)} if path == ROOT else {"PYTHONPATH": f"{path}:{ROOT}"}
    said = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return said.returncode, ([*said.stderr.splitlines(), *said.stdout.splitlines()] or [""])[-1]


@pytest.mark.parametrize("name", ["sim", "policies", "workloads"])
@pytest.mark.parametrize("kind", ["package", "folder", "module"])
def test_a_script_beside_something_of_the_name_is_told_both_paths(name: str, kind: str, tmp_path: Path) -> None:
    taken = tmp_path / (f"{name}.py" if kind == "module" else name)
    if kind == "module":
        taken.write_text("", "utf-8")
    else:
        taken.mkdir()
        if kind == "package":
            (taken / "__init__.py").write_text("", "utf-8")
    script = tmp_path / "mine.py"
    script.write_text("import memhp_sim\nprint('fine')\n", "utf-8")

    code, said = run(str(script), folder=tmp_path)

    if kind == "folder":
        # Python takes a folder without __init__.py only where no package of the name is found further down the path.
        assert (code, said) == (0, "fine")
    else:
        assert code == 1
        assert said.startswith("memhp_sim.ShadowedError: memhp-sim cannot find its own packages: ")
        assert f"import {name} gives {taken}, not {ROOT / name}" in said


def test_what_has_been_imported_before_counts_too(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "policies"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("", "utf-8")
    script = tmp_path / "mine.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(other.parent)!r})\nimport policies\nsys.path.pop(0)\nimport memhp_sim\n",
        "utf-8",
    )
    code, said = run(str(script), folder=tmp_path)
    assert code == 1
    assert f"import policies gives {other}, not {ROOT / 'policies'}" in said


def test_all_are_told_at_once_and_the_command_tells_them_without_a_traceback(tmp_path: Path) -> None:
    for name in ("sim", "workloads"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", "utf-8")

    code, said = run("-m", "memhp_sim", "policies", folder=ROOT.parent, path=tmp_path)

    assert code == 2
    assert said.startswith(
        f"memhp-sim cannot find its own packages: import sim gives {tmp_path / 'sim'}, not {ROOT / 'sim'}; "
        f"import workloads gives {tmp_path / 'workloads'}, not {ROOT / 'workloads'}; rename "
    )


def test_without_any_the_command_runs_as_a_module(tmp_path: Path) -> None:
    code, said = run("-m", "memhp_sim", "--version", folder=tmp_path)
    assert (code, said.split()[0]) == (0, "memhp-sim,")
