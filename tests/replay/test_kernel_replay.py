"""The model against recorded kernels: every block, zone and size after every step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from policies.auto_movable import AutoMovable
from policies.kernel import Kernel
from sim.kernel.diary import Decided
from sim.memory.zones import ZONE_MOVABLE, OnlineType
from sim.replay.kernel_replay import Replay, replay
from sim.replay.trace_format import PolicyEntry, Step, TraceError, read_trace
from tests.support.places import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView

REFUSALS = {
    "dimm-kernel-unplug": {7: 48},
    "dimm-offline-manual": {6: 1},
    "dimm-refused-mixed": {6: 1, 11: 1, 16: 1, 18: 1, 20: 4},
    "early-kernel-again": {10: 1},
    "edge-floor-640m": {2: 1},
    "f2-a-refused-leftover": {5: 5, 7: 5, 10: 7},
    "f2-dax-cpuless-73": {2: 1},
    "f2-grow-shrink-retry-612": {10: 2, 11: 1, 13: 1, 15: 1},
    "f2-kernel-refuse-shrink-73": {10: 1, 13: 1},
    "f2-kernelcore-1100m": {23: 2},
    "f2-long-612": {14: 5, 24: 5},
    "f2-numa4": {16: 40, 45: 1},
    "f2-part-asked-1g": {4: 1},
    "numa-memoryless-aware": {5: 8},
    "random-1": {15: 2},
    "random-3-numa": {4: 4, 36: 3},
    "random-3-numa-on-612": {4: 4, 36: 3},
    "span-mixed-block": {0: 1, 17: 1},
    "vmem-offline-manual": {6: 1},
    "vmem-partial-fill-km": {4: 1},
    "vmem-shrink-regrow": {9: 1},
    "vmem-shrink-regrow-on-612": {9: 1},
    # Not from there: a boot block of CMA, and two dax devices of 7 and 3 kernel blocks that stay as a whole.
    "f3-cma-256m-8g-73": {10: 1},
    "f3-dax-state-rebind-73": {25: 7},
    "f3-dax-state-words-73": {30: 3},
}
"""Blocks that refused to go offline, by trace and step, as a second implementation of the rules found them."""


def test_every_block_zone_and_size_is_that_of_the_recorded_kernel(recording: Path) -> None:
    trace = read_trace(recording)
    report = Replay(trace).run()

    assert report.mismatches == []
    assert report.steps == sum(step.after is not None for step in trace.steps)
    assert report.blocks_compared > 0
    # Nothing but the known refusals is taken from it.
    assert report.failed_adds == {}
    if not trace.has_load:
        assert report.refused == REFUSALS.get(recording.stem, {})


def altered(path: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of the recording at ``path`` after ``change``."""
    data = json.loads(path.read_text())
    change(data)
    copy = tmp_path / "altered.json"
    copy.write_text(json.dumps(data))
    return copy


def ours(name: str) -> Path:
    return next(path for path in (DATA.glob(f"kernel-traces*/{name}.json")))


def test_a_block_that_is_online_in_another_zone_afterwards_did_not_refuse(tmp_path: Path) -> None:
    """Nor did one that is gone. Else a model that never takes it offline would look as right."""

    def moved(data: dict[str, Any]) -> None:
        step = data["steps"][7]
        assert step["op"] == "unplug_dimm"
        for run in step["after"]["blocks"]:
            if run["start"] >= 32 and run["zone"] == "Normal":
                run["zone"] = "Movable"

    report = replay(altered(ours("f2-a-refused-leftover"), tmp_path, moved))
    assert 7 not in report.refused
    assert any(mismatch["step"] == 7 for mismatch in report.block_mismatches)


def test_a_dimm_that_found_no_memory_for_its_memmap_fails_as_it_did(tmp_path: Path) -> None:
    def failed(data: dict[str, Any]) -> None:
        data["steps"] = data["steps"][:1]
        data["steps"][0].update(result="error", after=data["boot"])

    def in_silence(data: dict[str, Any]) -> None:
        failed(data)
        data["steps"][0].update(result="ok")

    report = replay(altered(ours("dimm-small-1g"), tmp_path, failed))
    assert (report.mismatches, report.failed_adds) == ([], {0: 1})
    report = replay(altered(ours("dimm-small-1g"), tmp_path, in_silence))
    assert (bool(report.mismatches), report.failed_adds) == (True, {})


