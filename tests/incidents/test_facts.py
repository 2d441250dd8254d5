"""What is read from the runs of an incident, and where its check draws the line: on runs that are made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.guest import OomKind
from sim.incidents.checks import CHECKS
from sim.incidents.report import Report
from sim.incidents.runs import FailedAdd, Oom, Request, Run, Runs
from sim.memory.errors import EBUSY, ENOMEM
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, RunResult
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK = 32768
"""Pages of a memory block."""
M, N = ZONE_MOVABLE, ZONE_NORMAL
NAMES = ("wall-2g", "wall-512m", "kata-udev")


def made(*events: tuple[float, EventKind, int, int, int, int, int]) -> Run:
    """Return a run with these events, their times in seconds, on a machine of 1 GiB; samples at 0, 10 and 20 s."""
    result = RunResult(
        events=np.array([(round(t * 1e6), *rest) for t, *rest in events], dtype=np.int64).reshape(-1, 7),
        device_names=("a", "b"),
        device_nodes=(0, 0),
        device_groups=(STATIC_GROUP, STATIC_GROUP),
        block_pages=BLOCK,
        duration_us=100_000_000,
        boot=BootMemory((BootRun(0, 8, N, 0),), 8 * BLOCK, 0),
        configured_ratio=None,
        counters={},
        guest={"t_us": np.array([0, 10_000_000, 20_000_000]), "user": np.array([1, 2, 3])},
    )
    return Run("p", "w", GIB, result)


FULL = made(
    (1.0, EventKind.REQUEST, 0, -1, 0, -1, 3 * BLOCK),
    (1.5, EventKind.PLUG, 0, 40, 2, M, 2 * BLOCK),
    (2.0, EventKind.ADD, 0, 42, 1, -1, BLOCK),
    (3.0, EventKind.ONLINE, 0, 42, 1, N, 0),
    (4.0, EventKind.FAILED, 1, -1, 0, EBUSY, 0),
    (5.0, EventKind.FAILED, 1, -1, 0, ENOMEM, 0),
    (6.0, EventKind.FAILED, 0, -1, 0, ENOMEM, 0),
    (7.5, EventKind.OOM, -1, 0, 1, int(OomKind.KERNEL), 1000),
    (7.5, EventKind.DEATH, -1, -1, 0, int(OomKind.KERNEL), 1000),
    (8.0, EventKind.SUBUNPLUG, 0, 41, 1, -1, 512),
    (9.0, EventKind.REQUEST, 0, -1, 0, -1, 0),
    (9.5, EventKind.UNPLUG, 0, 40, 1, M, BLOCK),
)


def test_what_was_asked_for_and_what_failed() -> None:
    assert FULL.requests == [Request(1.0, 0, 3 * BLOCK * 4096), Request(9.0, 0, 0)]
    assert FULL.first_failed_add == FailedAdd(5.0, 1, 3 * BLOCK * 4096)
    assert FULL.ooms == [Oom(7.5, OomKind.KERNEL, 4_096_000)]
    assert FULL.died
    assert made().first_failed_add is None
    assert (made().ooms, made().requests, made().died, made().plugged_at_end) == ([], [], False, 0)


def test_what_is_plugged_counts_from_the_instant_of_its_event() -> None:
    pages = {0.0: 0, 1.499999: 0, 1.5: 2 * BLOCK, 2.0: 3 * BLOCK, 7.9: 3 * BLOCK, 8.0: 3 * BLOCK - 512}
    assert {at: FULL.plugged(at) // 4096 for at in pages} == pages
    assert FULL.plugged_at_end == FULL.plugged(100) == (2 * BLOCK - 512) * 4096


def test_the_last_change_is_after_the_one_time_and_at_the_other_at_the_latest() -> None:
    assert FULL.last_change(0, 100) == 9.5
    assert FULL.last_change(0, 2) == FULL.last_change(1.5, 2) == 2.0
    assert FULL.last_change(2, 7.9) == 2  # going online changes nothing that is plugged, nor does what fails
    assert FULL.last_change(9.5, 100) == 9.5
    assert FULL.last_change(1.0, 1.4) == 1.0


def test_zones_in_the_order_of_going_online() -> None:
    assert FULL.zones_in_order == [M, M, N]
    assert FULL.movable_share == 2 / 3
    assert made().movable_share == 0.0
    assert FULL.block_gib == 0.125


def test_a_sample_before_a_time_is_from_before_it() -> None:
    at = {0.0: 1, 5.0: 1, 10.0: 1, 10.1: 2, 20.0: 2, 20.1: 3, 99.0: 3}
    assert {seconds: FULL.sample_before("user", seconds) // 4096 for seconds in at} == at
    assert FULL.sampled("user").tolist() == [4096, 8192, 12288]


def test_runs_are_found_by_either_label() -> None:
    other = Run("q", "v", GIB, FULL.result)
    runs = Runs([FULL, other])
    assert runs.of("p") is runs.of("w") is FULL
    assert runs.of("q") is runs.of("v") is other
    assert list(runs) == [FULL, other]
    assert Runs([other]).one is other
    with pytest.raises(KeyError):
        runs.of("x")
    with pytest.raises(ValueError, match="too many"):
        _ = runs.one


# Where checks draw the line -------------------------------------------------------------------------------------------


def agrees(name: str, figures: Mapping[str, float], runs: Any = None, **facts: Any) -> bool:  # noqa: ANN401  made up
    """Whether the check ``name`` agrees with one run of these facts, or with ``runs`` by label."""
    stand_in = SimpleNamespace(one=SimpleNamespace(**facts), of=(runs or {}).__getitem__)
    return bool(CHECKS[name](stand_in, figures).agrees)  # type: ignore[arg-type]


@pytest.mark.parametrize(("plugged", "right"), [(38.99, False), (39.0, True), (42.99, True), (43.0, False)])
def test_the_wall_is_from_what_worked_up_to_what_failed(plugged: float, right: bool) -> None:  # noqa: FBT001
    facts = {"boot_memory": GIB, "sample_before": lambda *_: 0, "first_failed_add": FailedAdd(5, 3, int(plugged * GIB))}
    assert agrees("neon-x60", {"works_gib": 40, "fails_gib": 44}, **facts) == right
    facts["first_failed_add"] = None
    assert not agrees("neon-x60", {"works_gib": 40, "fails_gib": 44}, **facts, plugged_at_end=40 * GIB)


@pytest.mark.parametrize(("device", "right"), [(18, False), (19, True), (21, True), (23, True), (24, False)])
def test_the_dimm_that_fails_is_the_recorded_one_give_or_take(device: int, right: bool) -> None:  # noqa: FBT001
    """Devices count from 0, DIMMs from 1: number 22 is device 21."""
    failed = FailedAdd(5, device, 0)
    assert agrees("wall-512m", {"fails_dimm": 22, "tolerance_dimms": 2}, first_failed_add=failed) == right


@pytest.mark.parametrize(
    ("share", "stays", "asked_back", "right"),
    [
        (0.5, 5, 0, True),
        (0.5, 4, 0, False),
        (0.375, 5, 0, True),
        (0.37, 5, 0, False),
        (0.625, 5, 0, True),
        (0.63, 5, 0, False),
        (0.5, 5, 1, False),
    ],
)
def test_about_half_is_kernel_memory_and_more_stays_than_of_an_idle_guest(
    share: float,
    stays: int,
    asked_back: int,
    right: bool,  # noqa: FBT001
) -> None:
    requests = [Request(0, 0, 3 * GIB), Request(9, 0, asked_back)]
    facts = {"requests": requests, "movable_share": 1 - share, "plugged_at_end": stays * MIB}
    figures = {"minimum_gib": 1, "maximum_gib": 4, "kernel_share": 0.5}
    assert agrees("neon-ratio-101", figures, **facts) == right
    assert not agrees("neon-ratio-101", figures | {"maximum_gib": 5}, **facts)


@pytest.mark.parametrize(
    ("movable", "ratio", "right"), [(3, 301, True), (3, 300, True), (3, 299, False), (2, 301, False), (4, 301, False)]
)
def test_dimms_are_movable_up_to_less_than_one_below_the_ratio(movable: int, ratio: int, right: bool) -> None:  # noqa: FBT001
    zones = [M] * (8 * movable) + [N] * 16
    figures = {"ratio_percent": ratio}
    assert agrees("neon-dimm-ratio", figures, zones_in_order=zones, block_gib=0.125, boot_memory=GIB) == right
    mixed = [M] * 23 + [N, M] + [N] * 15
    assert not agrees("neon-dimm-ratio", figures, zones_in_order=mixed, block_gib=0.125, boot_memory=GIB)


@pytest.mark.parametrize(
    ("used", "free", "right"),
    [(1, 1, True), (2, 0.5, True), (2.01, 1, False), (0.49, 1, False), (1, 2.01, False), (1, 0.49, False)],
)
def test_rough_figures_agree_within_a_factor_of_two(used: float, free: float, right: bool) -> None:  # noqa: FBT001
    sizes = {"user": used * 100e9, "free_movable": free * 700e9}
    facts = {"ooms": [Oom(9.0, OomKind.KERNEL, 0)], "sample_before": lambda name, at: sizes[name] if at == 9.0 else 0}
    figures = {"used_gb": 100, "free_gb": 700}
    assert agrees("aep-96-768", figures, **facts) == right
    assert not agrees("aep-96-768", figures, ooms=[])


@pytest.mark.parametrize(
    ("shares", "left", "refused", "right"),
    [
        ((0.0, 1.0), (1, 0), 1, True),
        ((0.0, 1.0), (1, 0), 0, False),
        ((0.5, 1.0), (1, 0), 1, False),
        ((0.0, 1.0), (0, 0), 1, False),
        ((0.0, 1.0), (1, 1), 1, False),
        ((0.0, 0.0), (1, 0), 1, False),
    ],
)
def test_the_rule_makes_it_kernel_memory_that_was_refused_and_stays(
    shares: tuple[float, float],
    left: tuple[int, int],
    refused: int,
    right: bool,  # noqa: FBT001
) -> None:
    runs = {
        label: SimpleNamespace(movable_share=share, plugged_at_end=rest * GIB, rows=lambda _: [0] * refused)
        for label, share, rest in zip(("with the rule", "without the rule"), shares, left, strict=True)
    }
    assert agrees("kata-udev", {}, runs) == right


# The command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code", "last"),
    [((), 0, "3 of 3 agree (4.5 s)."), (("wall-2g",), 1, "2 of 3 agree (4.5 s)."), (NAMES, 1, "0 of 3 agree (4.5 s).")],
)
def test_the_command_fails_as_soon_as_one_incident_does_not_agree(
    wrong: tuple[str, ...], code: int, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(name: str) -> Report:
        return Report(name, "a list", "died", "why", "died too", "none", name not in wrong, 1.5)

    monkeypatch.setattr("sim.incidents.report.report", report)
    result = CliRunner().invoke(main, ["incidents", *NAMES])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (code, last)
