from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from rich.console import Console

from sim.analysis.compare import compare
from sim.cli.tables import print_comparison
from sim.units import GIB, MIB
from tests.plots.by_hand import score_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Values = Mapping[str, Mapping[str, Sequence[float]]]

SHOWN = ["died", "kernel_ooms", "returned_share", "headroom_min", "movable_byte_seconds"]


def shown(runs: pd.DataFrame, width: int = 80, scores: Sequence[str] = SHOWN, **more: Any) -> str:  # noqa: ANN401
    """Return what is printed of ``runs``; ``more`` are options of the console, and of what is printed."""
    stream = io.StringIO()
    baseline = more.pop("baseline", "base")
    order, asked, bound = more.pop("order", ()), more.pop("asked", ()), more.pop("bound", None)
    comparison = compare(runs, baseline, scores, policies=list(dict.fromkeys(runs["policy"])))
    console = Console(file=stream, width=width, highlight=False, **more)
    print_comparison(console, comparison, runs, order, asked=asked, bound=bound)
    return stream.getvalue()


def spread(middle: float, step: float, count: int = 15) -> list[float]:
    """Return ``count`` values around ``middle``, ``step`` apart."""
    return [middle + step * (place - (count - 1) / 2) for place in range(count)]


MANY = score_rows(
    {
        "base": {"returned_share": spread(40, 1), "headroom_min": spread(600 * MIB, MIB)},
        "frail": {
            "returned_share": spread(90, 0.5), "headroom_min": [0.0] * 2 + spread(90 * MIB, MIB, 13),
            "died": [1, 1] + [0] * 13, "kernel_ooms": [9, 1] + [0] * 13,
        },
        "good": {"returned_share": spread(80, 1), "headroom_min": spread(300 * MIB, MIB)},
    }
)  # fmt: skip
MANY[["death_time", "kernel_oom_first"]] = math.nan
for _cell, _death, _oom in (("frail0", 437.4, 430.0), ("frail1", 460.0, 450.0)):
    _dead = MANY["cell"] == _cell
    MANY.loc[_dead, "death_time"], MANY.loc[_dead, "kernel_oom_first"] = _death, _oom
    MANY.loc[_dead, "death_cause"] = "kernel"


def test_policies_that_fail_come_last_under_a_line_of_their_own_with_a_mark() -> None:
    lines = [line for line in shown(MANY).splitlines() if line.strip()]
    starts = [line.split()[0] for line in lines if not line.startswith(" ")]
    names = [word for word in starts if word in {"base", "good", "✗", "failed"}]

    assert names[:4] == ["base", "good", "failed", "✗"]
    assert "failed in at least one replication:" in lines
    (row,) = [line for line in lines if line.startswith("✗ frail ")]
    assert row.split()[2:5] == ["2", "of", "15"]


def test_how_a_policy_fails_is_told_with_its_time_its_cause_and_the_exact_interval() -> None:
    text = " ".join(shown(MANY).split())

    # Clopper and Pearson: 2 of 15 is 1.66 to 40.46 %, and 0 of 15 is at most 21.80 %.
    assert (
        "✗ frail: failed in 2 of 15 (95 %: 1.7 to 40 %): guest died in 2, first at 437 s (kernel out of memory)."
        in text
    )
    assert (
        "2 of 3 policies never failed in 15 replications, so each may still fail in up to 22 % of runs (95 %)." in text
    )


def test_what_is_found_stands_above_the_table_and_of_several_tables_at_the_end_again() -> None:
    finding = "frail kills the guest in 2 of 15 runs, base gives 40 % back, good lives and gives 80 % back."
    alone = shown(MANY, 120)
    assert alone.splitlines()[:2] == ["w on m, mean of 15 replications", finding]
    assert "In short" not in alone

    two = shown(pd.concat([MANY, MANY.assign(machine="n")]), 120)
    assert two.count(finding) == 4
    assert two.endswith(f"\n\nIn short\nw on m: {finding}\nw on n: {finding}\n\n")


