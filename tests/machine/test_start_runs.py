"""Runs that start from a state: what is recorded of them, and how devices that were there go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from policies.contig_zones import ContigZones
from policies.fixed import OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import LOST, UNBOUND, AttachedDevice, BlockRun, MachineState
from sim.record.blockmap import BlockState, zone_changes, zone_map
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.record.series import run_series
from sim.record.shrink_requests import follow_shrink_requests
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.devices.rig import Rig, books_agree
from workloads.steps import Steps

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec

__all__ = ["books_agree"]

BLOCK = 128 * MIB
BOOT = (
    BlockRun(0, 1, 0, BlockState.SEVERAL_ZONES, boot=True),
    BlockRun(1, 13, 0, BlockState.DMA32, boot=True),
    BlockRun(14, 1, 0, BlockState.OFFLINE, boot=True),
    BlockRun(15, 1, 0, BlockState.MOVABLE, boot=True),
)


def machine(*blocks: tuple[int, int, int] | BlockRun, devices: tuple[Any, ...] = (), **options: Any) -> MachineSpec:  # noqa: ANN401
    """2 GiB of boot memory, and ``blocks`` (first, how many, state) above them, of ``devices`` or of none."""
    attached = tuple(each if isinstance(each, AttachedDevice) else AttachedDevice(each) for each in devices)
    runs = (run if isinstance(run, BlockRun) else BlockRun(run[0], run[1], 0, run[2], boot=False) for run in blocks)
    state = MachineState((*BOOT, *runs), devices=attached)
    return MachineSpec((NodeSpec(2 * GIB),), block_size=BLOCK, state=state, **options)


def rig(*blocks: tuple[int, int, int] | BlockRun, policy: Any = None, **options: Any) -> Rig:  # noqa: ANN401
    made = Rig(machine=machine(*blocks, **options), policy=policy or OnlineMovable())
    made.host.boot()
    made.settle()
    return made


def at(block: int, kind: type[DeviceSpec], size: int, **options: Any) -> Any:  # noqa: ANN401
    return kind("it", size * BLOCK, address=block * BLOCK, **options)


N, M, OFF = BlockState.NORMAL, BlockState.MOVABLE, BlockState.OFFLINE


def test_the_record_of_a_run_has_every_block_as_it_was_from_the_start() -> None:
    start = machine(
        (32, 8, M), (40, 2, N), (43, 1, M), (44, 1, OFF), (100, 2, N), (102, 1, OFF),
        devices=(
            DimmSpec("dimm0", 8 * BLOCK, address=32 * BLOCK),
            AttachedDevice(
                VirtioMemSpec("vm0", 16 * BLOCK, address=40 * BLOCK, requested=3 * BLOCK), plugged=4 * BLOCK - 64 * MIB
            ),
        ),
    )  # fmt: skip
    result = simulate(start, ContigZones(), Steps(pause=10), Streams(1, 0))

    found = zone_map(result, [0])
    assert start.state is not None
    expected = {block: run.state for run in start.state.blocks for block in range(run.first, run.end)}
    assert dict(zip(found.blocks.tolist(), found.states[0].tolist(), strict=True)) == expected
    series = run_series(result)
    assert (series.t_us[0], series.plugged[0]) == (0, 12 * 32768 - 16384)
    assert series.movable[0] == (1 + 8 + 1) * 32768 - 32  # firmware keeps the end of block 15
    assert series.offline[0] == 3 * 32768
    assert zone_changes(result).end == 4
    kinds = Events.of(result.events).kind.tolist()
    assert kinds.count(EventKind.FAILED) == 0
    # What a device has beyond its request is asked back, from the start on.
    shrinks = follow_shrink_requests(Events.of(result.events), result.duration_us)
    assert (shrinks.asked, shrinks.first_us) == (16384, 0)


def test_a_virtio_mem_device_fills_its_gaps_first() -> None:
    made = rig((40, 1, N), (42, 2, M), (46, 1, OFF), devices=(at(40, VirtioMemSpec, 16, requested=5 * BLOCK),))
    assert made.host.plugged("it") == 4 * BLOCK
    made.host.resize("it", 8 * BLOCK)
    made.settle()
    assert made.states(40, 9) == "Nx1 Mx5 -x1 Mx1 .x1"
    made.host.resize("it", 2 * BLOCK)
    made.settle()
    # Offline ones go first, then MOVABLE from above, and kernel ones last.
    assert made.states(40, 9) == "Nx1 Mx1 .x7"


def test_unplugged_sub_blocks_come_back_first() -> None:
    device = AttachedDevice(at(40, VirtioMemSpec, 16, requested=3 * BLOCK), 2 * BLOCK + 2 * MIB)
    made = rig((40, 3, M), devices=(device,))
    (state,) = made.host.state().devices
    assert state.partly == ((42, 1),)
    made.run_for(10**8)  # the driver tries again when its timer expires
    assert made.host.plugged("it") == 3 * BLOCK
    assert made.states(40, 4) == "Mx3 .x1"


def test_nothing_plugged_at_all_is_spread_so_that_every_block_keeps_a_piece_as_long_as_there_are_any() -> None:
    device = AttachedDevice(at(40, VirtioMemSpec, 16, requested=4 * MIB), 4 * MIB)
    made = rig((40, 3, M), devices=(device,))
    assert made.host.state().devices[0].partly == ((40, 1), (41, 1), (42, 0))


def test_big_blocks_go_on() -> None:
    device = at(40, VirtioMemSpec, 16, block_size=2 * BLOCK, requested=4 * BLOCK)
    made = rig((40, 2, N), (44, 1, M), (45, 1, OFF), devices=(device,))
    assert made.host.plugged("it") == 4 * BLOCK
    made.host.resize("it", 8 * BLOCK)
    made.settle()
    assert made.states(40, 9) == "Nx2 Mx3 -x1 Mx2 .x1"
    made.host.resize("it", 0)
    made.settle()
    assert made.states(40, 9) == ".x9"


def test_a_dimm_is_given_back_and_its_slot_and_place_are_taken_until_then() -> None:
    made = rig((40, 3, M), (43, 5, OFF), devices=(at(40, DimmSpec, 8, slot=0),), slots=2)
    assert made.host.plug(DimmSpec("next", BLOCK))
    made.settle()
    assert made.states(32, 17) == "Mx1 .x7 Mx3 -x5 .x1"
    assert not made.host.plug(DimmSpec("third", BLOCK))
    assert made.host.unplug("it")
    made.settle()
    assert made.host.plug(DimmSpec("third", BLOCK))
    made.settle()
    assert made.states(32, 17) == "Mx2 .x15"


def test_places_are_above_all_that_is_there() -> None:
    made = rig((100, 1, N), policy=ContigZones())
    assert made.host.plug(DimmSpec("it", BLOCK))
    made.settle()
    assert made.states(100, 8) == "Nx1 .x3 Nx1 .x3"


def test_a_dimm_in_the_firmware_s_map_has_no_group() -> None:
    runs = (BlockRun(32, 4, 0, N, boot=True), BlockRun(40, 4, 0, M, boot=False))
    dimms = DimmSpec("a", 4 * BLOCK, address=32 * BLOCK), DimmSpec("b", 4 * BLOCK, address=40 * BLOCK)
    made = rig(*runs, devices=dimms)
    assert [group.blocks for group in made.memory.groups] == [0, 4]
    assert made.memory.system.early_kernel == made.memory.system.kernel
    assert made.host.unplug("a")
    made.settle()
    assert made.states(32, 12) == ".x8 Mx4"


def test_dax_devices_are_bound_unbound_or_lost() -> None:
    devices = (
        AttachedDevice(DaxSpec("a", 2 * BLOCK, address=40 * BLOCK)),
        AttachedDevice(DaxSpec("b", 2 * BLOCK, address=42 * BLOCK)),
        AttachedDevice(DaxSpec("c", 2 * BLOCK, address=44 * BLOCK), state=LOST),
        AttachedDevice(DaxSpec("d", 2 * BLOCK, address=46 * BLOCK), state="unplugged"),
        AttachedDevice(DaxSpec("e", 2 * BLOCK, address=48 * BLOCK), state="online_movable"),
    )
    made = rig((40, 2, M), (44, 2, N), (48, 2, M), devices=devices, kernel="7.3")
    assert [device.state for device in made.host.state().devices] == [
        "online",
        UNBOUND,
        LOST,
        "unplugged",
        "online_movable",
    ]
    assert made.host.bind("b")
    assert made.host.bind("c")
    assert made.host.set_dax_state("d", "online_kernel")
    assert made.host.set_dax_state("e", "unplugged")
    made.settle()
    assert made.states(40, 10) == "Mx4 Nx4 .x2"
    assert [event[1] for event in made.events(EventKind.FAILED)] == ["FAILED"]  # one that is lost is never bound again


def test_blocks_of_no_device_have_no_group_and_count_for_nobody() -> None:
    made = rig((100, 2, N), (102, 1, OFF))
    assert len(made.memory.groups) == 0
    system = made.memory.system
    assert system.kernel - system.early_kernel == 2 * 32768
    made.core.write_state(102, 3)
    assert made.states(100, 3) == "Nx2 Mx1"


def test_a_state_that_says_all_of_a_machine_makes_no_assumptions() -> None:
    """Where blocks and bounds are those of the machine at boot, nothing is left to assume."""
    first = Rig(boot=2 * GIB)
    state = first.host.state()
    again = Rig(machine=replace(first.machine, state=state))
    assert again.layout.assumed == ()
    bare = Rig(machine=replace(first.machine, state=replace(state, zones=())))
    assert len(bare.layout.assumed) == 1
