"""What figures and reports say in one sentence: true at every edge, and chance is told as chance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis import findings
from sim.analysis.compare import compare
from sim.analysis.scenario import Scenario
from sim.analysis.verdict import best_of, verdict
from sim.analysis.wording import amount, moment, names
from sim.record.guest_series import GUEST_SERIES
from sim.results.identity import CellId
from sim.results.store import ResultStore
from sim.units import GIB, MIB
from tests.plots.by_hand import hand_run, score_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

NAN = math.nan
ALL: list[Callable[[Scenario], str]] = [
    findings.memory, findings.ratio, findings.memory_map, findings.scores, findings.tradeoff, findings.survival,
    findings.differences, findings.distribution, findings.extremes,
]  # fmt: skip


def scenario(
    values: Mapping[str, Mapping[str, Sequence[float]]], *, random: bool = True, bound: str | None = None
) -> Scenario:
    """Return runs with such scores; of those that died the time is known."""
    runs = score_rows(values, streams_drawn=int(random))
    runs.loc[runs["died"] == 0, "death_time"] = NAN
    runs.loc[runs["kernel_ooms"] == 0, "kernel_oom_first"] = NAN
    return Scenario("m", "w", tuple(values), runs, bound)


def back(*shares: float, died: Sequence[float] = (), times: Sequence[float] = (), **more: float) -> dict[str, Any]:
    """Return the scores of a policy with such shares of what was asked back, by replication."""
    count = len(shares)
    given = {name: [value] * count for name, value in more.items()}
    given |= {"returned_share": list(shares), "asked_back": [GIB] * count, "arrived_share": [100.0] * count}
    if died:
        given |= {"died": list(died), "death_time": list(times) or [60.0] * count}
    return given


def around(middle: float, count: int = 40) -> list[float]:
    """Return values that lie a little around ``middle``."""
    return [middle + (number % 5 - 2) / 10 for number in range(count)]


def test_the_best_of_those_that_never_fail_is_named_where_it_is_told_apart() -> None:
    found = scenario(
        {
            "deadly": back(*[100.0] * 40, died=[1, *[0] * 39]),
            "good": back(*around(90)), "middling": back(*around(50)), "poor": back(*around(10)),
        }
    )  # fmt: skip
    assert findings.scores(found) == "good gives most back (90 %) of those that never fail"


def test_who_is_not_told_apart_from_the_best_may_do_as_well() -> None:
    good = around(90)
    values = {"a": back(*good), "b": back(*reversed(good[:-1]), 89.0), "c": back(*around(10))}
    assert findings.scores(scenario(values)) == "a gives most back (90 %); b may do as well"


@pytest.mark.parametrize(
    ("count", "caution"), [(1, " (1 replication)"), (5, " (5 replications)"), (14, " (14 replications)"), (40, "")]
)
def test_what_chance_may_have_made_is_told_as_that(count: int, caution: str) -> None:
    swinging = [90.0 if number % 2 else 10.0 for number in range(count)]
    others = [20.0 if number % 2 else 70.0 for number in range(count)]
    found = findings.scores(scenario({"a": back(*swinging), "b": back(*others)}))
    assert found.endswith(f"; may be chance{caution}")


def test_where_nothing_is_random_one_run_is_enough() -> None:
    found = scenario({"a": back(90), "b": back(10)}, random=False)
    assert findings.scores(found) == "a gives most back (90 %)"
    assert findings.differences(found) == "Came back: 80 points less with b than with a"


def test_policies_that_differ_by_less_than_a_hundredth_are_not_told_as_different() -> None:
    found = scenario({"a": back(99.2), "b": back(100.0)}, random=False)
    assert findings.scores(found) == "Came back: 99.2 to 100 % with every policy"
    same = scenario({"a": back(50.0), "b": back(50.0), "c": back(9, died=[1])}, random=False)
    assert findings.scores(same) == "Came back: 50 % with every policy of those that never fail"


def test_giving_back_what_never_came_is_not_the_best() -> None:
    refuses = back(*[100.0] * 40) | {"arrived_share": [20.0] * 40}
    found = scenario({"refuses": refuses, "a": back(*around(60)), "b": back(*around(30))})
    assert findings.scores(found) == "a gives most back (60 %) of those that get what they ask for"
    assert findings.extremes(found) == findings.scores(found)
    alone = scenario({"refuses": refuses, "a": back(*around(60)), "dead": back(*[1.0] * 40, died=[1] * 40)})
    expected = "Came back: 60 % with a, the only one of those that never fail and get what they ask for"
    assert findings.scores(alone) == expected


def test_where_every_policy_fails_none_is_best() -> None:
    one = scenario({"a": back(90, died=[1]), "b": back(10, died=[1])})
    assert findings.scores(one) == findings.tradeoff(one) == findings.extremes(one) == "Every policy fails"
    values = {"a": back(90, 80, died=[1, 0]), "b": back(10, 20, died=[0, 1]), "knows": back(95, 95)}
    assert findings.scores(scenario(values, bound="knows")) == "Every policy but knows fails in some replication"


def test_the_policy_that_knows_the_future_is_no_choice() -> None:
    values = {"knows": back(*around(99)), "a": back(*around(60)), "b": back(*around(30))}
    assert findings.scores(scenario(values, bound="knows")).startswith("a gives most back")
    assert "knows" not in findings.tradeoff(scenario(values, bound="knows"))


def test_one_policy_is_told_with_what_came_of_it() -> None:
    assert findings.scores(scenario({"a": back(90)})) == "a: came back 90 %"
    assert findings.scores(scenario({"a": back(90, 80, died=[1, 0])})) == "a: fails in 1 of 2 runs; came back 85 %"
    assert findings.scores(scenario({"a": back(NAN)})) == "a: came back is undefined"
    assert findings.differences(scenario({"a": back(90)})) == "Only a has runs: there is nothing to compare"


def test_who_dies_is_told_with_when_and_how_much_of_movable_was_free(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    samples = {name: np.array([0, 0, 0]) for name in GUEST_SERIES}
    samples |= {"t_us": np.array([0, 100, 840]) * 1_000_000, "free_movable": np.array([9, 6 * GIB // 4096, 0])}
    store.write(CellId("hot1", "m", "w", "hot", 1, 1), replace(hand_run(1000), guest=samples))
    found = scenario({"cold": back(90, 90), "hot": back(0, 0, died=[1, 1], times=[900, 840])})
    said = "With hot all 2 guests die, the first after 14 minutes"
    assert findings.memory(found) == said
    assert findings.memory(found, store) == f"{said}, with 6 GiB of MOVABLE free"
    single = scenario({"cold": back(90), "hot": back(0, died=[1], times=[90])})
    assert findings.memory(single, store) == "With hot the guest dies after 90 seconds"
    some = scenario({"cold": back(90, 90), "hot": back(0, 0, died=[0, 1], times=[0, 840])})
    assert findings.memory(some) == "With hot 1 of 2 guests die after 14 minutes"


def test_other_failures_are_told_as_what_they_are() -> None:
    oom = back(5) | {"kernel_ooms": [3], "kernel_oom_first": [250]}
    assert findings.memory(scenario({"a": oom})) == "With a the kernel finds no memory after 4.17 minutes"
    full = back(5, 5) | {"failed_adds": [3, 0]}
    assert findings.memory(scenario({"a": full})) == "With a memory could not be added in 1 of 2 runs"


def test_where_nobody_fails_the_share_in_movable_is_told() -> None:
    def shares(**of: Sequence[float]) -> str:
        return findings.memory(scenario({policy: {"movable_share_mean": values} for policy, values in of.items()}))

    assert shares(a=[100, 99], b=[0, 1]) == "99.5 % of hotplugged memory is in MOVABLE with a, 0.5 % with b"
    assert shares(a=[9, 1], b=[2, 2]).endswith("; may be chance (2 replications)")
    assert shares(a=[9], b=[9]) == "With every policy 9 % of hotplugged memory is in MOVABLE"
    assert shares(a=[9]) == "With a 9 % of hotplugged memory is in MOVABLE"
    assert shares(a=[NAN]) == "No memory is hotplugged"


def test_ratios_are_held_against_what_is_configured() -> None:
    def said(configured: Mapping[str, float], **peaks: float) -> str:
        found = scenario({policy: {"ratio_max": [0.0, peak]} for policy, peak in peaks.items()})
        found.runs["configured_ratio"] = found.runs["policy"].map(configured).astype(float)
        return findings.ratio(found)

    assert said({}, a=0, b=0) == "Nothing is put into MOVABLE"
    assert said({}, a=1500, b=10) == "a goes up to 1,500 %, b to 10 %"
    assert said({}, a=math.inf) == "a goes up to ∞ %"
    assert said({"a": 301}, a=300.99, b=9) == "a keeps to what is configured; b goes up to 9 %"
    assert said({"a": 301}, a=402, b=9) == "a goes up to 402 %, past the 301 % that it is set to"
    assert said({"a": 301, "b": 100}, a=301.04, b=100) == "a and b keep to what is configured"


def test_a_map_tells_who_died_or_what_is_still_there() -> None:
    def said(**of: Mapping[str, Sequence[float]]) -> str:
        return findings.memory_map(scenario(of))

    kept: dict[str, list[float]] = {"asked_back": [GIB] * 2, "not_given_end": [0.0, 2 * GIB]}
    gone: dict[str, list[float]] = {"asked_back": [GIB] * 2, "not_given_end": [0.0, 0.0]}
    assert said(a=kept, b=gone) == "All memory that was asked back is gone at the end"  # of the replication shown
    kept["not_given_end"] = [512 * MIB, 0.0]
    assert said(a=kept, b=gone) == "512 MiB asked back and still there at the end with a, 0 GiB with b"
    assert said(a=back(9, died=[1]), b=back(9)) == "The guest dies with a"
    assert said(a=back(9, died=[1]), b=back(9, died=[1])) == "The guest dies, whatever the policy"
    assert said(a={"movable_share_end": [40]}) == "40 % of hotplugged memory in MOVABLE at the end with a"
    assert said(a={"movable_share_end": [NAN]}) == "No memory is hotplugged"


def test_a_tradeoff_tells_the_ends_of_the_front_and_leaves_out_who_fails() -> None:
    def point(x: float, y: float, **more: float) -> dict[str, list[float]]:
        return {"headroom_min": [x * GIB], "returned": [y * GIB]} | {name: [value] for name, value in more.items()}

    def said(**of: Mapping[str, Sequence[float]]) -> str:
        return findings.tradeoff(scenario(of, random=False))

    ends = "b gives most back (9 GiB), a leaves most headroom (4 GiB)"
    assert said(a=point(4, 1), b=point(1, 9), c=point(1, 5)) == ends
    assert said(a=point(4, 1), b=point(1, 9), c=point(5, 12, died=1)) == f"Of those that never fail, {ends}"
    alike = said(a=point(4, 9), b=point(1, 9.01), c=point(4, 9))
    assert alike == "9.01 GiB back with every policy, a and c leave most headroom (4 GiB)"
    assert said(a=point(4, 9), b=point(4.01, 5)) == (
        "a gives most back (9 GiB), with every policy 4.01 GiB of headroom are left"
    )
    assert said(a=point(4, 9), b=point(1, 5)) == "a gives most back and leaves most headroom"
    assert said(a=point(4, 9), b=point(1, 5, died=1)) == (
        "Only this never fails: a, 9 GiB back, 4 GiB of kernel headroom left"
    )
    assert said(a=point(4, 9), b=point(4, 9)) == "With every policy 9 GiB back, 4 GiB of kernel headroom left"
    assert said(a=point(NAN, 9)).startswith("No guest")


def test_all_who_leave_as_much_are_named() -> None:
    def of(returned: float, headroom: float) -> dict[str, Sequence[float]]:
        return {"returned": around(returned * GIB), "headroom_min": around(headroom * MIB), "asked_back": [GIB] * 40}

    two = scenario({"a": of(9, 100), "b": of(2, 800), "c": of(3, 800), "d": of(3, 800)})
    assert findings.tradeoff(two) == "a gives most back (9 GiB), b, c and d leave most headroom (800 MiB)"
    assert findings.tradeoff(scenario({"a": of(9, 100), "z": of(9, 100), "d": of(3, 800)})) == (
        "a and z give most back (9 GiB), d leaves most headroom (800 MiB)"
    )


def test_survival_tells_how_many_are_dead_by_when() -> None:
    def said(**of: Mapping[str, Sequence[float]]) -> str:
        return findings.survival(scenario(of))

    alive = back(9, 9, 9)
    some = back(9, 9, 9, died=[1, 0, 1], times=[1500, 0, 600])
    all_dead = back(9, 9, 9, died=[1, 1, 1], times=[60, 600, 30])
    assert said(a=alive) == "Every guest lives to the end in 3 replications"
    assert said(a=back(9), b=back(8)) == "Every guest lives to the end"
    assert said(a=alive, b=some) == "With b 2 of 3 guests are dead after 25 minutes; with a every guest lives"
    assert said(b=some, c=all_dead) == "With c no guest outlives 10 minutes"
    assert said(a=alive | {"headroom_min": [NAN] * 3}) == findings.NO_GUEST


def test_differences_are_told_by_their_intervals_and_only_where_told_apart() -> None:
    base, more, less = (back(*around(middle)) for middle in (50, 70, 20))
    found = findings.differences(scenario({"base": base, "more": more, "less": less}))
    assert found.startswith("Came back: ")
    assert " points less with less, " in found
    assert " points more with more than with base" in found
    noise = scenario({"base": back(*around(50)), "other": back(*around(50)[::-1])})
    assert findings.differences(noise) == "Came back: no policy is told apart from base"
    few = scenario({"base": back(50, 51), "other": back(70, 72)})
    assert findings.differences(few) == "Came back: no policy is told apart from base in 2 replications"
    same = scenario({"base": back(50, 51), "other": back(50, 51)})
    assert findings.differences(same) == "Came back: the same with every policy"
    assert findings.differences(scenario({"a": back(NAN), "b": back(NAN)})) == "Came back: nothing was asked back"


def test_the_baseline_of_the_experiment_is_what_others_are_held_against() -> None:
    found = replace(scenario({"a": back(90), "b": back(10)}, random=False), baseline="b")
    assert findings.differences(found) == "Came back: 80 points more with a than with b"


def test_a_distribution_tells_how_far_replications_lie_apart() -> None:
    wide, narrow = back(20, 60, 98), back(93, 94, 95)
    assert (
        findings.distribution(scenario({"a": wide, "b": narrow})) == "Came back: 20 to 98 % with a, 93 to 95 % with b"
    )
    dead = back(0, 60, 98, died=[1, 0, 0])
    assert findings.distribution(scenario({"a": dead, "b": narrow})) == "Came back: 93 to 95 % with b"
    assert findings.distribution(scenario({"a": back(5, 5)})) == "Came back: the same in every replication"


def test_the_extremes_are_who_dies_who_gives_nothing_and_who_is_between() -> None:
    values = {"hot": back(*around(0), died=[1] * 40), "cold": back(*[0.0] * 40), "right": back(*around(94))}
    expected = "hot kills the guest in 40 of 40 runs, cold gives nothing back, right lives and gives 94 % back"
    assert findings.extremes(scenario(values)) == expected
    values["cold"] = back(*around(3))
    assert "cold gives only 3 % back" in findings.extremes(scenario(values))


def test_the_extremes_name_all_that_kill_the_guest_and_those_that_fail_otherwise() -> None:
    values = {"a": back(*around(0), died=[1] * 40), "b": back(*around(0), died=[1, 1, 1, *[0] * 37])}
    values |= {"cold": back(*[0.0] * 40), "right": back(*around(94))}
    rest = "cold gives nothing back, right lives and gives 94 % back"
    assert findings.extremes(scenario(values)) == f"a and b kill the guest in 3 to 40 of 40 runs, {rest}"
    short = {"short": back(*around(50), failed_adds=1)}
    assert findings.extremes(scenario(short | values)) == (
        f"a and b kill the guest in 3 to 40 of 40 runs, short fails in 40 of 40 runs, {rest}"
    )
    more = dict.fromkeys("cd", values["a"])
    assert "a and 3 more kill the guest in 3 to 40 of 40 runs" in findings.extremes(scenario(more | values))


def test_words_for_names_moments_and_amounts() -> None:
    assert [names(list("abcd"[:n])) for n in range(1, 5)] == ["a", "a and b", "a, b and c", "4 policies"]
    assert [moment(each) for each in (1, 90, 180, 10800, 259200)] == [
        "1 second", "90 seconds", "3 minutes", "3 hours", "3 days",
    ]  # fmt: skip
    assert amount("returned_share", 50.0) == "50 %"
    assert amount("headroom_min", 512.0 * MIB) == "512 MiB"


@st.composite
def any_scenario(draw: st.DrawFn) -> Scenario:
    """Return runs of any size in which anything may be undefined, and any guest may die."""
    count, policies = draw(st.sampled_from([1, 2, 16])), draw(st.integers(1, 4))
    value = st.one_of(st.floats(0, 100), st.just(NAN), st.just(0.0))
    names_ = ("returned_share", "movable_share_mean", "ratio_max", "headroom_min", "returned", "asked_back")
    values = {}
    for policy in "abcd"[:policies]:
        scores = {name: draw(st.lists(value, min_size=count, max_size=count)) for name in names_}
        scores |= {"died": draw(st.lists(st.sampled_from([0, 1, NAN]), min_size=count, max_size=count))}
        scores |= {"death_time": [draw(st.floats(1, 1e6))] * count}
        values[policy] = scores
    return scenario(values, random=draw(st.booleans()), bound=draw(st.sampled_from([None, "a"])))


@settings(max_examples=15)
@given(any_scenario())
def test_there_is_a_sentence_for_whatever_came_of_a_run(found: Scenario) -> None:
    for finding in ALL:
        said = finding(found)
        assert said
        assert "\n" not in said
        assert "nan" not in said.lower().split()
        if len(found.present) > 1 and found.replications == 1 and "gives most back" in said:
            assert "may be chance" in said or int(found.runs["streams_drawn"].iloc[0]) == 0


def test_labels_that_hold_commas_are_set_off_in_every_sentence() -> None:
    """Else "75 % with a, b, 90 % with c, d" may be of one, two, three or four policies."""
    one, other, dead = "a, b", "c; d", "e, f"
    found = scenario(
        {
            one: back(*around(75), headroom_min=2.0 * GIB, ratio_max=100.0, movable_share_mean=10.0),
            other: back(*around(90), headroom_min=1.0 * GIB, ratio_max=300.0, movable_share_mean=50.0),
            dead: back(*[0.0] * 40, died=[1.0] * 40, headroom_min=0.0, ratio_max=900.0, movable_share_mean=90.0),
        }
    )
    for living in (found, scenario({label: back(*around(50 + n)) for n, label in enumerate((one, other))})):
        said = [say(living) for say in ALL] + verdict(records(living), living.failures)
        for text in said:
            for label in (one, other, dead):
                assert label not in text.replace(f'"{label}"', ""), text
        assert sum(f'"{label}"' in text for label in (one, other, dead) for text in said) > 6


def test_none_is_best_where_all_give_nearly_as_much_back() -> None:
    """To name one reads as advice, whatever else the policy does; a report would tell how to set it."""
    nearly = scenario({"a": back(99.93, headroom_min=8.0 * GIB), "b": back(100.0, headroom_min=GIB)}, random=False)
    apart = scenario({"a": back(95.0, headroom_min=8.0 * GIB), "b": back(100.0, headroom_min=GIB)}, random=False)
    assert best_of(records(nearly), nearly.failures) is None
    assert "most came back" not in " ".join(verdict(records(nearly), nearly.failures))
    assert best_of(records(apart), apart.failures) == "b"
    assert "most came back with b" in " ".join(verdict(records(apart), apart.failures))


def records(found: Scenario) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in compare(found.runs).to_dict("records")]