WIDE = {
    "returned_share": spread(40, 1), "headroom_min": spread(600 * MIB, MIB), "arrived_share": spread(45, 0.1),
    "return_time": spread(60, 0.1), "not_given_byte_seconds": spread(500 * GIB, GIB),
}  # fmt: skip
OTHER = {name: [2 * value for value in values] for name, values in WIDE.items()} | {
    "return_time": [value + 0.1 * (-1) ** place for place, value in enumerate(WIDE["return_time"])]
}
"""Twice as much of everything, but for the time to return, which differs by chance."""


def test_scores_for_which_there_is_no_room_are_named_those_that_tell_nothing_apart_first() -> None:
    runs = score_rows({"base": WIDE, "other": OTHER})
    text = shown(runs, 74, [*WIDE, "died"])
    assert "Came back [%]" in text
    assert "least [GiB]" in text
    assert "not given:" in text
    assert "No room for: Arrived; Time to return; memhp-sim compare has them." in " ".join(text.split())
    assert "No room" not in shown(runs, 200, [*WIDE, "died"])


def test_a_score_that_is_asked_for_is_shown_however_narrow_it_is() -> None:
    runs = score_rows({"base": WIDE, "other": OTHER})
    text = shown(runs, 40, list(WIDE), asked=list(WIDE))
    assert "No room" not in text
    assert {"Arrived", "Came", "return", "given:", "least"} <= set(text.split())
    assert max(map(len, text.splitlines())) <= 40
    assert "[GiB s]" in text, "a unit is not cut in two"


def test_the_verdict_names_who_gives_most_back_of_those_that_never_fail() -> None:
    text = " ".join(shown(MANY).split())

    assert "Of these, most came back with good: 80 % (" in text
    assert "its kernel headroom, least: 300 MiB (" in text
    assert "with base (baseline) 40 % (" in text
    assert "a difference of +40 (" in text


def test_who_got_less_of_what_was_asked_for_is_not_praised_for_giving_it_back() -> None:
    full, none = [100.0] * 15, [98.9] * 15
    values = {
        "base": {"returned_share": spread(40, 1), "arrived_share": full},
        "hollow": {"returned_share": [100.0] * 15, "arrived_share": none},
        "good": {"returned_share": spread(80, 1), "arrived_share": [99.0] * 15},
    }
    text = " ".join(shown(score_rows(values), scores=[*SHOWN, "arrived_share"]).split())
    assert "Less arrived of what was asked for with hollow; what comes back with the others is told. Of those" in text
    assert "Of those, most came back with good: 80 %" in text


def test_demand_that_is_not_served_with_the_best_is_told() -> None:
    def told(of_good: float) -> str:
        values = {
            "base": {"returned_share": spread(40, 1), "unserved_byte_seconds": [2.0 * GIB] * 15},
            "good": {"returned_share": spread(80, 1), "unserved_byte_seconds": [of_good * GIB] * 15},
        }
        return " ".join(shown(score_rows(values), scores=[*SHOWN, "unserved_byte_seconds"]).split())

    assert "of the demand, 3 GiB s were not served, with base 2 GiB s" in told(3)
    assert "were not served" not in told(2)
    assert "were not served" not in told(1)


def test_each_mean_has_below_it_where_its_difference_to_the_baseline_lies() -> None:
    lines = shown(MANY).splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("good ")]
    table = compare(MANY, "base", SHOWN)
    (row,) = table[(table["policy"] == "good") & (table["score"] == "returned_share")].to_dict("records")

    assert "80" in lines[place].split()
    assert row["difference_low"] < row["difference_high"]
    assert f"▲ +{row['difference_low']:.3g} to +{row['difference_high']:.3g}" in lines[place + 1]
    assert row["difference_low"] == pytest.approx(39, abs=1)


def test_scores_stand_below_the_question_that_they_answer() -> None:
    text = shown(MANY, 100)

    heads = text.splitlines()[2:6]
    assert "Did" in heads[0]
    assert "How much came" in heads[0]
    assert "How near" in heads[0]


