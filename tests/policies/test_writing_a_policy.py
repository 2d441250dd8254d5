"""Everything that the page about writing a policy shows is done here, as it stands there."""

from __future__ import annotations

import re
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from policies.contract import ZoneRequest, in_linux
from policies.testkit import PolicyCheckError, check_policy
from sim.faults import Faults
from sim.memory.groups import GroupView
from sim.memory.view import MemoryView
from sim.memory.zones import TotalsView
from sim.plugins.lookup import POLICY, Plugin, create, find
from sim.plugins.parameters import parameters_of
from tests.support.doc_pages import DocPage, do

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DocPage("writing-a-policy.md")
FILES = PAGE.files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds every file of the page."""
    PAGE.write(tmp_path)
    return tmp_path


def test_the_page_shows_files_and_commands() -> None:
    assert set(FILES) == {
        "kernel_first.py",
        "test_kernel_first.py",
        "try.toml",
        "pyproject.toml",
        "kernel_between.py",
        "kernel_searched.py",
        "kernel_first_runs.py",
    }
    assert len(PAGE.commands) == 7
    assert all(line.startswith("$ ") for line in PAGE.commands)


def test_the_values_worth_trying_are_those_that_the_page_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    plugin = find(POLICY, "kernel_searched.py:KernelSearched", folder)
    (parameter,) = plugin.parameters
    assert parameter.search is not None
    assert parameter.search.first(parameter.type) == tuple(gib << 30 for gib in (1, 2, 4, 8, 16))
    assert in_linux(create(plugin, {"reserve": 1 << 30}, folder, Faults())) is None


@pytest.mark.parametrize("command", PAGE.commands)
def test_every_command_works(command: str, folder: Path) -> None:
    if "pytest" in command:
        (folder / "pyproject.toml").unlink()  # that one is about packaging, no place for pytest's settings
    if " my_policy.py" in command and "--template" not in command:
        do(PAGE.commands[0], folder)
    printed = do(command, folder)
    expected = {
        "--template": "check-policy my_policy.py:MyPolicy",
        "check-policy": "13 passed, 0 failed",
        "pytest": "1 passed",
        "validate": "kernel first",
        "run": "kernel first",
        "explain": "the reserve of 6442450944",
    }
    assert next(text for word, text in expected.items() if word in command) in printed
    if " run " in command:
        assert list((folder / "results" / "try").rglob("*.png"))


def test_the_package_is_listed_under_its_name(folder: Path) -> None:
    """An installed distribution is a folder of metadata beside its modules."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    metadata = folder / f"my_policies-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", "utf-8")
    groups = project["entry-points"]
    assert list(groups) == [POLICY.group]
    lines = [f"[{POLICY.group}]", *(f"{name} = {value}" for name, value in groups[POLICY.group].items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    printed = do("memhp-sim policies", folder)
    assert "kernel-first" in printed
    assert "8GiB" in printed


def test_deciding_runs_at_once_keeps_the_contract_and_a_wrong_rounding_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    policy = find(POLICY, "kernel_first_runs.py:KernelFirstRuns", folder).cls
    assert check_policy(lambda: policy(reserve=4 << 30), machines=10).runs > 100
    wrong = folder / "wrong.py"
    wrong.write_text(FILES["kernel_first_runs.py"].replace("-(-missing // request.pages)", "missing // request.pages"))
    mistaken = find(POLICY, "wrong.py:KernelFirstRuns", folder).cls
    with pytest.raises(PolicyCheckError, match="zones_for_run put block"):
        check_policy(lambda: mistaken(reserve=(4 << 30) + 4096))
    sys.modules.pop("kernel_first", None)


def test_parameters_are_judged_alone_and_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    first, between = (
        find(POLICY, "kernel_first.py:KernelFirst", folder),
        find(POLICY, "kernel_between.py:KernelBetween", folder),
    )
    sys.modules.pop("kernel_first", None)

    def refused(plugin: Plugin, **values: int) -> list[str]:
        faults = Faults()
        assert create(plugin, values, folder, faults) is None
        return [str(fault) for fault in faults]

    assert refused(first, reserve=-1) == ["reserve: must be no less than 0 bytes, but is -1"]
    assert refused(between, least=0, most=-1) == [
        "least: must be more than 0 bytes, but is 0",
        "most: must be more than 0 bytes, but is -1",
    ]
    assert refused(between, least=5, most=4) == ["most: must be at least 5 bytes, but is 4"]
    assert between.cls(least=4096, most=8192 + 4096).reserve == 8192


@pytest.mark.parametrize("annotation", re.findall(r"`(Annotated\[.*?\])`", PAGE.text))
def test_every_annotation_that_the_page_shows_can_be_read(annotation: str) -> None:
    scope: dict[str, object] = {}
    names = "Address, FilePath, Key, ListOf, Name, Number, Percent, Seconds, Size, Table, Whole, Word"
    exec("from collections.abc import Mapping, Sequence\nfrom typing import Annotated, Any", scope)  # noqa: S102  ours
    exec(f"from memhp_sim import {names}", scope)  # noqa: S102  our page
    text = annotation.replace("str | None, ...]", 'str | None, "..."]')
    exec(f"class Shown:\n    def __init__(self, *, shown: {text}): pass", scope)  # noqa: S102  our page
    (parameter,) = parameters_of(scope["Shown"])
    assert (parameter.name, parameter.meaning) == ("shown", "...")


def test_all_that_the_page_says_a_policy_may_look_at_is_there() -> None:
    table = next(block for block in PAGE.text.split("\n\n") if "request.first_page" in block and "|" in block)
    for name in re.findall(r"`request\.(\w+)", table):
        assert name in ZoneRequest.__slots__
    for name in re.findall(r"`memory\.(\w+)", table):
        assert hasattr(MemoryView, name)
    for name in ("movable", "kernel", "early_kernel", "dynamic_movable"):
        assert f"`{name}`" in table
        assert hasattr(TotalsView, name)
    for name in ("is_dynamic", "max_pages", "unit_pages", "kernel", "movable"):
        assert f"`{name}`" in table
        assert hasattr(GroupView, name)
