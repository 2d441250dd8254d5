"""Policies side by side: means with confidence intervals, and differences to a baseline paired by replication.

All policies of one replication meet the same wishes of the host, so the difference of two policies is taken within each
replication before anything is averaged: what the wishes do to both cancels out. What is then asked of the devices may
differ, where a guest refuses or a host reacts to what came of its wishes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sim.analysis.intervals import (
    Estimate,
    Sample,
    check_method,
    estimate_all,
    holm,
    needed,
    proportion_interval,
    support,
)
from sim.analysis.skewed import far_out
from sim.experiment.variants import plain_value
from sim.results.failure import Status
from sim.scores.definition import BYTE_SECONDS, BYTES
from sim.scores.registry import SCORES
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from sim.analysis.intervals import Method
    from sim.scores.definition import Score

    Floats = npt.NDArray[np.float64]

HEADLINE_SCORES: Final = tuple(score.name for score in SCORES.values() if score.headline)
"""The scores that short tables and the plots show."""

CONDITIONS: Final = ("guest.", "timing.")
"""How the keys of swept values begin that no label shows."""

_MANY: Final = 10_000

EVENTS: Final = 8
"""Replications in which two policies must differ in a score of yes and no, for their difference not to be rare."""

COMPARISON_COLUMNS: Final = (
    "machine", "workload", "policy", "score", "unit", "better", "replications", "mean", "low", "high",
    "baseline", "pairs", "difference", "difference_low", "difference_high", "apart", "p", "different", "needed",
    "worst",
)  # fmt: skip


def policies_in_order(runs: pd.DataFrame, policies: Iterable[str] = ()) -> list[str]:
    """Return the labels of all policies in ``runs``: first ``policies`` in their order, then others by name."""
    present = set(runs["policy"])
    known = [label for label in dict.fromkeys(policies) if label in present]
    return known + sorted(present - set(known))


def named_conditions(runs: pd.DataFrame) -> pd.DataFrame:
    """Return ``runs`` with swept values that no label shows (of guest and timing) added to the workload's label.

    Swept values of machines, policies and workloads are in their labels already, and so are those of guest and timing
    in the machine's, unless it had to be cut off.
    """
    swept = [name for name in runs.columns if str(name).startswith(CONDITIONS)]
    if not swept:
        return runs
    named = [
        named_workload(workload, machine, dict(zip(swept, values, strict=True)))
        for workload, machine, *values in runs[["workload", "machine", *swept]].itertuples(index=False)
    ]
    return runs.assign(workload=named)


def named_workload(workload: str, machine: str, swept: Mapping[str, object]) -> str:
    """Return a workload's label with those of the ``swept`` values that no label shows, in order of their keys.

    ``machine`` is the label of the machine that it runs on. Values are written as labels have them.
    """
    conditions = [
        f"{key} {plain_value(value)}"
        for name, value in sorted(swept.items())
        if name.startswith(CONDITIONS) and f", {(key := name.replace('.', ' ', 1))} " not in machine
    ]
    return f"{workload} ({', '.join(conditions)})" if conditions else workload


def compare(
    runs: pd.DataFrame,
    baseline: str | None = None,
    scores: Sequence[str] = HEADLINE_SCORES,
    *,
    policies: Sequence[str] = (),
    method: Method = "auto",
) -> pd.DataFrame:
    """Return one row per machine, workload, policy and score (:data:`COMPARISON_COLUMNS`), in stored units.

    ``runs`` is what :meth:`sim.results.store.ResultStore.runs` gives; failed cells and undefined scores are left out
    and ``replications`` says how many were not. ``difference`` is the mean of policy minus ``baseline`` (the first of
    ``policies`` where None) over the ``pairs`` replications that have both. Intervals are of 95 %, by ``method`` (see
    :mod:`sim.analysis.intervals`); that of a score that is 0 or 1 is the exact binomial one. ``p`` is how likely the
    method finds so large a difference where there is none, and ``different`` whether the two are told apart with Holm's
    correction over all scores and policies that are compared here on the machine and workload; ``apart`` counts the
    pairs that differ, and ``needed`` are about the replications that it takes to tell them apart. ``worst`` is that of
    the replications where the score is the least or the most that there was, else NaN. Raises ValueError for
    an unknown baseline, score or method, and where cells cannot be told apart by their labels.
    """
    check_method(method)
    runs = named_conditions(runs)
    order = policies_in_order(runs, policies)
    if unknown := sorted(set(scores) - SCORES.keys()):
        raise ValueError(f"unknown scores: {', '.join(unknown)}; there are: {', '.join(SCORES)}")
    if not order:
        return pd.DataFrame(columns=list(COMPARISON_COLUMNS))
    base = order[0] if baseline is None else baseline
    if base not in order:
        raise ValueError(f"the baseline {base!r} is none of the policies: {', '.join(order)}")
    labels = ["machine", "workload", "policy", *pairing(runs)]
    if runs.duplicated(labels).any():
        raise ValueError("several cells have the same labels and replication; policies compare only cell by cell")
    found: list[dict[str, object]] = []
    means: list[Sample] = []
    gaps: list[Sample] = []
    together: list[range] = []
    done = runs[runs["status"] == Status.COMPLETED]
    for (machine, workload), group in done.groupby(["machine", "workload"], sort=False):
        there = set(group["policy"])
        present = [policy for policy in order if policy in there]
        contents = _contents(one_of_each(group) if nothing_random(group) else group, present, scores)
        tests = (len(present) - 1) * len(scores)
        start = len(found)
        for score, *of_score in _samples(scores, contents, present.index(base) if base in present else None):
            means += of_score[0]
            gaps += of_score[1]
            for policy, of_mean, gap in zip(present, *of_score, strict=True):
                row = {"machine": str(machine), "workload": str(workload)} | _row(score, policy, base, of_mean, gap)
                found.append(row | {"needed": _needed(gap, method, tests)})
        together.append(range(start, len(found)))
    _estimate(found, means, gaps, method)
    for places in together:
        alike = [found[place] for place in places]
        for row, different in zip(alike, holm([float(str(row["p"])) for row in alike]), strict=True):
            row |= {"different": different, "needed": _more_than_were_run(row, different=different)}
    return pd.DataFrame(found, columns=list(COMPARISON_COLUMNS))


def pairing(runs: pd.DataFrame) -> list[str]:
    """Return the columns of ``runs`` that say which runs of one machine and workload met the same wishes."""
    return [name for name in ("seed", "replication") if name in runs]


def one_of_each(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the first replication of each policy, where all are alike: as of one seed and replication."""
    first = runs.sort_values("replication", kind="stable").drop_duplicates("policy")
    return first.assign(**dict.fromkeys(pairing(runs), 0))


