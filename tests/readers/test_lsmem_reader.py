"""Reading ``lsmem``: by hand in all its forms, and random machines as the real tool prints them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.faults import InputError
from sim.readers.facts import BlockView
from sim.readers.lsmem_rows import Size, parse_printed_size
from sim.readers.lsmem_text import read_lsmem, reads_as_lsmem
from sim.readers.reading import read_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.readers.facts import Facts

MIB = 1 << 20
GIB = 1 << 30
CXL = """\
RANGE                                 SIZE   STATE REMOVABLE BLOCK NODE  ZONES
0x0000000000000000-0x000000007fffffff   2G  online       yes     0    0   None
0x0000000080000000-0x00000000ffffffff   2G  online        no     1    0  DMA32
0x0000000100000000-0x00000001ffffffff   4G offline             2-3    1 Normal/Movable

Memory block size:         2G
Total online memory:       4G
Total offline memory:      4G
"""
CXL_BLOCKS = (
    BlockView(0, "online", "None", 0, removable=True),
    BlockView(1, "online", "DMA32", 0, removable=False),
    BlockView(2, "offline", "Normal/Movable", 1),
    BlockView(3, "offline", "Normal/Movable", 1),
)


def read(text: str, folder: Path) -> Facts:
    """Return what a file with ``text`` says, as the only thing that it says."""
    file = folder / "lsmem"
    file.write_text(text)
    (facts,) = read_facts([file])
    assert facts.kind == "lsmem"
    return facts


def faults(text: str, folder: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        read(text, folder)
    return [str(fault) for fault in error.value.faults]


def test_the_table_of_all_columns(tmp_path: Path) -> None:
    facts = read(CXL, tmp_path)
    assert facts.blocks == CXL_BLOCKS
    assert (facts.block_size, facts.online_total, facts.offline_total) == (2 * GIB, 4 * GIB, 4 * GIB)
    assert facts.places["block_size"] == "line 2"
    assert facts.places["blocks"] == "line 2 to line 4"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\n".join(" ".join(line.split()) for line in text.split("\n")),  # blanks lost on the way
        lambda text: text.replace("\n", "\r\n").replace("2G", "\x1b[1m2G\x1b[0m"),
        lambda text: text.split("\n", 1)[1],  # --noheadings
        lambda text: text.split("\n\n")[0],  # --summary=never
        lambda text: "".join(f"> {line}\n" for line in text.split("\n")),
        lambda text: "    " + text.replace("\n", "\n    "),
        lambda text: f"hello,\n\n# lsmem --output-all\n{text}\nbye\n",
        lambda text: text.replace(" 4G offline", "4,0G offline"),
    ],
    ids=["blanks", "terminal", "no-headings", "no-summary", "mail", "indented", "prompt", "comma"],
)
def test_the_same_after_what_people_do_to_it(tmp_path: Path, change: Callable[[str], str]) -> None:
    assert read(change(CXL), tmp_path).blocks == CXL_BLOCKS


def test_columns_in_any_order_and_number(tmp_path: Path) -> None:
    facts = read("STATE BLOCK\nonline 0-1\noffline 3\nMemory block size: 128M\n", tmp_path)
    assert facts.blocks == (BlockView(0, "online"), BlockView(1, "online"), BlockView(3, "offline"))
    assert facts.block_size == 128 * MIB
    facts = read(
        "ZONES NODE SIZE RANGE STATE\n  DMA    1 128M 0x08000000-0x0fffffff online\nMemory block size: 128M", tmp_path
    )
    assert facts.blocks == (BlockView(1, "online", "DMA", 1),)


def test_pairs_and_raw_rows_with_empty_cells(tmp_path: Path) -> None:
    pairs = (
        'RANGE="0x0000000000000000-0x0000000007ffffff" STATE="online" REMOVABLE="no" BLOCK="0" ZONES="DMA32"\n'
        'RANGE="0x0000000008000000-0x000000000fffffff" SIZE="128M" STATE="offline" REMOVABLE="" BLOCK="1" ZONES=""\n'
    )
    raw = (
        "RANGE SIZE STATE REMOVABLE BLOCK ZONES\n"
        "0x0000000000000000-0x0000000007ffffff 128M online no 0 DMA32\n"
        "0x0000000008000000-0x000000000fffffff 128M offline  1 \n"
    )
    blocks = (BlockView(0, "online", "DMA32", removable=False), BlockView(1, "offline"))
    assert read(pairs, tmp_path).blocks == read(raw, tmp_path).blocks == blocks


def test_old_marks_for_what_is_not_there_and_the_newest_columns(tmp_path: Path) -> None:
    facts = read(
        "RANGE                                 SIZE   STATE REMOVABLE BLOCK NODE\n"
        "0x0000000000000000-0x0000000007ffffff 128M offline         -     0    -\n",
        tmp_path,
    )
    assert facts.blocks == (BlockView(0, "offline"),)
    facts = read(
        "RANGE                                 SIZE   STATE REMOVABLE BLOCK NODE ZONES CONFIGURED MEMMAP-ON-MEMORY\n"
        "0x0000000000000000-0x0000000007ffffff 128M on->off               0    0   DMA        yes               no\n"
        "0x0000000008000000-0x000000000fffffff 128M offline               1    0                 no               no\n"
        "\n"
        "Memory block size:                128M\n"
        "Total online memory:                0B\n"
        "Total offline memory:             256M\n"
        "Memmap on memory parameter:        yes\n",
        tmp_path,
    )
    assert facts.blocks == (BlockView(0, "going-offline", "DMA", 0), BlockView(1, "offline", None, 0))
    assert facts.parameters == {"memmap_on_memory": "Y"}
    assert [remark.where for remark in facts.remarks] == ["CONFIGURED", "MEMMAP-ON-MEMORY"]


def test_a_translated_table(tmp_path: Path) -> None:
    facts = read(
        "RANGE                                 SIZE      STATE REMOVABLE BLOCK\n"
        "0x0000000000000000-0x000000005fffffff 1,5G   en ligne       oui  0-11\n"
        "0x0000000060000000-0x0000000067ffffff 128M hors ligne              12\n"
        "\n"
        "Taille du bloc mémoire :       128M\n"
        "Mémoire partagée totale :      1,5G\n"
        "Mémoire hors ligne totale :    128M\n",
        tmp_path,
    )
    assert [view.state for view in facts.blocks] == ["online"] * 12 + ["offline"]
    assert facts.blocks[0].removable is True
    assert (facts.online_total, facts.offline_total) == (1536 * MIB, 128 * MIB)


def test_a_summary_alone_gives_rounded_totals_with_a_remark(tmp_path: Path) -> None:
    facts = read(
        "Memory block size:       128M\nTotal online memory:    15.8G\nTotal offline memory:      0B\n", tmp_path
    )
    assert (facts.block_size, facts.blocks, facts.offline_total) == (128 * MIB, (), 0)
    assert facts.online_total is not None
    assert abs(facts.online_total - 15.8 * GIB) < 0.06 * GIB
    assert [remark.where for remark in facts.remarks] == ["line 2"]
    facts = read("Memory block size:  134217728\nTotal online memory:  1073741824\nTotal offline memory: 0\n", tmp_path)
    assert (facts.block_size, facts.online_total, facts.remarks) == (128 * MIB, GIB, [])


@pytest.mark.parametrize("row", [
    '{"range":"0x0000000100000000-0x000000017fffffff","size":"2G","state":"online","removable":true,"block":"32-47","node":1,"zones":"Movable"}',
    '{"range":"0x0000000100000000-0x000000017fffffff","size":2147483648,"state":"online","removable":"yes","block":"32-47","node":"1","zones":"Movable","configured":null}',
])  # fmt: skip
def test_json_of_any_version(tmp_path: Path, row: str) -> None:
    facts = read('{\n "memory": [' + row + "\n]}\n", tmp_path)
    assert facts.blocks == tuple(BlockView(block, "online", "Movable", 1, removable=True) for block in range(32, 48))
    assert facts.places["blocks"] == "memory[0]"


def test_what_cannot_be_right_is_told_at_once_with_its_lines(tmp_path: Path) -> None:
    text = (
        "RANGE SIZE STATE REMOVABLE BLOCK\n"
        "0x0000000000000000-0x000000000fffffff 256M online yes 0-1\n"
        "0x0000000008000000-0x0000000017ffffff 256M online yes 1-2\n"
        "0x0000000020000000-0x0000000027ffffff 128M online yes 5\n"
        "0x0000000030000000-0x0000000037ffffff 129M online yes 6\n"
    )
    assert faults(text.replace("129M", "128M"), tmp_path) == [
        "line 4: 0x0000000020000000-0x0000000027ffffff is not the place of blocks 5 of 134217728 bytes",
        "line 3: block 1 stands in line 2 too; are there two outputs of lsmem? Give one",
    ]
    assert faults(text, tmp_path) == [
        "line 5: the range 0x0000000030000000-0x0000000037ffffff is 134217728 bytes long, but the size says 129M"
    ]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("0x0000000000000000-0x0000000007ffffff 128M asleep yes 0", "does not fit the columns"),
        ("0x0000000007ffffff-0x0000000000000000 128M online yes 0", "ends before it begins"),
        ("0x0000000000000000-0x0000000007ffffff 128M online yes 5-1", "end before they begin"),
        ("0x0000000000000000-0x0000000007ffffff 128M online yes 1099511627776", "no machine has a block"),
        ("0x0000000000000000-0x00000000bfffffff 3G online yes 0", "blocks are powers of two"),
        ("0x0000000000000000-0xffffffffffffffff 16E online yes 0-137438953471", "as much memory as this"),
        ("0x00000000000000", "does not fit the columns"),
        ("0x0000000000000000-0x0000000007ffffff", "has no STATE"),
    ],
)
def test_a_row_that_cannot_be_right(tmp_path: Path, row: str, fault: str) -> None:
    heading = "RANGE" if row.count(" ") == 0 and "-" in row else "RANGE SIZE STATE REMOVABLE BLOCK"
    (told,) = faults(f"{heading}\n{row}\n\nMemory block size: 128M\n", tmp_path)
    assert told.startswith("line 2: ")
    assert fault in told


def test_a_zone_that_is_cut_off_is_not_taken_for_none(tmp_path: Path) -> None:
    heading, row = (
        "RANGE SIZE STATE REMOVABLE BLOCK NODE ZONES",
        "0x0000000008000000-0x000000000fffffff 128M online yes 1 0",
    )
    for zones in ("Mo", "Normal/Mov", "Foo"):
        assert faults(f"{heading}\n{row} {zones}", tmp_path) == [
            f"line 2: '{zones}' are no zones such as Normal or Normal/Movable; is the file cut off?"
        ]


def test_rows_that_are_missing_show_in_the_summary(tmp_path: Path) -> None:
    lines = CXL.split("\n")
    (told,) = faults("\n".join(lines[:2] + lines[3:]), tmp_path)
    assert told.startswith("line 6: the summary says 4G, but the rows hold 2147483648 bytes")


def test_json_has_false_for_a_block_that_is_not_online(tmp_path: Path) -> None:
    row = '{"range":"0x0000000000000000-0x0000000007ffffff","state":"offline","removable":false,"block":"0"}'
    assert read('{"memory": [' + row + "]}", tmp_path).blocks == (BlockView(0, "offline"),)


def test_a_state_that_only_the_summary_tells_comes_with_a_remark(tmp_path: Path) -> None:
    text = (
        "RANGE SIZE\n0x0000000000000000-0x000000001fffffff 512M\n\nMemory block size: 128M\nTotal offline memory: 0B\n"
    )
    facts = read(text, tmp_path)
    assert facts.blocks == tuple(BlockView(block, "online") for block in range(4))
    assert [remark.where for remark in facts.remarks] == ["line 2"]


def test_damaged_json_is_told(tmp_path: Path) -> None:
    text = '{"memory": [\n{"range": "0x0-0x7ffffff", "block": "0", "state": "online"}'
    assert faults(text, tmp_path) == ["line 2: the JSON is damaged or cut short: Expecting ',' delimiter"]
    assert faults('{"memory": [{"block": [1], "state": {}}, 3]}', tmp_path) == [
        "memory[0].block: is not a word or a number",
        "memory[0].state: is not a word or a number",
        'memory[1]: \'3\' is not a row such as {"range": ..., "state": "online"}',
    ]
    deep = '{"memory": [' + "[" * 100_000 + '"block"'
    assert faults(deep, tmp_path) == ["the JSON is nested too deep for any output of lsmem"]


def test_printed_sizes() -> None:
    assert parse_printed_size("268435456") == Size(268435456, 268435456)
    assert parse_printed_size("0B") == Size(0, 0)
    assert parse_printed_size("1.8") is None
    assert parse_printed_size("12Q") is None
    for text, size in (("1.8G", 7 * 256 * MIB), ("1T", (1 << 40) + 128 * MIB), ("24.8G", 198 * 128 * MIB)):
        printed = parse_printed_size(text)
        assert printed is not None
        assert printed.low <= size <= printed.high
        assert printed.high - printed.low < size / 8


ZONE_CHOICES = ("none", "DMA", "DMA32", "Normal", "Movable", "Normal Movable", "Movable Normal", "DMA Normal")
COLUMN_NAMES = ("RANGE", "SIZE", "STATE", "REMOVABLE", "BLOCK", "NODE", "ZONES")


@st.composite
def trees(draw: st.DrawFn) -> tuple[int, dict[int, dict[str, str]], bool]:
    """Return a block size, blocks with their attributes and ``node``, and whether there are nodes."""
    block_size = 1 << draw(st.integers(27, 31))
    numbers = draw(st.sets(st.one_of(st.integers(0, 40), st.integers(0, 1000)), min_size=1, max_size=40))
    with_zones, with_nodes = draw(st.booleans()), draw(st.booleans())
    blocks = {}
    for number in sorted(numbers | {0}):  # lsmem looks at block 0 whether there are zones
        attributes = {
            "state": draw(st.sampled_from(("online", "online", "offline", "going-offline"))),
            "removable": draw(st.sampled_from("01")),
            "phys_device": str(draw(st.integers(0, 3))),
        }
        if with_zones:
            attributes["valid_zones"] = draw(st.sampled_from(ZONE_CHOICES))
        if with_nodes:
            attributes["node"] = str(draw(st.integers(0, 2)))
        blocks[number] = attributes
    return block_size, blocks, with_nodes


def plant(root: Path, block_size: int, blocks: dict[int, dict[str, str]]) -> Path:
    """Write a copy of sysfs below ``root`` and return where the blocks are."""
    memory = root / "sys/devices/system/memory"
    memory.mkdir(parents=True)
    (memory / "block_size_bytes").write_text(f"{block_size:x}\n")
    for number, attributes in blocks.items():
        folder = memory / f"memory{number}"
        folder.mkdir()
        for name, text in attributes.items():
            if name == "node":
                (folder / f"node{text}").symlink_to(f"../../node/node{text}")
            else:
                (folder / name).write_text(text + "\n")
    return memory


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """Return options of lsmem whose output says where each block is and its state."""
    if draw(st.integers(0, 4)) == 0:
        return ["--noheadings", *draw(st.sampled_from(([], ["--output-all"], ["--output-all", "--raw"], ["--all"])))]
    columns = draw(st.lists(st.sampled_from(COLUMN_NAMES), unique=True, min_size=2))
    for needed in ("STATE", draw(st.sampled_from(("RANGE", "BLOCK")))):
        if needed not in columns:
            columns.append(needed)
    form = draw(st.sampled_from(([], [], ["--json"], ["--pairs"], ["--raw"])))
    options = ["--output", ",".join(columns), *form]
    options += ["--bytes"] if draw(st.booleans()) else []
    options += ["--all"] if draw(st.booleans()) else []
    if not form:
        options += ["--summary=never"] if draw(st.booleans()) and {"RANGE", "BLOCK"} <= set(columns) else []
    elif not {"RANGE", "BLOCK"} <= set(columns):
        return draw(st.just(["--output-all", *form]))
    return options


@pytest.mark.skipif(shutil.which("lsmem") is None, reason="lsmem of util-linux is not installed")
@settings(max_examples=40)
@given(tree=trees(), options=commands())
def test_a_random_machine_as_the_real_tool_prints_it(
    tree: tuple[int, dict[int, dict[str, str]], bool], options: list[str]
) -> None:
    block_size, blocks, with_nodes = tree
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plant(root, block_size, blocks)
        run = subprocess.run(
            ["lsmem", "--sysroot", name, *options], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
        )
        file = root / "lsmem.txt"
        file.write_text(run.stdout)
        (printed,) = read_facts([file])
        (copied,) = (facts for facts in read_facts([root / "sys"]) if facts.kind == "sysfs")
    columns: tuple[str, ...] = COLUMN_NAMES[:5] if options[-1] != "--output-all" else COLUMN_NAMES
    if "--output" in options:
        columns = tuple(options[1].split(","))
    assert printed.block_size == copied.block_size == block_size
    assert (printed.online_total, printed.offline_total) == (copied.online_total, copied.offline_total)
    assert len(printed.blocks) == len(copied.blocks) == len(blocks)
    for seen, view in zip(printed.blocks, copied.blocks, strict=True):
        attributes = blocks[view.block]
        assert view.state == attributes["state"]
        assert view.node == (int(attributes["node"]) if with_nodes else None)
        assert (seen.block, seen.state) == (view.block, view.state)
        if "NODE" in columns:
            assert seen.node == view.node
        if "ZONES" in columns:
            assert seen.zones == view.zones
        if "REMOVABLE" in columns and view.state == "online":
            assert seen.removable == view.removable


def test_the_table_of_s390_tools_reads_like_that_of_util_linux() -> None:
    """Sizes are in MiB, the last column has no blocks, and some releases end a range a byte early."""
    text = (
        "linux2:~ # lsmem\n"
        "Address Range                          Size (MB)  State    Removable  Device\n"
        "===============================================================================\n"
        "0x0000000000000000-0x000000001ffffffe        512  online   no         0-511\n"
        "0x0000000020000000-0x000000002fffffff        256  online   yes        512-767\n"
        "0x0000000030000000-0x000000003fffffff        256  offline  -          768-1023\n"
        "\n"
        "Memory device size  : 1 MB\n"
        "Memory block size   : 256 MB\n"
        "Total online memory : 768 MB\n"
        "Total offline memory: 256 MB\n"
    )
    assert reads_as_lsmem(text)
    facts = read_lsmem(text, "lsmem.txt")
    assert (facts.architecture, facts.block_size) == ("s390x", 256 * MIB)
    assert facts.blocks == (
        BlockView(0, "online", removable=False),
        BlockView(1, "online", removable=False),
        BlockView(2, "online", removable=True),
        BlockView(3, "offline"),
    )
    assert (facts.online_total, facts.offline_total) == (768 * MIB, 256 * MIB)
    assert facts.places["blocks"] == "line 4 to line 6"
    with pytest.raises(InputError, match=r"line 4: the range .* but the size says 256"):
        read_lsmem(text.replace("      512  online", "      256  online"), "lsmem.txt")


@pytest.mark.parametrize(("yes", "no"), [("是", "否"), ("はい", "いいえ"), ("так", "ні"), ("ja", "nein")])
def test_removable_is_read_in_other_languages(yes: str, no: str) -> None:
    rows = "".join(
        f"0x{block << 27:016x}-0x{(block + 1 << 27) - 1:016x} 128M online    {word}   {block}\n"
        for block, word in enumerate((no, yes))
    )
    facts = read_lsmem(f"RANGE SIZE STATE REMOVABLE BLOCK\n{rows}Memory block size:    128M\n", "lsmem.txt")
    assert [view.removable for view in facts.blocks] == [False, True]
