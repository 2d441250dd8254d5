"""Policies as shipped against recorded kernels: every block, zone and size after every step that is theirs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from policies.as_shipped import SHIPPED
from policies.kernel import Kernel
from sim.replay.trace_format import Trace, read_trace
from tests.conftest import KERNEL_TRACES, NEWER_KERNEL_TRACES
from tests.support.shipped_replay import ShippedReplay, Tried, Way, play

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ONLINE: Final = (4, 320, 84, 9000)
NOBODY: Final = (3, 0, 0, 0)
FLOORS: Final = {
    "rhel-10": ONLINE,
    "rhel-10-bare-metal": (3, 0, 20, 550),
    "rhel-10-virtual-machine": ONLINE,
    "opensuse": ONLINE,
    "debian-12": NOBODY,
    "debian-13": (5, 0, 0, 0),
    "ubuntu-rule": ONLINE,
    "proxmox": ONLINE,
    "daxctl": (3, 0, 1, 1),
    "daxctl-no-movable": (3, 0, 4, 69),
    "neonvm": (0, 0, 0, 0),
    "neonvm-default": (46, 0, 0, 0),
    "neonvm-dimm-slots": (3, 0, 0, 0),
    "firecracker": (3, 0, 0, 0),
    "kata": ONLINE,
    "kata-1": ONLINE,
    "kata-s390x": ONLINE,
}
"""On our recordings, at least: how many are a policy's own and how many words its program writes in them; then how many
recordings have words like its program's among others, and how many of those it writes. No recorded kernel was told 401:
see below. What daxctl writes, ``online_movable``, the rule of RHEL on bare metal writes to other devices, too."""


@cache
def ours() -> tuple[Trace, ...]:
    return tuple(map(read_trace, (*KERNEL_TRACES, *NEWER_KERNEL_TRACES)))


@cache
def tried(rules: object, kernel: object, by: str, way: Way) -> Tried:
    """Try a policy on our recordings: once for all whose kernel and rules are the same on the recorded machines."""
    del rules, kernel
    return tried_on(ours(), by, way)


def tried_on(traces: Iterable[Trace], by: str, way: Way) -> Tried:
    found = Tried()
    for trace in traces:
        play(SHIPPED[by].policy(), trace, way, found)
    return found


def same_on_recorded_machines(by: str) -> tuple[object, object, str]:
    """Return what tells a policy from others on virtual machines of x86-64, and the first that has it."""
    first = next(name for name in SHIPPED if _essence(name) == _essence(by))
    return (*_essence(by), first)


def _essence(by: str) -> tuple[object, object]:
    policy = SHIPPED[by].policy()
    program = policy.user_space
    rules = [] if program is None else program.rules
    applying = [rule for rule in rules if rule.bare_metal is not True and "s390x" not in rule.architectures]
    kernel = (policy.auto_online, policy.online_policy.name, policy.configured_ratio)
    return tuple(applying), (kernel, None if program is None else program.buffer)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("by", SHIPPED)
def test_blocks_go_where_the_recorded_kernel_put_them(by: str, way: Way) -> None:
    found = tried(*same_on_recorded_machines(by), way)
    assert found.mismatches == []
    recordings, words = FLOORS[by][:2] if way is Way.OWN else FLOORS[by][2:]
    assert (len(found.recordings) >= recordings, found.words >= words) == (True, True), (by, way, found)


@pytest.mark.slow
@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("by", SHIPPED)
def test_they_do_in_all_recordings_that_there_are(by: str, way: Way, shared_dir: Path) -> None:
    traces = [read_trace(path) for path in sorted(shared_dir.glob("kernel-traces*/**/*.json"))]
    assert traces
    assert tried_on(traces, by, way).mismatches == []


def test_neonvm_with_its_flag_at_the_recorded_ratio_decides_as_recorded() -> None:
    """No kernel was recorded at 401 %: the flag is set to what each was told, from 0 to 1000."""
    told: set[int] = set()
    found = Tried()
    for trace in ours():
        ratio = trace.policy.auto_movable_ratio
        before = len(found.recordings)
        play(Kernel(**{**SHIPPED["neonvm"].parameters, "auto_movable_ratio": ratio}), trace, Way.OWN, found)
        told |= {ratio} if len(found.recordings) > before else set()
    assert found.mismatches == []
    assert len(found.recordings) >= 60
    assert {0, 1, 100, 300, 301, 1000} <= told


def test_a_policy_that_is_not_the_recorded_one_is_noticed(kernel_traces: tuple[Path, ...]) -> None:
    """Held against what a kernel did that was told something else, each policy must fail: or nothing is proved."""
    trace = next(read_trace(path) for path in kernel_traces if path.stem == "dimm-online-movable")
    for by in ("debian-12", "debian-13", "neonvm", "rhel-10"):
        run = ShippedReplay(trace, SHIPPED[by].policy(), Way.OWN)
        assert not run.as_far_as_it_agrees().identical