def _contents(runs: pd.DataFrame, policies: Sequence[str], scores: Sequence[str]) -> Floats:
    """Return the scores (N x policies x scores) of the N replications of one machine and workload; NaN for none."""
    places = runs.groupby(pairing(runs), sort=True).ngroup().to_numpy()
    columns = runs["policy"].map({policy: column for column, policy in enumerate(policies)}).to_numpy()
    contents = np.full((int(places.max()) + 1, len(policies), len(scores)), math.nan)
    contents[places, columns] = runs[list(scores)].to_numpy(dtype=np.float64)
    return contents


def nothing_random(runs: pd.DataFrame) -> bool:
    """Whether nothing is random in ``runs``, those of one machine and workload, so that all replications are alike."""
    if "recording" in runs and len(set(runs["recording"].dropna())) > 1:
        return False
    return "streams_drawn" in runs and bool((runs["streams_drawn"] == 0).all())


def _gaps(contents: Floats, place: int | None) -> Floats:
    """Return the differences to the baseline in column ``place``, NaN where it is not there."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity is undefined, as it should be
        gaps: Floats = contents - (math.nan if place is None else contents[:, [place]])
    return gaps


def _samples(
    scores: Sequence[str], contents: Floats, place: int | None
) -> Iterator[tuple[str, list[Sample], list[Sample]]]:
    """Yield each score with, for each policy, its values and its differences to the baseline.

    There are none of these where the baseline, in column ``place``, is not there. ``contents`` as by :func:`_contents`.
    """
    gaps = _gaps(contents, place)
    far = np.stack([far_out(contents), far_out(gaps)])
    alike: dict[tuple[str, float], list[int]] = {}
    for number_of_score, score in enumerate(scores):
        alike.setdefault((SCORES[score].better, SCORES[score].highest), []).append(number_of_score)
    ends = np.empty((4, len(scores), contents.shape[1]))
    for (better, highest), numbers in alike.items():
        tables = contents.transpose(2, 0, 1)[numbers]
        ends[:2, numbers] = support(tables, better, highest=highest)
        ends[2:, numbers] = ends[:2, numbers] if place is None else support(tables, better, place, highest)
    for number_of_score, score in enumerate(scores):
        content, gap, highest = contents[:, :, number_of_score], gaps[:, :, number_of_score], SCORES[score].highest
        least = 0.0 if np.nanmin(content, initial=math.inf) >= 0 else -math.inf
        # Of yes and no, the few times that two differ are no less known for being rare.
        rare = np.count_nonzero(np.nan_to_num(gap), axis=0) < EVENTS if highest == 1 else far[1, number_of_score]
        own, against = (ends[side : side + 2, number_of_score] for side in (0, 2))
        widest = highest - least
        yield (
            score,
            _of_columns(content, (own[0], own[1]), far[0, number_of_score], (least, highest)),
            _of_columns(gap, (against[0], against[1]), rare, (-widest, widest)),
        )


def _of_columns(
    table: Floats, ends: tuple[Floats, Floats], far: npt.NDArray[np.bool_], limits: tuple[float, float]
) -> list[Sample]:
    flags = np.broadcast_to(far, table.shape[1:])
    return [
        Sample(values[~np.isnan(values)], (float(least), float(most)), bool(flag), limits)
        for values, least, most, flag in zip(table.T, *ends, flags, strict=True)
    ]


def _row(score: str, policy: str, base: str, of_mean: Sample, gap: Sample) -> dict[str, object]:
    known = SCORES[score]
    return {
        "policy": policy, "score": score, "unit": known.unit.symbol, "better": known.better,
        "replications": len(of_mean.drawn), "mean": _mean(of_mean.drawn),
        "worst": known.worst(of_mean.drawn), "baseline": base, "pairs": len(gap.drawn), "difference": _mean(gap.drawn),
        "apart": int(np.count_nonzero(gap.drawn)),
    }  # fmt: skip


def _estimate(
    rows: Sequence[dict[str, object]], means: Sequence[Sample], gaps: Sequence[Sample], method: Method
) -> None:
    """Put intervals and chances into ``rows``: all at once, as weights are drawn anew for each number of values."""
    for row, of_mean, of_gap in zip(rows, _of_means(rows, means, method), _of_gaps(rows, gaps, method), strict=True):
        row |= {"low": of_mean.low, "high": of_mean.high, "p": of_gap.p}
        row |= {"difference_low": of_gap.low, "difference_high": of_gap.high}


def _needed(gap: Sample, method: Method, tests: int) -> float:
    return needed(gap.drawn, gap.bounds, tests, unseen=gap.far or method != "auto")


def _more_than_were_run(row: Mapping[str, Any], *, different: bool) -> float:
    """Return how many replications it takes: more than there are where these did not tell, whatever they promise."""
    least = 0 if different else row["pairs"] + 1
    return float(row["needed"]) if math.isnan(row["needed"]) else max(float(row["needed"]), float(least))


def _of_means(rows: Sequence[Mapping[str, object]], samples: Sequence[Sample], method: Method) -> list[Estimate]:
    """Return the estimates of the means of ``rows``; of scores that tell yes from no the exact ones."""
    found = estimate_all(samples, method)
    if method in {"auto", "bounded"}:
        for number, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            if SCORES[str(row["score"])].highest == 1:
                found[number] = Estimate(*proportion_interval(int(sample.drawn.sum()), len(sample.drawn)))
    return found


def _of_gaps(rows: Sequence[Mapping[str, object]], samples: Sequence[Sample], method: Method) -> list[Estimate]:
    """Return the estimates of the differences of ``rows``; of the baseline to itself there is nothing to estimate."""
    others = [number for number, row in enumerate(rows) if row["policy"] != row["baseline"]]
    found = [Estimate(0.0, 0.0) if len(sample.drawn) else Estimate() for sample in samples]
    for number, of_gap in zip(others, estimate_all([samples[number] for number in others], method), strict=True):
        found[number] = of_gap
    return found


def _mean(values: Floats) -> float:
    return math.fsum(values.tolist()) / len(values) if len(values) else math.nan


def shown_unit(score: Score, values: Iterable[float]) -> tuple[float, str]:
    """Return by what ``values`` are divided, and the unit that they have then: neither too small nor too large."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if score.unit is BYTES and 0 < largest < GIB:
        return MIB, "MiB"
    if score.unit is BYTE_SECONDS and largest >= _MANY * GIB:
        return 1024 * GIB, "TiB s"
    return score.unit.shown_per, score.unit.shown_symbol


def number(value: float) -> str:
    """Return ``value`` with three significant digits, and without digits that say nothing."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "undefined"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """Return a share as a percentage without its sign, never rounded up to all or down to none."""
    shown = 100 * share
    if 99.5 < shown < 100:  # noqa: PLR2004
        return f"{min(shown, 99.9):.3g}"
    return f"{shown:.2g}" if shown < 10 else f"{shown:.0f}"  # noqa: PLR2004


def signed(value: float) -> str:
    """Return ``value`` as :func:`number` does, always with its sign; nothing is ±0."""
    return "±0" if value == 0 else f"{'+' if value > 0 else ''}{number(value)}"
