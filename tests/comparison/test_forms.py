"""Tables for other programs: what labels hold comes out as text, and every figure is there."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from sim.analysis.compare import COMPARISON_COLUMNS
from sim.comparison.document import ROW_KEYS, document
from sim.comparison.forms import FORMS, as_csv, as_latex, as_markdown, latex, markdown
from sim.comparison.gather import Gathered
from sim.comparison.whole import Comparison, whole
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = ("=1+1", "a|b & 50 % of_$x$", "<b>*bold*</b>")


def compared(
    values: dict[str, Sequence[float]], score: str = "returned_share", baseline: str | None = None
) -> Comparison:
    """Return the comparison of policies with these values of a score in each replication."""
    rows = [
        {"machine": "m", "workload": "w", "policy": policy, "replication": number, "seed": 1, "status": "completed",
         "streams_drawn": 3, **dict.fromkeys(SCORES, 0.0), score: value}
        for policy, of_policy in values.items()
        for number, value in enumerate(of_policy)
    ]  # fmt: skip
    policies = tuple(values)
    return whole(Gathered((), pd.DataFrame(rows), policies, baseline or policies[0], (), (("m", "w"),), ()))


@pytest.fixture(scope="module")
def hostile() -> Comparison:
    return compared({label: [10.0 * number + replication for replication in range(3)]
                     for number, label in enumerate(HOSTILE)})  # fmt: skip


def test_csv_has_every_row_and_no_formula(hostile: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(hostile))))
    assert len(rows) == len(SCORES) * len(HOSTILE)
    assert list(rows[0]) == list(COMPARISON_COLUMNS)
    assert {row["policy"] for row in rows} == {"'=1+1", *HOSTILE[1:]}
    (row,) = (row for row in rows if row["policy"] == HOSTILE[2] and row["score"] == "returned_share")
    assert (row["mean"], row["difference"], row["low"], row["apart"]) == ("21.0", "20.0", "", "3")


def test_markdown_has_as_many_cells_in_every_row_whatever_labels_hold(hostile: Comparison) -> None:
    lines = [line for line in as_markdown(hostile).splitlines() if line.startswith("|")]
    assert len(lines) == 3 + len(SCORES)
    cells = [line.replace("\\|", "").count("|") for line in lines]
    assert set(cells) == {len(HOSTILE) + 2}
    assert r"\<b\>\*bold\*\</b\>" in lines[0]


def test_latex_has_as_many_cells_in_every_row_whatever_labels_hold(hostile: Comparison) -> None:
    lines = [line for line in as_latex(hostile).splitlines() if line.endswith(r"\\")]
    assert len(lines) == 2 + len(SCORES)
    assert {line.replace(r"\&", "").count("&") for line in lines} == {len(HOSTILE)}
    assert r"a\textbar{}b \& 50 \% of\_\$x\$" in lines[0]


def test_what_has_a_meaning_is_escaped() -> None:
    assert latex("\\{}$&#%_^~<>|") == (
        r"\textbackslash{}\{\}\$\&\#\%\_\textasciicircum{}\textasciitilde{}\textless{}\textgreater{}\textbar{}"
    )
    assert markdown("- a_b\n# c") == r"\- a\_b # c"
    assert markdown("1. x") == r"1\. x"
    assert latex("a\n\n% b") == r"a \% b"


def test_the_document_is_json_with_the_keys_that_are_told(hostile: Comparison) -> None:
    content = json.loads(json.dumps(document(hostile), allow_nan=False))
    assert set(content) == {
        "format", "results", "policies", "baseline", "know_the_future", "notes", "scores", "scenarios",
    }  # fmt: skip
    (scenario,) = content["scenarios"]
    assert {"machine", "workload", "nothing_random", "failures", "rows", "equal", "unpaired", "said"} <= set(scenario)
    assert all(set(row) == set(ROW_KEYS) for row in scenario["rows"])
    assert len(scenario["rows"]) == len(SCORES) * len(HOSTILE)
    assert set(content["scores"]) == set(SCORES)
    (row,) = (row for row in scenario["rows"] if row["score"] == "returned_share" and row["policy"] == HOSTILE[1])
    assert (row["mean"], row["low"], row["difference"], row["apart"]) == (11, None, 10, 3)


def test_infinite_values_are_words_in_json() -> None:
    content = document(compared({"a": [math.inf] * 2, "b": [1.0, 2.0]}))
    json.dumps(content, allow_nan=False)
    rows = [row for row in content["scenarios"][0]["rows"] if row["score"] == "returned_share"]
    assert [row["mean"] for row in rows] == ["inf", 1.5]


def test_equal_policies_are_said_to_be_the_same_in_all_replications() -> None:
    values = [float(number % 7) for number in range(20)]
    (scenario,) = compared({"a": values, "b": values, "c": [value + number for number, value in enumerate(values)],
                            "d": values[::-1]}).scenarios  # fmt: skip
    assert scenario.equal == [["a", "b"]]
    assert "a and b do not differ: every score is the same in all 20 replications." in scenario.said


def test_who_is_not_told_apart_hears_what_would_have_been_seen() -> None:
    values = [50.0 + (number * 7) % 11 for number in range(20)]
    other = [value + (1 if number % 2 else -1) for number, value in enumerate(values)]
    (scenario,) = compared({"a": values, "b": other}).scenarios
    (sentence,) = (sentence for sentence in scenario.said if "not told apart" in sentence)
    row = scenario.by_score["returned_share"]["b"]
    reach = 2.8016 / 1.96 * (row["difference_high"] - row["difference_low"]) / 2
    assert f"a difference of {reach:.3g} points would have been seen with 80 %" in sentence
    assert 0.6 < reach < 0.75  # 2.8 standard errors of 1 / sqrt(20) each, and Student's


@pytest.mark.parametrize("form", FORMS)
def test_the_same_comparison_is_the_same_text(form: str, hostile: Comparison) -> None:
    assert FORMS[form](hostile) == FORMS[form](hostile)
