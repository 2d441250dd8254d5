from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.effective_config import effective_tables
from sim.experiment.load import load
from sim.experiment.recommend_table import RecommendSettings
from sim.faults import InputError
from sim.plugins.parameter_search import Between, OneOf
from tests.experiment.examples import small

if TYPE_CHECKING:
    from pathlib import Path


def test_an_experiment_without_the_table_leaves_everything_open() -> None:
    assert load(small()).recommend == RecommendSettings()


def test_values_to_search_are_read_by_label_and_by_name() -> None:
    tables = small(
        policies=[{"name": "auto-movable", "label": "mine"}],
        recommend={
            "search": {
                "mine": {"ratio": [50, 100], "numa_aware": True},
                "headroom": {"reserve": {"from": "64MiB", "to": "1GiB", "steps": 3}},
                "auto-movable": {"ratio": {"from": 100, "to": 400, "spacing": "even"}},
            },
            "memmap_on_memory": [True, "force", True],
            "indifference": "1 %",
        },
    )

    wanted = load(tables).recommend

    assert wanted.search["mine"] == {"ratio": OneOf((50, 100)), "numa_aware": OneOf((True,))}
    assert wanted.search["headroom"] == {"reserve": Between(64 << 20, 1 << 30, 3)}
    assert wanted.search["auto-movable"] == {"ratio": Between(100, 400)}
    assert wanted.memmap_on_memory == (True, "force")
    assert load(effective_tables(load(tables))).recommend == wanted


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"limit": []}, "recommend.limit: unknown key"),
        ({"maximise": "a", "minimise": "b"}, "recommend.minimise: is given beside maximise"),
        ({"confidence": 1}, "recommend.confidence: 1 is not more than 0.5 and less than 1"),
        ({"confidence": 95}, "recommend.confidence: 95 is not"),
        ({"replications": 1}, "recommend.replications: 1 is not between 2 and 100000"),
        ({"policies": ["contig"]}, "recommend.policies[0]: unknown policy 'contig'; did you mean 'contig-zones'"),
        ({"memmap_on_memory": ["yes"]}, "recommend.memmap_on_memory: 'yes' is not true, false or 'force'"),
        ({"memmap_on_memory": []}, "recommend.memmap_on_memory: an empty list is not"),
        ({"search": {"auto-mov": {}}}, "recommend.search.auto-mov: is no label of a policy here"),
        ({"search": {"auto-movable": {"rato": 3}}}, "recommend.search.auto-movable.rato: unknown parameter"),
        ({"search": {"auto-movable": {"ratio": ["x"]}}}, "recommend.search.auto-movable.ratio[0]: 'x' is not"),
        ({"search": {"auto-movable": {"ratio": [-1]}}}, "recommend.search.auto-movable.ratio: of the values to try"),
        ({"search": {"auto-movable": {"ratio": []}}}, "recommend.search.auto-movable.ratio: has 0 values"),
        ({"search": {"auto-movable": {"ratio": {"from": 5}}}}, "recommend.search.auto-movable.ratio.to: is missing"),
        ({"search": {"auto-movable": {"ratio": {"from": 0, "to": 9}}}}, "geometric steps begin above 0"),
        ({"search": {"auto-movable": {"ratio": {"from": 5, "to": 9, "by": 1}}}}, "ratio.by: unknown key 'by'"),
        ({"search": {"auto-movable": {"ratio": {"from": 5, "to": 9, "steps": 0}}}}, "ratio.steps: 0 is not"),
        ({"search": {"auto-movable": {"ratio": {"from": 5, "to": 9, "spacing": "odd"}}}}, "'odd' is none of even"),
        ({"search": {"auto-movable": {"numa_aware": {"from": 0, "to": 1}}}}, "list those to try"),
        ({"search": {"auto-movable": 5}}, "recommend.search.auto-movable"),
        ({"search": 5}, "recommend.search"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError) as error:
        load(small(recommend=table))
    assert fault in str(error.value)


def test_faults_of_shape_and_of_values_are_told_together() -> None:
    with pytest.raises(InputError) as error:
        load(small(recommend={"confidence": 2, "search": {"auto-movable": {"ratio": ["x"]}}}))
    assert len(error.value.faults) == 2


def test_what_is_to_be_chosen_changes_no_run() -> None:
    plain, wanted = load(small()), load(small(recommend={"limits": ["no death"], "policies": ["contig-zones"]}))
    assert [cell.id.key for cell in plain.cells()] == [cell.id.key for cell in wanted.cells()]


MINE = """
from typing import Annotated

from memhp_sim import OneOf, Policy, Size


class Mine(Policy):
    name = "mine"
    summary = "a policy of one's own"

    def __init__(self, *, reserve: Annotated[int, Size(), OneOf((1 << 30, 2 << 30)), "what to keep"] = 1 << 30) -> None:
        self.reserve = reserve

    def zone_for(self, request, memory):
        return 3
"""


def test_a_policy_in_a_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE, "utf-8")
    tables = small(recommend={"search": {"mine.py:Mine": {"reserve": "3GiB"}, "auto-movable": {"ratio": 50}}})
    experiment = load(tables, folder=tmp_path)

    again = load(effective_tables(experiment), folder=tmp_path / "elsewhere")

    assert [list(found) for found in again.recommend.search.values()] == [["reserve"], ["ratio"]]
    assert next(iter(again.recommend.search)) == f"{tmp_path / 'mine.py'}:Mine"
