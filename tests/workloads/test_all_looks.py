"""Every controller beside programs in modelled guests: looks that are skipped would have asked for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins.lookup import WORKLOAD, listing
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.reach import LONG
from tests.workloads.watched_guest import poll
from workloads.cxl_cards import CxlCards
from workloads.dimm_controller import DimmController
from workloads.guest_load import GuestLoad
from workloads.hyperalloc import HyperAlloc
from workloads.neonvm import NeonVM
from workloads.parts.controllers.controller import Controller
from workloads.parts.together import Together
from workloads.psi_governor import PsiGovernor
from workloads.watermark import Watermark

if TYPE_CHECKING:
    from sim.record.run_result import RunResult

CONTROLLERS: tuple[Controller, ...] = (
    NeonVM(sample=0.5, answer=0.5),
    NeonVM(sample=1.0, answer=1.0, file_cache=True, start=0.0),
    HyperAlloc(minimum=GIB),
    HyperAlloc(minimum=GIB, fraction=1 / 64),
    PsiGovernor(maximum=8 * GIB),
    Watermark(preset="plain"),
    Watermark(preset="proxmox", period=1.5),
    DimmController(),
    CxlCards(),
)


def run(controller: Controller, seed: int) -> RunResult:
    """Run beside programs that come in bursts and others that go up and down."""
    loads = [
        GuestLoad(shape="bursts", size=3 * GIB, rate=300 * MIB, burst_gap=60.0, burst_length=40.0, duration=400.0),
        GuestLoad(shape="steps", size=2 * GIB, rate=100 * MIB, cache_share=0.3, jitter=0.5, duration=400.0),
    ]
    machine = MachineSpec(nodes=(NodeSpec(GIB), NodeSpec(0)))
    return simulate(machine, OnlineMovable(), Together(parts=[*loads, controller]), Streams(seed, 0), guest=GuestSpec())


def test_every_controller_is_here() -> None:
    shipped = [each.plugin.cls for each in listing(WORKLOAD) if each.plugin is not None]
    assert {type(each) for each in CONTROLLERS} == {cls for cls in shipped if issubclass(cls, Controller)}


@pytest.mark.parametrize("controller", CONTROLLERS, ids=range(len(CONTROLLERS)))
def test_all_looks_ask_for_what_few_looks_ask_for(controller: Controller) -> None:
    asked = 0
    for seed in range(20 if LONG else 1):
        few = run(controller, seed)
        with mock.patch("workloads.parts.controllers.controller.watch", poll):
            every = run(controller, seed)
        assert few.events.tolist() == every.events.tolist()
        asked += int((few.events[:, 1] == EventKind.REQUEST).sum() + (few.events[:, 1] == EventKind.PLUG).sum())
    assert asked > 0
