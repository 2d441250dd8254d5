"""Scenario by scenario: an index with a row for each, and its tables and charts, looked at when somebody asks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import HEADLINE_SCORES, number
from sim.analysis.ranking import FAILED_MARK
from sim.analysis.same import same_for_all
from sim.analysis.verdict import returning_score
from sim.comparison.overall import best
from sim.faults import set_off
from sim.report.environment import rendered
from sim.report.memory_map.scenario_maps import is_wanted
from sim.report.scenario_parts import parts_for
from sim.report.scores import LEGEND, difference_text, headline_table, same_in_words, tables_by_question
from sim.report.section import Section, json_text
from sim.report.table import Cell, Table
from sim.scores.failures import FAILING

if TYPE_CHECKING:
    from collections.abc import Collection

    from sim.analysis.scenario import Scenario as Drawable
    from sim.comparison.whole import Scenario
    from sim.report.subject import Subject

MOST_BYTES: Final = 6_000_000
"""What tables of all scenarios may take; those that do not fit are left out, the last first."""
MOST_ROWS: Final = 2000
"""Rows of the index."""
MOST_DRAWN: Final = 12
MOST_RUNS_DRAWN: Final = 600
"""Scenarios, and runs of them, up to which charts are drawn: their series have to be read."""


def scenario_sections(subject: Subject, maps: Collection[str] = ()) -> tuple[Section, list[Section]]:
    """Return the section of all scenarios, and the sections inside of it, whose scripts and data the page needs.

    ``maps`` are the workloads that shall have memory maps; the first ones without.
    """
    drawn = _drawn(subject, maps)
    blocks: list[dict[str, Any]] = []
    data: dict[str, Any] = {}
    left = MOST_BYTES
    for place, scenario in enumerate(subject.scenarios):
        anchor = f"s{place + 1}"
        headline = headline_table(scenario).html()
        tables = {f"{anchor}-scores": [table.data() for table in tables_by_question(scenario)]}
        left -= len(headline) + len(json_text(tables))
        if left < 0:
            break
        data |= tables
        blocks.append(
            {
                "anchor": anchor,
                "scenario": scenario,
                "told": _in_a_line(scenario),
                "headline": headline,
                "same": same_in_words(scenario, [name for name in HEADLINE_SCORES if name not in FAILING]),
                "all_same": same_in_words(scenario),
                "sections": drawn.get(place, ()),
            }
        )
    html = rendered(
        "scenarios",
        index=_index(subject, len(blocks)).html() if len(subject.scenarios) > 1 else "",
        unlisted=max(0, len(subject.scenarios) - MOST_ROWS),
        scenarios=blocks,
        undetailed=len(subject.scenarios) - len(blocks),
        undrawn=len(blocks) - len(drawn),
        legend=LEGEND,
    )
    parts = [part for sections in drawn.values() for part in sections]
    return Section("scenarios", "Scenario by scenario", html, data), parts


def _drawn(subject: Subject, maps: Collection[str]) -> dict[int, list[Section]]:
    """Return what is drawn of the first scenarios, by their number."""
    chosen: dict[int, Drawable] = {}
    runs = 0
    for place, scenario in enumerate(subject.scenarios):
        each = subject.findings[scenario.machine, scenario.workload]
        runs += len(each.runs)
        few = place < MOST_DRAWN and (not chosen or runs <= MOST_RUNS_DRAWN)
        if few or (maps and len(chosen) < 2 * MOST_DRAWN and is_wanted(scenario.workload, maps)):
            chosen[place] = each
    parts = parts_for(subject, tuple(chosen.values()), maps)
    drawn = {}
    for place, each in chosen.items():
        sections = [part(each, f"s{place + 1}") for part in parts]
        drawn[place] = [section for section in sections if section is not None]
    return drawn


def _index(subject: Subject, detailed: int) -> Table:
    score = returning_score()
    rows = []
    for place, scenario in enumerate(subject.scenarios[:MOST_ROWS]):
        policy = best(scenario)
        row = scenario.by_score.get(score.name, {}).get(policy or "")
        value = Cell("-", math.nan)
        if row is not None and not math.isnan(row["mean"]):
            gap, look = difference_text(row, score.unit.shown_per)
            value = Cell(number(score.unit.show(row["mean"])), float(row["mean"]), gap=gap, look=look)
        failing = [name for name, how in scenario.failures.items() if how.failed]
        rows.append(
            [
                Cell(scenario.title, link=f"s{place + 1}" if place < detailed else ""),
                Cell(_best_in_words(scenario, policy)),
                value,
                Cell(
                    f"{FAILED_MARK} {len(failing)} of {len(scenario.policies)}" if failing else "none",
                    float(len(failing)),
                    "\n".join(failing),
                ),
                Cell(str(len(scenario.runs)), float(len(scenario.runs))),
            ]
        )
    heads = (
        "Scenario",
        "Most came back with",
        f"{score.title} [{score.unit.shown_symbol}]",
        "Policies that failed",
        "Completed runs",
    )
    return Table("All scenarios", heads, rows, words=frozenset({1}), rows_are="scenarios")


def _best_in_words(scenario: Scenario, policy: str | None) -> str:
    if policy is not None:
        return policy
    if all(how.failed for how in scenario.failures.values()):
        return "none: every policy failed"
    name = returning_score().name
    return "no difference" if name in same_for_all(scenario.rows) else "hardly a difference"


def _in_a_line(scenario: Scenario) -> str:
    failing = sum(1 for how in scenario.failures.values() if how.failed)
    policy = best(scenario)
    what = f"most came back with {set_off(policy)}" if policy is not None else _best_in_words(scenario, policy)
    return f"{what}; {failing} of {len(scenario.policies)} policies failed" if failing else what
