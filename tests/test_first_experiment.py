"""Everything that the page about a first experiment tells people to write and type is done, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from click.testing import CliRunner

from sim.cli.main import main
from tests.support.places import ROOT

if TYPE_CHECKING:
    import pytest

PAGE = (ROOT / "docs" / "first-experiment.md").read_text("utf-8")


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    mpl.use("agg")
    said: list[str] = []
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        if language == "toml":
            # As on the page, but one shorter evening.
            shorter = block.replace("replications = 3", "replications = 1").replace("duration = 1800", "duration = 900")
            with Path("shrink.toml").open("a", encoding="utf-8") as file:
                file.write(f"\n{shorter}")
        elif language == "python":
            exec(compile(block, "first-experiment.md", "exec"), {})  # noqa: S102
        else:
            for line in block.splitlines():
                command, *arguments = shlex.split(line.removeprefix("$ "))
                if arguments[0] == "run" and len(said) < len(("validate", "workloads", "policies", "run")):
                    arguments.append("--no-plots")  # drawn once, after the second run
                done = CliRunner().invoke(main, arguments)
                assert (command, done.exit_code) == ("memhp-sim", 0), done.output
                said.append(done.stdout)

    validated, workload, policy, first, explained, shown, second = said
    assert "3: 3 combinations x 1 replication" in validated
    assert "kernel_share" in workload
    assert "numa_aware" in policy
    assert first.startswith("evening on 2GiB")
    assert {"Asked", "back,", "not", "given:"} <= set(first.split())
    assert first.endswith("3 of 3 runs completed\n")
    assert "online -> Movable: fits: MOVABLE" in explained
    assert shown.startswith("RANGE ")
    assert shown.endswith("machine 2GiB, workload evening, policy online-movable, replication 0, at 600 s\n")
    assert second.endswith("4 of 4 runs completed (3 of them were there already)\n")
    assert {
        f"{kind}-2GiB-evening.png" for kind in ("tradeoff", "memory", "map")
    } <= {path.name for path in Path("results/shrink/plots").iterdir()}  # fmt: skip
    table, picture = capsys.readouterr().out.split("RANGE ")
    assert len(table.splitlines()) == 5, "a heading and four runs"
    assert "MemTotal:" in picture
