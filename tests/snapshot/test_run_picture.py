"""A run's memory at any moment, rebuilt from the record, is what the guest itself had then."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.fixed import Offline
from policies.headroom import Headroom
from policies.kernel import Kernel
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.experiment import build
from sim.experiment.load import load
from sim.kernel.guest_link import GuestSpec
from sim.machine.boot_layout import lay_out
from sim.machine.current_state import starting_from
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import BlockRun, MachineState
from sim.memory.blocks import BLOCK_MIXED, BLOCK_OFFLINE
from sim.memory.zones import ZONE_LABELS, OnlineType
from sim.record.blockmap import BlockState
from sim.record.events import Events
from sim.snapshot.picture import DeviceView, Picture, Ratio
from sim.snapshot.run_memory import memory_at
from sim.snapshot.run_picture import picture_of_run
from sim.streams import Streams as SeededStreams
from sim.units import GIB, MIB
from tests.support.real_runs import EXPERIMENTS, random_experiment
from workloads.contract import Host, Streams, Workload

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import simpy

    from policies.contract import Policy
    from sim.machine.host import MachineHost
    from sim.record.run_result import RunResult

BLOCK = 128 * MIB
MACHINE = MachineSpec((NodeSpec(1 * GIB), NodeSpec(1 * GIB)))


class Script(Workload):
    """Plugs a DIMM on node 1 and resizes a virtio-mem device on node 0, 100 seconds apart, and looks at both."""

    name = "script"
    summary = "for tests"

    def __init__(self) -> None:
        self.choices: dict[int, list[int]] = {}
        self.states: dict[int, MachineState] = {}

    def duration(self) -> float:
        return 400.0

    def node_capacity(self) -> Sequence[int]:
        return (0, 1)

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        host.plug(DimmSpec("dimm", 2 * BLOCK, 1))
        host.plug(VirtioMemSpec("vmem", GIB, requested=BLOCK + 30 * MIB))
        yield host.env.timeout(100_000_000)
        self.states[99_000_000] = cast("MachineHost", host).state()
        host.resize("vmem", BLOCK // 2)
        yield host.env.timeout(100_000_000)
        self.states[199_000_000] = cast("MachineHost", host).state()
        host.unplug("dimm")
        yield host.env.timeout(100_000_000)
        core = cast("MachineHost", host)._context.core  # noqa: SLF001  the kernel itself, to compare with
        offline = [block for block in core.memory.blocks.ids() if core.memory.blocks.where[block] == BLOCK_OFFLINE]
        self.choices = {block: core.zone_choice.valid_zones(block) for block in offline}


def run(policy: Policy, *, guest: GuestSpec | None = None, script: Script | None = None) -> RunResult:
    return simulate(MACHINE, policy, script or Script(), SeededStreams(1, 0), guest=guest)


def totals(picture: Picture) -> dict[tuple[int, str], int]:
    return {(zone.node, zone.zone): (zone.present or 0) * picture.page_size for zone in picture.zones}


def test_what_there_is_at_each_moment_to_the_page() -> None:
    result = run(AutoMovable(ratio=301))
    after, shrunk, gone = (picture_of_run(result, at * 1_000_000, MACHINE) for at in (90, 190, 290))

    assert after.devices == (
        DeviceView("dimm", 1, 2 * BLOCK, 2 * BLOCK, 2 * BLOCK),
        DeviceView("vmem", 0, BLOCK + 30 * MIB, BLOCK + 30 * MIB, BLOCK + 30 * MIB),
    )
    hot = [view for view in after.blocks if view.block >= GIB * 4 // BLOCK]
    assert [(view.zones, view.node, view.removable) for view in hot if view.node == 1] == [("Movable", 1, True)] * 2
    assert len([view for view in hot if view.node == 0]) == 2
    assert totals(after)[1, "Movable"] == 2 * BLOCK
    assert totals(after)[0, "Movable"] == 2 * BLOCK

    assert shrunk.devices[1] == DeviceView("vmem", 0, BLOCK // 2, BLOCK // 2, BLOCK // 2)
    assert totals(shrunk)[0, "Movable"] == BLOCK

    assert [device.id for device in gone.devices] == ["vmem"]
    assert (1, "Movable") not in totals(gone)

    at_boot = picture_of_run(result, 0, MACHINE)
    # Page 0 and the video area are no memory, nor is what firmware keeps at the top of 2 GiB.
    kernel = sum(pages for (_, zone), pages in totals(at_boot).items() if zone != "Movable")
    assert 2 * GIB - 2 * MIB < kernel < 2 * GIB
    assert after.ratio == Ratio(4 * BLOCK, kernel)
    assert after.auto_movable == Ratio(4 * BLOCK, kernel)
    assert after.auto_movable_ratio == 301


def test_what_virtio_mem_has_not_plugged_is_present_and_not_managed() -> None:
    picture = picture_of_run(run(AutoMovable(ratio=301), guest=GuestSpec()), 90_000_000, MACHINE, GuestSpec())
    movable = next(zone for zone in picture.zones if (zone.node, zone.zone) == (0, "Movable"))
    assert (movable.present or 0) * 4096 == 2 * BLOCK
    assert (movable.managed or 0) * 4096 == BLOCK + 30 * MIB


@pytest.mark.parametrize(
    "policy",
    [
        Kernel(default_state="offline"),
        Kernel(default_state="offline", online_policy="auto-movable"),
        Kernel(default_state="offline", online_policy="auto-movable", auto_movable_ratio=5),
    ],
)
def test_offline_blocks_list_their_zones_as_the_kernel_does(policy: Policy) -> None:
    script = Script()
    result = run(policy, script=script)
    assert script.choices
    picture = picture_of_run(result, 300_000_000, MACHINE, None, policy)
    shown = {view.block: view.zones for view in picture.blocks if view.state == "offline"}
    assert shown == {block: "/".join(ZONE_LABELS[zone] for zone in zones) for block, zones in script.choices.items()}


@pytest.mark.parametrize("policy", [AutoMovable(ratio=301), Kernel(default_state="offline")])
def test_a_machine_that_starts_from_a_state_looks_as_the_one_that_came_to_it(policy: Policy) -> None:
    script = Script()
    result = run(policy, script=script)
    assert len(script.states) == 2
    for at_us, state in script.states.items():
        before = picture_of_run(result, at_us, MACHINE, None, policy)
        machine = starting_from(MACHINE, state)
        after = picture_of_run(simulate(machine, policy, Quiet(), SeededStreams(1, 0)), 0, machine, None, policy)
        assert after.blocks == before.blocks
        assert after.devices == before.devices
        assert totals(after) == totals(before)
        assert after.ratio == before.ratio


def test_blocks_of_no_device_are_on_the_node_that_the_state_says() -> None:
    boot = [BlockRun(run.first, run.blocks, run.node, run.zone, boot=True) for run in lay_out(MACHINE).boot.runs]
    state = MachineState((*boot, BlockRun(64, 2, 1, BlockState.MOVABLE, boot=False)))
    added = starting_from(MACHINE, state)
    result = simulate(added, ContigZones(), Quiet(), SeededStreams(1, 0), guest=GuestSpec())
    picture = picture_of_run(result, 0, added, GuestSpec())
    assert picture.mem_total == int(result.guest["mem_total"][0]) * picture.page_size
    assert [(view.block, view.node, view.zones) for view in picture.blocks][-2:] == [
        (64, 1, "Movable"),
        (65, 1, "Movable"),
    ]
    assert totals(picture)[1, "Movable"] == 2 * BLOCK


def test_a_policy_that_asks_the_guest_cannot_say_where_blocks_would_go() -> None:
    class Asking(Headroom):
        auto_online = OnlineType.OFFLINE

    for guest, known in ((None, True), (GuestSpec(), False)):
        picture = picture_of_run(run(Asking(), guest=guest), 90_000_000, MACHINE, guest, Asking())
        offline = [view for view in picture.blocks if view.state == "offline"]
        assert offline
        assert all((view.zones is not None) == known for view in offline)
        assert any("offline block" in remark for remark in picture.remarks) != known


def test_what_is_not_known_is_said() -> None:
    result = run(Offline())
    unknown = picture_of_run(result, 90_000_000)
    assert unknown.zones == ()
    assert unknown.mem_total is None
    assert any("Which machine" in remark for remark in unknown.remarks)
    other = picture_of_run(result, 90_000_000, MachineSpec((NodeSpec(3 * GIB),)))
    assert any("Another version" in remark for remark in other.remarks)
    assert other.blocks == unknown.blocks
    known = picture_of_run(result, 90_000_000, MACHINE)
    assert any("No guest was modelled" in remark for remark in known.remarks)
    assert any("offline block" in remark for remark in known.remarks)
    hosting = MachineSpec((NodeSpec(2 * GIB),), memmap_on_memory=True)
    kept = simulate(hosting, ContigZones(), Quiet(), SeededStreams(1, 0))
    assert any("host their own memmap" in remark for remark in picture_of_run(kept, 0, hosting).remarks)
    told = simulate(hosting, ContigZones(), Quiet(), SeededStreams(1, 0), guest=GuestSpec())
    shown = picture_of_run(told, 0, hosting, GuestSpec())
    assert shown.mem_total == int(told.guest["mem_total"][0]) * 4096
    assert all(zone.managed is None for zone in shown.zones)


class Quiet(Workload):
    """Asks nothing."""

    name = "quiet"
    summary = "for tests"

    def duration(self) -> float:
        return 1.0

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        yield from ()


@pytest.mark.parametrize("seed", [1, 3, 6, 16])
def test_random_runs_are_rebuilt_as_they_were(seed: int) -> None:
    """The blocks follow from the map of states, the zones from playing all events again: they must agree."""
    experiment = load(random_experiment(seed), folder=EXPERIMENTS)
    rng = random.Random(seed)  # noqa: S311  nothing is kept secret
    for cell in experiment.cells():
        combination = cell.combination
        result = build.simulation(cell)()
        guest = build.guest(combination.guest)
        machine = combination.machine.spec
        quiet = _quiet_samples(result)
        for at_us in (0, result.duration_us, *rng.sample(quiet, min(4, len(quiet)))):
            policy = build.policy(combination.policy, Path(cell.folder))
            picture = picture_of_run(result, at_us, machine, guest, policy)
            _agrees_with_its_zones(picture, result, at_us, machine)
            if at_us in quiet:
                row = int(np.flatnonzero(result.guest["t_us"] == at_us)[-1])
                assert picture.mem_total == int(result.guest["mem_total"][row]) * picture.page_size


def _quiet_samples(result: RunResult) -> list[int]:
    """Return the times at which the living guest was sampled and nothing else happened."""
    if not result.guest:
        return []
    living = result.guest["t_us"][result.guest["mem_total"] > 0]
    return sorted(set(living.tolist()) - set(Events.of(result.events).t_us.tolist()))


def _agrees_with_its_zones(picture: Picture, result: RunResult, at_us: int, machine: MachineSpec) -> None:
    memory = memory_at(result, at_us, lay_out(machine))
    assert [view.block for view in picture.blocks] == list(memory.blocks.ids())
    for view in picture.blocks:
        code = memory.blocks.where[view.block]
        zone = memory.zone_by_code[code]
        assert (view.state == "offline") == (code == BLOCK_OFFLINE)
        assert (view.zones == "None") == (code == BLOCK_MIXED)
        if zone is not None:
            assert view.zones == ZONE_LABELS[zone.type]
        assert view.node == memory.blocks.node[view.block]
    movable = sum(zone.present or 0 for zone in picture.zones if zone.zone == "Movable")
    kernel = sum(zone.present or 0 for zone in picture.zones) - movable
    assert picture.ratio == Ratio(movable * picture.page_size, kernel * picture.page_size)
    assert picture.auto_movable == Ratio(
        memory.system.movable * picture.page_size, memory.system.early_kernel * picture.page_size
    )
