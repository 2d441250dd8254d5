"""The page about bringing one's own machine: its commands run on its files, and print what it shows."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sim.cli.main import main
from sim.readers.reading import READERS
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = (ROOT / "docs" / "bring-your-own-machine.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_commands_run_on_its_files_and_print_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guest.xml").write_text(blocks("xml")[0])
    lsmem = next(block for block in blocks("text") if block.startswith("RANGE"))
    (tmp_path / "lsmem.txt").write_text(lsmem)
    monkeypatch.chdir(tmp_path)
    shown = [block.partition("\n") for block in blocks("console")]
    assert [command for command, _, _ in shown] == [
        "$ memhp-sim import guest.xml lsmem.txt --out guest.toml",
        "$ memhp-sim plan guest.toml --plug dimm:16GiB",
        "$ memhp-sim show guest.toml",
    ]
    assert shown.pop()[2] == "$ memhp-sim show lsmem.txt guest.xml --json\n"
    for command, _, printed in shown:
        result = CliRunner().invoke(main, shlex.split(command)[2:], env={"COLUMNS": "100"})
        assert result.exit_code == 0
        assert result.output == printed or not printed
    both = CliRunner().invoke(main, ["show", "lsmem.txt", "guest.xml", "--json"]).stdout
    assert {"memory", "zone_totals", "devices"} <= json.loads(both).keys()
    # The blocks are what lsmem printed, if not on the same lines.
    found = CliRunner().invoke(main, ["show", "guest.toml", "--output-all"]).stdout
    assert re.findall(r"(\d+|\d+-\d+) +0 +(\w+)\n", found) == [
        ("0", "None"),
        ("1-15", "DMA32"),
        ("32-47", "Normal"),
        ("48-63", "Movable"),
    ]


def test_what_follows_runs_with_the_steps_that_the_page_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guest.xml").write_text(blocks("xml")[0])
    assert CliRunner().invoke(main, ["import", "guest.xml", "--out", "guest.toml"]).exit_code == 0
    path = tmp_path / "guest.toml"
    path.write_text(path.read_text() + "\n" + blocks("toml")[0])
    assert CliRunner().invoke(main, ["validate", "--no-probe", "guest.toml"]).exit_code == 0


def test_every_kind_of_file_that_is_read_is_named() -> None:
    words = {
        "grep -r . /sys/devices/system/memory",
        "lsmem",
        "/proc/zoneinfo",
        "/proc/meminfo",
        "free",
        "/proc/cmdline",
    }
    words |= {"uname", "getconf", "boot log", "out-of-memory report", "libvirt", "QEMU's info", "QEMU's command line"}
    unnamed = [reader.name for reader in READERS if not any(word in reader.name for word in words)]
    assert unnamed == []
    assert [word for word in words if word not in PAGE.replace("QEMU's `info", "QEMU's info")] == []
