"""Everything that the page about writing a controller shows is done here, as it stands there."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest

from memhp_sim import GuestReport, Host, Pressure, Workload
from sim.plugins.lookup import WORKLOAD, find
from tests.support.doc_pages import DocPage, do

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DocPage("writing-a-controller.md")


def test_the_page_shows_files_and_commands() -> None:
    assert set(PAGE.files) == {"step_up.py", "try.toml", "test_step_up.py"}
    assert len(PAGE.commands) == 4


def test_every_command_works(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    validated, ran, _, tested = (do(command, tmp_path) for command in PAGE.commands)
    assert "workloads  ramp" in validated
    assert "2 of 2 runs completed" in ran
    assert "resize,controller/vmem0" in (tmp_path / "log.csv").read_text("utf-8")
    assert "2 passed" in tested


def test_a_rule_that_would_swing_is_refused(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    with pytest.raises(AssertionError, match=r"high: must be no less than low and step together"):
        do("memhp-sim validate try.toml --set workloads.ramp.controller.high=1GiB", tmp_path)


def test_at_another_pace_it_looks_as_much_oftener(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    plugin = find(WORKLOAD, "step_up.py:StepUp", tmp_path)
    parameters = {each.name: each.default for each in plugin.parameters}
    assert plugin.cls.at_pace(parameters, 2.0) == {**parameters, "period": 2.5}


def test_all_that_the_page_names_is_there() -> None:
    for name in re.findall(r"`host\.(\w+)", PAGE.text):
        assert hasattr(Host, name), name
    for name in ("node_capacity", "needs_dimms", "duration", "run", "at_pace"):
        assert hasattr(Workload, name)
    row = next(line for line in PAGE.text.splitlines() if line.startswith("| `host.report()`"))
    told = {field.name for cls in (GuestReport, Pressure) for field in dataclasses.fields(cls)}
    assert set(re.findall(r"`([a-z_0-9]+)`", row)) - told == set()
