"""One process at a time in a folder of results."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sim.faults import InputError
from sim.results import locks
from sim.results.locks import LOCK_FILES, NoLocksWarning, alone, packing
from tests.support.lock_holder import holder

if TYPE_CHECKING:
    from pathlib import Path


def refused(folder: Path) -> str:
    """Return why another thread is not let in."""
    found = []

    def ask() -> None:
        with pytest.raises(InputError) as error, alone(folder):
            pass
        found.append(str(error.value))

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    return found[0]


def test_nobody_else_gets_into_a_folder_until_it_is_left(tmp_path: Path) -> None:
    with alone(tmp_path):
        with alone(tmp_path):  # within it, it can be asked for again
            pass
        assert "another process is at work in it" in refused(tmp_path)
        other = tmp_path / "other"
        other.mkdir()
        with alone(other):
            pass
    with alone(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_it_is_told_who_is_in_it_and_what_to_do(tmp_path: Path) -> None:
    with holder(tmp_path) as other, pytest.raises(InputError) as error, alone(tmp_path):
        pass
    who = rf"\(process {other.pid} on {re.escape(socket.gethostname())}, since \d\d:\d\d\)"
    what = f"another process is at work in it {who}; wait with --wait, or choose another --out"
    assert re.fullmatch(f"{re.escape(str(tmp_path))}: {what}", str(error.value))


def test_since_yesterday_has_its_day(tmp_path: Path) -> None:
    with alone(tmp_path):
        (tmp_path / locks.IN_USE).write_text('\n{"process": 7, "host": "far", "since": 86400.0}')
        assert re.search(r"\(process 7 on far, since 1970-01-0[12] \d\d:\d\d\)", refused(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_process_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        other.kill()
        other.wait()
        assert (tmp_path / locks.IN_USE).is_file()
        with alone(tmp_path):
            assert f"process {os.getpid()} " in refused(tmp_path)
    assert not list(tmp_path.iterdir())


def test_who_waits_is_told_for_whom_once_and_comes_in_when_it_is_free(tmp_path: Path) -> None:
    told: list[str] = []
    with holder(tmp_path) as other:
        threading.Timer(0.6, other.kill).start()
        with alone(tmp_path, wait=True, tell=told.append):
            assert other.wait(10) != 0
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for process {other.pid} on ")
    assert told[0].endswith(f", at work in {tmp_path}.")


def test_of_many_that_wait_one_at_a_time_is_in_the_folder(tmp_path: Path) -> None:
    inside, most = 0, []

    def work() -> None:
        nonlocal inside
        for _ in range(5):
            with alone(tmp_path, wait=True):
                inside += 1
                most.append(inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == [1] * 20
    assert not list(tmp_path.iterdir())


def test_where_there_are_no_locks_it_is_said_and_gone_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_descriptor: int, **_how: object) -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "lock_descriptor", none)
    told: list[str] = []
    with alone(tmp_path, tell=told.append), alone(tmp_path, tell=told.append):
        pass
    assert told == [
        f"Note: {tmp_path}: this file system has no locks; see to it that no other command writes into it meanwhile."
    ]
    with pytest.warns(NoLocksWarning, match="has no locks"), alone(tmp_path):
        pass
    with packing(tmp_path), (tmp_path / "file").open("w") as file, locks.holding(file.fileno()):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_of_locks_are_known(tmp_path: Path) -> None:
    with alone(tmp_path), packing(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(LOCK_FILES)
    assert not list(tmp_path.iterdir())
