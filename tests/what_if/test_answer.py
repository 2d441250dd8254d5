"""What comes out: pieces, memmap, figures and returns of small machines, to the block and byte."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.units import GIB, MIB
from sim.what_if.answer import Answer, Figures, Outcome, Piece, Reason
from sim.what_if.plan import answer, plan
from sim.what_if.question import question
from sim.what_if.sources import Source

BLOCK = 128 * MIB
MACHINE: dict[str, Any] = {"machines": [{"boot_memory": "4GiB"}]}
LINUX: dict[str, Any] = {"guest": {"model": "linux"}}


def planned(*steps: str, policies: tuple[str, ...] = ("contig-zones",), **tables: Any) -> Answer:  # noqa: ANN401
    pairs = [(op, text) for op, _, text in (step.partition(" ") for step in steps)]
    whole = {**MACHINE, "policies": [{"name": "offline"}], **tables}
    return answer(question(Source(whole, "guest.toml", Path()), pairs, policies=policies))


def only(*steps: str, policy: str = "contig-zones", **tables: Any) -> Outcome:  # noqa: ANN401
    (outcome,) = planned(*steps, policies=(policy,), **tables).outcomes
    assert not outcome.error
    return outcome


def shape(pieces: tuple[Piece, ...]) -> list[tuple[int, int, str, str]]:
    return [(piece.first, piece.blocks, piece.before, piece.after) for piece in pieces]


def after(outcome: Outcome) -> Figures:
    assert outcome.after is not None
    return outcome.after


def test_blocks_of_a_dimm_and_why_they_are_where_they_are() -> None:
    """4 GiB below and above the hole end at 5 GiB: the first device begins with block 40."""
    (step,) = only("plug dimm:1GiB").steps
    why = Reason(40, "online", "inside neither the Normal nor the Movable span: Normal")
    assert step.pieces == (Piece(40, 8, 0, "absent", "Normal", (why,)),)
    assert (step.memmap, step.memmap_zones, step.hosted) == (16 * MIB, {}, 0)
    assert step.seconds == 0.072  # 9 ms a block


def test_reasons_are_told_where_they_change() -> None:
    """ZONE_MOVABLE up to 301 % of 4 GiB, less what firmware keeps: 96 of 128 blocks; the rest goes to Normal."""
    (step,) = only("plug virtio-mem:16GiB", policy="auto-movable-patch8").steps
    assert shape(step.pieces) == [(40, 96, "absent", "Movable"), (136, 32, "absent", "Normal")]
    assert [len(piece.reasons) for piece in step.pieces] == [1, 1]
    assert step.pieces[1].reasons[0].text.startswith("all nodes: MOVABLE 3145728 + block 32768 > limit")


def test_a_dimm_under_auto_movable_is_one_decision() -> None:
    outcome = only("plug dimm:16GiB", "plug dimm:8GiB", policy="auto-movable")
    assert [shape(step.pieces) for step in outcome.steps] == [
        [(40, 128, "absent", "Normal")],
        [(168, 64, "absent", "Movable")],
    ]
    texts = [reason.text for reason in outcome.steps[0].pieces[0].reasons]
    assert len(texts) == 2
    assert "already has" in texts[1]


def test_memmap_comes_out_of_kernel_zones_and_goes_back() -> None:
    outcome = only("plug dimm:1GiB", "unplug new-dimm0", policy="online-movable", **LINUX)
    plug, unplug = outcome.steps
    assert (plug.memmap, sum(plug.memmap_zones.values())) == (16 * MIB, 16 * MIB)
    assert (unplug.memmap, sum(unplug.memmap_zones.values())) == (-16 * MIB, -16 * MIB)
    assert shape(unplug.pieces) == [(40, 8, "Movable", "absent")]
    before = outcome.before
    assert before is not None
    assert before.mem_total is not None
    assert plug.after.mem_total == before.mem_total + GIB
    assert (plug.after.movable, unplug.after.movable) == (GIB, 0)
    # What is on CPUs' lists has changed, which MemAvailable leaves out.
    assert replace(unplug.after, mem_available=0) == replace(before, mem_available=0)
    assert outcome.back == ()


def test_memmap_may_lie_in_the_memory_itself() -> None:
    machines = [{"boot_memory": "4GiB", "kernel": "6.8", "memmap_on_memory": True}]
    (step,) = only("plug dimm:1GiB", machines=machines, **LINUX).steps
    assert (step.memmap, step.hosted, step.memmap_zones) == (0, 16 * MIB, {})


def test_blocks_that_nobody_puts_online_are_left_offline() -> None:
    outcome = only("plug dimm:1GiB", policy="offline", **LINUX)
    assert shape(outcome.steps[0].pieces) == [(40, 8, "absent", "offline")]
    assert after(outcome).offline == GIB
    assert after(outcome).mem_total == outcome.before.mem_total if outcome.before else False
    assert (outcome.wanted, outcome.returned) == (GIB, GIB)


def test_user_space_is_waited_for() -> None:
    (step,) = only("plug dimm:1GiB", policy="udev:delay=30").steps
    assert shape(step.pieces) == [(40, 8, "absent", "Normal")]
    assert step.seconds == pytest.approx(0.072 + 30 + 8 * 0.005)


@pytest.mark.parametrize(
    ("step", "policy", "safe"),
    [
        ("plug dimm:16GiB", "online-movable", 16 * GIB),
        ("plug dimm:16GiB", "contig-zones", 0),
        ("plug dimm:16GiB", "offline", 16 * GIB),
        ("plug virtio-mem:16GiB", "auto-movable-patch8", 96 * BLOCK),
        ("plug dimm:16GiB", "auto-movable-patch8", 0),  # as a whole in a kernel zone
        ("plug virtio-mem:16GiB", "online-kernel", 0),
        ("plug virtio-mem:64MiB,max=1GiB", "online-movable", 64 * MIB),
    ],
)
def test_what_the_kernel_cannot_keep_is_safe(step: str, policy: str, safe: int) -> None:
    assert only(step, policy=policy).safe == safe


def test_kernel_memory_keeps_a_dimm() -> None:
    """Kernel memory fills the plugged zone from below; of 64 blocks of the DIMM, those with any of it refuse."""
    outcome = only("plug dimm:8GiB", "demand kernel:3GiB", **LINUX)
    (back,) = outcome.back
    assert (back.wanted, back.returned, outcome.wanted, outcome.returned) == (8 * GIB, 0, 8 * GIB, 0)
    assert [failure.errno for failure in back.failures] == ["EBUSY"]
    refused = [stay for stay in back.stays if stay.why.startswith("refused")]
    rest = [stay for stay in back.stays if not stay.why.startswith("refused")]
    assert sum(stay.blocks for stay in back.stays) == 64
    assert [stay.first for stay in refused] == [40]
    assert 3 * GIB // 2 < refused[0].blocks * BLOCK <= 3 * GIB
    assert {stay.why for stay in rest} == {"the device goes as a whole"}


def test_of_virtio_mem_only_what_the_kernel_uses_stays() -> None:
    outcome = only("plug virtio-mem:8GiB", "demand kernel:3GiB", **LINUX)
    assert outcome.wanted == 8 * GIB
    assert 0 < outcome.wanted - outcome.returned < 3 * GIB + BLOCK
    (back,) = outcome.back
    assert {stay.why for stay in back.stays} == {"there are pages that cannot move"}
    assert {stay.where for stay in back.stays} == {"Normal"}


def test_what_does_not_fit_fails_and_may_kill() -> None:
    """All to ZONE_MOVABLE: 240 GiB take 3.75 GiB of memmap, all that a guest of 4 GiB has."""
    outcome = only("plug virtio-mem:1TiB", policy="online-movable", **LINUX)
    (step,) = outcome.steps
    assert [failure.errno for failure in step.failures] == ["ENOMEM"]
    assert step.kills == ("out of memory (kernel): nobody left to kill, the guest dies",)
    assert outcome.died
    assert 236 * GIB < after(outcome).devices["new-vmem0"] < 244 * GIB
    assert step.short == 1024 * GIB - after(outcome).devices["new-vmem0"]
    assert (outcome.wanted, outcome.returned, outcome.safe) == (after(outcome).devices["new-vmem0"], 0, 0)
    assert {stay.why for stay in outcome.back[0].stays} == {"the guest is dead"}


def test_a_device_that_lacks_memory_has_none_to_give() -> None:
    """Left offline, it gets no further than 1 GiB: less than it is to keep when the last 4 GiB are asked back."""
    outcome = only("plug virtio-mem:4GiB,max=8GiB", "resize new-vmem0:8GiB", policy="offline")
    assert after(outcome).devices == {"new-vmem0": GIB}
    assert outcome.steps[1].short == 7 * GIB
    assert [(back.wanted, back.returned) for back in outcome.back] == [(0, 0), (GIB, GIB)]
    assert (outcome.wanted, outcome.returned, outcome.safe) == (GIB, GIB, GIB)


def test_what_the_host_refuses_is_told_and_nothing_is_there_to_come_back() -> None:
    machines = [{"boot_memory": "4GiB", "slots": 1}]
    outcome = only("plug dimm:1GiB", "plug dimm:2GiB", machines=machines)
    assert [len(step.failures) for step in outcome.steps] == [0, 1]
    assert outcome.steps[1].failures[0].reason.startswith("the host refuses: ")
    assert outcome.steps[1].pieces == ()
    first, second = outcome.back
    assert (first.device, first.wanted, second.device, second.returned) == ("new-dimm1", 0, "new-dimm0", GIB)
    assert (outcome.wanted, outcome.returned) == (GIB, GIB)


def test_bytes_that_are_asked_back_twice_count_once() -> None:
    steps = "plug virtio-mem:1GiB,max=4GiB", "resize new-vmem0:4GiB", "demand kernel:100GiB"
    outcome = only(*steps, **LINUX)
    assert outcome.died
    assert [back.wanted for back in outcome.back] == [3 * GIB, 4 * GIB]
    assert (outcome.wanted, outcome.returned) == (4 * GIB, 0)


def test_devices_that_are_there_are_asked_back_without_steps() -> None:
    machines = [{"boot_memory": "4GiB", "cold_dimms": [{"size": "1GiB", "count": 2}]}]
    outcome = only(machines=machines)
    assert outcome.steps == ()
    assert [(back.device, back.returned) for back in outcome.back] == [("cold1", GIB), ("cold0", GIB)]


def test_a_policy_that_fails_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from memhp_sim import Policy\n"
        "class Mine(Policy):\n"
        "    name, summary = 'mine', 'fails'\n"
        "    def zone_for(self, request, memory):\n"
        "        raise RuntimeError('no idea')\n"
    )
    found = planned("plug dimm:1GiB", policies=(f"{tmp_path}/mine.py:Mine", "contig-zones"))
    assert "no idea" in found.outcomes[0].error
    assert found.outcomes[1].error == ""


def test_a_bound_can_be_asked_too() -> None:
    """It rehearses the run with copies of the steps; what it looks at on the way is not what is told."""
    outcome = only("plug virtio-mem:4GiB", "demand kernel:1GiB", policy="clairvoyant", **LINUX)
    assert len(outcome.steps) == 2
    assert sum(piece.blocks for piece in outcome.steps[0].pieces) == 32


def test_python_asks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "guest.toml"
    path.write_text('[[machines]]\nboot_memory = "4GiB"\n[[policies]]\nname = "offline"\n')
    tables = {**MACHINE, "policies": [{"name": "offline"}]}
    of_file = plan(path, "plug dimm:1GiB", policies=["contig-zones"])
    assert of_file.outcomes == plan(tables, " plug  dimm:1GiB ", policies=["contig-zones"]).outcomes
    assert of_file.outcomes == planned("plug dimm:1GiB").outcomes
    assert plan(str(path), "plug dimm:1GiB", guest=True).guest == "linux"


def test_json_holds_everything_by_name() -> None:
    found = planned("plug dimm:1GiB", "demand kernel:1GiB", policies=("online-movable",), **LINUX)
    written = json.loads(json.dumps(found.as_json()))
    (outcome,) = written["outcomes"]
    assert written["steps"] == ["plug dimm:1GiB@0,id=new-dimm0", "demand kernel:1GiB,id=kernel"]
    assert written["back"] == ["unplug new-dimm0"]
    assert outcome["steps"][0]["pieces"] == [
        {
            "first": 40,
            "blocks": 8,
            "node": 0,
            "before": "absent",
            "after": "Movable",
            "reasons": [{"block": 40, "word": "online_movable", "text": "online_movable: Movable"}],
        }
    ]
    assert outcome["before"]["ratio_percent"] == 0
    figures = outcome["steps"][0]["after"]
    assert figures["ratio_percent"] == pytest.approx(100 * GIB / figures["kernel"])
    assert (outcome["wanted"], outcome["returned"]) == (GIB, GIB)
