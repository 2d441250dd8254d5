"""The page about starting an experiment of one's own: its commands run on its files, in order."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.traces.recognising import recognise
from tests.support.doc_pages import DocPage

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DocPage("start-your-own.md")


def ran(command: str) -> str:
    result = CliRunner().invoke(main, shlex.split(command.removeprefix("$ memhp-sim ")))
    assert result.exit_code == 0, result.output
    return result.output


def test_its_commands_run_on_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.write(tmp_path)
    assert set(PAGE.files) == {"domain.xml", "demand.csv"}
    assert len(PAGE.commands) == 8
    for command in PAGE.commands:
        if command.startswith("$ memhp-sim run"):
            command += " --replication 0 --workers 1"  # noqa: PLW2901  the same, but shorter
        assert ran(command), command


@pytest.mark.slow
def test_what_follows_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.write(tmp_path)
    ran(PAGE.commands[0])
    (block,) = re.findall(r"```text\n(\$ .*?)```", PAGE.text, re.DOTALL)
    for command in block.splitlines():
        assert ran(command), command


def test_it_shows_what_is_said_of_columns_that_are_not_clear(tmp_path: Path) -> None:
    from sim.faults import Faults

    (shown,) = re.findall(r"Error: vms.csv: 2 faults\n(.*?)```", PAGE.text, re.DOTALL)
    path = tmp_path / "vms.csv"
    path.write_text("timestamp,host,vm,avg_used_mb,max_used_mb\n1764000000,h,a,1,2\n1764000060,i,b,1,2\n")
    faults = Faults()
    recognise(path, {}, faults)
    assert [f"  {fault}" for fault in faults] == shown.splitlines()


def test_columns_that_it_calls_clear_are(tmp_path: Path) -> None:
    from sim.faults import Faults

    names = re.search(r"are clear: (.*?) of `sadf", PAGE.text, re.DOTALL)
    assert names is not None
    time, *amounts, series, sar = re.findall(r"`([^`]+)`", names[1])
    for amount in (*amounts, sar):
        path = tmp_path / "a.csv"
        path.write_text(f"{time},{series},{amount}\n1764000000,a,2000000\n1764000060,b,2000000\n")
        faults = Faults()
        found = recognise(path, {}, faults)
        assert not faults
        assert found.columns == {"time": time, "series": series, "user": {"column": amount, "unit": "1KiB"}}
