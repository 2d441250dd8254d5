"""What several files say of one machine's blocks becomes one picture, and nothing is made up."""

from __future__ import annotations

import pytest

from sim.faults import InputError
from sim.readers.facts import BlockView, DeviceFacts, Facts, ZoneView
from sim.snapshot.facts_picture import picture_of_facts
from sim.snapshot.picture import DeviceView, Ratio
from sim.snapshot.zone_totals import ZoneTotal, block_totals
from sim.units import GIB, KIB, MIB

BLOCKS = (
    BlockView(0, "online", "None"),
    BlockView(1, "online", "Normal"),
    BlockView(2, "online", "Movable/Normal"),
    BlockView(3, "offline", "Movable/Normal"),
)


def lsmem(**changed: object) -> Facts:
    facts = Facts("lsmem.txt", "lsmem", block_size=GIB, blocks=BLOCKS)
    for name, value in changed.items():
        setattr(facts, name, value)
    return facts


def test_files_without_blocks_give_no_picture() -> None:
    assert picture_of_facts([]) is None
    assert picture_of_facts([Facts("free", "free", free={"total": GIB})]) is None


def test_blocks_alone_tell_the_ratio_in_whole_blocks_and_no_mem_total() -> None:
    picture = picture_of_facts([lsmem()])
    assert picture is not None
    assert picture.blocks == BLOCKS
    assert picture.ratio == Ratio(GIB, 2 * GIB)
    assert picture.ratio.percent == 50
    assert any("whole blocks" in remark for remark in picture.remarks)
    assert picture.mem_total is None
    assert picture.auto_movable is None
    assert picture.auto_movable_ratio is None
    assert block_totals(picture) == [
        ZoneTotal(None, "Normal", 1),
        ZoneTotal(None, "Movable", 1),
        ZoneTotal(None, "None", 1),
        ZoneTotal(None, "offline", 1),
    ]


def test_what_one_file_leaves_out_another_one_adds() -> None:
    sysfs = lsmem(
        file="sys",
        blocks=tuple(view._replace(node=view.block // 3, removable=True, zones="other") for view in BLOCKS),
        parameters={"online_policy": "auto-movable", "auto_movable_ratio": "401"},
    )
    zones = (
        ZoneView(0, "Normal", present=100, managed=90),
        ZoneView(0, "Movable", present=50, managed=50),
        ZoneView(1, "Device", present=0, managed=0),
    )
    zoneinfo = Facts("zoneinfo", "zoneinfo", zones=zones, page_size=65536)
    picture = picture_of_facts([Facts("x", "cmdline"), lsmem(), sysfs, zoneinfo])
    assert picture is not None
    assert [view.node for view in picture.blocks] == [0, 0, 0, 1]
    assert [view.zones for view in picture.blocks] == [view.zones for view in BLOCKS]
    assert picture.auto_movable_ratio == 401
    assert picture.ratio == Ratio(50 * 65536, 100 * 65536)
    assert picture.mem_total == 140 * 65536
    assert picture.remarks == ("MemTotal: the sum of what the zones manage.",)
    assert {(total.node, total.zone): total.view for total in block_totals(picture) if total.view} == {
        (0, "Normal"): zones[0],
        (0, "Movable"): zones[1],
    }
    contig = lsmem(parameters={"online_policy": "contig-zones", "auto_movable_ratio": "401"})
    shown = picture_of_facts([contig, Facts("m", "meminfo", meminfo={"MemTotal": 3 * GIB})])
    assert shown is not None
    assert shown.auto_movable_ratio is None
    assert shown.mem_total == 3 * GIB


def test_on_the_only_node_are_all_blocks() -> None:
    zones = (ZoneView(3, "Normal", present=100), ZoneView(3, "Movable", present=50))
    picture = picture_of_facts([lsmem(), Facts("zoneinfo", "zoneinfo", zones=zones)])
    assert picture is not None
    assert {view.node for view in picture.blocks} == {3}
    assert picture.ratio == Ratio(50 * 65536, 100 * 65536)
    assert picture.mem_total is None


@pytest.mark.parametrize("page", [4 * KIB, 16 * KIB, 64 * KIB])
def test_what_a_page_is_shows_in_what_the_zones_hold(page: int) -> None:
    # Three of four blocks are online, and of those a little is missing.
    online = (3 * GIB - 20 * MIB) // page
    zones = (ZoneView(0, "Normal", present=online // 2, managed=1), ZoneView(0, "Movable", present=online // 2))
    picture = picture_of_facts([lsmem(), Facts("zoneinfo", "zoneinfo", zones=zones)])
    assert picture is not None
    assert picture.page_size == page


def test_zones_that_do_not_cover_the_blocks_are_not_summed_up() -> None:
    zones = (ZoneView(0, "Normal", present=100, managed=100),)
    picture = picture_of_facts([lsmem(), Facts("zoneinfo", "zoneinfo", zones=zones)])
    assert picture is not None
    assert picture.remarks[0] == "zoneinfo does not tell of zone Movable of node 0."
    assert "Pages are taken to be of 4KiB" in picture.remarks[1]
    assert picture.ratio == Ratio(GIB, 2 * GIB)
    assert picture.mem_total is None


def test_devices_are_plugged_as_the_host_says() -> None:
    devices = (
        DeviceFacts("dimm0", "dimm", size=GIB, node=0),
        DeviceFacts("vmem0", "virtio-mem", size=8 * GIB, node=1, requested=GIB, plugged=GIB - 2 * MIB),
    )
    picture = picture_of_facts([lsmem(), Facts("qmp", "qemu", devices=devices)])
    assert picture is not None
    assert picture.devices == (
        DeviceView("dimm0", 0, GIB, GIB),
        DeviceView("vmem0", 1, GIB, GIB - 2 * MIB),
    )


@pytest.mark.parametrize(
    "other",
    [
        lsmem(file="b", block_size=2 * GIB),
        lsmem(file="b", blocks=BLOCKS[:3]),
        lsmem(file="b", blocks=(*BLOCKS[:3], BLOCKS[3]._replace(state="online"))),
    ],
)
def test_files_of_two_machines_or_moments_are_refused(other: Facts) -> None:
    with pytest.raises(InputError, match=r"b: has other memory blocks than lsmem.txt"):
        picture_of_facts([lsmem(), other])


def test_names_that_strangers_gave_do_nothing_to_a_terminal() -> None:
    devices = (DeviceFacts("evil\x1b[2J\nname", "dimm", size=GIB),)
    zones = (ZoneView(0, "\x1b]0;title\x07", present=1),)
    picture = picture_of_facts([lsmem(), Facts("\x1b[31mfile", "zoneinfo", zones=zones, devices=devices)])
    assert picture is not None
    text = str(picture)
    assert "evil?[2J?name" in text
    assert all(character.isprintable() or character == "\n" for character in text)
