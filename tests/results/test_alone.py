"""One process at a time in a folder of results."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sim.faults import InputError
from sim.results.alone import alone
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fcntl", reason="no such locks")


def test_nobody_else_gets_into_a_folder_until_it_is_left(tmp_path: Path) -> None:
    with alone(tmp_path):
        with pytest.raises(InputError, match="another process is at work in it"), alone(tmp_path):
            pass
        other = tmp_path / "other"
        other.mkdir()
        with alone(other):
            pass
    with alone(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_process_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from sim.results.alone import alone\n"
        "with alone(pathlib.Path(sys.argv[1])):\n"
        "    print('in', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(InputError, match="another process"), alone(tmp_path):
            pass
        other.kill()
    with alone(tmp_path):
        pass
