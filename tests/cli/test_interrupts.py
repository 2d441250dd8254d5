"""Ctrl-C and its like at any moment: one word at most, and exit code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import tomli_w

from sim.cli.interrupts import interrupts
from tests.experiment.examples import small
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

INTERRUPTED_WHILE_IT_LOADS = """
import os, signal, sys
number, sig, sys.argv = int(sys.argv[1]), int(sys.argv[2]), ["memhp-sim", *sys.argv[3:]]
class Counting:
    def find_spec(self, name, path=None, target=None):
        global number
        number -= 1
        if number == 0:
            os.kill(os.getpid(), sig)
sys.meta_path.insert(0, Counting())
signal.signal(signal.SIGINT, signal.default_int_handler)
from memhp_sim.__main__ import main
main()
"""
"""Sends itself a signal when it looks for the so and so many-th module from the command's first line on."""


def ended(number: int, sig: int, *arguments: object, cwd: Path) -> tuple[int, str]:
    command = [sys.executable, "-c", INTERRUPTED_WHILE_IT_LOADS, number, sig, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "e.toml"
    path.write_text(tomli_w.dumps(small()))
    return path


@pytest.mark.parametrize("number", [5, 20, 60, 100, 150, 200, 300, 450, 600, 800, 1100])
def test_ctrl_c_while_the_command_loads_is_quiet(number: int, experiment: Path) -> None:
    code, errors = ended(number, signal.SIGINT, "run", experiment, "--out", ".", "--workers", 1, cwd=experiment.parent)
    assert code == 130
    assert errors == "" or (errors.startswith("Interrupted.") and errors.count("\n") == 1)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_what_else_ends_a_command_while_it_loads_is_quiet_too(sig: int, experiment: Path) -> None:
    for number, codes in ((5, (-sig,)), (400, (130,))):
        code, errors = ended(number, sig, "run", experiment, "--out", ".", "--workers", 1, cwd=experiment.parent)
        assert code in codes
        assert errors == "" or (errors.startswith("Interrupted.") and errors.count("\n") == 1)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminal_that_ends_everything_is_quiet_and_keeps_what_is_there(
    workers: int, sig: int, tmp_path: Path
) -> None:
    path = tmp_path / "e.toml"
    path.write_text(tomli_w.dumps(small(replications=3000)))
    command = [sys.executable, "-m", "memhp_sim", "run", str(path), "--out", str(tmp_path), "--workers", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        deadline = time.monotonic() + 60
        while not any(tmp_path.glob("e/*/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(running.pid, sig)
        out, errors = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert errors.startswith("Interrupted.")
    assert errors.count("\n") == 1


def test_signals_that_are_ignored_stay_ignored() -> None:
    """As SIGHUP under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts() as found:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
        assert not found.came
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_comes_where_nothing_can_be_raised_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    class Thrown:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def throw_away() -> None:
        Thrown()
        time.sleep(5)

    with interrupts() as found, pytest.raises(KeyboardInterrupt):
        throw_away()
    assert found.came
    assert capsys.readouterr().err == ""


def test_an_import_that_never_ends_can_be_interrupted(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(60)\n")
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "memhp_sim", "policies", "endless.py:Policy"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        time.sleep(2)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "Interrupted.\n")
    assert time.monotonic() - started < 30
