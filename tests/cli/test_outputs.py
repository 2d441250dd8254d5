"""Where the commands write to: a pipe that is closed, a disk that is full, nothing at all, or something not UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.console import print_json, standard_console
from sim.cli.main import main
from sim.cli.outputs import harmless, showable
from sim.results.store import ResultStore
from tests.experiment.examples import small
from tests.support.outputs import Done, on_terminal, run, sealed
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMAND = [sys.executable, "-m", "memhp_sim"]
RECORDING = str(ROOT / "tests/data/kernel-traces/boot-cma-1g.json")
LABELS = {"machines": "記憶體 é", "policies": "ratio ≥ 301 → \N{SNOWMAN}", "workloads": "a, b [red]c"}
"""Labels with what a terminal may lack, and with what stands for other things elsewhere."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, signals and devices of Unix")


def tables() -> dict[str, Any]:
    made = small(workloads=[{"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 120}])
    for section, label in LABELS.items():
        made[section][-1]["label"] = label
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an experiment ``e.toml`` and its results ``e``."""
    path: Path = tmp_path_factory.mktemp("outputs")
    (path / "e.toml").write_text(tomli_w.dumps(tables()), encoding="utf-8")
    done = CliRunner().invoke(main, ["run", str(path / "e.toml"), "--out", str(path), "--workers", "1", "--no-plots"])
    assert done.exit_code == 0, done.output
    return path


PRINTING = {
    "run": ["run", "e.toml", "--out", ".", "--workers", "1", "--no-plots"],
    "rerun": ["rerun", "e", "--out", ".", "--workers", "1", "--no-plots"],
    "compare": ["compare", "e"],
    "compare as JSON": ["compare", "e", "--json"],
    "compare as CSV": ["compare", "e", "--csv", "-"],
    "report": ["report", "e"],
    "show": ["show", "e.toml"],
    "plan": ["plan", "e.toml", "--plug", "dimm:1GiB"],
    "plan as JSON": ["plan", "e.toml", "--plug", "dimm:1GiB", "--json"],
    "explain": ["explain", "e.toml"],
    "explain a recording": ["explain", RECORDING],
    "export": ["export", "e", "--replication", "0", "--policy", LABELS["policies"], "--events", "-"],
    "validate": ["validate", "e.toml"],
    "experiments": ["experiments"],
    "policies": ["policies"],
    "workloads": ["workloads"],
    "presets": ["presets"],
    "schema": ["schema"],
    "replay": ["replay", RECORDING],
    "help": ["--help"],
    "help of a command": ["run", "--help"],
}
"""Commands that print, each of which ends well."""


def process(arguments: Sequence[str], folder: Path, **options: Any) -> Done:  # noqa: ANN401  as Popen's
    """Run the command in a process of its own, with what Python writes at its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=environment, **options) as running:
        out, errors = running.communicate(timeout=120)
    return Done(running.returncode, out or b"", errors or b"")


@pytest.fixture
def pipe() -> Iterator[int]:
    """Return a pipe that nobody reads."""
    made = sealed()
    yield made
    os.close(made)


# Who does not read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRINTING)
def test_a_pipe_that_is_closed_is_quiet_and_changes_no_exit_code(name: str, folder: Path, pipe: int) -> None:
    assert run(PRINTING[name], folder, stdout=pipe)[::2] == (0, b"")


@pytest.mark.parametrize("name", ["run", "compare", "workloads", "help", "explain"])
def test_neither_does_python_say_anything_at_its_end(name: str, folder: Path, pipe: int) -> None:
    assert process(PRINTING[name], folder, stdout=pipe) == (0, b"", b"")


def test_what_fails_still_fails_where_nobody_reads(folder: Path, pipe: int) -> None:
    slow = ["run", "e.toml", "--set", "cell_timeout=1e-9", "--workers", "1", "--out", "f", "--no-plots"]
    code, _, errors = run(slow, folder, stdout=pipe)
    assert code == 1
    assert errors.startswith(b"failed (")


def test_a_run_whose_tables_nobody_reads_has_all_its_results_and_plots(folder: Path, pipe: int) -> None:
    arguments = ["run", "e.toml", "--out", "unread", "--workers", "1", "--draw", "memory"]
    assert run(arguments, folder, stdout=pipe)[::2] == (0, b"")
    results = folder / "unread" / "e"
    assert len(ResultStore(results).completed()) == 4
    assert list((results / "plots").glob("*.png"))


def test_an_explanation_ends_where_nobody_reads_on(folder: Path, pipe: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As nothing but text would come of it."""
    told: list[int] = []

    def named_blocks(first: int, _: int) -> str:
        told.append(first)
        return "blocks"

    monkeypatch.setattr("sim.cli.replay.named_blocks", named_blocks)
    assert run(PRINTING["explain"], folder)[::2] == (0, b"")
    whole = len(told)
    told.clear()
    assert run(PRINTING["explain"], folder, stdout=pipe)[::2] == (0, b"")
    assert whole > 3
    assert len(told) <= 1


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


@needs_full
@pytest.mark.parametrize("name", PRINTING)
def test_a_disk_that_is_full_is_one_line_and_exit_code_2(name: str, folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(PRINTING[name], folder, stdout=full.fileno())
    assert done == (2, b"", b"Error: standard output: No space left on device\n")


@needs_full
def test_a_full_disk_is_no_reason_to_lose_results(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = process([*PRINTING["run"][:3], "full", *PRINTING["run"][4:]], folder, stdout=full)
    assert done == (2, b"", b"Error: standard output: No space left on device\n")
    assert len(ResultStore(folder / "full" / "e").completed()) == 4


@pytest.mark.parametrize("name", ["run", "compare as CSV", "export", "schema"])
def test_an_output_that_is_closed_is_one_line_and_exit_code_2(name: str, folder: Path) -> None:
    done = process(PRINTING[name], folder, stdout=None, preexec_fn=lambda: os.close(1))
    assert done == (2, b"", b"Error: standard output: it is closed\n")


@pytest.mark.parametrize("name", ["run", "compare", "schema"])
def test_errors_that_cannot_be_written_change_nothing(name: str, folder: Path, pipe: int) -> None:
    expected = run(PRINTING[name], folder)
    full = os.open("/dev/full", os.O_WRONLY)
    for stderr in (pipe, full):
        assert run(PRINTING[name], folder, stderr=stderr)[:2] == expected[:2]
        assert run(["validate", "nothing.toml"], folder, stderr=stderr).code == 2
    os.close(full)


def test_closed_outputs_change_no_exit_code_and_nothing_else_is_printed_into(folder: Path) -> None:
    """A file of results could get the number of an output that is closed."""

    def close_all() -> None:
        os.closerange(0, 3)

    options: dict[str, Any] = {"stdout": None, "stderr": None, "preexec_fn": close_all}
    assert process(["validate", "nothing.toml"], folder, **options).code == 2
    assert process(["compare", "e", "--json", "--csv", "rows.csv"], folder, **options).code == 2
    assert (folder / "rows.csv").read_bytes() == run(PRINTING["compare as CSV"], folder).out


# What cannot be shown -------------------------------------------------------------------------------------------------

ENCODINGS = ["ascii", "latin-1", "cp437", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", PRINTING)
def test_every_command_ends_well_whatever_the_encoding(name: str, encoding: str, folder: Path) -> None:
    code, out, errors = run(PRINTING[name], folder, encoding=encoding)
    assert (code, errors) == (0, b"")
    if encoding == "ascii" and name not in ("compare as CSV", "export"):
        assert out.isascii()
    if "JSON" in name or name == "schema":
        json.loads(out.decode(encoding))


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "C", "LC_ALL": ""},
    ],
    ids=str,
)
def test_so_it_does_however_that_is_said(environment: dict[str, str], folder: Path) -> None:
    done = process(PRINTING["compare"], folder, env=environment)
    assert (done.code, done.errors) == (0, b"")
    assert b"Baseline: " in done.out


def test_a_terminal_in_the_locale_c_gets_plain_characters(folder: Path) -> None:
    """Python writes UTF-8 there; into a pipe that is what it stays."""
    shown = on_terminal([*COMMAND, *PRINTING["compare"]], folder, {"LANG": "C", "LC_ALL": "", "PYTHONPATH": str(ROOT)})
    assert shown.isascii()
    assert b"\\u2603" in shown
    piped = process(PRINTING["compare"], folder, env={"LANG": "C", "LC_ALL": "", "LC_CTYPE": ""})
    assert "\N{SNOWMAN}".encode() in piped.out


def test_data_for_a_pipe_is_what_a_file_would_be_whatever_the_encoding(folder: Path) -> None:
    name = "compare as CSV"
    assert run(PRINTING[name], folder, encoding="ascii") == run(PRINTING[name], folder)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_about_a_name_that_cannot_be_shown_is_told(encoding: str, folder: Path) -> None:
    code, _, errors = run(["validate", "記\udcff.toml"], folder, encoding=encoding)
    assert (code, errors) == (2, b"Error: \\u8a18\\udcff.toml: does not exist\n")


def test_labels_that_differ_differ_where_they_cannot_be_shown() -> None:
    ascii_ = io.TextIOWrapper(io.BytesIO(), "ascii")
    latin = io.TextIOWrapper(io.BytesIO(), "latin-1")
    assert showable("é → 記憶 ±", ascii_) == "\\xe9 -> \\u8a18\\u61b6 +-"
    assert showable("é → 記憶 ±", latin) == "é -> \\u8a18\\u61b6 ±"
    assert showable("é → 記憶 ±", io.TextIOWrapper(io.BytesIO(), "utf-8")) == "é → 記憶 ±"


# What would steer a terminal ------------------------------------------------------------------------------------------


def test_nothing_in_a_text_steers_the_terminal(folder: Path) -> None:
    assert harmless("a\x1b[31mb\r\x07\x9b\u202ec\td\n") == "a\\x1b[31mb\\r\\x07\\x9b\\u202ec\td\n"
    shown = on_terminal([*COMMAND, "validate", "\x1b[31mred\x07.toml"], folder, {"PYTHONPATH": str(ROOT)})
    assert b"\\x1b[31mred\\x07.toml" in shown


def test_the_console_shows_its_own_colours_and_those_of_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    console = standard_console()
    console._force_terminal = True  # noqa: SLF001
    console.print("a\x1b[31mb", style="bold", markup=False)
    out = capsys.readouterr().out
    assert "\\x1b[31mb" in out
    assert "\x1b[31m" not in out


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("記", "\x9b\x1b", "\U0001f600"):
        print_json({text: text})
        assert json.loads(capsys.readouterr().out) == {text: text}
