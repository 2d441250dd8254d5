"""What ``memhp-sim compare`` prints: each scenario with all its scores, or, of very many, an overview."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from sim.analysis.compare import HEADLINE_SCORES
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.ranking import FAILED_MARK
from sim.analysis.same import MARKS, judged
from sim.cli.layout import Column, Row, table_lines
from sim.cli.tables import legend, print_scores, say
from sim.comparison.against_bound import how_to_add
from sim.comparison.overall import overall
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from sim.comparison.whole import Comparison


def print_scenarios(console: Console, comparison: Comparison, asked: Sequence[str]) -> None:
    """Print the scores of every scenario (those ``asked`` for, else all), and what is said of them."""
    for scenario in comparison.scenarios:
        print_scores(console, scenario.rows, scenario.runs, scenario.failures, asked or comparison.scores, "")
        for sentence in scenario.said:
            say(console, f"{FAILED_MARK} {sentence}" if sentence in scenario.failed_in_words else sentence)
        if scenario.decisions:
            say(console, f"The decisions that cost most, seen from {scenario.decisions[0].bound}:", style="bold")
        for against in scenario.decisions:
            head, *causes = against.said
            say(console, head, indent=2)
            for cause in causes:
                say(console, f"- {cause}", indent=2)
        console.print()
    if comparison.scenarios and not comparison.gathered.bounds:
        say(console, how_to_add(comparison.gathered), style="dim")
    if comparison.scenarios:
        say(console, legend([row for scenario in comparison.scenarios for row in scenario.rows]), style="dim")


def print_overview(console: Console, comparison: Comparison) -> None:
    """Print in how many scenarios each policy fails, and is better or worse than the baseline beyond chance."""
    scenarios, policies = comparison.scenarios, comparison.gathered.policies
    console.print(f"{len(scenarios)} workloads on machines; in how many of them each policy ...", style="bold")
    fails = {policy: sum(bool((how := each.failures.get(policy)) and how.failed) for each in scenarios)
             for policy in policies}  # fmt: skip
    columns = [Column("", "fails", {policy: [Text(str(count))] for policy, count in fails.items()})]
    for name in (name for name in HEADLINE_SCORES if name in comparison.scores):
        score = SCORES[name]
        if score.better == "neither":
            continue
        cells = {}
        for policy in policies:
            found = [(each, each.by_score[name][policy]) for each in scenarios if policy in each.by_score[name]]
            told = Counter(_exactly(row) if each.single else judged(row) for each, row in found)
            cells[policy] = [Text("  ".join(f"{MARKS[how]} {told[how]}" for how in ("better", "worse")))]
        columns.append(Column(score.question, score.title, cells))
    rows = [Row(policy, Text(policy)) for policy in policies]
    for line in table_lines(columns, rows, console.width):
        console.print(line, soft_wrap=True)
    for sentence in overall(scenarios):
        say(console, sentence)
    random = [scenario for scenario in scenarios if not scenario.single]
    if random and all(row["pairs"] < FEWEST_FOR_INTERVAL for scenario in random for row in scenario.rows):
        where = "Nothing" if len(random) == len(scenarios) else "Where something is random, nothing"
        say(console, f"{where} is told apart with fewer than {FEWEST_FOR_INTERVAL} replications.", style="bold")
    beyond = "beyond chance, all differences of one scenario taken together (Holm)"
    if len(random) < len(scenarios):
        beyond = (
            f"{beyond}; by however little where nothing is random" if random else "by however little: nothing is random"
        )
    say(
        console,
        f"Baseline: {comparison.gathered.baseline}. ▲ better, ▼ worse in so many, {beyond}. One of them: --workload,"
        " --machine; all rows: --csv FILE or --json.",
        style="dim",
    )


def _exactly(row: Mapping[str, Any]) -> Literal["better", "worse"] | None:
    """Return how a policy compares with the baseline where nothing is random, so that every difference is one."""
    return judged({**row, "different": abs(row["difference"]) > 0})
