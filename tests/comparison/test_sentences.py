"""What is said of a comparison in which policies have not as many replications, and of how many it takes."""

from __future__ import annotations

import re

from tests.comparison.test_forms import compared


def test_who_has_the_fewest_replications_is_known_the_least() -> None:
    back = [80.0, 90.0] * 20
    scenario = compared({"a": back, "b": back[:20], "c": back[:20]}).scenarios[0]
    # 1 - 0.025^(1/20) is 16.8 %, of 40 it would be 8.8 %.
    assert scenario.verdict[0] == (
        "No policy failed in 20 to 40 replications, so each may still fail in up to 17 % of runs (95 %)."
    )
    assert "b and c do not differ: every score is the same in all 20 replications." in scenario.said
    assert scenario.same["died"] == "Guest died 0"
    alike = compared({"a": back, "b": back}).scenarios[0]
    assert "failed in 40 replications, so each may still fail in up to 8.8 %" in alike.verdict[0]
    assert alike.same["died"] == "Guest died 0 of 40"


def test_replications_that_did_not_tell_are_too_few() -> None:
    # 25 on average with a standard deviation of 25.8: t is 3.87, p 0.0015, and a table of 50 scores asks for 0.001.
    scenario = compared({"a": [0.0] * 16, "b": [50.0, 0.0] * 8}).scenarios[0]
    row = scenario.by_score["returned_share"]["b"]
    assert (row["different"], row["pairs"], row["needed"]) == (False, 16, 17)
    assert re.search(r"Came back: about 17 \(b\)", " ".join(scenario.said))
    told = compared({"a": [0.0] * 40, "b": [50.0, 0.0] * 20}).scenarios[0].by_score["returned_share"]["b"]
    assert told["different"]
    assert told["needed"] < 40
