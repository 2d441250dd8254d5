"""Pages of the documentation that have readers write files and type commands: both, as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path


class DocPage:
    """A page of ``docs``: its ``text``, the ``files`` that it shows by their names, and its ``commands``."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / "docs" / name).read_text("utf-8")
        shown = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        self.files: dict[str, str] = dict(shown)
        blocks = re.findall(r"```console\n(.*?)```", self.text, re.DOTALL)
        self.commands = [line for block in blocks for line in block.splitlines()]

    def write(self, folder: Path) -> None:
        """Write all files of the page into ``folder``."""
        for name, text in self.files.items():
            (folder / name).write_text(text, "utf-8")


def do(command: str, folder: Path) -> str:
    """Run a command of a page in ``folder`` and return what it printed."""
    program, *arguments = shlex.split(command.removeprefix("$ "))
    line = {
        "memhp-sim": [sys.executable, "-c", "from sim.cli.main import main; main()"],
        "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
    }[program] + arguments
    path = os.pathsep.join((str(folder), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
