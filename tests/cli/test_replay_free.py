"""``memhp-sim replay --free`` as people use it: what it prints, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sim.cli.main import main
from sim.replay.report import Chance, ReplayReport
from sim.replay.trace_format import NodeEntry, read_trace
from tests.support.places import DATA

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TRACES = DATA / "kernel-traces"
SMALL = ("dimm-small-1g", "vmem-two", "boot-cma-64m")


def test_recordings_are_run_freely_and_found_identical() -> None:
    done = CliRunner().invoke(main, ["replay", "--free", *(str(TRACES / f"{name}.json") for name in SMALL)])
    assert done.exit_code == 0
    assert "Recorded kernels against the model, run freely" in done.output
    assert all(name in done.output for name in SMALL)
    assert "3 of 3 recordings identical" in " ".join(done.output.split())


def test_in_brief_only_what_differs_is_shown_and_the_sum(tmp_path: Path) -> None:
    same = str(TRACES / "vmem-two.json")
    done = CliRunner().invoke(main, ["replay", "--brief", same])
    assert done.exit_code == 0
    assert done.output.startswith("1 of 1 recordings identical, ")
    trace = read_trace(TRACES / "dimm-small-1g.json")
    other = tmp_path / "other.json"
    other.write_text(trace.model_copy(update={"kernel_cmdline": "kernelcore=512M"}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--brief", "--free", same, str(other)])
    assert done.exit_code == 1
    assert "vmem-two" not in done.output
    assert "\nother " in done.output
    assert "1 of 2 recordings identical, " in done.output


def test_a_machine_that_is_not_the_recorded_one_is_a_difference(tmp_path: Path) -> None:
    trace = read_trace(TRACES / "dimm-small-1g.json")
    path = tmp_path / "other.json"
    path.write_text(trace.model_copy(update={"kernel_cmdline": "kernelcore=512M"}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--free", "--json", str(path)])
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    found = json.loads(line)
    assert {mismatch["zone"] for mismatch in found["zone_mismatches"]} >= {"0/Movable"}
    assert found["chance"] == []


def test_a_guest_that_died_in_the_recording_only_is_a_difference_that_is_told(tmp_path: Path) -> None:
    trace = read_trace(TRACES / "dimm-small-1g.json")
    path = tmp_path / "died.json"
    steps = [*trace.steps[:-1], trace.steps[-1].model_copy(update={"after": None})]
    path.write_text(trace.model_copy(update={"steps": steps, "guest_died": True}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--free", str(path)])
    assert done.exit_code == 1
    assert f"died: step {len(steps) - 1}: guest died: recorded True, simulated False" in " ".join(done.output.split())


def test_a_machine_that_cannot_boot_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    trace = read_trace(TRACES / "dimm-small-1g.json")
    path.write_text(trace.model_copy(update={"kernel_cmdline": "cma=8G"}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--free", str(path)])
    assert done.exit_code == 2
    assert "cma=8G: is all boot memory or more" in " ".join(done.output.split())
    assert "Traceback" not in done.output
    machine = trace.machine.model_copy(update={"nodes": [NodeEntry(nid=0, boot_memory=64 << 20)]})
    path.write_text(trace.model_copy(update={"machine": machine}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--free", str(path)])
    assert done.exit_code == 2
    assert "less than the kernel takes for itself" in " ".join(done.output.split())


def test_recordings_under_load_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    path.write_text(read_trace(TRACES / "vmem-two.json").model_copy(update={"load": True}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--free", str(path), str(TRACES / "vmem-two.json")])
    assert done.exit_code == 0
    assert "left out, for it was recorded under load" in done.output


def test_nothing_compared_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    path.write_text(read_trace(TRACES / "vmem-two.json").model_copy(update={"load": True}).model_dump_json())
    done = CliRunner().invoke(main, ["replay", "--free", str(path)])
    assert done.exit_code == 2
    assert "nothing to run freely" in done.output


def test_what_chance_decided_is_named_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    report = ReplayReport("made-up", "6.1.0", steps=9, blocks_compared=90)
    report.chance = {4: Chance((33, 40), ()), 7: Chance((), (50,)), 8: Chance((80,), (80,))}
    monkeypatch.setattr("sim.replay.free_run.free_run", lambda _: report)
    lines = CliRunner().invoke(main, ["replay", "--free", "made-up.json"]).output
    text = " ".join(lines.split())
    assert "identical but for chance" in text
    assert "step 4: kernel blocks that stayed: 33, 40 in the recording, none in the model" in text
    assert "step 7: kernel blocks that stayed: none in the recording, 50 in the model" in text
    assert "step 8: kernel blocks that stayed: 80, with other pieces in the recording" in text
    assert "3 steps taken from the recordings as chance" in text
