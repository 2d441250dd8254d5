"""The model against recorded kernels: every block, zone and size after every step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from policies.auto_movable import AutoMovable
from sim.kernel.diary import Decided
from sim.memory.zones import ZONE_MOVABLE, OnlineType
from sim.replay.kernel_replay import Replay, replay
from sim.replay.trace_format import PolicyEntry, Step, TraceError, read_trace

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
    "numa-memoryless-aware": {5: 8},
    "random-1": {15: 2},
    "random-3-numa": {4: 4, 36: 3},
    "random-3-numa-on-612": {4: 4, 36: 3},
    "span-mixed-block": {0: 1, 17: 1},
    "vmem-offline-manual": {6: 1},
    "vmem-partial-fill-km": {4: 1},
    "vmem-shrink-regrow": {9: 1},
    "vmem-shrink-regrow-on-612": {9: 1},
}
"""Blocks that refused to go offline, by trace and step, as a second implementation of the rules found them."""


def test_every_block_zone_and_size_is_that_of_the_recorded_kernel(kernel_trace: Path) -> None:
    report = replay(kernel_trace)

    assert report.block_mismatches == []
    assert report.zone_mismatches == []
    assert report.size_mismatches == []
    assert report.steps == len(read_trace(kernel_trace).steps)
    assert report.blocks_compared > 0


def test_only_the_known_refusals_are_taken_from_a_recording(kernel_trace: Path) -> None:
    assert replay(kernel_trace).refused == REFUSALS.get(kernel_trace.stem, {})


def test_shared_recordings_replay_as_well(shared_dir: Path) -> None:
    traces = sorted((shared_dir / "kernel-traces").glob("*.json"))
    assert traces

    differing = [path.name for path in traces if not replay(path).identical]

    assert differing == []


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
        (lambda data: data.update(page_size=65536), "page_size"),
        (lambda data: data.update(memory_block_size=100_000_000), "power of two"),
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
                {"id": "far", "type": "nvdimm", "block_start": 1, "block_count": 1 << 70}
            ),
            f"step 0: device far: blocks 1 + {1 << 70} lie beyond 32768",
        ),
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
        policy = run.core.zone_choice.policy
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
