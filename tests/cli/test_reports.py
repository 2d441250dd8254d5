"""What ``replay``, ``calibration``, ``incidents`` and ``validate`` print, from reports whose figures are all known."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment import probe
from sim.incidents import report as incidents
from sim.replay import load_replay, trace_format
from sim.replay.load_comparison import StepComparison, TraceComparison
from sim.replay.report import ReplayReport
from tests.experiment.examples import small

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from click.testing import Result

# Free memory may be off by 10 % of what is recorded or 32 MiB; what stays plugged under load by 15 % or 8 MiB.
LOADS = {
    "calm": TraceComparison(
        "calm", "6.1", [StepComparison(1, free_mib={"0/Normal": (1050.0, 1000.0)}, plugged_mib={"vm0": (99.0, 100.0)})]
    ),
    "wild": TraceComparison(
        "wild",
        "6.12",
        [
            StepComparison(3, free_mib={"0/Movable": (16.0, 0.0), "0/Normal": (100.0, 500.0)}),
            StepComparison(4, oom=(2, 0), tie=True),
            StepComparison(5, free_mib={"0/Normal": (0.0, 9999.0)}),
        ],
        recorded_steps=5,
    ),
}
REPORTS = {
    "calm": ReplayReport("calm", "6.1.0-44-amd64 #1 SMP", steps=7, blocks_compared=321, refused={2: 3, 4: 8}),
    "wild": ReplayReport(
        "wild",
        "6.12.9 x",
        steps=5,
        blocks_compared=100,
        block_mismatches=[{"step": 2, "block": 40, "recorded": "Movable", "simulated": "Normal"}],
        zone_mismatches=[{"step": 3, "zone": "0/DMA32", "recorded": 6, "simulated": 7}] * 2,
        size_mismatches=[{"step": 4, "device": "vm0", "recorded": 8, "simulated": 9}] * 3,
    ),
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def rows(text: str) -> list[list[str]]:
    """Return the lines of ``text``, each split where there are two blanks or more."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines() if line.strip()]


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, Path]:
    """Put in place of replaying what looks up the reports above; ``tmp_path`` holds a file for each."""

    def replay(path: Path) -> tuple[ReplayReport, TraceComparison | None]:
        return REPORTS[path.stem], LOADS[path.stem]

    monkeypatch.setattr(load_replay, "replay_with_load", replay)
    monkeypatch.setattr(trace_format, "read_trace", lambda path: SimpleNamespace(name=path.stem, has_load=True))
    monkeypatch.setattr(load_replay, "LoadReplay", lambda trace: SimpleNamespace(compare=lambda: LOADS[trace.name]))
    paths = {name: tmp_path / f"{name}.json" for name in REPORTS}
    for path in paths.values():
        path.touch()
    return paths


def test_replay_tells_steps_blocks_differences_and_refusals_of_each_recording(recordings: Mapping[str, Path]) -> None:
    result = invoke("replay", *recordings.values())

    assert result.exit_code == 1
    found = rows(result.stdout)
    assert found[1] == ["kernel", "steps", "blocks", "wrong", "refused", "verdict"]
    assert found[3:11] == [
        ["calm", "6.1.0-44", "7", "321", "0", "11", "identical"],
        ["wild", "6.12.9", "5", "100", "6", "0", "differs"],
        ["wild: step 2: block 40: recorded Movable, simulated Normal"],
        ["wild: step 3: zone 0/DMA32: recorded 6, simulated 7"],
        ["wild: step 3: zone 0/DMA32: recorded 6, simulated 7"],
        ["wild: step 4: device vm0: recorded 8, simulated 9"],
        ["wild: step 4: device vm0: recorded 8, simulated 9"],
        ["wild: and 1 more differences"],
    ]
    assert "1 of 2 recordings identical, 421 blocks compared; 11 refusals of the guest" in result.stdout


