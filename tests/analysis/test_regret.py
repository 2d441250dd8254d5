"""Regret: against which policy, its sign, the ends of its interval, and that it is paired by replication."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner

from sim.analysis.regret import bound, regret
from sim.api import Results, load
from sim.cli.main import main
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

T_3 = 3.182446
"""Student's t for 95 % of both sides and 3 degrees of freedom, from a table."""


def runs(
    score: str,
    values: Mapping[str, Sequence[float]],
    machine: str = "m",
    workload: str = "w",
    status: str = "completed",
) -> pd.DataFrame:
    rows = [
        dict.fromkeys(SCORES, 1.0)
        | {"machine": machine, "workload": workload, "policy": policy, "replication": replication, "status": status}
        | {score: value}
        for policy, numbers in values.items()
        for replication, value in enumerate(numbers)
    ]
    return pd.DataFrame(rows)


def rows_of(frame: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    return {row["policy"]: (row["regret"], row["low"], row["high"]) for row in frame.to_dict("records")}


ORACLE = [10.0, 20.0, 30.0, 40.0]
VALUES = {"oracle": ORACLE, "above": [11.0, 22.0, 31.0, 44.0], "below": [9.0, 18.0, 29.0, 36.0]}
HALF = T_3 * math.sqrt(2) / 2
"""Differences 1, 2, 1, 4: mean 2, sum of squares about it 6, so variance 2, and 4 of them."""


def test_more_of_a_score_that_should_be_low_is_regret() -> None:
    found = rows_of(regret(runs("failed_adds", VALUES), "oracle", ["failed_adds"]))
    assert found["above"] == pytest.approx((2, 2 - HALF, 2 + HALF), rel=1e-6)
    assert found["below"] == pytest.approx((-2, -2 - HALF, -2 + HALF), rel=1e-6)
    assert found["oracle"] == (0, 0, 0)


def test_more_of_a_score_that_should_be_high_is_negative_regret_and_its_ends_change_places() -> None:
    found = rows_of(regret(runs("returned", VALUES), "oracle", ["returned"]))
    assert found["above"] == pytest.approx((-2, -2 - HALF, -2 + HALF), rel=1e-6)
    assert found["below"] == pytest.approx((2, 2 - HALF, 2 + HALF), rel=1e-6)
    assert found["oracle"] == (0, 0, 0)


@pytest.mark.parametrize("name", [name for name, score in SCORES.items() if score.better != "neither"])
def test_every_score_knows_which_direction_is_worse(name: str) -> None:
    (row,) = regret(runs(name, {"o": [5, 5, 5], "p": [3, 4, 2]}), "o", [name]).query("policy == 'p'").to_dict("records")
    half = 4.302653 / math.sqrt(3)  # t for 2 degrees of freedom; the differences -2, -1, -3 have variance 1
    low_is_good = name in {
        "auto_ratio_excess", "auto_time_above_ratio", "mixed_groups_end", "mixed_groups_max",
        "mixed_units_end", "mixed_units_max", "not_given_end", "not_given_byte_seconds", "zone_changes_end",
        "zone_changes_max", "failed_requests", "failed_operations", "died", "kernel_ooms", "guest_full_ooms",
        "return_ooms", "failed_adds", "unserved_byte_seconds", "unserved_max", "return_time", "returns_unfulfilled",
    }  # fmt: skip
    mean = -2 if low_is_good else 2
    assert (row["regret"], row["low"], row["high"]) == pytest.approx((mean, mean - half, mean + half), rel=1e-6)
    assert row["unit"] == SCORES[name].unit.symbol


def test_each_replication_is_held_against_the_bound_of_the_same_one() -> None:
    """Replications differ by far more than policies; rows come in any order, and one of the bound's is missing."""
    frame = runs("returned", {"p": [1, 200, 3000, 40000, 7], "oracle": [2, 202, 3001, 40004, 7000]})
    frame.loc[(frame["policy"] == "oracle") & (frame["replication"] == 4), "status"] = "failed"
    found = rows_of(regret(frame.iloc[[4, 2, 7, 0, 3, 9, 5, 1, 8, 6]], "oracle", ["returned"]))
    assert found["p"] == pytest.approx((2, 2 - HALF, 2 + HALF), rel=1e-6)


def test_each_machine_and_workload_has_a_bound_of_its_own() -> None:
    frame = pd.concat([
        runs("returned", {"o": [5], "p": [1]}),
        runs("returned", {"o": [50], "p": [20]}, workload="v"),
        runs("returned", {"o": [500], "p": [300]}, machine="n"),
    ])  # fmt: skip
    found = regret(frame, "o", ["returned"])
    assert [tuple(row) for row in found[["machine", "workload", "policy", "regret"]].to_numpy()] == [
        ("m", "w", "o", 0), ("m", "w", "p", 4), ("m", "v", "o", 0), ("m", "v", "p", 30), ("n", "w", "o", 0),
        ("n", "w", "p", 200),
    ]  # fmt: skip
    assert found[["low", "high"]].isna().all(axis=None), "one replication says nothing of how far a mean may be off"


def test_scores_without_a_good_direction_are_left_out_and_policies_keep_their_order() -> None:
    frame = runs("returned", {"a": [1], "o": [2], "z": [3]})
    found = regret(frame, "o", ["returned", "ratio_mean", "decisions", "failed_adds"], policies=["z", "o", "a"])
    assert list(zip(found["score"], found["policy"], strict=True)) == [
        ("returned", "z"), ("returned", "o"), ("returned", "a"), ("failed_adds", "z"), ("failed_adds", "o"),
        ("failed_adds", "a"),
    ]  # fmt: skip
    assert list(found.columns) == ["machine", "workload", "policy", "score", "unit", "regret", "low", "high"]
    with pytest.raises(ValueError, match="the baseline 'nobody' is none of the policies"):
        regret(frame, "nobody")


def test_a_score_that_the_bound_does_not_define_has_no_regret() -> None:
    found = rows_of(regret(runs("returned", {"o": [math.nan] * 3, "p": [1, 2, 3]}), "o", ["returned"]))
    assert all(math.isnan(value) for value in found["p"])


# Which policy it is held against ----

TABLES: dict[str, Any] = {
    "machines": [{"boot_memory": "1GiB"}],
    "workloads": [{"name": "dimm-slots", "duration": 600}],
}


def policies(*entries: tuple[str, str]) -> dict[str, Any]:
    return TABLES | {"policies": [{"name": name, "label": label} for name, label in entries]}


def test_the_bound_is_found_by_its_kind_under_whatever_label() -> None:
    assert bound(load(policies(("online-kernel", "k"), ("clairvoyant", "all-knowing")))) == "all-knowing"
    assert bound(load(policies(("online-kernel", "clairvoyant"), ("clairvoyant", "oracle")))) == "oracle"
    assert bound(load(policies(("clairvoyant", "b"), ("clairvoyant", "c"), ("clairvoyant", "a")))) == "b"
    assert bound(load(policies(("online-kernel", "clairvoyant")))) is None
    assert bound(load(TABLES | {"policies": [{"name": "clairvoyant"}]})) == "clairvoyant"


class Given(Results):
    """Results of ``frame``, whatever is in the folder."""

    def __init__(self, frame: pd.DataFrame, tables: dict[str, Any]) -> None:
        self.frame = frame
        self.experiment = load(tables)

    def runs(self) -> pd.DataFrame:
        return self.frame


def test_results_hold_regret_against_the_bound_and_not_the_baseline() -> None:
    frame = runs("returned", {"clairvoyant": [2, 3, 4], "oracle": [9, 9, 9], "k": [5, 4, 6]})
    tables = policies(("online-movable", "k"), ("online-kernel", "clairvoyant"), ("clairvoyant", "oracle"))
    found = Given(frame, tables | {"baseline": "k"}).regret(["failed_adds", "returned"])
    table = dict(zip(zip(found["score"], found["policy"], strict=True), found["regret"], strict=True))
    assert table == {
        ("failed_adds", "k"): 0, ("failed_adds", "clairvoyant"): 0, ("failed_adds", "oracle"): 0,
        ("returned", "k"): 4, ("returned", "clairvoyant"): 6, ("returned", "oracle"): 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="regret needs the policy clairvoyant"):
        Given(frame, policies(("online-movable", "k"))).regret()


@pytest.mark.parametrize(("baseline", "shown"), [("k", True), ("oracle", False)])
def test_the_command_line_shows_regret_where_the_baseline_is_another(
    baseline: str, shown: bool, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    (tmp_path / "x.toml").write_text(
        f"""
        baseline = "{baseline}"
        machines = [{{ boot_memory = "1GiB" }}]
        workloads = [{{ name = "dimm-slots", duration = 600 }}]
        policies = [{{ name = "online-kernel", label = "k" }}, {{ name = "clairvoyant", label = "oracle" }}]
        """,
        "utf-8",
    )
    arguments = ["run", str(tmp_path / "x.toml"), "--out", str(tmp_path), "--workers", "1", "--no-plots"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    comparison, heading, against = done.output.partition("Regret: the same against oracle, which knows the future")
    assert f"difference to {baseline}, paired by replication" in comparison
    assert bool(heading) == shown
    assert ("difference to oracle, paired by replication" in against) == shown
