"""Free runs: own boot layout, own addresses, the guest model deciding refusals, and the recording to compare with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sim.guest import parameters_for_kernel
from sim.replay.free_run import FreeRun, free_run, run_freely
from sim.replay.trace_format import Step, Trace, read_trace
from sim.units import GIB, MIB
from tests.support.places import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from sim.guest import GuestParameters

MOST_BY_CHANCE = 4
"""Steps of all recordings in which the idle kernel's few pages lay in other blocks than the model has them in."""


def test_a_free_run_is_as_recorded(our_recording: Path) -> None:
    report = free_run(our_recording)
    assert report is not None
    assert report.mismatches == []
    assert report.steps == len(read_trace(our_recording).steps)
    assert len(report.chance) <= 1


def test_free_runs_of_shared_recordings_are_as_recorded(shared_dir: Path) -> None:
    paths = sorted([*shared_dir.glob("kernel-traces*/*.json"), *shared_dir.glob("kernel-traces-2/walls/*.json")])
    assert len(paths) > 100
    differing, by_chance = {}, []
    for path in paths:
        report = free_run(path)
        assert report is not None
        if not report.identical:
            differing[path.stem] = report.mismatches[:3]
        by_chance += [f"{path.stem}, step {step}: {chance}" for step, chance in report.chance.items()]
    assert differing == {}
    assert len(by_chance) <= MOST_BY_CHANCE, by_chance


def recording(name: str, **updates: Any) -> Trace:  # noqa: ANN401
    return read_trace(DATA / "kernel-traces" / f"{name}.json").model_copy(update=updates)


def test_recordings_under_load_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    path.write_text(recording("vmem-oneshot-4g", load=True).model_dump_json())
    assert free_run(path) is None


# Sceptics: a free run of what was recorded on another machine differs, and says in what ----


@pytest.mark.parametrize(
    ("name", "more"),
    [("vmem-oneshot-4g", 128 * MIB), ("dimm-small-1g", 128 * MIB), ("numa-aware", 2 * GIB)],
)
def test_another_amount_of_boot_memory_is_noticed_at_boot(name: str, more: int) -> None:
    trace = recording(name)
    nodes = [node.model_copy(update={"boot_memory": node.boot_memory + more}) for node in trace.machine.nodes]
    machine = trace.machine.model_copy(update={"nodes": nodes})
    report = run_freely(trace.model_copy(update={"machine": machine}))
    assert report.zone_mismatches[0]["step"] == -1
    assert not report.chance, "boot memory is no chance"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("boot-cma-64m", "cma="),
        ("boot-cma-1g", "cma="),
        ("boot-kernelcore-2g", "kernelcore="),
        ("boot-mem-limit", "mem="),
    ],
)
def test_a_word_of_the_command_line_less_is_noticed_at_boot(name: str, word: str) -> None:
    trace = recording(name)
    words = [other for other in trace.kernel_cmdline.split() if not other.startswith(word)]
    report = run_freely(trace.model_copy(update={"kernel_cmdline": " ".join(words)}))
    assert report.zone_mismatches[0]["step"] == -1


def test_a_device_that_the_recorded_machine_put_elsewhere_is_named() -> None:
    """A DIMM that is 2 MiB smaller: the next one lies 2 MiB lower."""
    trace = recording("dimm-mixed-2g")
    steps = list(trace.steps)
    steps[0] = steps[0].model_copy(update={"size": (steps[0].size or 0) - 2 * MIB})
    report = run_freely(trace.model_copy(update={"steps": steps}))
    first = report.address_mismatches[0]
    assert (first["step"], first["device"]) == (1, steps[1].id)
    assert int(str(first["recorded"])) - int(str(first["simulated"])) == 2 * MIB


def test_a_slot_less_is_a_device_less() -> None:
    trace = recording("dimm-slots")
    machine = trace.machine.model_copy(update={"slots": trace.machine.slots - 1})
    report = run_freely(trace.model_copy(update={"machine": machine}))
    assert report.address_mismatches[0]["simulated"] is None


def test_a_refusal_in_movable_memory_is_never_called_chance() -> None:
    """A MOVABLE DIMM that stays where it was asked back: no idle guest explains that."""
    trace = recording("dimm-online-movable")
    at = next(i for i, step in enumerate(trace.steps) if step.op == "unplug_dimm")
    before = trace.steps[at - 1]
    stays = trace.steps[at].model_copy(update={"after": before.after, "devices": before.devices})
    report = run_freely(trace.model_copy(update={"steps": [*trace.steps[:at], stays]}))
    assert {mismatch["step"] for mismatch in report.block_mismatches} == {at}
    assert not report.chance


def test_a_kernel_block_that_stayed_by_chance_is_named_and_the_run_goes_on_with_it() -> None:
    """What went in the recording stays in this one: both are possible, and what follows agrees with neither model."""
    trace = recording("dimm-kernel-unplug")
    at = next(i for i, step in enumerate(trace.steps) if step.op == "unplug_dimm" and step.result == "ok")
    before = trace.steps[at - 1]
    stays = trace.steps[at].model_copy(update={"after": before.after, "devices": before.devices})
    wait = Step(op="wait", after=before.after, devices=before.devices)
    report = run_freely(trace.model_copy(update={"steps": [*trace.steps[:at], stays, wait]}))
    assert report.mismatches == []
    assert set(report.chance) == {at}
    assert report.chance[at].recorded
    assert not report.chance[at].simulated
    assert "none in the model" in str(report.chance[at])


@pytest.mark.parametrize("name", ["vmem-shrink-regrow", "vmem-subblock", "random-1"])
def test_a_guest_that_keeps_more_than_was_kept_follows_the_recording(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle kernel that settles in hundreds of pageblocks of new zones: it holds what went in the recording."""

    def settling(series: tuple[int, int]) -> GuestParameters:
        return replace(parameters_for_kernel(series), zone_settle_held_bytes=600 * MIB)

    monkeypatch.setattr("sim.replay.free_run.parameters_for_kernel", settling)
    trace = recording(name)
    report = run_freely(trace)
    assert report.mismatches == []
    assert report.chance, "what stays is not what stayed"
    again = FreeRun(trace, {step: set(chance.simulated) for step, chance in report.chance.items()})
    for _ in again.steps():
        again.model.check()
    assert again.report.mismatches == []


def test_a_death_at_the_wall_is_a_death_in_the_free_run_too() -> None:
    trace = read_trace(DATA / "walls" / "f3-wall-256m-73.json")
    assert trace.guest_died
    report = run_freely(trace)
    assert report.mismatches == []
    assert report.steps == len(trace.steps) - 1


def test_a_guest_that_lives_where_the_recorded_one_died_is_a_difference() -> None:
    """The DIMM of which the guest died comes five DIMMs earlier, and finds memory; or no guest died of it."""
    trace = read_trace(DATA / "walls" / "f3-wall-256m-73.json")
    early = run_freely(trace.model_copy(update={"steps": [*trace.steps[:-6], trace.steps[-1]]}))
    assert early.mismatches == early.death_mismatches
    assert early.death_mismatches == [
        {"step": len(trace.steps) - 6, "guest": "died", "recorded": True, "simulated": False}
    ]
    last = trace.steps[-2].model_copy(update={"op": "plug_dimm", "id": "one-more", "size": trace.steps[-1].size})
    lives = run_freely(trace.model_copy(update={"steps": [*trace.steps[:-1], last]}))
    assert lives.death_mismatches == [
        {"step": len(trace.steps) - 1, "guest": "died", "recorded": False, "simulated": True}
    ]
