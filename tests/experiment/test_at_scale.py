"""Everything that the page about experiments at scale tells people to type is done, in order."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from memhp_sim import run
from sim.cli.main import main
from sim.results.store import ResultStore
from tests.experiment.test_run import files
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "experiments-at-scale.md").read_text("utf-8")
SHOWN_ADDRESS = ("10.0.0.1", "8786")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_command_line_of_code_and_query_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    monkeypatch.chdir(tmp_path)
    # One core: only the lines that ask for processes start any.
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    (toml,) = blocks("toml")
    reading, script = blocks("python")
    (sql,) = blocks("sql")
    # As on the page, but for the time that each run covers.
    assert "duration = 3600" in toml
    Path("ratios.toml").write_text(toml.replace("duration = 3600", "duration = 600"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    commands = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    assert {shlex.split(command)[0] for command in commands} == {"memhp-sim", "dask"}

    said: list[str] = []
    with contextlib.ExitStack() as stack:
        for command in commands:
            host, shown_port = SHOWN_ADDRESS
            name, *arguments = shlex.split(command.replace(host, "127.0.0.1").replace(shown_port, port))
            if name == "dask":
                quiet = ["--no-dashboard"] if arguments[0] == "scheduler" else ["--no-dashboard", "--death-timeout=30"]
                process = subprocess.Popen(
                    [sys.executable, "-m", "dask", *arguments, *quiet],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                stack.callback(process.wait)
                stack.callback(process.terminate)
                if arguments[0] == "scheduler":
                    wait_for_port(int(port))
                continue
            if "--until" in arguments:
                arguments += ["--out", "until"]  # or the results would no longer be those that others are held against
            done = CliRunner().invoke(main, arguments)
            assert done.exit_code == 0, f"{command}\n{done.output}"
            said.append(done.stdout)

    assert "24: 6 combinations x 4 replications" in said[0]
    assert said[1].endswith("24 of 24 runs completed\n")
    assert said[2].endswith("6 of 6 runs completed\n")
    assert said[3].endswith("96 of 96 runs completed\n")
    assert said[4].endswith("24 of 24 runs completed (24 of them were there already)\n")
    assert any(each.startswith("results/ratios: sound (24 runs in 7 files, ") for each in said)
    results = {name: files(Path(name) / "ratios") for name in ("results", "shared", "local", "again")}
    for found in results.values():
        tables = {path: content for path, content in found.items() if path.endswith(".parquet")}
        assert tables == {path: content for path, content in results["results"].items() if path.endswith(".parquet")}
    assert set(ResultStore("alone/ratios").runs()["replication"]) == {2}

    exec(compile(reading, "page", "exec"), {})  # noqa: S102  the page's own code
    assert "policy.ratio" in capsys.readouterr().out
    before = files(Path("results/ratios"))
    exec(compile(script, "page", "exec"), {"__name__": "__main__", "run": run})  # noqa: S102
    assert files(Path("results/ratios")) == before
    rows = duckdb.connect().execute(sql).fetchall()
    assert sum(row[2] for row in rows) == 24
    assert json.loads(Path("results/ratios/manifest.json").read_text())["cells"]["planned"] == 24


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail("the scheduler does not start")