def test_a_growth_that_found_no_memory_for_a_memmap_stops_where_it_did(tmp_path: Path) -> None:
    def without_the_last(data: dict[str, Any]) -> None:
        data["steps"] = data["steps"][:1]
        step = data["steps"][0]
        assert step["op"] == "add_virtio_mem"
        last = step["after"]["blocks"][-1]
        last["count"] -= 1
        block = data["memory_block_size"]
        step["devices"][0]["size"] -= block
        step["result"] = "error"
        zone = next(zone for zone in step["after"]["zones"] if zone["zone"] == last["zone"])
        zone["present_pages"] -= block // 4096
        zone["spanned_pages"] -= block // 4096

    report = replay(altered(ours("vmem-grow-4g"), tmp_path, without_the_last))
    assert (report.mismatches, report.failed_adds) == ([], {0: 1})

    def of_what_was_met(data: dict[str, Any]) -> None:
        without_the_last(data)
        data["steps"][0]["devices"][0]["requested_size"] = data["steps"][0]["devices"][0]["size"]

    assert replay(altered(ours("vmem-grow-4g"), tmp_path, of_what_was_met)).mismatches


def test_time_passes_in_a_wait_and_the_driver_tries_again_by_itself() -> None:
    """A shrink that stopped short is tried again 50 s later, which takes what was free by then."""
    trace = read_trace(ours("vmem-shrink-regrow-on-612"))
    number = next(iter(REFUSALS["vmem-shrink-regrow-on-612"]))
    before = trace.steps[number]
    for seconds, refused in ((49.9, {}), (50.1, {number + 1: 1})):
        wait = Step.model_validate({"op": "wait", "seconds": seconds, "devices": before.devices, "after": before.after})
        steps = [*trace.steps[: number + 1], wait]
        report = Replay(trace.model_copy(update={"steps": steps})).run()
        assert report.mismatches == []
        assert report.refused == REFUSALS["vmem-shrink-regrow-on-612"] | refused


def test_dimms_that_were_there_at_boot_are_groups_of_their_own_and_no_early_memory(tmp_path: Path) -> None:
    """Online in the zones that the recording says; a later block is judged with what its DIMM has."""

    def all_online(data: dict[str, Any]) -> None:
        last = data["steps"][-1]
        data["boot"] = last["after"]
        data["steps"] = [{"op": "wait", "seconds": 0, "devices": last["devices"], "after": last["after"]}]

    run = Replay(read_trace(altered(ours("f3-order-cold-late-contig"), tmp_path, all_online)))
    memory = run.memory
    assert run.run().mismatches == []
    assert len(run.devices) == len(memory.groups) == 56
    assert memory.system.early_kernel == sum(
        zone.present_pages for zone in run.trace.boot.zones if zone.zone in {"DMA", "DMA32"}
    )
    assert memory.system.kernel == memory.system.early_kernel + 320 * memory.block_pages
    group = memory.groups.find(0)
    assert group is not None
    assert (group.blocks, group.kernel, group.movable) == (4, 4 * memory.block_pages, 0)


def test_many_dimms_at_once_are_plugged_in_their_order() -> None:
    trace = read_trace(ours("dimm-small-1g"))
    assert {(step.op, step.result) for step in trace.steps} == {("plug_dimm", "ok")}
    many = trace.steps[-1].model_dump() | {"op": "plug_dimms", "ids": [step.id for step in trace.steps]}
    report = Replay(trace.model_copy(update={"steps": [Step.model_validate(many)]})).run()
    assert report.mismatches == []


def test_a_wrong_state_of_a_dax_device_is_noticed(tmp_path: Path) -> None:
    def other(data: dict[str, Any]) -> None:
        data["steps"][12]["devices"][0]["dax_state"] = "online"
        data["steps"][13]["result"] = "ok"

    report = replay(altered(ours("f3-dax-state-words-73"), tmp_path, other))
    assert report.state_mismatches == [
        {"step": 12, "device": "dax0", "recorded": "online", "simulated": "online_movable"},
        {"step": 13, "device": "dax0", "recorded": "ok", "simulated": "error"},
    ]
    assert not report.identical


