"""Regret: against which policy, its sign, the ends of its interval, and that it is paired by replication."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from click.testing import CliRunner

from sim.analysis.compare import compare
from sim.analysis.regret import bound, regret, what_was_proved
from sim.api import Results, load
from sim.cli.main import main
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def runs(
    values: Mapping[str, Sequence[float]], machine: str = "m", workload: str = "w", status: str = "completed"
) -> pd.DataFrame:
    rows = [
        dict.fromkeys(SCORES, 1.0)
        | {"machine": machine, "workload": workload, "policy": policy, "replication": replication, "status": status}
        | {"movable_byte_seconds": value, "plan_proved": None, "plan_rehearsals": None, "plan_bound_byte_seconds": None}
        for policy, numbers in values.items()
        for replication, value in enumerate(numbers)
    ]
    return pd.DataFrame(rows)


def rows_of(frame: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    return {row["policy"]: (row["regret"], row["low"], row["high"]) for row in frame.to_dict("records")}


ORACLE = [10.0, 20.0, 30.0, 40.0] * 4
VALUES = {"oracle": ORACLE, "above": [11.0, 22.0, 31.0, 44.0] * 4, "below": [9.0, 18.0, 29.0, 36.0] * 4}


def test_what_a_policy_lacks_of_the_objective_is_regret_and_its_ends_change_places() -> None:
    found = rows_of(regret(runs(VALUES), "oracle"))
    assert {policy: mean for policy, (mean, _, _) in found.items()} == {"oracle": 0, "above": -2, "below": 2}
    assert set(found["oracle"]) == {0.0}
    low, high = found["below"][1:]
    assert low < 2 < high
    compared = compare(runs(VALUES), "oracle", ["movable_byte_seconds"]).query("policy == 'below'")
    assert (low, high) == (-compared["difference_high"].item(), -compared["difference_low"].item())


def test_each_replication_is_held_against_the_bound_of_the_same_one() -> None:
    """Replications differ by far more than policies; rows come in any order, and one of the bound's is missing."""
    frame = runs({"p": [1, 200, 3000, 40000, 7], "oracle": [2, 202, 3001, 40004, 7000]})
    frame.loc[(frame["policy"] == "oracle") & (frame["replication"] == 4), "status"] = "failed"
    found = rows_of(regret(frame.iloc[[4, 2, 7, 0, 3, 9, 5, 1, 8, 6]], "oracle"))
    assert found["p"][0] == 2


def test_each_machine_and_workload_has_a_bound_of_its_own() -> None:
    frame = pd.concat([
        runs({"o": [5], "p": [1]}),
        runs({"o": [50], "p": [20]}, workload="v"),
        runs({"o": [500], "p": [300]}, machine="n"),
    ])  # fmt: skip
    found = regret(frame, "o")
    assert [tuple(row) for row in found[["machine", "workload", "policy", "regret"]].to_numpy()] == [
        ("m", "w", "o", 0), ("m", "w", "p", 4), ("m", "v", "o", 0), ("m", "v", "p", 30), ("n", "w", "o", 0),
        ("n", "w", "p", 200),
    ]  # fmt: skip


def test_there_is_a_row_for_each_policy_in_their_order() -> None:
    found = regret(runs({"a": [1], "o": [2], "z": [3]}), "o", policies=["z", "o", "a"])
    assert found["policy"].tolist() == ["z", "o", "a"]
    assert list(found.columns) == ["machine", "workload", "policy", "regret", "low", "high"]
    with pytest.raises(ValueError, match="the baseline 'nobody' is none of the policies"):
        regret(runs({"a": [1]}), "nobody")


# What is known of the best -------------------------------------------------------------------------------------------

GIB = 1 << 30
Found = tuple[float, bool, int, float | None]
"""GiB s, whether it is proved, rehearsals, and the bound in GiB s."""


def said(*found: Found, fails: int = 0) -> str:
    """Return what is said of these runs, of which the last ``fails`` fail."""
    frame = runs({"k": [1.0] * len(found), "oracle": [worth * GIB for worth, *_ in found]})
    frame[["died", "failed_adds"]] = 0.0
    frame["kernel_ooms"] = [float(replication >= len(found) - fails) for replication in frame["replication"]]
    mine = frame["policy"] == "oracle"
    frame.loc[mine, "plan_proved"] = pd.Series([proved for _, proved, _, _ in found], dtype=object).to_numpy()
    frame.loc[mine, "plan_rehearsals"] = [count for _, _, count, _ in found]
    limits = [math.nan if limit is None else limit * GIB for *_, limit in found]
    frame["plan_bound_byte_seconds"] = frame["plan_bound_byte_seconds"].astype(float)
    frame.loc[mine, "plan_bound_byte_seconds"] = limits
    ((where, words),) = what_was_proved(frame, "oracle").items()
    assert where == ("m", "w")
    assert what_was_proved(frame, "k") == {}
    return words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([(97, True, 7, 97)], "oracle: proved best"),
        ([(97, True, 7, 97), (5, True, 9, 5)], "oracle: proved best in all 2 runs"),
        ([(97, False, 212, 100)], "oracle: best of 212 plans tried; no plan can pass 100 GiB s, gap 3 %"),
        (
            [(97, False, 212, 100), (50, True, 8, 50)],
            "oracle: best of 8 to 212 plans tried, proved best in 1 of 2 runs; no plan can pass 75 GiB s, gap 2 %",
        ),
        (
            [(97, False, 20, None)],
            "oracle: best of 20 plans tried; no bound, as rehearsals differ in requests or kernel memory",
        ),
        ([(0, False, 20, 0)], "oracle: best of 20 plans tried; no plan can pass 0 GiB s, gap 0 %"),
    ],
)
def test_it_is_called_what_it_is(found: list[Found], words: str) -> None:
    assert said(*found) == words


def test_no_plan_is_called_the_best_where_every_plan_fails() -> None:
    proved, tried = (0, True, 7, 0), (0, False, 7, 3)
    assert said(proved, proved, fails=2) == "oracle: every plan fails"
    assert said(proved, tried, fails=2) == "oracle: every plan that was tried fails"
    assert said(proved, (5, True, 9, 5), fails=1) == "oracle: proved best in all 2 runs"


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
    frame = runs({"clairvoyant": [2, 3, 4], "oracle": [9, 9, 9], "k": [5, 4, 6]})
    tables = policies(("online-movable", "k"), ("online-kernel", "clairvoyant"), ("clairvoyant", "oracle"))
    found = Given(frame, tables | {"baseline": "k"}).regret()
    assert dict(zip(found["policy"], found["regret"], strict=True)) == {"k": 4, "clairvoyant": 6, "oracle": 0}
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
    comparison, heading, against = done.output.partition("Regret: what is lost against oracle, which knows what comes")
    assert f"{baseline}\n(baseline)" in "\n".join(line.split("  ")[0] for line in comparison.splitlines())
    assert bool(heading) == shown
    assert ("Baseline: oracle." in against) == shown
    assert "oracle: proved best" in done.output
