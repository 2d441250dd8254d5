"""Limits in words: what each says, and what is told of those that say nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.experiment.recommend_table import DEFAULT_LIMIT
from sim.faults import Faults
from sim.recommend.limits import limit, limits, shown_bound
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES
from sim.units import GIB, MIB

SAID = {
    "no death in 99 % of replications": (("died",), "at most", 0.0, 0.99),
    "No deaths in 99.9% of runs.": (("died",), "at most", 0.0, 0.999),
    "nothing fails": (FAILING, "at most", 0.0, 1.0),
    "no failure in 95 % of replications": (FAILING, "at most", 0.0, 0.95),
    "fails in at most 5 % of replications": (FAILING, "at most", 0.0, 0.95),
    "the guest dies in at most 1 percent": (("died",), "at most", 0.0, 0.99),
    "headroom never under 128 MiB": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "headroom_min >= 128MiB in 99 %": (("headroom_min",), "at least", 128.0 * MIB, 0.99),
    "headroom_min>=128MiB": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "Kernel headroom, least at least 1 GiB, always": (("headroom_min",), "at least", 1.0 * GIB, 1.0),
    "came back at least 80 % in 95 % of replications": (("returned_share",), "at least", 80.0, 0.95),
    "came back at least 80 % in at least 95 % of the replications": (("returned_share",), "at least", 80.0, 0.95),
    "came back at least 80 %": (("returned_share",), "at least", 80.0, 1.0),
    "kernel OOM kills at most 0": (("kernel_ooms",), "at most", 0.0, 1.0),
    "no OOM kills in every replication": (("kernel_ooms", "guest_full_ooms", "return_ooms"), "at most", 0.0, 1.0),
    "no failed adds": (("failed_adds",), "at most", 0.0, 1.0),
    "no mixed_groups_end in 50 %": (("mixed_groups_end",), "at most", 0.0, 0.5),
    "time to return <= 5 min in 90 %": (("return_time",), "at most", 300.0, 0.9),
    "unserved_byte_seconds at most 10 GiB s": (("unserved_byte_seconds",), "at most", 10.0 * GIB, 1.0),
    "Demand not served, most not above 1.5GiB": (("unserved_max",), "at most", 1.5 * GIB, 1.0),
    "at most 1 % deaths": (("died",), "at most", 0.0, 0.99),
    "no more than 2 of 100 fail": (FAILING, "at most", 0.0, 0.98),
    "At most 1% of runs die": (("died",), "at most", 0.0, 0.99),
    "99 % survive": (("died",), "at most", 0.0, 0.99),
    "survives in 99 % of replications": (("died",), "at most", 0.0, 0.99),
    "never OOM": (("kernel_ooms", "guest_full_ooms", "return_ooms"), "at most", 0.0, 1.0),
    "OOM kills never": (("kernel_ooms", "guest_full_ooms", "return_ooms"), "at most", 0.0, 1.0),
    "zero deaths in 90 % of replications": (("died",), "at most", 0.0, 0.9),
    "at least 90 % comes back": (("returned_share",), "at least", 90.0, 1.0),
    "at least 80 % came back in 95 % of replications": (("returned_share",), "at least", 80.0, 0.95),
    "headroom at least 128 MiB always": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "headroom no less than 128 MiB": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "failure rate <= 1 %": (FAILING, "at most", 0.0, 0.99),
    "P(death) <= 0.01": (("died",), "at most", 0.0, 0.99),
    "risk of death under 1 %": (("died",), "at most", 0.0, 0.990001),
    "dies in at most 1 of 100 replications": (("died",), "at most", 0.0, 0.99),
    "fails at most once in 100 runs": (FAILING, "at most", 0.0, 0.99),
    "at most 1 death in 100 runs": (("died",), "at most", 0.0, 0.99),
    "one in a hundred may fail": (FAILING, "at most", 0.0, 0.99),
    "5 percent may fail": (FAILING, "at most", 0.0, 0.95),
    "less than 5 % of replications fail": (FAILING, "at most", 0.0, 0.950001),
    "died at most 1 %": (("died",), "at most", 0.0, 0.99),
    "at least 99 % succeed": (FAILING, "at most", 0.0, 0.99),
    "survival >= 99%": (("died",), "at most", 0.0, 0.99),
    "The guest doesn't die": (("died",), "at most", 0.0, 1.0),
    "failures = 0": (FAILING, "at most", 0.0, 1.0),
    "at most 2 failed adds in 95 %": (("failed_adds",), "at most", 2.0, 0.95),
    "no out of memory": (("kernel_ooms", "guest_full_ooms", "return_ooms"), "at most", 0.0, 1.0),
    "0 % die": (("died",), "at most", 0.0, 1.0),
    "less than one death per 100 runs": (("died",), "at most", 0.0, 0.990001),
    "at least 80% must come back in 95 out of 100 runs": (("returned_share",), "at least", 80.0, 0.95),
    "99% of runs return at least 80%": (("returned_share",), "at least", 80.0, 0.99),
    "headroom ≥ 128 MiB in ≥ 99 %": (("headroom_min",), "at least", 128.0 * MIB, 0.99),
    "min 90% returned": (("returned_share",), "at least", 90.0, 1.0),
    "80 percent comes back": (("returned_share",), "at least", 80.0, 1.0),
    "at least 3/4 comes back": (("returned_share",), "at least", 75.0, 1.0),
    "at least half of it comes back in 9 of 10 runs": (("returned_share",), "at least", 50.0, 0.9),
    "everything comes back": (("returned_share",), "at least", 100.0, 1.0),
    "nothing comes back": (("returned_share",), "at most", 0.0, 1.0),
    "returned at least 2 GiB": (("returned",), "at least", 2.0 * GIB, 1.0),
    "comes back within 5 minutes": (("return_time",), "at most", 300.0, 1.0),
    "p95 return time <= 5 min": (("return_time",), "at most", 300.0, 0.95),
    "95th percentile of time to return at most 300": (("return_time",), "at most", 300.0, 0.95),
    "p5(headroom) >= 128 MiB": (("headroom_min",), "at least", 128.0 * MIB, 0.95),
    "headroom > 128MiB": (("headroom_min",), "at least", math.nextafter(128.0 * MIB, math.inf), 1.0),
    "headroom doesn't fall below 128MiB": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "no headroom under 128 MiB in 99 of 100 replications": (("headroom_min",), "at least", 128.0 * MIB, 0.99),
    "128 MiB or more headroom": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "headroom: 128 MiB": (("headroom_min",), "at least", 128.0 * MIB, 1.0),
    "return time 5 min": (("return_time",), "at most", 300.0, 1.0),
    "movable while wanted, over time >= 3 GiB s": (("movable_byte_seconds",), "at least", 3.0 * GIB, 1.0),
}


def _said(text: str) -> tuple[tuple[str, ...], str, float, float]:
    found = limit(text)
    return found.scores, found.sense, found.bound, found.share


@pytest.mark.parametrize("text", SAID)
def test_a_limit_says_scores_a_bound_and_a_share(text: str) -> None:
    assert _said(text) == SAID[text]
    assert limit(text).text == text


@given(st.lists(st.sampled_from(sorted({word for text in SAID for word in text.split()})), max_size=9))
def test_whatever_is_put_together_of_these_words_is_a_limit_or_is_refused_with_what_can_be_said(
    words: list[str],
) -> None:
    text = " ".join(words)
    try:
        found = limit(text)
    except ValueError as error:
        assert "what can be said" in str(error) or "is not" in str(error) or "has no unit" in str(error)  # noqa: PT017
        return
    assert 0.5 <= found.share <= 1
    assert _said(text) == _said(text.upper())


@pytest.mark.parametrize("score", SCORES.values(), ids=lambda score: score.name)
def test_every_score_can_be_limited_by_its_name_and_by_its_title(score: object) -> None:
    name, title = getattr(score, "name", ""), getattr(score, "title", "")
    value = {"B": "3 B", "B s": "3 B s"}.get(SCORES[name].unit.symbol, "3")
    for text in (f"{name} >= {value} in 75 %", f"{title} at least {value} in 75 %"):
        assert (limit(text).scores[-1], limit(text).bound, limit(text).share) == (name, 3.0, 0.75)


def test_more_than_a_bound_leaves_the_bound_out() -> None:
    assert limit("came back over 80 %").bound == math.nextafter(80, math.inf)
    assert limit("died < 1").bound == math.nextafter(1, -math.inf)


def test_all_that_say_nothing_are_told_with_their_place_and_what_can_be_said() -> None:
    texts = ["nothing fails", "headrom >= 3MiB", "be nice", "refused offline attempts at most 1 %"]
    texts += ["no death in 0 %", "headroom under", "headroom over 3 MB"]
    faults = Faults("limits")
    found = limits(texts, faults)
    assert [each.text for each in found] == ["nothing fails"]
    told = {fault.key: fault.what for fault in faults}
    assert list(told) == [f"limits[{place}]" for place in range(1, 7)]
    assert "did you mean 'headroom'?" in told["limits[1]"]
    assert "'no death'" in told["limits[2]"]
    assert "'1 %' is not a number" in told["limits[3]"]
    assert "above 0 and up to 100" in told["limits[4]"]
    assert "no value behind 'under'" in told["limits[5]"]
    assert "'3 MB' is not a size" in told["limits[6]"]


@pytest.mark.parametrize(
    "text", ["", "in 95 %", "fails in 5 %", "came back at most 5 % in at most 3 %", "no x", "no", "the"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="what can be said"):
        limit(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("headroom at least 128", "'128' has no unit; say 128 MiB, 128 GiB or 128 B"),
        ("came back at least 120 %", "'120 %' is no share; shares go from 0 to 100 %"),
        ("at least -5 % comes back", "what can be said"),
        ("at most 100 % die", "under 100 %"),
        ("at most 1 of 0 die", "what can be said"),
        ("at most 99 % survive", "at most so often"),
        ("at least 5 % fail", "not at most how often"),
        ("5 % fail", "not at most how often"),
        ("no death in 120 %", "asks for 120 % of replications"),
        ("no death in 20 %", "would have to hold in 20 % of replications only"),
        ("p95 headroom >= 128 MiB", "would have to hold in 5 % of replications only"),
        ("returned_share >= 0.8", "0.8 may be 80 % or 0.8 %"),
        ("at most 1 death", "holds whatever happens: 'Guest died' is 1 at most"),
        ("failure rate <= 1", "no one share of replications, such as 1 %"),
        ("headroom between 64 MiB and 1 GiB", "each bound in a limit of its own"),
        ("headroom at least 64 MiB and at most 1 GiB", "each bound in a limit of its own"),
        ("no death and no failed adds", "'death' and 'failed adds': say each in a limit of its own"),
        ("mean headroom over 1 GiB", "a limit is of each replication"),
        ("no death with 95 % confidence", "--confidence"),
        ("headroom at least under 1 GiB", "'at least' and 'under' of one number"),
        ("asked for, most 5 GiB", "shall be at least so much, or at most"),
        ("never not dies", "denies something twice"),
        ("headroom >= 1,5 GiB", "fractions are written as 1.5"),
        ("no death in the " * 8000, "characters, of 500 at most"),
        ("no survival", "denies what is good"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        limit(text)


@pytest.mark.parametrize(
    ("texts", "faulty"),
    [
        (["nothing comes back", "80 % comes back"], True),
        (["headroom over 128 MiB", "headroom under 64 MiB"], True),
        (["headroom over 128 MiB in 60 %", "nothing fails", "headroom under 64 MiB in 50 %"], True),
        (["headroom over 128 MiB in 50 %", "headroom under 64 MiB in 50 %"], False),
        (["headroom at least 64 MiB", "headroom at most 64 MiB"], False),
        (["headroom at least 64 MiB", "headroom at least 128 MiB"], False),
    ],
)
def test_limits_that_no_run_can_keep_together_are_told_at_once(texts: list[str], *, faulty: bool) -> None:
    faults = Faults("limits")
    limits(["be nice", *texts], faults)
    told = [(fault.key, fault.what) for fault in faults][1:]
    assert [key for key, _ in told] == [f"limits[{len(texts)}]"] * faulty
    assert all("cannot be kept beside" in what for _, what in told)


def test_a_limit_is_shown_in_the_titles_of_its_scores() -> None:
    assert shown_bound(limit("headroom >= 128MiB")) == "Kernel headroom, least >= 128 MiB in every replication"
    assert shown_bound(limit("less than 5 % fail")) == shown_bound(limit("at most 5 % fail"))
    assert shown_bound(limit(DEFAULT_LIMIT)).endswith("Failed adds <= 0 in 95 %")
