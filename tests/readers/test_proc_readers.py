"""/proc/zoneinfo, /proc/meminfo and free, of old and new kernels and tools."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.faults import InputError
from sim.readers.facts import Facts, NodeFacts, ZoneView
from sim.readers.reading import read_facts
from sim.readers.zoneinfo import read_zoneinfo

if TYPE_CHECKING:
    from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

ZONES_6_12 = """\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 5
      nr_free_pages 99
  pages free     3840
        boost    0
        min      18
        low      22
        high     26
        promo    30
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 2999, 3911, 3911, 3911)
      nr_free_pages 3840
      nr_free_cma  0
  pagesets
    cpu: 0
              count:    0
              high:     13
              batch:    1
  vm stats threshold: 4
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone  Movable
  pages free     0
        min      0
        low      0
        high     0
        spanned  0
        present  0
        managed  0
        protection: (0, 0, 0, 0, 0)
Node 1, zone   Normal
  pages free     7
        min      1
        low      2
        high     3
        spanned  1000
        present  900
        managed  800
        cma      64
  start_pfn:           1048576
"""
ZONES_4_4 = """\
Node 0, zone    DMA32
  pages free     10
        min      2
        low      3
        high     4
        scanned  0
        spanned  100
        present  90
        managed  80
    nr_free_pages 10
    nr_free_cma  5
        protection: (0, 0)
  all_unreclaimable: 0
  start_pfn:         4096
  inactive_ratio:    1
"""


def read(text: str, folder: Path) -> Facts:
    file = folder / "text"
    file.write_text(text)
    (facts,) = read_facts([file])
    return facts


def faults(text: str, folder: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        read(text, folder)
    return [str(fault) for fault in error.value.faults]


def test_zoneinfo_of_a_new_kernel(tmp_path: Path) -> None:
    facts = read(ZONES_6_12, tmp_path)
    assert (facts.kind, facts.page_size) == ("zoneinfo", None)
    assert facts.zones == (
        ZoneView(0, "DMA", 3840, 18, 22, 26, 4095, 3998, 3840, 1, 0),
        ZoneView(0, "Movable", 0, 0, 0, 0, 0, 0, 0),
        ZoneView(1, "Normal", 7, 1, 2, 3, 1000, 900, 800, 1048576, 64),
    )
    assert facts.places == {"zones": "line 1 onwards"}


def test_zoneinfo_of_an_old_kernel(tmp_path: Path) -> None:
    facts = read(ZONES_4_4, tmp_path)
    assert facts.zones == (ZoneView(0, "DMA32", 10, 2, 3, 4, 100, 90, 80, 4096),)
    assert [remark.where for remark in facts.remarks] == ["nr_free_cma"]


def test_zoneinfo_that_cannot_be_right(tmp_path: Path) -> None:
    text = ZONES_4_4.replace("present  90", "present  101").replace("managed  80", "managed  102")
    assert faults(text + ZONES_4_4, tmp_path) == [
        "line 8: present is 101 pages, but spanned only 100",
        "line 9: managed is 102 pages, but present only 101",
        "line 16: zone DMA32 of node 0 stands here again; are there two outputs? Give one",
    ]
    assert faults(ZONES_4_4.replace("spanned  100", "spanned  " + "9" * 400), tmp_path) == [
        "line 7: no machine has as many pages as this"
    ]


def test_meminfo_of_a_machine_and_of_nodes(tmp_path: Path) -> None:
    text = "MemTotal: 995416 kB\nMemFree:  1000 kB\nSwapTotal: 0 kB\nHugePages_Total: 8\nHugepagesize: 2048 kB\n"
    facts = read(text, tmp_path)
    assert facts.meminfo == {
        "MemTotal": 995416 * KIB, "MemFree": 1000 * KIB, "SwapTotal": 0, "Hugepagesize": 2 * MIB,
    }  # fmt: skip
    assert facts.remarks == [("line 4", "8 huge pages are set aside; they are not taken")]
    facts = read("Node 1 MemTotal:  10 kB\nNode 1 MemFree: 9 kB\n\nNode 0 MemTotal:  20 kB\n", tmp_path)
    assert facts.nodes == (NodeFacts(0, mem_total=20 * KIB), NodeFacts(1, mem_total=10 * KIB))


def test_meminfo_that_cannot_be_right(tmp_path: Path) -> None:
    assert faults("MemTotal: 10 kB\nMemFree: 11 kB\nMemTotal: 12 kB\nCached: " + "1" * 30 + " kB\n", tmp_path) == [
        "line 3: MemTotal stands here again, with another size; are there two outputs? Give one",
        "line 4: no machine has a Cached of 30 digits",
        "line 1: MemTotal is 10 kB, MemFree 11 kB",
    ]


OLD = """\
             total       used       free     shared    buffers     cached
Mem:       1020640     500004     520636        128      20000     300000
-/+ buffers/cache:     180004     840636
Swap:            0          0          0
"""
GERMAN = """\
               gesamt       benutzt     frei      gemns.  Puffer/Cache verfügbar
