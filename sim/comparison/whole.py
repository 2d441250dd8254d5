"""The whole comparison of one or more results as one object: what the command prints, and what the report shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sim.analysis.asked import differences_in_requests
from sim.analysis.compare import compare, nothing_random, one_of_each
from sim.analysis.ranking import failures, failures_in_words, ranked
from sim.analysis.same import same_for_all
from sim.analysis.verdict import too_few, verdict
from sim.comparison.against_bound import against_bound
from sim.comparison.gather import gather
from sim.comparison.sentences import equal_policies, not_told_apart, still_needed, told_of_equals, told_of_unpaired
from sim.results.failure import Status
from sim.scores.definition import Question
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from sim.analysis.ranking import Failures
    from sim.comparison.against_bound import Against
    from sim.comparison.gather import Gathered

    Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scenario:
    """What the policies come to on one ``machine`` and ``workload``, with its guest and times.

    ``runs`` are its completed runs, one of each policy where nothing is random; ``rows`` those of the comparison, as
    :func:`sim.analysis.compare.compare` gives them: for each score one of each policy. ``bounds`` are the policies that
    know the future.
    """

    machine: str
    workload: str
    runs: pd.DataFrame
    rows: tuple[Row, ...]
    baseline: str
    bounds: tuple[str, ...]
    gathered: Gathered
    single: bool
    """Whether nothing is random here, so that one run of each policy says it all."""

    @property
    def title(self) -> str:
        """Workload and machine in words."""
        return f"{self.workload} on {self.machine}"

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """The policies that have completed runs here, in their order."""
        return tuple(dict.fromkeys(row["policy"] for row in self.rows))

    @cached_property
    def failures(self) -> dict[str, Failures]:
        """How each policy fails, with the exact interval of how often."""
        return failures(self.runs, self.policies)

    @cached_property
    def ranked(self) -> list[str]:
        """The policies, those that fail behind the others."""
        return ranked(self.policies, self.failures)

    @cached_property
    def same(self) -> dict[str, str]:
        """The scores in which no policy differs from another, each with its value in words, empty if undefined."""
        return same_for_all(self.rows)

    @cached_property
    def by_score(self) -> dict[str, dict[str, Row]]:
        """The rows by score and policy, scores in the order of the questions that they answer."""
        table: dict[str, dict[str, Row]] = {}
        for row in self.rows:
            table.setdefault(row["score"], {})[row["policy"]] = row
        return {score: table[score] for question in Question for score in table if SCORES[score].question is question}

    @cached_property
    def unpaired(self) -> list[str]:
        """The policies that share no replication with the baseline, which was run here."""
        pairs = {policy: max(row["pairs"] for row in self.rows if row["policy"] == policy) for policy in self.policies}
        return [policy for policy, count in pairs.items() if not count] if self.baseline in pairs else []

    @cached_property
    def failed_in_words(self) -> list[str]:
        """A sentence for each way to fail."""
        return failures_in_words(self.failures.values())

    @cached_property
    def remarks(self) -> list[str]:
        """What limits the comparison: what was not asked of all alike, and too few replications for intervals."""
        needs = [float(row["needed"]) for row in self.rows if row["policy"] != self.baseline]
        found = [differences_in_requests(self.runs), too_few(self.rows, needs)]
        return [sentence for sentence in found if sentence]

    @cached_property
    def equal(self) -> list[list[str]]:
        """Groups of policies that do not differ in any score and replication."""
        return equal_policies(self.runs, list(self.by_score))

    @cached_property
    def said(self) -> list[str]:
        """Everything that is to be said beside the figures, what it comes to last."""
        replications = {policy: how.runs for policy, how in self.failures.items()}
        return [
            *self.failed_in_words,
            *told_of_equals(self.equal, replications),
            *told_of_unpaired(self.unpaired, self.baseline),
            *not_told_apart(self.rows, self.equal),
            *self.remarks,
            *still_needed(self.rows),
            *self.verdict,
        ]

    @cached_property
    def decisions(self) -> list[Against]:
        """What the decisions of each policy cost against one that knows the future: read from the runs when asked."""
        return against_bound(self.gathered, self)

    @cached_property
    def verdict(self) -> list[str]:
        """What it comes to, in sentences."""
        return verdict(self.rows, self.failures, self.bounds)


@dataclass(frozen=True)
class Comparison:
    """Everything that is to be said of what was ``gathered``: the ``table`` of all rows, and the ``scenarios`` of it.

    ``table`` has the columns :data:`sim.analysis.compare.COMPARISON_COLUMNS`, ``scores`` are those that it has.
    """

    gathered: Gathered
    scores: tuple[str, ...]
    table: pd.DataFrame
    scenarios: tuple[Scenario, ...]


def whole(gathered: Gathered, scores: Sequence[str] | None = None) -> Comparison:
    """Return the comparison of ``gathered`` in ``scores`` (all where None). Raises ValueError for an unknown score."""
    chosen = tuple(SCORES) if scores is None else tuple(scores)
    runs = gathered.runs
    table = compare(runs, gathered.baseline, chosen, policies=gathered.policies)
    rows: dict[tuple[str, str], list[Row]] = {}
    for values in table.to_numpy(object):
        row = dict(zip(table.columns, values, strict=True))
        rows.setdefault((row["machine"], row["workload"]), []).append(row)
    done = dict(list(runs[runs["status"] == Status.COMPLETED].groupby(["machine", "workload"], sort=False)))
    scenarios = []
    for pair in gathered.scenarios:
        if pair not in rows:
            continue
        here = done[pair]
        single = nothing_random(here)
        scenarios.append(
            Scenario(
                machine=pair[0],
                workload=pair[1],
                runs=one_of_each(here) if single else here,
                rows=tuple(rows[pair]),
                baseline=gathered.baseline,
                bounds=gathered.bounds,
                gathered=gathered,
                single=single,
            )
        )
    return Comparison(gathered, chosen, table, tuple(scenarios))


def compared(
    folders: Sequence[Path | str], baseline: str | None = None, scores: Sequence[str] | None = None
) -> Comparison:
    """Return the whole comparison of the results in ``folders``: see :func:`gather` and :func:`whole`."""
    return whole(gather(folders, baseline), scores)
