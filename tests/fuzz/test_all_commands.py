"""Whatever the files hold that a command is given: it ends soon with exit code 0, 1 or 2, in words, and leaves no mess.

The inputs are those of :mod:`tests.fuzz.inputs`; the long form tries 10,000.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.fuzz.inputs import DEMAND, LOG, STORED, Fuzzed, fuzzed
from tests.fuzz.server import MOST_CPU_S, MOST_MIB
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits what a process may take")


class Server:
    """Runs command lines, see :mod:`tests.fuzz.server`; ``results`` are those of a small experiment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "100"}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "default"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.results = folder / "good"
        self.results.mkdir()
        for name, text in {"e.toml": STORED, "log.csv": LOG, "demand.csv": DEMAND}.items():
            (self.results / name).write_text(text, "utf-8")
        made = self.run(["run", "e.toml", "--no-plots", "--workers", "1"], self.results)
        assert made["code"] == 0, made["said"]

    def run(self, line: list[str], folder: Path) -> dict[str, Any]:
        """Run a command line in ``folder``; return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"line": line, "folder": str(folder)}), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def try_out(self, number: int) -> str:
        """Run input ``number`` in a folder of its own; return what is wrong with how it ended."""
        given = fuzzed(number)
        folder = self._folder / "tried"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, data in given.files.items():
            (folder / name).write_bytes(data)
        if given.store is not None:
            shutil.copytree(self.results / "results", folder / "results")
            given.store(folder / "results" / "e")
        before = contents(folder)
        ended = self.run(given.line, folder)
        return "\n".join(self._faults(given, ended, before, contents(folder)))

    @staticmethod
    def _faults(given: Fuzzed, ended: dict[str, Any], before: object, after: object) -> Iterator[str]:
        code, said = ended["code"], ended["said"]
        if code not in {0, 1, 2}:
            yield f"exit code {code}"
        if "Traceback" in said or '.py", line' in said or re.search(r"\wWarning: ", said):
            yield "shows the program's own code"
        if code and not said.strip():
            yield "says nothing"
        if code == 2 and not ("Error: " in said or "Usage: " in said):
            yield "does not say what is wrong"
        if code == 2 and before != after:
            yield "has written something, though it refused"
        if ended["cpu_s"] > MOST_CPU_S or ended["grown_mib"] > MOST_MIB:
            yield f"takes {ended['cpu_s']:.1f} s and {ended['grown_mib']:.0f} MiB"
        if code not in {0, 1, 2} or "Traceback" in said:
            yield f"{' '.join(given.line)}\n{said[-3000:]}"

    def end(self) -> None:
        """End it."""
        self._process.communicate()


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below ``folder`` with what they hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("fuzz"))
    yield server
    server.end()


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_whatever_files_hold_a_command_ends_in_words(server: Server, first: int) -> None:
    wrong = {number: fault for number in range(first, first + 100) if (fault := server.try_out(number))}

    assert not wrong, "\n\n".join(f"{number}: {fault}" for number, fault in wrong.items())


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 11_000, 500))
def test_whatever_more_files_hold_a_command_ends_in_words(server: Server, first: int) -> None:
    wrong = {number: fault for number in range(first, first + 500) if (fault := server.try_out(number))}

    assert not wrong, "\n\n".join(f"{number}: {fault}" for number, fault in wrong.items())