Speicher:     2000000        400000  1000000           0        600000   1500000
"""
NEW = "              total        used        free      shared  buff/cache   available\nMem:  "


@pytest.mark.parametrize(
    ("text", "total", "used"),
    [
        (f"$ free -m\n{NEW} 108 22 60 0 25 80\nSwap: 0 0 0\n", 108 * MIB, 22 * MIB),
        (f"me@vm:~$ free --si -k\n{NEW} 108000 22000 60000 0 25000 80000\n", 108_000_000, 22_000_000),
        (f"# free -b -t\n{NEW} 4096000 40960 40960 0 40960 40960\n", 4096000, 40960),
        (f"$ free\n{NEW} 251 20 200 1 30 220\n", 251 * KIB, 20 * KIB),
        (f"{NEW} 1.8Gi 512Mi 1.0Gi 1.0Mi 300Mi 1.2Gi\n", 18 * GIB // 10, 512 * MIB),
        (f"{NEW} 7,7G 512M 1,0G 1,0M 300M 1,2G\n", 77 * GIB // 10, 512 * MIB),
        (f"{NEW} 110592 22528 61440 0 26624 81920\n", 108 * MIB, 22 * MIB),  # multiples of a page: KiB
        (f"{NEW} 4135124992 40960 40960 0 40960 40960\n", 4135124992, 40960),  # bytes
        (f"{NEW} 128801 20001 60000 5 25000 80000\n", 128801 * MIB, 20001 * MIB),  # no multiples: MiB
        (f"{NEW} 108 20 60 4 24 80\n", 108 * MIB, 20 * MIB),  # too few for KiB
        (f"{NEW} 62 20 30 0 12 40\n", 62 * GIB, 20 * GIB),  # too few for MiB
        (OLD, 1020640 * KIB, 500004 * KIB),
        (GERMAN, 2000000 * KIB, 400000 * KIB),
    ],
)
def test_free_in_every_unit(tmp_path: Path, text: str, total: int, used: int) -> None:
    facts = read(text, tmp_path)
    assert facts.kind == "free"
    assert (facts.free["total"], facts.free["used"]) == (total, used)


def test_free_says_what_it_concluded_and_what_is_rounded(tmp_path: Path) -> None:
    facts = read(f"{NEW} 108 22 60 0 25 80\n", tmp_path)
    assert [remark.what for remark in facts.remarks] == [
        "free does not print its unit; taken as MiB: they are no multiples of 4 KiB, or too few for KiB",
        "these figures are cut to whole units; free --bytes is exact",
    ]
    assert list(facts.free) == ["total", "used", "free", "shared", "buff/cache", "available"]
    assert facts.places == {"free": "line 2"}
    assert read(f"$ free -b\n{NEW} 4096000 0 40960 0 40960 40960\n", tmp_path).remarks == []


def test_free_that_cannot_be_right(tmp_path: Path) -> None:
    assert faults(f"{NEW} 100 200 60 0 25 80\n", tmp_path) == [
        "line 2: more is used or free than there is in total, or total is 0 or over 4 PiB"
    ]
    assert faults(f"{NEW} {'9' * 50} 2 60 0 25 80\n", tmp_path)[0].startswith("line 2: ")
    assert faults(f"{NEW} 100 2 60 0 25 80\n{NEW} 100 2 60 0 25 80\n", tmp_path) == [
        "line 4: free stands here again; give one"
    ]


@pytest.mark.skipif(shutil.which("free") is None, reason="free of procps is not installed")
@pytest.mark.parametrize("options", ["-b", "-k", "-m", "-g", "-h", "-w -m", "-l -t -k", "-h --si", "--mega"])
def test_the_real_tool_agrees_with_meminfo(tmp_path: Path, options: str) -> None:
    text = subprocess.run(["free", *options.split()], capture_output=True, text=True, check=True).stdout
    facts = read(f"$ free {options}\n{text}", tmp_path)
    (meminfo,) = read_facts(["/proc/meminfo"])
    total = meminfo.meminfo["MemTotal"]
    assert total - facts.free["total"] < max(0.08 * total, GIB if options == "-g" else 0)
    assert facts.free["total"] <= 1.01 * total


ZONE_NAMES = ("DMA", "DMA32", "Normal", "Movable", "Device", "HighMem")
FIGURES = ("min", "low", "high", "spanned", "present", "managed")
COUNTS = st.integers(0, 1 << 34)


@st.composite
def zone_views(draw: st.DrawFn) -> list[ZoneView]:
    """Return zones with figures that fit each other, none twice."""
    names = draw(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ZONE_NAMES)), unique=True, min_size=1, max_size=8)
    )
    zones = []
    for node, name in sorted(names, key=lambda entry: entry[0]):
        spanned = draw(COUNTS)
        present = draw(st.integers(0, spanned))
        managed = draw(st.integers(0, present))
        free, low, high = (draw(COUNTS) for _ in range(3))
        start, cma = draw(st.none() | COUNTS), draw(st.none() | st.integers(0, present))
        zones.append(ZoneView(node, name, free, low // 2, low, high, spanned, present, managed, start, cma))
    return zones


@given(zones=zone_views(), pagesets=st.integers(0, 3))
def test_any_zoneinfo_is_read_as_it_was_written(zones: list[ZoneView], pagesets: int) -> None:
    lines = []
    for zone in zones:
        lines.append(f"Node {zone.node}, zone {zone.zone:>8}")
        lines += ["  per-node stats", "      nr_inactive_anon 10", "      nr_free_pages 1"] if pagesets else []
        lines.append(f"  pages free     {zone.free}")
        lines += [
            f"        {name:<8} {getattr(zone, name)}"
            for name in ("min", "low", "high", "spanned", "present", "managed")
        ]
        lines += [f"        cma      {zone.cma}"] if zone.cma is not None else []
        lines += ["        protection: (0, 5, 6)"]
        for cpu in range(pagesets):
            lines += [f"    cpu: {cpu}", "              count:    7", "              high:     378"]
        lines += [f"  start_pfn:           {zone.start}"] if zone.start is not None else []
    facts = read_zoneinfo("\n".join(lines), "zoneinfo")
    assert facts.zones == tuple(zones)
