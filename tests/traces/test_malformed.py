"""Whatever a trace holds: a message with its place and exit code 2, or a trace; never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from tests.traces.malformed import PROMETHEUS, malformed

if TYPE_CHECKING:
    from pathlib import Path

_EXPERIMENT = """\
[machine]
boot_memory = "1GiB"

[guest]
preset = "idle"

[[policies]]
name = "online-movable"

[[workloads]]
name = "guest-trace"
path = "trace"
columns = {{ {columns} }}
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _check_one(number: int, folder: Path) -> bool:
    """Describe malformed trace ``number``; return whether it is refused."""
    made = malformed(number)
    file = folder / "trace"
    file.write_bytes(made.data)

    result = CliRunner().invoke(main, ["workloads", "describe", str(file), *made.options])

    assert result.exception is None or isinstance(result.exception, SystemExit), (number, result.exception)
    assert result.exit_code in ((2,) if made.surely else (0, 2)), (number, result.output)
    if result.exit_code:
        first, *others = result.output.splitlines()
        assert first.startswith("Error: trace: "), (number, result.output)
        assert all(line.startswith("  ") for line in others), (number, result.output)
        assert len(others) <= 21, (number, result.output)
        lines = others or [first]
        assert all(len(line) < 400 for line in lines), (number, result.output)
        assert "Traceback" not in result.output
        if made.says:
            assert any(all(part in line for part in made.says) for line in [first, *others]), (number, result.output)
    return bool(result.exit_code)


def test_malformed_traces_are_refused_by_place(tmp_path: Path) -> None:
    refused = sum(_check_one(number, tmp_path) for number in range(1000))

    assert refused > 850


@pytest.mark.slow
def test_ten_thousand_malformed_traces_are_refused_by_place(tmp_path: Path) -> None:
    refused = sum(_check_one(number, tmp_path) for number in range(1000, 11_000))

    assert refused > 8500


@pytest.mark.parametrize("command", [["validate"], ["run", "--workers", "1", "--no-plots"]])
def test_an_experiment_with_a_malformed_trace_is_refused_by_place(tmp_path: Path, command: list[str]) -> None:
    for number in range(30):
        made = malformed(number)
        if not made.surely:
            continue
        (tmp_path / "trace").write_bytes(made.data)
        mapping = "time = 't', series = 'vm', user = { column = 'use', unit = '1MiB' }"
        if made.options == PROMETHEUS:
            mapping = "series = 'vm', user = { column = 'value', unit = '1MiB' }"
        experiment = tmp_path / "experiment.toml"
        experiment.write_text(_EXPERIMENT.format(columns=mapping), "utf-8")
        extra = ["--out", str(tmp_path / "results")] if command[0] == "run" else []

        result = CliRunner().invoke(main, [*command, str(experiment), *extra])

        assert result.exit_code == 2, (number, result.output)
        assert isinstance(result.exception, SystemExit)
        places = [part.removeprefix("trace: ") for part in made.says]
        assert any(all(part in line for part in places) for line in result.output.splitlines()), (number, result.output)
        assert "workloads[0].path: trace" in result.output, result.output