def test_a_wrong_rule_is_noticed(kernel_traces: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that cannot fail proves nothing: lend surplus kernel memory, and recordings must differ."""
    original = AutoMovable.zone_for

    def lends(self: AutoMovable, request: ZoneRequest, memory: MemoryView) -> int:
        if memory.system.movable + request.pages <= self.ratio * memory.system.kernel // 100:
            return ZONE_MOVABLE
        return original(self, request, memory)

    monkeypatch.setattr(AutoMovable, "zone_for", lends)

    assert any(not replay(path).identical for path in kernel_traces)


def test_a_recording_with_a_changed_zone_differs_in_that_block_only(
    kernel_traces: tuple[Path, ...], tmp_path: Path
) -> None:
    path = next(path for path in kernel_traces if path.stem == "vmem-two")
    data = json.loads(path.read_text())
    run = data["steps"][0]["after"]["blocks"][-1]
    assert run["zone"] == "Movable"
    run["zone"] = "Normal"
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(data))

    report = replay(changed)

    assert len(report.block_mismatches) == run["count"]
    assert {mismatch["step"] for mismatch in report.block_mismatches} == {0}
    assert report.zone_mismatches == []


def test_every_decision_of_a_replay_has_a_reason(kernel_trace: Path) -> None:
    run = Replay(read_trace(kernel_trace), explain=True)

    run.run()

    assert run.report.identical
    for note in run.notes:
        if isinstance(note, Decided):
            assert note.why.reason
            assert "\n" not in note.why.reason


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"   \n", "is empty"),
        (b"\x00\xff\xfe", "not a text file"),
        (b'{"name": "x", "steps": [', "not JSON, or cut off"),
        (b"[1, 2]", "top level must be an object"),
        (b'{"a": 1}', "'boot'"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_recording_gets_one_clear_line(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "no-trace.json"
    path.write_bytes(content)

    with pytest.raises(TraceError) as caught:
        read_trace(path)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_recording_is_said_to_be_cut_off(
    cut: float, kernel_traces: tuple[Path, ...], tmp_path: Path
) -> None:
    text = kernel_traces[0].read_text()
    path = tmp_path / "cut.json"
    path.write_text(text[: int(len(text) * cut)])

    with pytest.raises(TraceError, match="cut off"):
        read_trace(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.update(kernel="linux"), "series"),
        (lambda data: data.update(page_size=8192), "page_size"),
        (lambda data: data.update(memory_block_size=100_000_000), "power of two"),
        (
            lambda data: data.update(page_size=65536, memory_block_size=1 << 27),
            "memory_block_size: 128MiB is not a power of two from a pageblock (512MiB)",
        ),
        (lambda data: data["steps"][1].update(after=None), "step 1: 'after' is missing"),
        (lambda data: data["boot"]["zones"][0].update(zone="HighMem"), "unknown zone"),
        (
            lambda data: data["steps"][0].update(op="explode"),
            (
                "step 0: unknown operation 'explode' (known: add_dax, add_hmem, add_virtio_mem, bind_dax, exec, "
                "plug_dimm, plug_dimms, reactive_growth, remove_dax, resize_virtio_mem, set_block_state, "
                "set_dax_state, set_policy, unbind_dax, unplug_dimm, wait)"
            ),
        ),
        (lambda data: data["boot"]["blocks"].append({"start": -4, "count": 1, "state": "online"}), "start"),
        (
            lambda data: data["boot"]["blocks"].append(
                {"start": 1 << 60, "count": 1, "state": "online", "zone": "DMA32", "node": 0}
            ),
            "boot: blocks: blocks 1152921504606846976 + 1 lie beyond 32768, all that x86-64 addresses",
        ),
        (
            lambda data: data["steps"][0]["after"]["blocks"].append({"start": 0, "count": 10**15, "state": "online"}),
            "step 0: blocks: blocks 0 + 1000000000000000 lie beyond 32768",
        ),
        (lambda data: data["steps"][0]["after"]["blocks"][0].update(count=0), "count"),
        (lambda data: data["steps"][1].update(block=32_760, count=9), "step 1: blocks 32760 + 9 lie beyond 32768"),
        (lambda data: data["steps"][1].update(block=0, count=0), "steps.1.count"),
        (
            lambda data: data["steps"][0]["devices"].append(
                {"id": "far", "type": "nvdimm", "block_start": 1, "block_count": 1 << 60}
            ),
            f"step 0: device far: blocks 1 + {1 << 60} lie beyond 32768",
        ),
        (lambda data: data["steps"][0].update(size=1 << 64), "steps.0.size: Input should be less than"),
        (lambda data: data["boot"]["blocks"][0].update(count=10**400), "boot.blocks.0.count"),
        (lambda data: data["machine"].update(slots=1 << 64), "machine.slots"),
    ],
)
def test_a_recording_that_makes_no_sense_is_refused_in_words(
    change: Callable[[dict[str, Any]], None], says: str, kernel_traces: tuple[Path, ...], tmp_path: Path
) -> None:
    data = json.loads(kernel_traces[0].read_text())
    change(data)
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))

    with pytest.raises(TraceError) as caught:
        replay(path)

    assert says in str(caught.value)


def test_a_device_on_a_node_that_the_machine_has_not_is_told_with_its_step(
    kernel_traces: tuple[Path, ...], tmp_path: Path
) -> None:
    recording = next(path for path in kernel_traces if path.stem == "vmem-two")
    data = json.loads(recording.read_text())
    number, step = next((n, step) for n, step in enumerate(data["steps"]) if step["op"] == "add_virtio_mem")
    step["devices"][0]["node"] = 3
    path = tmp_path / "far.json"
    path.write_text(json.dumps(data))

    with pytest.raises(TraceError) as caught:
        replay(path)

    assert str(caught.value) == f"far: step {number}: {step['id']}: node 3 is not possible on this machine"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("auto_movable_ratio", "abc", "'abc': Input should be a valid integer"),
        ("auto_movable_ratio", -1, "-1: Input should be greater than or equal to 0"),
        ("auto_movable_ratio", 1 << 32, "4294967296: Input should be less than 4294967296"),
        ("auto_movable_numa_aware", 7, "7: Input should be a valid boolean"),
        ("online_policy", "nonsense", "'nonsense': Input should be 'auto-movable' or 'contig-zones'"),
        ("auto_online_blocks", "on", "'on': Input should be 'offline', 'online', 'online_kernel' or 'online_movable'"),
    ],
)
def test_a_step_that_sets_what_is_no_policy_is_refused_in_words(
    key: str, value: object, says: str, kernel_traces: tuple[Path, ...]
) -> None:
    trace = read_trace(kernel_traces[0])
    step = Step.model_validate({**trace.steps[1].model_dump(), "op": "set_policy", key: value})

    with pytest.raises(TraceError) as caught:
        Replay(trace.model_copy(update={"steps": [trace.steps[0], step]})).run()

    assert str(caught.value).startswith(f"{trace.name}: step 1: {key} {says}")
    assert "\n" not in str(caught.value)


def test_a_step_changes_what_it_names_of_the_policy_and_leaves_the_rest(kernel_traces: tuple[Path, ...]) -> None:
    trace = read_trace(kernel_traces[0])
    before = PolicyEntry(online_policy="auto-movable", auto_movable_ratio=7, auto_movable_numa_aware=False)
    step = {"op": "set_policy", "after": trace.boot, "memmap_on_memory": True}
    steps = [
        Step.model_validate(step | changes)
        for changes in ({"auto_movable_ratio": 9}, {"auto_online_blocks": "offline"}, {"online_policy": "contig-zones"})
    ]
    run = Replay(trace.model_copy(update={"policy": before, "steps": steps}))

    seen = []
    for _ in run.steps():
        assert isinstance(run.core.zone_choice.policy, Kernel)
        policy = run.core.zone_choice.policy.online_policy
        figures = (policy.ratio, policy.numa_aware) if isinstance(policy, AutoMovable) else ()
        seen.append((policy.name, *figures, run.core.auto_online, run.core.memmap_on_memory))

    assert seen == [
        ("auto-movable", 9, False, OnlineType.ONLINE, False),
        ("auto-movable", 9, False, OnlineType.OFFLINE, False),
        ("contig-zones", OnlineType.OFFLINE, False),
    ]


def test_a_number_too_long_to_read_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_text('{"version": ' + "9" * 5000 + "}")

    with pytest.raises(TraceError, match="thousands of digits"):
        read_trace(path)
