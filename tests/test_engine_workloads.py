"""Workloads that misbehave: the run ends by name, unless it is the policy that failed."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import WorkloadError
from sim.kernel.policy_answers import PolicyError
from sim.kernel.timing import Timing
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.support.cells import DEVICES, Broken, Script, rows, run
from workloads.contract import Host, Workload
from workloads.contract import Streams as StreamsContract

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import simpy

    from sim.devices.specs import DeviceSpec

    Steps = Generator[simpy.Event, object, None]


class Odd(Workload):
    """A workload whose every part can be made to fail."""

    name = "odd"
    summary = "a workload that does something wrong"

    def __init__(
        self,
        steps: Callable[[Host], Any] | None = None,
        *,
        seconds: object = 10,
        nodes: object = (0,),
        kernel: str | None = None,
    ) -> None:
        self._steps, self._seconds, self._nodes, self._kernel = steps, seconds, nodes, kernel

    def needs_kernel(self) -> str | None:
        return self._kernel

    def run(self, host: Host, streams: StreamsContract) -> Steps:
        return self._steps(host) if self._steps is not None else None  # type: ignore[return-value]

    def duration(self) -> float:
        if isinstance(self._seconds, Exception):
            raise self._seconds
        return self._seconds  # type: ignore[return-value]

    def node_capacity(self) -> Iterable[int]:
        return self._nodes  # type: ignore[return-value]


def failing(host: Host) -> Steps:
    yield host.env.timeout(5)
    raise ArithmeticError("sum of nothing")


def yields_a_number(_host: Host) -> Steps:
    yield 5  # type: ignore[misc]


def fails_in_a_process_of_its_own(host: Host) -> Steps:
    yield host.env.process(failing(host))


NOT_ITERABLE = "raised TypeError: 'NoneType' object is not iterable"
ODD = {
    "raises": (Odd(failing), "raised ArithmeticError: sum of nothing"),
    "raises in a process of its own": (Odd(fails_in_a_process_of_its_own), "raised ArithmeticError: sum of nothing"),
    "yields a number": (Odd(yields_a_number), "yielded what is no SimPy event"),
    "is no generator": (Odd(None), NOT_ITERABLE),
    "no time": (Odd(failing, seconds=0), "lasts 0 seconds; a run has to last some time"),
    "negative time": (Odd(failing, seconds=-3), "lasts -3 seconds"),
    "no number of seconds": (Odd(failing, seconds=float("nan")), "raised ValueError: cannot convert float NaN"),
    "endless": (Odd(failing, seconds=float("inf")), "raised OverflowError"),
    "a word for a time": (Odd(failing, seconds="long"), "raised TypeError"),
    "raises when asked how long": (Odd(failing, seconds=KeyError("when")), "raised KeyError: 'when'"),
    "another node": (Odd(failing, nodes=(0, 2)), "uses node 2, but the machine has nodes 0 to 0"),
    "a negative node": (Odd(failing, nodes=(-1,)), "uses node -1, but the machine has nodes 0 to 0"),
    "no nodes": (Odd(failing, nodes=None), NOT_ITERABLE),
    "a newer kernel": (Odd(failing, kernel="6.10"), "asks for what Linux has from 6.10 on, but the machine runs 6.1"),
    "no kernel": (Odd(failing, kernel="new"), "raised ValueError"),
    "what an older kernel does not have": (
        Script(then=lambda host: host.set_dax_state("x", "unplugged")),
        "raised ValueError: dax devices have a state from Linux 7.3 on; this machine runs 6.1",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_workloads_that_fail_are_told_by_name(case: str) -> None:
    workload, message = ODD[case]
    with pytest.raises(WorkloadError) as caught:
        run(AutoMovable(), workload)
    assert str(caught.value).startswith(f"workload {workload.name!r} {message}")


def test_a_workload_may_need_what_the_kernel_has() -> None:
    with pytest.raises(WorkloadError, match="raised ArithmeticError"):
        run(AutoMovable(), Odd(failing, kernel="6.1"))


def test_a_policys_failure_inside_a_workloads_verb_stays_the_policys() -> None:
    with pytest.raises(PolicyError, match="answered None"):
        run(Broken(zone=None), Script(DEVICES["a DIMM"]), timing=Timing.instant())


def test_requests_that_are_refused_end_nothing() -> None:
    def ask(host: Host) -> None:
        assert not host.unplug("nobody")
        assert not host.resize("nobody", GIB)
        assert not host.plug(DimmSpec("d", GIB, node=5))

    result = run(AutoMovable(), Script(then=ask))
    assert result.counters["failed_requests"] == 3
    assert len(rows(result, EventKind.FAILED)) == 3


def test_a_workload_that_would_end_the_program_ends_its_run() -> None:
    script = Script(then=lambda _: sys.exit(0))
    with pytest.raises(WorkloadError, match="workload 'script' raised SystemExit: 0"):
        run(AutoMovable(), script)


def test_numbers_of_numpy_are_numbers() -> None:
    """As a workload draws them from its streams."""
    gib: Any = np.int64(GIB)
    node: Any = np.int64(0)
    specs: list[DeviceSpec] = [
        DimmSpec("d", gib, node=node),
        DaxSpec("x", gib, node=node),
        VirtioMemSpec("v", 2 * gib, requested=gib),
    ]
    plain: list[DeviceSpec] = [DimmSpec("d", GIB), DaxSpec("x", GIB), VirtioMemSpec("v", 2 * GIB, requested=GIB)]
    assert specs == plain
    assert [type(spec.node) for spec in specs] == [int] * 3
    result = run(AutoMovable(), Script(*specs, then=lambda host: host.resize("v", 2 * gib)))
    expected = run(AutoMovable(), Script(*plain, then=lambda host: host.resize("v", 2 * GIB)))
    assert rows(result) == rows(expected)


@pytest.mark.parametrize("spec", [DimmSpec, VirtioMemSpec, DaxSpec])
def test_every_number_of_a_description_is_made_a_plain_one(spec: type) -> None:
    names = [each.name for each in fields(spec) if str(each.type).startswith("int")]
    made = spec("d", **{name: np.int64(number) for number, name in enumerate(names, 1)})
    assert [getattr(made, name) for name in names] == list(range(1, len(names) + 1))
    assert {type(getattr(made, name)) for name in names} == {int}


@pytest.mark.parametrize("size", [1.5 * GIB, "1GiB"])
def test_what_is_no_whole_number_is_the_workload_s_fault(size: Any) -> None:  # noqa: ANN401
    attempts: list[Callable[[Host], object]] = [lambda _: DimmSpec("d", size), lambda host: host.resize("v", size)]
    for what in attempts:
        script = Script(VirtioMemSpec("v", 2 * GIB), then=what)
        with pytest.raises(WorkloadError, match="workload 'script' raised TypeError: "):
            run(AutoMovable(), script)
