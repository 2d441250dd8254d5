"""What we print of a picture is what ``lsmem`` prints, blank for blank."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import pytest
from hypothesis import given, settings

from sim.readers.facts import BlockView
from sim.snapshot.lsmem_view import (
    COLUMNS,
    SPACINGS,
    USUAL_COLUMNS,
    lsmem_json,
    lsmem_table,
    lsmem_text,
    parse_columns,
    ranges,
    size_text,
)
from sim.snapshot.picture import Picture
from sim.units import GIB, KIB, MIB
from tests.support.pictures import pictures, recorded_maps
from tests.support.sysfs_tree import as_read_by, installed_spacing, installed_version, real_lsmem, write_tree

GUEST = Picture(
    block_size=128 * MIB,
    blocks=(
        BlockView(0, "online", "none", 0, removable=True),
        *(BlockView(block, "online", "DMA32", 0, removable=True) for block in range(1, 24)),
        *(BlockView(block, "online", "Normal", 0, removable=True) for block in range(32, 40)),
        BlockView(40, "online", "Movable", 0, removable=False),
        BlockView(41, "going-offline", "Movable", 0, removable=True),
        *(BlockView(block, "offline", "Movable/Normal", 1, removable=True) for block in range(42, 44)),
    ),
)
"""A guest of 4 GiB with half a GiB more, part of it on a second node and offline."""


def test_a_guest_looks_as_lsmem_of_today_prints_it() -> None:
    assert lsmem_text(GUEST) == dedent(
        """\
        RANGE                                  SIZE   STATE REMOVABLE BLOCK NODE          ZONES
        0x0000000000000000-0x0000000007ffffff  128M  online       yes     0    0           None
        0x0000000008000000-0x00000000bfffffff  2.9G  online       yes  1-23    0          DMA32
        0x0000000100000000-0x000000013fffffff    1G  online       yes 32-39    0         Normal
        0x0000000140000000-0x0000000147ffffff  128M  online        no    40    0        Movable
        0x0000000148000000-0x000000014fffffff  128M on->off              41    0        Movable
        0x0000000150000000-0x000000015fffffff  256M offline           42-43    1 Movable/Normal

        Memory block size:       128M
        Total online memory:     4.1G
        Total offline memory:    384M
        """
    )


def test_later_versions_print_other_blanks_and_nothing_else() -> None:
    texts = {version: lsmem_text(GUEST, spacing=spacing) for version, spacing in SPACINGS.items()}
    assert "Memory block size:                128M\n" in texts[2, 41]
    assert "RANGE                                  SIZE " in texts[2, 41]
    assert "RANGE                                 SIZE " in texts[2, 42]
    assert texts[2, 42].splitlines()[9] == texts[2, 41].splitlines()[9]
    assert len({tuple(text.split()) for text in texts.values()}) == 1


def test_a_column_of_which_nothing_is_known_is_empty() -> None:
    bare = Picture(GIB, (BlockView(1, "online"), BlockView(2, "online"), BlockView(4, "offline")))
    lines = lsmem_table(bare).splitlines()
    assert lines[1] == "0x0000000040000000-0x00000000bfffffff   2G  online             1-2      "
    assert lines[2].split() == ["0x0000000100000000-0x000000013fffffff", "1G", "offline", "4"]
    entry = json.loads(lsmem_json(bare))["memory"][0]
    assert entry["node"] is None
    assert entry["zones"] is None
    assert entry["removable"] is False


def test_what_stands_beside_the_array_follows_it() -> None:
    alone = lsmem_json(GUEST)
    more = lsmem_json(GUEST, beside={"zones": [{"node": 0}], "block_size": 5})
    assert more.startswith(alone.removesuffix("\n}\n"))
    assert json.loads(more) == json.loads(alone) | {"zones": [{"node": 0}], "block_size": 5}
    assert [*json.loads(more)] == ["memory", "zones", "block_size"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (KIB, "1K"),
        (128 * MIB, "128M"),
        (7 * 256 * MIB, "1.8G"),
        (GIB - 1, "1024M"),
        (5 * 256 * MIB, "1.3G"),
        (59 * GIB + 921 * MIB, "59.9G"),
        # Cut to 949 thousandths first, which is not yet a tenth more.
        (GIB + 972 * MIB, "1.9G"),
        (GIB + 973 * MIB, "2G"),
        (1 << 63, "8E"),
    ],
)
def test_sizes_have_one_digit_after_the_point_at_most(size: int, text: str) -> None:
    assert size_text(size) == text


def test_columns_are_named_as_for_lsmem() -> None:
    assert parse_columns("range,Zones") == ("RANGE", "ZONES")
    assert parse_columns("+ZONES") == (*USUAL_COLUMNS, "ZONES")
    with pytest.raises(ValueError, match="did you mean 'ZONES'"):
        parse_columns("RANGE,ZONE")


# Against the lsmem that is installed ----------------------------------------------------------------------------------


@given(pictures())
@settings(max_examples=settings().max_examples // 3)
def test_any_machine_looks_as_the_installed_lsmem_prints_it(picture: Picture) -> None:
    version, spacing = installed_version(), installed_spacing()
    read = as_read_by(version, picture)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_tree(root, picture)
        assert lsmem_text(read, spacing=spacing) == real_lsmem(root, "--output-all")
        assert lsmem_json(read) == real_lsmem(root, "--json", "--output-all")
        assert lsmem_json(read, USUAL_COLUMNS) == real_lsmem(root, "--json")
        some = "ZONES,SIZE,RANGE"
        assert lsmem_text(read, parse_columns(some), spacing) == real_lsmem(root, "--output", some)


def test_the_recorded_maps_look_as_the_installed_lsmem_prints_them(shared_dir: Path, tmp_path: Path) -> None:
    spacing = installed_spacing()
    machines = recorded_maps(shared_dir)
    assert len(machines) >= 5
    for number, picture in enumerate(machines.values()):
        root = tmp_path / str(number)
        write_tree(root, picture)
        assert lsmem_text(picture, spacing=spacing) == real_lsmem(root, "--output-all")
        assert lsmem_json(picture) == real_lsmem(root, "-J", "--output-all")


@given(pictures())
def test_lines_hold_each_block_once_and_in_order(picture: Picture) -> None:
    for columns in (COLUMNS, ("RANGE",), ("RANGE", "STATE")):
        held = [line.first + step for line in ranges(picture, columns) for step in range(line.blocks)]
        assert held == [view.block for view in picture.blocks]
