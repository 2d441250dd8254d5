"""Everything that the page about writing a workload shows is done here, as it stands there."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest

from memhp_sim import DaxSpec, DimmSpec, Host, VirtioMemSpec, Workload
from sim.plugins.lookup import WORKLOAD, find
from tests.support.doc_pages import DocPage, do

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DocPage("writing-a-workload.md")


def test_the_page_shows_files_and_commands() -> None:
    assert set(PAGE.files) == {"night_batch.py", "nights.toml", "test_night_batch.py"}
    assert len(PAGE.commands) == 8


def test_every_command_works(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    begun, first, validated, ran, explained, _, checked, tested = (do(command, tmp_path) for command in PAGE.commands)
    assert "my_workload.py:MyWorkload" in begun
    assert all("12 passed, 0 failed" in each for each in (first, checked))
    assert "workloads  nights" in validated
    assert "4 of 4 runs completed" in ran
    assert "-> Movable" in explained
    assert "plug,night0-0,dimm" in (tmp_path / "log.csv").read_text("utf-8")
    assert "3 passed" in tested


def test_its_log_replays(tmp_path: Path) -> None:
    """A way to look at what a workload does, and to keep it, as the page says."""
    PAGE.write(tmp_path)
    do("memhp-sim export nights.toml --policy online-movable --requests log.csv", tmp_path)
    replayed = PAGE.files["nights.toml"].partition("[[workloads]]")[0]
    replayed += '[[workloads]]\nname = "request-replay"\npath = "log.csv"\n'
    (tmp_path / "again.toml").write_text(replayed.replace("replications = 2", "replications = 1"), "utf-8")
    assert "2 of 2 runs completed" in do("memhp-sim run again.toml --no-plots", tmp_path)


def test_a_night_longer_than_a_day_is_refused(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    with pytest.raises(AssertionError, match=r"night: must be shorter than a day, 3600, but is 7200"):
        do("memhp-sim validate nights.toml --set workloads.nights.night=7200", tmp_path)


def test_at_another_pace_nights_come_as_much_oftener(tmp_path: Path) -> None:
    PAGE.write(tmp_path)
    plugin = find(WORKLOAD, "night_batch.py:NightBatch", tmp_path)
    parameters = {each.name: each.default for each in plugin.parameters}
    assert plugin.cls.at_pace(parameters, 2.0) == {**parameters, "day": 1800.0, "night": 300.0}


def test_all_verbs_of_the_host_are_told_and_are_there() -> None:
    told = set(re.findall(r"host\.(\w+)", PAGE.text))
    assert told == {name for name in vars(Host) if not name.startswith("_")}


def test_all_that_a_workload_may_say_is_told_and_is_there() -> None:
    told = {name for name in vars(Workload) if not name.startswith("_")} - {"recording"}
    for name in told:
        assert re.search(rf"\b{name}\b", PAGE.text), name


@pytest.mark.parametrize("spec", [DimmSpec, VirtioMemSpec, DaxSpec])
def test_all_arguments_of_devices_are_told_with_their_defaults(spec: type) -> None:
    row = next(line for line in PAGE.text.splitlines() if line.startswith(f"| `{spec.__name__}`"))
    fields = {field.name: field.default for field in dataclasses.fields(spec)}
    assert set(re.findall(r"`([a-z_]+)`", row)) == set(fields)
    for name, value in re.findall(r"`(\w+)` = (\d+(?: MiB)?)", row):
        assert fields[name] == int(value.partition(" ")[0]) * (1 << 20 if "MiB" in value else 1)
