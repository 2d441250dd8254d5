"""The facts in ``data/worked_examples.toml`` are those of the shared collection, where that is at hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.worked_examples import EXAMPLES, STAGES, plug_examples, spell_out

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def collection(shared_dir: Path) -> dict[str, dict[str, Any]]:
    path = shared_dir / "reference" / "worked-examples.json"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    return {entry["id"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))["examples"]}


def expected(collection: dict[str, dict[str, Any]], name: str) -> Any:  # noqa: ANN401 - JSON of any shape
    return collection[name]["expected"]


def test_every_example_is_carried(collection: dict[str, dict[str, Any]]) -> None:
    carried = {example.name for example in plug_examples()} | (EXAMPLES.keys() - {"plug"})
    assert carried == collection.keys()


@pytest.mark.parametrize("example", plug_examples(), ids=lambda example: example.name)
def test_plugging(collection: dict[str, dict[str, Any]], example: Any) -> None:  # noqa: ANN401
    theirs = collection[example.name]
    setup = theirs["setup"]
    boot = list(example.boot_pages)
    boot[0] -= 32768 * example.boot_blocks_taken_offline
    assert boot == [setup["boot_present_pages_per_node"][str(node)] for node in range(len(boot))]
    assert sum(example.cma_pages) == sum(setup.get("cma_pages_per_node", {}).values())
    assert example.ratio == setup["auto_movable_ratio"]
    assert example.numa_aware == setup["numa_aware"]
    for mine, step in zip(example.steps, theirs["steps"], strict=True):
        match step["op"]:
            case "plug_static_group":
                assert mine == {"dimm": step["pages"], "node": step["node"]}
            case "create_dynamic_group":
                assert mine == {"device": step["name"], "node": step["node"], "unit": step["unit_pages"]}
            case _:
                assert mine == {"grow": step["name"], "pages": step["pages"]}
    for stage, key in zip(STAGES, ("patch2", "patch8", "final"), strict=True):
        assert example.expected[stage] == [spell_out(zones) for zones in theirs["expected"][key]]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("W21", ("boot_gib", "total_gib", "movable_gib", "hotplugged_normal_gib")),
        ("W22", ("ratio", "total_gib", "movable_gib", "hotplugged_normal_gib")),
        ("W26", ("memory_mib", "memmap_mib")),
        ("W27", ("r", "percent")),
        ("W31", ("block_mib", "threshold_mib", "max_offline_blocks", "resume_when_offline_mib_at_most")),
        ("W35", ("requested_mib", "usable_mib")),
    ],
)
def test_tables(collection: dict[str, dict[str, Any]], name: str, keys: tuple[str, ...]) -> None:
    assert EXAMPLES[name]["rows"] == [[row[key] for key in keys] for row in expected(collection, name)]


def test_growing_and_shrinking(collection: dict[str, dict[str, Any]]) -> None:
    theirs = expected(collection, "W23")
    assert theirs
    for step, zones in theirs.items():
        assert spell_out(EXAMPLES["W23"][step]["zones"]) == spell_out(zones)
    pages = [EXAMPLES["W23"][step]["pages"] for step in theirs]
    assert [abs(n) for n in pages] == [step["pages"] for step in collection["W23"]["steps"][1:]]


def test_numbers(collection: dict[str, dict[str, Any]]) -> None:
    w24, w25, w28, w29 = (EXAMPLES[name] for name in ("W24", "W25", "W28", "W29"))
    assert [w24["after_kernel_block_number"], w24["device_block_offset"]] == list(expected(collection, "W24").values())
    assert [
        w25["early_pages"],
        w25["limit_pages"],
        w25["limit_blocks"],
        *w25["limit_pages_after_kernel_blocks"],
        w25["reserved_by_96_movable_blocks"],
        w25["early_left_for_others"],
        w25["movable_pages_others_may_add"],
        w25["fewest_early_pages_for_12_gib"],
    ] == list(expected(collection, "W25").values())
    assert [
        w28["memmap_pages"],
        w28["pages_given_to_online_step"],
        w28["present_change"],
        w28["managed_change"],
    ] == list(expected(collection, "W28").values())
    assert [
        w29["max_pages_before"],
        w29["limit_pages"],
        w29["zone_before"],
        w29["zone_after"],
        w29["largest_movable_device_bytes_before"],
    ] == list(expected(collection, "W29").values())
    assert EXAMPLES["W30"]["retry_seconds"] == expected(collection, "W30")


def test_contig_zones_and_kernel_zone(collection: dict[str, dict[str, Any]]) -> None:
    assert {
        case["name"]: {"48": case["zone_of_48"], "53": case["zone_of_53"]} for case in EXAMPLES["W32"]["cases"]
    } == expected(collection, "W32")
    assert {case["name"]: {str(case["block"]): case["zone"]} for case in EXAMPLES["W36"]["cases"]} == expected(
        collection, "W36"
    )


def test_refused_removal(collection: dict[str, dict[str, Any]]) -> None:
    theirs = expected(collection, "W33")
    assert EXAMPLES["W33"]["plain"] == theirs["plain"]
    assert EXAMPLES["W33"]["left_over_word_on_first_block"] == theirs["left_over_type_on_first_block"]


def test_partial_blocks(collection: dict[str, dict[str, Any]]) -> None:
    assert [
        {"requested_mib": row["mib"], "layout": row["zones"], "plugged_mib": row["plugged"]}
        for row in EXAMPLES["W34"]["requests"]
    ] == expected(collection, "W34")
