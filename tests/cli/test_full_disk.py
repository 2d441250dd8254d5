"""A disk that is full: where, how many runs are there, what to do, exit code 2; nothing is half written or lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w

from sim.cli.main import BAD_INPUT
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results.atomic import leftovers
from sim.results.store import ResultStore
from tests.experiment.test_killed import TABLES
from tests.experiment.test_run import files
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES_40: dict[str, Any] = TABLES | {"replications": 40}
THEN = "make room there, and the same command goes on from what is kept"
FULL = Path("/dev/full")
devices = pytest.mark.skipif(not FULL.exists(), reason="no such device")


def memhp_sim(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from sim.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", place], capture_output=True, check=False
    ) if sys.platform == "linux" and os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_run_says_where_and_how_far_it_came_and_goes_on_from_there(small_disk: Path, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps(TABLES_40))
    command = ("run", path, "--out", small_disk, "--no-plots", "--workers", 2)
    full = memhp_sim(*command)

    there = ResultStore(small_disk / "sweep").completed()
    assert full.returncode == BAD_INPUT
    assert 0 < len(there) < 200
    assert full.stderr.startswith(f"Error: {small_disk / 'sweep'}")
    assert f": No space left on device. {len(there)} of 200 runs are there; {THEN}\n" in full.stderr
    assert (full.stderr.count("\n"), full.stdout) == (1, "")
    assert not list(leftovers(small_disk))

    again = memhp_sim(*command)
    assert (again.returncode, again.stderr.count("No space left on device")) == (BAD_INPUT, 1)
    assert set(ResultStore(small_disk / "sweep").completed()) >= set(there)
    subprocess.run(["mount", "-o", "remount,size=60m", small_disk], check=True)
    room = memhp_sim(*command)
    assert room.returncode == 0, room.stderr
    assert "200 of 200 runs completed" in room.stdout
    calm = run(load(TABLES_40), tmp_path / "calm", workers=InProcess())
    assert files(small_disk / "sweep") == files(calm.folder)


def test_the_first_run_that_cannot_be_stored_ends_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = 0
    really = os.write

    def full(descriptor: int, data: bytes) -> int:
        nonlocal wrote
        if len(data) > 500:
            wrote += 1
            if wrote > 7:
                really(descriptor, data[:100])  # what still has room
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left on device") as error:
            run(load(TABLES_40), tmp_path, workers=InProcess())
    assert error.value.filename == str(tmp_path / "sweep" / "unpacked")
    assert len(ResultStore(tmp_path / "sweep").completed()) == 7
    report = run(load(TABLES_40), tmp_path, workers=InProcess())
    assert (report.reused, report.completed, report.failures) == (7, 193, 0)


def test_plots_that_have_no_room_leave_the_results_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sim.cli.main import main

    path = tmp_path / "e.toml"
    path.write_text(tomli_w.dumps(TABLES | {"name": "e", "replications": 1}))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(SystemExit) as end:
        main(["run", str(path), "--out", str(tmp_path), "--workers", "1"])
    assert end.value.code == BAD_INPUT
    told = " ".join(capsys.readouterr().err.split())
    assert f"No space left on device. 5 of 5 runs are there; {THEN}" in told
    assert f"Error: {tmp_path / 'e' / 'plots'}/" in told
    assert not [each for each in (tmp_path / "e" / "plots").iterdir() if each.suffix == ".png"]
    assert len(ResultStore(tmp_path / "e").completed()) == 5


@devices
def test_a_device_that_is_full_is_told_and_stays_a_device(tmp_path: Path) -> None:
    report = run(load(TABLES | {"replications": 1}), tmp_path, workers=InProcess())
    before = files(report.folder)
    for command in (
        ("report", report.folder, "--out", FULL),
        ("compare", report.folder, "--csv", FULL),
        ("compare", report.folder, "--latex", FULL),
    ):
        done = memhp_sim(*command)
        assert done.returncode == BAD_INPUT, command
        assert done.stderr == f"Error: {FULL}: No space left on device; make room there, and run the command again\n"
        assert FULL.is_char_device()
    assert files(report.folder) == before