@pytest.mark.parametrize(("key", "value"), [("auto_movable_ratio", "abc"), ("online_policy", "nonsense")])
def test_replay_says_which_step_of_a_recording_sets_what_is_no_policy(
    key: str, value: str, kernel_traces: tuple[Path, ...], tmp_path: Path
) -> None:
    data = json.loads(kernel_traces[0].read_text())
    data["steps"][1] |= {"op": "set_policy", key: value}
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))

    result = invoke("replay", path)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: odd: step 1: {key} {value!r}: Input should be ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_calibration_shows_the_worst_figure_of_each_recording_and_counts_the_others(
    recordings: Mapping[str, Path], tmp_path: Path
) -> None:
    result = invoke("calibration", tmp_path)

    assert result.exit_code == 0
    found = rows(result.stdout)
    assert found[1] == ["steps", "worst figure"]
    assert found[2] == ["half", "all", "off", "free", "plugged", "oom", "step", "what", "sim", "rec", "tol"]
    assert found[4:6] == [
        ["wild", "shown", "2", "2", "1", "0", "1", "4", "out of memory", "2", "0", "differs"],
        ["calm", "shown", "1", "0", "0", "0", "0", "1", "free 0/Normal", "1050", "1000", "50%"],
    ]
    sums = " ".join(result.stdout.split())
    assert sums.endswith(
        "all: 2 of 3 steps off (66.7%): free 1 (2% accepted), plugged 0 (1% accepted), oom 1 (1% accepted);"
        " 2 recordings, 3 steps after a tie left out."
    )
    assert "shown: 2 of 3 steps off" in sums
    assert "fitted:" not in sums
    assert invoke("calibration", "--check", tmp_path).exit_code == 1
    assert invoke("calibration", "--check", recordings["calm"]).exit_code == 0


@pytest.mark.parametrize("command", ["calibration", "replay"])
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_figure_of_a_table_is_cut_however_narrow_the_terminal(
    command: str, columns: int, recordings: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = invoke(command, *recordings.values()).stdout
    assert max(len(line.rstrip()) for line in said.splitlines()) <= columns
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    words = said.split()
    assert {"free", "0/Normal", "1050", "1000", "50%", "wild", "differs", "calm"} <= set(words)


def test_calibration_shows_every_figure_where_asked(recordings: Mapping[str, Path]) -> None:
    found = rows(invoke("calibration", "--steps", *recordings.values()).stdout)

    assert found[4:9] == [
        ["wild", "shown", "2", "2", "1", "0", "1", "4", "out of memory", "2", "0", "differs"],
        ["3", "free 0/Normal", "100", "500", "800%"],
        ["3", "free 0/Movable", "16", "0", "50%"],
        ["calm", "shown", "1", "0", "0", "0", "0", "1", "free 0/Normal", "1050", "1000", "50%"],
        ["1", "plugged vm0", "99", "100", "7%"],
    ]


def test_incidents_stand_under_what_was_published_and_what_was_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: dict[str, tuple[str, ...]] = {}

    def report(name: str) -> incidents.Report:
        return incidents.Report(
            name,
            "book",
            f"{name} told",
            "cause",
            f"{name} found",
            "[any] margin",
            agrees=name == "wall-2g",
            fitted=fitted.get(name, ()),
            seconds=1.5,
        )

    monkeypatch.setattr(incidents, "report", report)
    result = invoke("incidents", "wall-2g", "cover-letter")

    assert result.exit_code == 1
    found = rows(result.stdout)
    assert found[0] == ["incident", "published", "simulated", "margin", "agrees"]
    assert sorted(found[1:3]) == [
        ["cover-letter", "cover-letter told", "cover-letter found", "[any] margin", "no"],
        ["wall-2g", "wall-2g told", "wall-2g found", "[any] margin", "yes"],
    ]
    assert found[3] == ["1 of 2 agree (3.0 s)."]

    fitted["wall-2g"] = ("timing.dimm_add",)
    found = rows(invoke("incidents", "wall-2g", "cover-letter").stdout)
    assert sorted(line[4] for line in found[1:3]) == ["no", "yes, fitted"]
    assert found[3] == ["0 of 1 agree; 1 of 1 agree that a setting was fitted to (3.0 s)."]
    fitted["cover-letter"] = ("guest.idle_use_bytes",)
    assert rows(invoke("incidents", "wall-2g", "cover-letter").stdout)[3] == [
        "1 of 2 agree that a setting was fitted to (3.0 s)."
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.99, "a second"), (1.0, "a second"), (119.4, "119 seconds"), (120.0, "2.0 minutes"),
        (7199.0, "120.0 minutes"), (7200.0, "2.0 hours"), (90_000.0, "25.0 hours"),
    ],
)  # fmt: skip
def test_validate_tells_the_time_in_a_unit_that_fits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, told: str
) -> None:
    monkeypatch.setattr(probe, "probe", lambda _: probe.Probe(2, (), seconds, 0))
    monkeypatch.setattr("sim.cli.experiment.time", SimpleNamespace(process_time=lambda: 0.0))  # loading takes none
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(small(replications=3)))

    lines = invoke("validate", path).stdout.splitlines()
    assert lines[-1] == f"  time       about {told} on one core"
    assert lines[1:9] == [
        "  machines   vm",
        "  policies   contig-zones",
        "             auto-movable",
        "  workloads  sail",
        "             dimms",
        "  baseline   contig-zones",
        "  seed       7",
        "  runs       12: 4 combinations x 3 replications",
    ]
