from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.experiment.effective_config import effective_tables
from sim.experiment.load import load
from sim.experiment.reading import frozen
from sim.experiment.state_tables import StateTable, read_state, state_tables
from sim.faults import Faults, InputError, shown
from sim.machine.state import AttachedDevice, BlockRun, MachineState, PartlyPlugged, ZoneBounds
from sim.record.blockmap import BlockState
from sim.units import GIB, MIB
from tests.experiment.examples import small
from tests.experiment.test_documentation import BLOCKS

(EXAMPLE,) = (block for block in BLOCKS if "machines.state" in block)
(MACHINE,) = tomllib.loads(EXAMPLE)["machines"]
STATE = MACHINE["state"]
BLOCK = 128 * MIB


def faults(**changed: Any) -> list[str]:  # noqa: ANN401  whatever TOML can hold
    with pytest.raises(InputError) as caught:
        load(small(machines=[MACHINE | changed]))
    return [re.sub(r"^machines\[0\]\.", "", str(fault)) for fault in caught.value.faults]


def of_state(**changed: Any) -> list[str]:  # noqa: ANN401  whatever TOML can hold
    return [fault.removeprefix("state.") for fault in faults(state=STATE | changed)]


def device(number: int, **changed: Any) -> list[str]:  # noqa: ANN401  whatever TOML can hold
    devices = [dict(each) for each in STATE["devices"]]
    devices[number] |= changed
    found = of_state(devices=devices)
    return [fault.removeprefix(f"devices[{number}].") for fault in found]


def test_a_state_arrives_as_it_is_written() -> None:
    (combination, *_) = load(small(machines=[MACHINE])).combinations

    assert combination.machine.spec.state == MachineState(
        blocks=(
            BlockRun(0, 1, 0, BlockState.SEVERAL_ZONES, boot=True),
            BlockRun(1, 23, 0, BlockState.DMA32, boot=True),
            BlockRun(32, 8, 0, BlockState.NORMAL, boot=True),
            BlockRun(40, 8, 0, BlockState.MOVABLE, boot=False),
            BlockRun(48, 2, 0, BlockState.NORMAL, boot=False),
            BlockRun(50, 1, 0, BlockState.OFFLINE, boot=False),
        ),
        zones=(ZoneBounds(0, BlockState.NORMAL, 1048576, 589824, 327680, managed=311296),),
        devices=(
            AttachedDevice(DimmSpec("dimm0", GIB, address=5 * GIB)),
            AttachedDevice(VirtioMemSpec("vm0", 8 * GIB, requested=384 * MIB, address=6 * GIB), plugged=320 * MIB),
        ),
    )


def test_nodes_follow_from_the_blocks_where_nothing_else_is_said() -> None:
    blocks = [*STATE["blocks"], {"blocks": "70-71", "zone": "Movable", "node": 2, "boot": True}]
    machine = {key: value for key, value in MACHINE.items() if key != "boot_memory"}
    (combination, *_) = load(
        small(machines=[machine | {"state": STATE | {"blocks": blocks, "devices": STATE["devices"][:1]}}])
    ).combinations

    spec = combination.machine.spec
    assert [node.boot_memory for node in spec.nodes] == [(32 + 3) * BLOCK, 0, 2 * BLOCK]


