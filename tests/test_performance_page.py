"""The page about what a run costs: its tables are those of the benchmarks, and its commands run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner

from benchmarks.choices import CHOICES
from benchmarks.goals import GOALS
from benchmarks.page import TABLES, goals_table, replaced, shown
from benchmarks.parts import START, part_of
from sim.cli.main import main
from tests.support.doc_pages import DocPage
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = DocPage("performance.md")


def rows(name: str) -> list[list[str]]:
    """Return the cells of a table of the page, without its head."""
    _, _, rest = PAGE.text.partition(f"<!-- Table {name}, ")
    lines = [line for line in rest.partition("<!-- End of")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_goal_is_a_row_of_the_page_and_a_benchmark_and_nothing_else_is() -> None:
    on_page = {(what, limit, name.strip("`")) for what, _, limit, name in rows("goals")}
    assert on_page == {(goal.what, shown(goal.most), name) for name, goal in GOALS.items()}
    benchmarks = [
        node
        for path in (ROOT / "benchmarks").glob("bench_*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    holding = [node.name for node in benchmarks if "goal" in {argument.arg for argument in node.args.args}]
    assert sorted(holding) == sorted(f"test_{name}" for name in GOALS)


def test_the_other_tables_show_parts_and_choices() -> None:
    assert START in {part for part, _ in rows("parts")}
    assert abs(sum(float(share) for _, share in rows("parts")) - 100) < 1
    assert [choice.strip("`") for choice, _ in rows("choices")] == list(CHOICES)


def test_a_table_that_is_measured_anew_replaces_the_one_of_its_name_alone() -> None:
    text = PAGE.text
    for name in TABLES:
        changed = replaced(text, name, "| new |")
        assert changed.count("| new |") == 1
        assert replaced(changed, name, "| other |").count("| new |") == 0
    assert goals_table({"fleet": 12.3456}).count("12.3") == 1


def test_what_is_at_work_is_told_by_who_called_it() -> None:
    core, command = "sim/kernel/hotplug_core.py", "sim/cli/run.py"
    assert part_of([core, "/lib/simpy/core.py", "sim/engine.py", command]) == "core: kernel, devices, host, record"
    assert part_of(["/lib/simpy/core.py", "sim/engine.py", command]) == "engine: SimPy"
    assert part_of(["/lib/numpy/x.py", "sim/plots/a.py", command]) == "plots"
    assert part_of(["/lib/numpy/x.py", "<frozen importlib._bootstrap>", "sim/plots/a.py", command]) == START
    assert (
        part_of(["sim/units.py", "sim/record/series.py", "sim/experiment/run_cell.py", command]) == "series over time"
    )
    assert part_of(["/lib/rich/x.py", command]) == "tables on the screen"


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in PAGE.commands:
        program, *arguments = shlex.split(command.removeprefix("$ "))
        if program == "memhp-sim":
            done = CliRunner().invoke(main, [*arguments, "--workers", "1"])
            assert done.exit_code == 0, done.output
        elif "benchmarks.parts" in arguments:
            # As there, but for one guest of each kind and without plots.
            line = [sys.executable, *arguments, "--replication", "0", "--no-plots", "--out", "once"]
            told = subprocess.run(
                line,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
            )
            assert re.search(r"\| start: Python and its imports \| \d+\.\d \|", told.stdout)
        else:
            assert command in {"$ python -m benchmarks.choices", '$ pytest benchmarks -k "many or dimm or nodes"'}
