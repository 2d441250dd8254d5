"""``memhp-sim experiments``, and every command that takes an experiment takes a shipped one's name."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def said(command: str, *, code: int = 0, columns: int = 80) -> str:
    result = CliRunner().invoke(main, shlex.split(command), env={"COLUMNS": str(columns)})
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    "command",
    [
        "validate neon-x60 --no-probe",
        "explain wall-512m",
        "show incidents/neon-x60",
        "plan neon-x60 --plug dimm:1GiB",
        "export wall-512m --events events.csv",
        "run wall-512m --no-plots --workers 1",
        "rerun results/wall-512m --no-plots --workers 1",
        "workloads describe hpc-leaks",
    ],
)
def test_a_command_takes_a_name(command: str, tmp_path: Path) -> None:
    if command.startswith("rerun"):
        said("run wall-512m --no-plots --workers 1")
    assert said(command) or command.startswith("export")
    assert {path.name for path in tmp_path.iterdir()} <= {"results", "events.csv"}


@pytest.mark.parametrize(
    "command", ["validate", "run", "explain", "show", "plan --plug dimm:1GiB", "export --events -"]
)
def test_a_slip_is_answered_with_the_name(command: str) -> None:
    assert "did you mean the shipped experiment tradeoff?" in said(f"{command} tradoff", code=2)
    assert "did you mean the shipped experiment tradeoff?" in said(f"{command} tradoff.toml", code=2)


def test_the_list_fits_every_width_and_json_says_the_same() -> None:
    listed = json.loads(said("experiments --json"))
    for columns in (40, 80, 200):
        shown = said("experiments", columns=columns)
        assert max(map(len, shown.splitlines())) <= columns
        assert all(each["name"] in shown for each in listed)
    assert next(each for each in listed if each["name"] == "tradeoff")["runs"] == 980
    assert "'workloads.by daxctl.host-packing.path=FILE'" in said("experiments", columns=200)