def test_what_is_the_same_for_all_takes_one_line() -> None:
    runs = score_rows({"base": {"returned_share": [10] * 3}, "a": {"returned_share": [20] * 3}})

    text = " ".join(shown(runs).split())
    assert "The same for all: Kernel headroom, least 0 GiB; MOVABLE while wanted, over time 0 GiB s." in text


def test_too_few_replications_have_no_interval_and_say_how_many_it_takes() -> None:
    five = MANY[MANY["replication"].isin(range(5, 10))]
    text = " ".join(shown(five).split())

    assert "5 replications are too few for intervals: at least 15 are needed, about 15 to tell" in text
    assert " +40 " in text
    assert " to +" not in text
    assert "▲ +" not in text


def test_of_one_policy_alone_no_difference_is_spoken_of() -> None:
    five = MANY[MANY["replication"].isin(range(5, 10)) & (MANY["policy"] == "base")]
    text = " ".join(shown(five).split())

    assert "5 replications are too few for intervals: at least 15 are needed. " in text
    assert "There is but one policy, so nothing is compared." in text
    assert "Below each mean" not in text


def test_a_single_replication_has_no_interval_and_no_count() -> None:
    text = shown(MANY[MANY["replication"] == 0])

    assert text.startswith("w on m\n")
    table, _, verdict = text.partition("✗ frail: ")
    assert "+" not in table
    assert "a difference of +40." in verdict
    assert "✗ frail: failed: guest died at 437 s (kernel out of memory)." in text
    assert "2 of 3 policies never failed." in text


def test_nothing_completed_prints_nothing() -> None:
    assert shown(MANY.assign(status="failed")) == ""


def test_a_policy_all_of_whose_runs_failed_is_left_out() -> None:
    runs = MANY.copy()
    runs.loc[runs["policy"] == "good", "status"] = "failed"

    assert "good" not in shown(runs)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_console_and_no_word_is_cut(width: int) -> None:
    text = shown(MANY, width)

    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    assert {"anything", "die?", "headroom,", "frail", "(baseline)", "replications"} <= words
    assert text.count("(baseline)") >= 1


def test_long_names_are_wrapped_at_blanks_and_the_mark_stays_with_them() -> None:
    names = {"base": "a policy with a name that is long", "frail": "another one that has many words"}
    text = shown(MANY.assign(policy=MANY["policy"].replace(names)), 40, baseline=names["base"])

    assert max(map(len, text.splitlines())) <= 40
    assert "✗ another" in text


def test_yes_or_no_is_a_count_where_it_is_asked_for() -> None:
    lines = shown(MANY, 120, asked=["died", "kernel_ooms"]).splitlines()
    (row,) = [line for line in lines if line.startswith("✗ frail ")]

    assert row.split()[2:9] == ["2", "of", "15", "2", "of", "15", "0.667"]


def test_every_value_stands_in_the_unit_that_people_read() -> None:
    values: Values = {
        "base": {"headroom_min": [600 * MIB], "movable_byte_seconds": [512 * 1024 * GIB]},
        "a": {"headroom_min": [30 * MIB], "movable_byte_seconds": [1024 * GIB]},
    }
    text = shown(score_rows(values))

    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith(("base", "a "))}
    assert rows == {"base": ["600", "512"], "a": ["30", "1"]}
    assert "[MiB]" in text
    assert "[TiB s]" in text


def test_better_is_green_and_worse_is_red() -> None:
    text = shown(MANY, force_terminal=True, color_system="standard")

    assert "\x1b[32m▲ +" in text
    assert "\x1b[31m▼ -" in text


@pytest.mark.parametrize(("different", "mark"), [(True, "▲ +3"), (False, "+3")])
def test_there_is_no_mark_where_a_difference_may_be_chance(different: bool, mark: str) -> None:  # noqa: FBT001
    runs = score_rows({"base": {"returned_share": [40] * 15}, "a": {"returned_share": spread(43, 0.1)}})
    comparison = compare(runs, "base", ["returned_share"])
    comparison.loc[comparison["policy"] == "a", "different"] = different
    stream = io.StringIO()
    print_comparison(Console(file=stream, width=80), comparison, runs)
    (line,) = [line.strip() for line in stream.getvalue().splitlines() if " to +" in line and "(" not in line]

    assert line.startswith("▲") == mark.startswith("▲")