def test_what_makes_no_sense_is_a_fault_with_its_key() -> None:
    blocks = STATE["blocks"]
    assert faults(block_size=0) == ["block_size: is needed with a state, whose blocks are counted in it"]
    assert faults(cold_dimms=[{"size": "1GiB"}]) == [
        "cold_dimms: a machine with a state has its DIMMs among the state's devices: leave it out"
    ]
    assert faults(max_memory="4GiB") == ["state.devices: with boot memory they are 13GiB, more than max_memory"]
    assert faults(architecture="s390x", kernel="6.13")[-1] == "state.devices: machines of s390x have no DIMMs"
    assert of_state(blocks=[*blocks, {"blocks": "9"}]) == [
        "blocks[6].blocks: 9 do not come after those before, 50: each block stands once, in order"
    ]
    assert of_state(blocks=[{"blocks": "0-7", "zone": "Movable"}, *blocks[3:]]) == [
        "blocks: hold no boot memory that is online in a kernel zone; a kernel runs in some"
    ]
    assert of_state(blocks=[*blocks, {"blocks": "110-200", "zone": "Normal"}]) == [
        "blocks[6].blocks: lie in a device in part: give those in it an entry of their own, or say boot"
    ]
    assert of_state(blocks=[*blocks, {"blocks": "200-199"}]) == [
        "blocks[6].blocks: '200-199' is neither one block nor a range such as '33-40'"
    ]
    assert of_state(blocks=[*blocks, {"blocks": "51", "zone": "None"}]) == [
        "blocks[6].zone: blocks that were not there at boot are in one zone each, or offline"
    ]
    assert of_state(blocks=[*blocks[:3], {"blocks": "41-47", "zone": "Movable"}, *blocks[4:]]) == [
        "devices[0]: 7 of blocks 40-47 are there, not all: such a device is there as a whole"
    ]
    (fault,) = of_state(blocks=[*blocks, {"blocks": "200-399", "zone": "Normal"}])
    assert fault.startswith("blocks: 29GiB of them are boot memory, of which the machine has 4GiB: give it more, or")
    later = {"blocks": "200-399", "zone": "Normal", "boot": False}
    load(small(machines=[MACHINE | {"state": STATE | {"blocks": [*blocks, later], "zones": []}}]))
    assert of_state(blocks=[*blocks, {"blocks": "51", "node": 1}]) == [
        "blocks[6].node: there is no node 1; the last one is 0"
    ]
    assert of_state(zones=[STATE["zones"][0] | {"present": 32768}]) == [
        "zones[0].managed: 311296 is not between 0 and present (32768)"
    ]
    assert of_state(zones=[{"zone": "Movable", "start_pfn": 0, "spanned": 300000, "present": 100000}]) == [
        "zones[0].present: 100000 pages are fewer than those of its blocks that came after boot, 262144"
    ]
    assert faults(virtio_mem_driver=False) == [
        "state.devices[1]: has blocks, which a guest without the virtio-mem driver would not have"
    ]
    hotplugged = {"zone": "Movable", "start_pfn": 1310720, "spanned": 262144, "present": 262144, "cma": 512}
    assert of_state(zones=[hotplugged]) == [
        "zones[0].cma: 512 pages are more than its boot memory, 0, and CMA lies in that"
    ]
    shifted = [*blocks[:3], {"blocks": "41-47", "zone": "Movable"}, *blocks[4:]]
    assert of_state(
        blocks=shifted,
        devices=[STATE["devices"][0] | {"address": 5 * GIB + MIB}, STATE["devices"][1] | {"address": 7 * GIB}],
    )[0] == ("devices[0]: 1GiB at 0x140100000 are no whole memory blocks, so that none of them can be there")
    assert of_state(zones=STATE["zones"] * 2) == ["zones[1]: Normal of node 0 stands here twice"]


def test_what_no_device_can_be_is_a_fault_with_its_key() -> None:
    assert device(0, id="vm0") == ["devices[1].id: 'vm0' is taken"]
    assert device(0, slot=256) == ["slot: 256 is none of the machine's 256"]
    assert device(0, address="0x160000000") == [
        "blocks[3].blocks: lie in a device in part: give those in it an entry of their own, or say boot"
    ]
    assert device(0, plugged="1GiB") == ["plugged: is no key of a device of kind 'dimm'"]
    assert device(0, size="3GiB")[0].startswith(
        "devices[1].address: 0x180000000 lies in dimm0, which ends at 0x200000000"
    )
    assert device(0, kind="dax", state="unplugged") == [
        "state: 'unplugged' is a device without blocks, but it has some"
    ]
    assert device(0, kind="dax", state="off")[0].startswith("state: 'off' is none of unplugged, online")
    assert device(1, plugged="321MiB") == ["plugged: 321MiB are not whole pieces of 2MiB within its region"]
    assert device(1, plugged="386MiB") == ["plugged: 386MiB are more than its blocks, 384MiB"]
    assert device(1, force_bbm=True, plugged="256MiB") == [
        "plugged: is 384MiB, all of its blocks: it plugs whole ones only"
    ]
    for zones in ("", "Normal/", "a b", "\x1b[31m"):
        assert of_state(seen=[{"blocks": "0", "zones": zones}]) == [
            f"seen[0].zones: {shown(zones)} is not what lsmem prints of zones, such as 'Normal' or 'Normal/Movable'"
        ]
    for name in ("", " a", "a,b", "a\x1b[31m"):
        assert device(0, id=name) == [
            f"id: {shown(name)} is no name of a device: printable, no comma, no blanks at either end"
        ]
    assert device(1, partly=[{"block": 48, "sub_blocks": "0-64"}, {"block": 51, "sub_blocks": "0"}]) == [
        "partly[0]: a block has sub-blocks 0 to 63",
        "partly[1]: block 51 is none of the device's",
    ]
    assert device(1, partly=[{"block": 51, "sub_blocks": "0"}]) == ["partly[0]: block 51 is none of the device's"]
    assert device(1, partly=[{"block": 50, "sub_blocks": "0-7,9"}]) == [
        "plugged: is not 274MiB, what its blocks and partly come to"
    ]
    assert device(1, force_bbm=True, bbm_block_size="256MiB", plugged="256MiB") == [
        "devices[1]: block 50 belongs to no whole big block of 256MiB",
        "plugged: is 384MiB, all of its blocks: it plugs whole ones only",
    ]
    assert device(1, requested="1MiB") == ["devices[1]: has a request of 1MiB, not a multiple of its blocks (2MiB)"]
    assert device(1, max_size="0B") == ["devices[1]: is asked for 384MiB of 0B"]


