"""A machine that ran, told by its host and its guest as they would print it, comes out of the import as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import BlockRun
from sim.memory.zones import NR_ZONES, ZONE_BY_LABEL
from sim.readers.reading import read_facts
from sim.record.recorder import EventKind
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.assembly import put_together
from sim.snapshot.lsmem_view import USUAL_COLUMNS, lsmem_json, lsmem_text
from sim.snapshot.run_picture import picture_of_run
from sim.snapshot.wishes import Wishes
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.cells import Script, rows
from tests.support.host_files import domain_xml, memory_devices_json, zoneinfo_text
from tests.support.sysfs_tree import write_tree

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.readers.facts import BlockView
    from sim.snapshot.assembly import Imported
    from sim.snapshot.picture import Picture

BLOCK = 128 * MIB


@dataclass(frozen=True)
class Ran:
    """A machine, its devices as they lie, what of each virtio-mem device is plugged, and a picture of all."""

    machine: MachineSpec
    devices: tuple[DimmSpec | VirtioMemSpec, ...]
    plugged: dict[str, int]
    picture: Picture


@st.composite
def ran(draw: st.DrawFn) -> Ran:
    """Machines of one or two nodes, with a few devices, run under some policy."""
    sizes = st.sampled_from([128 * MIB, 512 * MIB, GIB, 5 * GIB // 2, 3 * GIB, 5 * GIB])
    nodes = tuple(NodeSpec(draw(sizes)) for _ in range(draw(st.integers(1, 2))))
    machine = MachineSpec(
        nodes, max_memory=sum(node.boot_memory for node in nodes) + 64 * GIB, slots=draw(st.integers(3, 9))
    )
    specs: list[DimmSpec | VirtioMemSpec] = []
    for number in range(draw(st.integers(0, 3))):
        node = draw(st.integers(0, len(nodes) - 1))
        if draw(st.booleans()):
            specs.append(DimmSpec(f"dimm{number}", BLOCK * draw(st.integers(1, 9)), node))
        else:
            region = BLOCK * draw(st.integers(2, 12))
            requested = 2 * MIB * draw(st.integers(0, region // (2 * MIB)))
            specs.append(VirtioMemSpec(f"vm{number}", region, node, requested=requested))
    policy: Policy = draw(st.sampled_from([ContigZones, AutoMovable, OnlineMovable, Offline]))()
    result = simulate(machine, policy, Script(*specs, seconds=1000), Streams(1, 0))
    picture = picture_of_run(result, 1_000_000_000, machine, None, policy)
    base = lay_out(machine).device_base
    placed: list[DimmSpec | VirtioMemSpec] = []
    slot = 0
    for spec in specs:
        if isinstance(spec, DimmSpec):
            placed.append(replace(spec, address=base, slot=slot))
            slot += 1
            base += spec.size
        else:
            placed.append(replace(spec, address=base))
            base += spec.max_size
    plugged = {view.id: view.plugged or 0 for view in picture.devices}
    first = {row[2]: row[3] for row in reversed(rows(result, EventKind.PLUG) + rows(result, EventKind.ADD))}
    for number, device in enumerate(placed):
        assert first.get(number, (device.address or 0) // BLOCK) * BLOCK == device.address
    return Ran(machine, tuple(placed), plugged, picture)


def state_of(view: BlockView) -> int:
    if view.state == "offline":
        return NR_ZONES
    return SEVERAL_ZONES if view.zones == "None" else int(ZONE_BY_LABEL[view.zones or ""])


def expected_runs(of: Ran) -> list[BlockRun]:
    """Return the blocks as the run left them, block by block."""
    booted = {run.first + step for run in lay_out(of.machine).boot.runs for step in range(run.blocks)}
    return [BlockRun(view.block, 1, view.node or 0, state_of(view), view.block in booted) for view in of.picture.blocks]


def single(found: Imported) -> list[BlockRun]:
    assert found.machine.state is not None
    return [run.cut(block, block + 1) for run in found.machine.state.blocks for block in range(run.first, run.end)]


def imported(folder: Path, **texts: str) -> Imported:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return put_together(read_facts([folder / name for name in texts]), Wishes())


@given(ran(), st.booleans(), st.sampled_from(["text", "json", "sysfs"]))
@settings(max_examples=settings().max_examples // 2)
def test_blocks_zones_devices_and_sums_come_out_as_they_were(of: Ran, qemu: bool, form: str) -> None:  # noqa: FBT001
    with TemporaryDirectory() as name:
        folder = Path(name)
        texts = {"xml": domain_xml(of.machine, of.devices, of.plugged), "zoneinfo": zoneinfo_text(of.picture.zones)}
        if qemu and of.devices:
            texts["qemu"] = memory_devices_json(of.devices, of.plugged)
        if form == "sysfs":
            write_tree(folder / "tree", of.picture)
            for key, text in texts.items():
                (folder / key).write_text(text)
            found = put_together(read_facts([folder / "tree", *(folder / key for key in texts)]), Wishes())
        else:
            write = lsmem_text if form == "text" else lsmem_json
            found = imported(folder, lsmem=write(of.picture), **texts)
    assert found.account.conflicts == []
    assert single(found) == expected_runs(of)
    machine, state = found.machine, found.machine.state
    assert state is not None
    assert [device.spec for device in state.devices] == list(of.devices)
    for device in state.devices:
        if isinstance(device.spec, VirtioMemSpec):
            assert device.plugged == of.plugged[device.spec.id]
    assert (machine.boot_memory, machine.max_memory, machine.slots) == (
        of.machine.boot_memory,
        of.machine.max_memory,
        of.machine.slots,
    )
    pages = {(zone.node, zone.zone): (zone.spanned, zone.present) for zone in of.picture.zones if zone.spanned}
    assert {(z.node, zone_label(z.zone)): (z.spanned, z.present) for z in state.zones} == pages


def zone_label(zone: int) -> str:
    return next(label for label, number in ZONE_BY_LABEL.items() if number == zone)


@given(ran())
@settings(max_examples=settings().max_examples // 2)
def test_addresses_and_zones_that_nobody_prints_are_found(of: Ran) -> None:
    """The XML of a domain that is off, and lsmem without options: zoneinfo tells zones, QEMU's rules addresses."""
    picture = of.picture
    with TemporaryDirectory() as name:
        found = imported(
            Path(name),
            xml=domain_xml(of.machine, of.devices, addresses=False),
            lsmem=lsmem_text(picture, USUAL_COLUMNS),
            zoneinfo=zoneinfo_text(picture.zones),
        )
    assert [run[:2] + run[4:] for run in single(found)] == [run[:2] + run[4:] for run in expected_runs(of)]
    state = found.machine.state
    assert state is not None
    assert [device.spec.address for device in state.devices] == [device.address for device in of.devices]
    assert [run.state == NR_ZONES for run in single(found)] == [run.state == NR_ZONES for run in expected_runs(of)]


@given(ran(), st.data())
@settings(max_examples=settings().max_examples // 2)
def test_files_of_different_machines_never_end_in_a_traceback(of: Ran, data: Any) -> None:  # noqa: ANN401
    other = data.draw(ran())
    with TemporaryDirectory() as name:
        found = imported(
            Path(name),
            xml=domain_xml(other.machine, other.devices, other.plugged),
            lsmem=lsmem_text(of.picture),
            zoneinfo=zoneinfo_text(other.picture.zones),
        )
    # The blocks are the guest's whatever the host says.
    assert [(run.first, run.node, run.state) for run in single(found)] == [
        (run.first, run.node, run.state) for run in expected_runs(of)
    ]