def test_what_never_differs_from_the_baseline_says_so() -> None:
    runs = score_rows({policy: {"returned_share": spread(40, step)} for policy, step in
                       (("base", 1), ("twin", 1), ("other", 2))})  # fmt: skip
    lines = shown(runs).splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("twin ")]

    assert lines[place + 1].split() == ["="]


def test_the_baseline_is_the_one_asked_for() -> None:
    text = shown(MANY, baseline="good")

    assert "good\n(baseline)" in "\n".join(line.split("  ")[0] for line in text.splitlines())
    assert "Baseline: good. Below each mean: its difference" in text


def test_the_bound_is_no_choice() -> None:
    assert "most came back with good" in shown(MANY)
    assert "most came back" not in shown(MANY, bound="good")


def two_places(values: Values, other: Values) -> pd.DataFrame:
    return pd.concat([score_rows(values), score_rows(other, machine="n")])


def test_each_machine_and_workload_has_a_table_in_the_order_asked_for() -> None:
    runs = two_places(
        {"base": {"returned_share": [1]}, "a": {"returned_share": [2]}},
        {"base": {"returned_share": [5]}, "a": {"returned_share": [7]}},
    )

    def order(*asked: tuple[str, str]) -> list[str]:
        tables, _, short = shown(runs, order=asked).partition("In short")
        lines = [line.split() for line in tables.splitlines() if " gives " not in line]
        told = [line.partition(":")[0] for line in short.splitlines() if line.startswith("w ")]
        assert told == [" ".join(line) for line in lines if line[:1] == ["w"]]
        return [" ".join(line[:3]) for line in lines if line and line[0] in {"w", "a", "base"}]

    first, second = ["w on m", "base 1", "a 2"], ["w on n", "base 5", "a 7"]
    assert order() == order(("m", "w"), ("gone", "w")) == [*first, *second]
    assert order(("n", "w")) == order(("n", "w"), ("m", "w")) == [*second, *first]


def test_the_heading_says_of_how_many_replications() -> None:
    def heading(**counts: int) -> str:
        runs = score_rows({policy: {"returned_share": [1, 2, 3]} for policy in counts})
        kept = runs["replication"] < runs["policy"].map(counts)
        return shown(runs[kept]).splitlines()[0]

    assert heading(base=1, a=1) == "w on m"
    assert heading(base=1, a=2) == "w on m, mean of 1 to 2 replications"
    assert heading(base=3, a=2) == "w on m, mean of 2 to 3 replications"


def test_what_is_the_same_by_chance_is_not_the_same_for_all() -> None:
    runs = score_rows({"base": {"returned_share": [1, 2, 3]}, "a": {"returned_share": [3, 2, 1]}})

    assert "Came back" not in shown(runs).partition("The same for all")[2]


def test_a_policy_alone_has_its_scores_in_the_table() -> None:
    alone = score_rows({"p": {"returned_share": [3]}})
    text = shown(alone, baseline=None)

    assert [line.split() for line in text.splitlines() if line.startswith("p ")] == [["p", "3", "0", "0"]]
    assert "The same for all" not in text


def test_what_was_not_asked_of_all_alike_is_told() -> None:
    values: Values = {
        "base": {"asked_byte_seconds": [10 * GIB, 30 * GIB], "returned_share": [1, 2]},
        "a": {"asked_byte_seconds": [10 * GIB, 40 * GIB], "returned_share": [2, 3]},
    }
    text = " ".join(shown(score_rows(values)).split())

    assert (
        "The host wants the same of all, but what it comes to ask for differs: asked for: over time from 20 (base) to "
        "25 GiB s (a)."
    ) in text
    same: Values = {policy: dict(each) | {"asked_byte_seconds": [GIB, 2 * GIB]} for policy, each in values.items()}
    assert "wants the same" not in shown(score_rows(same))