def test_the_state_is_part_of_the_identity_and_of_the_effective_experiment() -> None:
    experiment = load(small(machines=[MACHINE]))
    (combination, *_) = experiment.combinations
    identity = combination.machine.identity()

    assert json.loads(json.dumps(identity))["state"]["blocks"][3] == {"blocks": "40-47", "zone": "Movable"}
    again = load(tomllib.loads(tomli_w.dumps(effective_tables(experiment))))
    assert again.combinations[0].machine == combination.machine
    other = [*STATE["blocks"][:-1], {"blocks": "50", "zone": "Normal"}]
    changed = load(small(machines=[MACHINE | {"state": STATE | {"blocks": other}}]))
    assert changed.combinations[0].machine.identity() != identity


# There and back -------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).filter(
    lambda name: name.isprintable() and name == name.strip() and "," not in name
)
PAGES = st.integers(0, 1 << 40)
SIZES = st.integers(1, 64).map(lambda size: size * 64 * MIB)


@st.composite
def devices(draw: st.DrawFn) -> list[AttachedDevice]:
    at, found = draw(st.integers(0, 100)) * 64 * MIB, []
    for _ in range(draw(st.integers(0, 5))):
        at += draw(st.integers(0, 5)) * 64 * MIB
        name, node, size = draw(NAMES), draw(st.integers(0, 3)), draw(SIZES)
        ranges = draw(st.just(()) | st.tuples(SIZES, SIZES))
        optional = st.none() | st.integers(0, 1 << 40)
        match draw(st.sampled_from(["dimm", "virtio-mem", "dax"])):
            case "dimm":
                slot = draw(st.none() | st.integers(0, 255))
                spec = DimmSpec(name, size, node, at, slot, ranges, draw(st.integers(0, 3)) * MIB)
                found.append(AttachedDevice(spec))
            case "dax":
                dax = DaxSpec(name, size, node, at, draw(st.booleans()), draw(st.booleans()), ranges)
                found.append(AttachedDevice(dax, state=draw(st.none() | st.just("lost"))))
            case _:
                flags = draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 1 << 30))
                block = 1 << draw(st.integers(20, 30))
                mem = VirtioMemSpec(name, size, node, block, draw(st.integers(0, 1 << 40)), at, *flags)
                partly = draw(st.lists(st.tuples(st.integers(0, 99), st.integers(0, (1 << 64) - 1)), max_size=3))
                parts = tuple(PartlyPlugged(*part) for part in partly)
                found.append(AttachedDevice(mem, draw(optional), draw(optional), parts))
        at += sum(ranges) + size + 6 * MIB
    return found


@st.composite
def states(draw: st.DrawFn) -> MachineState:
    at, blocks = 0, []
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.integers(0, 3))
        count, node = draw(st.integers(1, 40)), draw(st.integers(0, 3))
        blocks.append(BlockRun(at, count, node, draw(st.integers(-1, 4)), draw(st.booleans())))
        at += count
    zone = st.builds(
        ZoneBounds, st.integers(0, 3), st.integers(0, 3), PAGES, PAGES, PAGES, st.none() | PAGES, st.none() | PAGES
    )
    return MachineState(tuple(blocks), tuple(draw(st.lists(zone, max_size=3))), tuple(draw(devices())))


@given(states(), st.sampled_from([128 * MIB, 256 * MIB, 2 * GIB]))
def test_whatever_is_written_is_read_back(state: MachineState, block_bytes: int) -> None:
    text = tomli_w.dumps(state_tables(state, block_bytes))
    found = Faults()

    table = StateTable.model_validate(frozen(tomllib.loads(text), "state"))
    assert read_state(table, block_bytes, found) == state
    assert not found
