"""How much of the free memory lies in huge chunks: exact amounts on a small guest, and recorded runs.

The small guest of test_amounts.py: DMA32 and MOVABLE of 65,536 pages, in blocks of 4,096, without fragments of a boot
kernel. Of MOVABLE 3,276 pages are kept free in small pieces while there are huge chunks.
"""

from __future__ import annotations

import csv
import gzip
from statistics import median
from typing import TYPE_CHECKING

import pytest

from sim.guest import GuestModel, GuestParameters
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE
from sim.units import MIB
from tests.guest.machines import SIZE, SMALL_BLOCK, guest, small

if TYPE_CHECKING:
    from pathlib import Path

    from sim.guest.huge_chunks import HugeChunks


def chunks(model: GuestModel) -> HugeChunks:
    return model.zones[0, ZONE_MOVABLE].chunks


def huge(model: GuestModel) -> int:
    """Return the free pages in huge chunks."""
    report = model.figures.report()
    assert 0 <= report.free_huge <= report.free
    return report.free_huge // 4096


def mixed() -> GuestModel:
    """Return a guest in which half of what was used is free again: 9,200 pages of it in small pieces."""
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 10_000)
    model.demands.anonymous("b", 10_000)
    model.demands.kill("a")
    return model


def test_memory_that_nobody_has_used_is_huge() -> None:
    assert huge(small(ZONE_MOVABLE)) == 2 * SIZE


def test_a_boot_kernel_leaves_fragments_in_each_zone() -> None:
    report = small(ZONE_MOVABLE, fragment_bytes=5 << 20).figures.report()
    assert report.free - report.free_huge == 5 << 20


def test_the_first_requests_break_huge_chunks() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 10_000)
    assert huge(model) == 2 * SIZE - 10_000


def test_of_freed_memory_eight_percent_is_huge() -> None:
    model = mixed()
    assert chunks(model).small == 9200
    assert huge(model) == 2 * SIZE - 20_000 + 800


def test_small_pieces_are_used_before_huge_chunks_but_for_a_part() -> None:
    model = mixed()
    before = huge(model)
    model.demands.anonymous("c", 5000)
    assert huge(model) == before - 350
    assert chunks(model).small == 9200 - 4650


def test_the_last_small_pieces_are_kept() -> None:
    model = mixed()
    model.demands.anonymous("c", 50_000)
    # 5,924 pages were to be had in small pieces; 414 of them and all else came out of huge chunks.
    assert chunks(model).small == 3276 + 414
    model.demands.anonymous("c", 1000)
    assert chunks(model).small == 3276 + 28


def test_a_few_pages_hold_a_few_pieces_and_none_hold_none() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 10_000)
    model.demands.anonymous("b", 100)
    model.demands.kill("a")
    assert chunks(model).small == 3000
    model.demands.kill("b")
    assert chunks(model).small == 0
    zone = model.zones[0, ZONE_MOVABLE]
    assert huge(model) == 2 * SIZE - zone.listed_pcp()


def test_huge_pages_are_taken_and_given_back_whole() -> None:
    model = mixed()
    before = huge(model)
    model.demands.anonymous("c", 5120, huge=True)
    assert huge(model) == before - 5120
    model.demands.kill("c")
    assert huge(model) == before


def test_a_block_takes_its_share_of_pieces_along() -> None:
    """Of five touched blocks with 19,200 pages used or in pieces one goes, and its pages move to the others."""
    model = mixed()
    layout = model.zones[0, ZONE_MOVABLE].layout
    assert layout is not None
    assert layout.nr_touched == 5 * SMALL_BLOCK
    block = next(iter(layout.used))
    assert not model.offline(ZONE_MOVABLE, 0, block, 1, SMALL_BLOCK).refused
    assert model.zones[0, ZONE_MOVABLE].user == 10_000
    assert chunks(model).small == 19_200 - 3840 - 10_000


def test_a_block_that_nobody_has_used_takes_none_along() -> None:
    model = mixed()
    layout = model.zones[0, ZONE_MOVABLE].layout
    assert layout is not None
    before = huge(model)
    assert 31 not in layout.plugged
    assert not model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK).refused
    assert chunks(model).small == 9200
    assert huge(model) == before - SMALL_BLOCK


def test_what_kernel_pages_leave_free_of_their_pageblocks_is_in_pieces() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.kernel_memory("k", 1000)
    pageblocks = model.zones[0, ZONE_DMA32].pageblocks
    assert pageblocks is not None
    assert huge(model) == 2 * SIZE - pageblocks.nr_held * 512


def test_all_is_huge_where_nothing_is_to_fall_to_pieces() -> None:
    model = small(ZONE_MOVABLE, huge_kept_share=0.0, huge_split_share=0.0, huge_merge_share=1.0, fragment_bytes=0.0)
    model.demands.anonymous("a", 10_000)
    model.demands.anonymous("b", 10_000)
    model.demands.kill("a")
    report = model.figures.report()
    assert report.free_huge == report.free


@pytest.mark.parametrize("wrong", [-0.1, float("inf"), float("nan")])
def test_a_number_of_pages_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="huge_pinned"):
        GuestParameters(huge_pinned=wrong)


@pytest.mark.parametrize("run", ["fixed-1", "fixed-3", "multi-staggered-vm1"])
def test_recorded_guests_to_which_nothing_was_fitted(run: str, shared_dir: Path) -> None:
    """Their use, and the part of it that is page cache, gives the part of their free memory that is huge."""
    name = "series.csv.gz" if run.startswith("fixed") else "multi-vm.csv.gz"
    with gzip.open(shared_dir / "data/hyperalloc-bench" / name, "rt") as file:
        rows = [
            {key: float(row[key]) for key in row if key != "run"} for row in csv.DictReader(file) if row["run"] == run
        ]
    model = guest(16_384)
    idle = (model.figures.report().total - model.figures.report().free) / MIB
    now = {"programs": 0, "files": 0}
    errors = []
    for row in rows:
        used = row["total_mib"] - row["small_mib"] - idle
        wanted = {"files": round(row["cached_mib"] * 256), "programs": round(max(0.0, used - row["cached_mib"]) * 256)}
        for load, ask in (("programs", model.demands.anonymous), ("files", model.demands.read_file)):
            if wanted[load] > now[load]:
                ask(load, wanted[load] - now[load])
            elif wanted[load] < now[load]:
                model.demands.shrink(load, 1 - wanted[load] / now[load])
        now = wanted
        report = model.figures.report()
        errors.append(abs(report.free_huge / report.free - row["huge_mib"] / row["small_mib"]))
    assert median(errors) < 0.06
