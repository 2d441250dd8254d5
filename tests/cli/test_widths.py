"""Every command on terminals of 40, 80 and 200 columns: lines are as wide as need be, and none is of one letter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import tomli_w
from click.testing import CliRunner
from rich.cells import cell_len

from sim.cli.main import COMMANDS, main
from tests.experiment.examples import small
from tests.support.outputs import STEERING, run, shown
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("termios")

RECORDINGS = [str(ROOT / f"tests/data/kernel-traces/{name}.json") for name in ("boot-cma-1g", "boot-cma-64m")]
LOADED = sorted(map(str, (ROOT / "tests/data/guest-load").glob("*.json")))[:2]
LABELS = {
    "machines": ["記憶體很多的虛擬機器"],
    "policies": ["[red]a, b; c", "averylonglabelwithoutblanks" * 3],
    "workloads": ["many words of a workload that nobody can remember, and more", "e\u0301" * 20],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an experiment of odd labels, its results ``e``, and a log ``log.csv``."""
    path: Path = tmp_path_factory.mktemp("widths")
    dimms = {"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 120}
    tables = small(workloads=[dimms, {**dimms, "interval": 20}], replications=3, guest={"model": "linux"})
    for section, labels in LABELS.items():
        for table, label in zip(tables[section], labels, strict=True):
            table["label"] = label
    (path / "e.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    (path / "log.csv").write_text("t_s,vm,use_mib\n" + "".join(f"{n},vm{n % 3},{100 + n}\n" for n in range(300)))
    code = run(["run", "e.toml", "--out", ".", "--workers", "1", "--no-plots", "--no-progress"], path).code
    assert code == 0
    return path


PRINTING = {
    "run": ["run", "e.toml", "--out", ".", "--workers", "1", "--no-plots", "--no-progress"],
    "rerun": ["rerun", "e", "--out", ".", "--workers", "1", "--no-plots", "--no-progress"],
    "compare": ["compare", "e"],
    "report": ["report", "e"],
    "check": ["check", "e"],
    "show": ["show", "e.toml"],
    "show a run": ["show", "e", "--replication", "0", "--policy", LABELS["policies"][0], "--workload",
                   LABELS["workloads"][0]],
    "plan": ["plan", "e.toml", "--plug", "dimm:1GiB"],
    "explain": ["explain", "e.toml"],
    "explain a recording": ["explain", RECORDINGS[0]],
    "validate": ["validate", "--no-probe", "e.toml"],
    "experiments": ["experiments"],
    "policies": ["policies"],
    "workloads": ["workloads"],
    "describe": ["workloads", "describe", "log.csv", "--time", "t_s", "--series", "vm", "--user", "use_mib:1MiB"],
    "presets": ["presets"],
    "replay": ["replay", *RECORDINGS],
    "calibration": ["calibration", *LOADED],
    "incidents": ["incidents"],
    "an unknown command": ["vaildate"],
    "an unknown label": ["compare", "e", "--policy", "a policy that is not there at all"],
    "help": ["--help"],
    **{f"help of {name}": [name, "--help"] for name in COMMANDS},
}  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", PRINTING)
def test_no_line_is_wider_than_the_terminal_and_none_is_of_one_letter(
    name: str, columns: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)
    code, text = shown(PRINTING[name], folder, columns)
    assert code == (2 if "unknown" in name else 0)
    assert "Traceback" not in text
    lines = STEERING.sub("", text).split("\n")
    # Paths, and labels in the middle of a sentence, are single words, behind what a list indents them by.
    assert [each for each in lines if cell_len(each) > columns and len(each.split()) > 1] == []
    letters = [not each.strip().isdigit() and cell_len(each.strip()) == 1 for each in lines]
    assert not any(all(letters[at : at + 3]) for at in range(len(letters) - 2))


@pytest.mark.parametrize("terminal", ["dumb", "xterm-256color"])
def test_a_plain_terminal_gets_plain_text(terminal: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    text = shown(PRINTING["compare"], folder, 40)[1]
    assert not re.search(r"\x1b\[(3[0-7]|38|9[0-7])", text)
    assert all(cell_len(each) <= 40 for each in STEERING.sub("", text).split("\n") if len(each.split()) > 1)
    assert "[red]a, b; c" in text


def test_labels_are_listed_one_a_line(folder: Path) -> None:
    out = run(["validate", "--no-probe", "e.toml"], folder).out.decode()
    for labels in LABELS.values():
        assert all(any(line.endswith(f"  {label}") for line in out.splitlines()) for label in labels)
    found = CliRunner().invoke(main, ["compare", str(folder / "e"), "--policy", "no"])
    assert f"\n    {LABELS['policies'][0]}\n" in found.stderr
