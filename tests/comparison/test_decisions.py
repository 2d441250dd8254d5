"""What decisions cost: exact bytes on small runs, and parts that add up to the whole on any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sim.api import run
from sim.comparison.decisions import (
    DEATH,
    REST,
    Cause,
    blocks_at_end,
    difference,
    held_at_end,
    same_reason,
    together,
    with_reasons,
)
from sim.comparison.whole import compared
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, RunResult
from sim.scores.registry import compute_scores
from tests.support.synthetic import SEEDS, seeded_run

if TYPE_CHECKING:
    from pathlib import Path

PAGES = 256
BLOCK = PAGES * 4096
ASKED_BACK = 10**6
"""When memory is asked back."""


def made(*events: tuple[int, EventKind, int, int, int, int, int]) -> RunResult:
    """Return a run of ten seconds with two devices; columns as the recorder has them."""
    return RunResult(
        np.array([[int(cell) for cell in row] for row in events], dtype=np.int64),
        ("dimm0", "dimm1"), (0, 0), PAGES, 10**7, BootMemory((), 0, 0), None, {},
        device_groups=(STATIC_GROUP, STATIC_GROUP),
    )  # fmt: skip


def grown(zones: tuple[int, ...], first: int = 100) -> list[tuple[int, EventKind, int, int, int, int, int]]:
    """Return the events of a device that plugs a block into each of ``zones`` and is asked for all of it back."""
    size = len(zones) * PAGES
    plugs = [(10, EventKind.PLUG, 0, first + number, 1, zone, PAGES) for number, zone in enumerate(zones)]
    return [(0, EventKind.REQUEST, 0, -1, 0, -1, size), *plugs, (ASKED_BACK, EventKind.REQUEST, 0, -1, 0, -1, 0)]


def unplugged(block: int, zone: int, count: int = 1) -> tuple[int, EventKind, int, int, int, int, int]:
    return ASKED_BACK + 5, EventKind.UNPLUG, 0, block, count, zone, count * PAGES


def test_what_stayed_in_a_kernel_zone_and_came_back_from_movable_costs_its_bytes() -> None:
    own = made(*grown((ZONE_NORMAL, ZONE_NORMAL, ZONE_MOVABLE)), unplugged(102, ZONE_MOVABLE))
    other = made(*grown((ZONE_NORMAL, ZONE_MOVABLE, ZONE_MOVABLE), 500), unplugged(501, ZONE_MOVABLE, 2))
    found = difference(own, other)
    assert found.total == BLOCK
    assert {cause: (cost.bytes, cost.blocks) for cause, cost in found.costs.items()} == {
        Cause("kernel", "MOVABLE"): (BLOCK, 1)
    }
    assert found.blocks == {Cause("kernel", "MOVABLE"): [101]}
    assert found.disagreed == 1
    with_reasons(found, {100: "no", 101: "ratio reached: 3,5 GiB > 301 %"})
    cost = found.costs[Cause("kernel", "MOVABLE")]
    assert cost.reasons == {"ratio reached: … GiB > … %": 1}
    assert cost.examples == {"ratio reached: … GiB > … %": "ratio reached: 3,5 GiB > 301 %"}


def test_what_came_back_instead_counts_the_other_way() -> None:
    own = made(*grown((ZONE_NORMAL, ZONE_MOVABLE)), unplugged(100, ZONE_NORMAL))
    other = made(*grown((ZONE_NORMAL, ZONE_MOVABLE)), unplugged(101, ZONE_MOVABLE))
    found = difference(own, other)
    assert found.total == 0
    assert {cause: cost.bytes for cause, cost in found.costs.items()} == {
        Cause("kernel", "kernel"): -BLOCK, Cause("MOVABLE", "MOVABLE"): BLOCK,
    }  # fmt: skip


def test_a_block_that_only_one_of_them_had_is_told_as_such() -> None:
    own = made(*grown((ZONE_NORMAL, ZONE_NORMAL)))
    other = made(*grown((ZONE_NORMAL,)))
    assert difference(own, other).costs.keys() == {Cause("kernel", "not there")}


def test_a_death_is_the_cause_of_all_that_it_leaves_behind() -> None:
    own = made(*grown((ZONE_NORMAL, ZONE_MOVABLE))[:-1], (500, EventKind.OOM, -1, -1, 1, 0, 7),
               (500, EventKind.DEATH, -1, -1, 1, 0, 7), grown((ZONE_NORMAL, ZONE_MOVABLE))[-1])  # fmt: skip
    other = made(*grown((ZONE_NORMAL, ZONE_NORMAL)), unplugged(100, ZONE_NORMAL, 2))
    found = difference(own, other)
    assert found.total == 2 * BLOCK
    assert {cause: cost.bytes for cause, cost in found.costs.items()} == {Cause(DEATH, DEATH): 2 * BLOCK}
    assert found.disagreed == 1


def test_what_no_block_accounts_for_is_the_rest() -> None:
    own = made(*grown((ZONE_NORMAL, ZONE_NORMAL))[:-1])  # nothing is asked back of it
    other = made(*grown((ZONE_NORMAL, ZONE_NORMAL)))
    found = difference(own, other)
    assert {cause: cost.bytes for cause, cost in found.costs.items()} == {Cause(REST, REST): -2 * BLOCK}


@pytest.mark.parametrize("seed", [*SEEDS][:40])
def test_parts_always_add_up_to_the_difference_of_the_score(seed: int) -> None:
    own, other = seeded_run(seed), seeded_run(seed + 1)
    own = replace(own, page_size=4096)
    found = difference(own, other)
    assert sum(cost.bytes for cost in found.costs.values()) == found.total
    expected = [compute_scores(each)["not_given_end"] for each in (own, other)]
    assert found.total == expected[0] - expected[1] == held_at_end(own) - held_at_end(other)
    swapped = difference(other, own)
    assert swapped.total == -found.total
    assert swapped.disagreed == found.disagreed
    assert {Cause(b, a): -cost.bytes for (a, b), cost in found.costs.items()} == {
        cause: cost.bytes for cause, cost in swapped.costs.items()
    }


@pytest.mark.parametrize("seed", [*SEEDS][:40])
def test_blocks_at_the_end_hold_what_devices_have_plugged(seed: int) -> None:
    own = seeded_run(seed)
    plugged = dict.fromkeys(own.device_names, 0)
    for _, kind, device, _, _, _, pages in own.events.tolist():
        sign = {1: 1, 2: 1, 7: 1, 5: -1, 6: -1, 8: -1}.get(kind, 0)
        if sign:
            plugged[own.device_names[device]] += sign * pages
    found = dict.fromkeys(own.device_names, 0)
    for (name, _), (_, block) in blocks_at_end(own).items():
        found[name] += block.plugged // own.page_size
    assert found == plugged


def test_replications_are_summed_up() -> None:
    own, other = made(*grown((ZONE_NORMAL,))), made(*grown((ZONE_MOVABLE,)), unplugged(100, ZONE_MOVABLE))
    whole = together([difference(own, other), difference(own, other)])
    assert (whole.total, whole.disagreed) == (2 * BLOCK, 2)
    assert whole.costs[Cause("kernel", "MOVABLE")].blocks == 2


def test_figures_make_no_other_reason() -> None:
    assert same_reason("node 0: 1,234 pages > 3.01 of 7") == "node …: … pages > … of …"


TABLES: dict[str, Any] = {
    "name": "small", "seed": 1, "replications": 2,
    "machines": [{"label": "m", "boot_memory": "1GiB", "slots": 64}],
    "policies": [{"name": "contig-zones"}, {"name": "auto-movable", "label": "ratio 700", "ratio": 700},
                 {"name": "clairvoyant"}],
    "workloads": [{"name": "grow-and-return", "size": "3GiB", "user": "1GiB", "kernel": "512MiB", "spread": 1.3}],
    "guest": {"model": "linux"},
}  # fmt: skip


def test_a_comparison_tells_what_decisions_cost_and_why(tmp_path: Path) -> None:
    folder = run(TABLES, tmp_path, workers=1).store.folder
    (scenario,) = compared([folder]).scenarios
    assert [against.bound for against in scenario.decisions] == ["clairvoyant"] * 2
    rows = scenario.by_score["not_given_end"]
    for against in scenario.decisions:
        gap = rows[against.policy]["mean"] - rows["clairvoyant"]["mean"]
        assert against.found.total == pytest.approx(2 * gap)
        assert sum(cost.bytes for cost in against.found.costs.values()) == against.found.total
        assert (against.looked, against.pairs) == (2, 2)
    (plain,) = (against for against in scenario.decisions if against.policy == "contig-zones")
    assert plain.reasoned is not None
    assert any("in one replication because: inside neither" in sentence for sentence in plain.said)
