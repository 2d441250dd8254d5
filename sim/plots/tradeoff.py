"""The plot of what zones are about: memory that comes back against memory that is left to the kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sim.analysis import findings
from sim.analysis.tradeoffs import IN_MOVABLE, front, gain_score, points
from sim.plots.colours import DARK, GREY, PALETTE
from sim.plots.figure_heading import CUT_NOTE, heading
from sim.plots.lettering import legend_text, shortened
from sim.plots.spans import least_span
from sim.plots.tradeoff_names import clusters_of, name_clusters
from sim.scores.registry import SCORES
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.analysis.tradeoffs import Point
    from sim.results.store import ResultStore

_CURVE: Final = PALETTE[0]
_POINT: Final = PALETTE[1]
_FAILED: Final = DARK
_FAIR_SHARE: Final = 0.25
_BELOW_ZERO: Final = 0.04
_ROOM: Final = 0.04
_WIDTH_OF_MARK: Final = 0.012
_FAMILY: Final = 1.6
"""Inches of a name in the legend."""


def plot_tradeoff(_: ResultStore, scenario: Scenario) -> Figure:
    """Draw each policy as a point: memory given back over the least kernel headroom; ratios are joined to a curve.

    The front are the policies that no other beats in both; who fails in any replication is not on it. Where nothing was
    ever given back, hotplugged memory in ZONE_MOVABLE (mean, percent) takes its place. Values are means over the
    replications. Only for scenarios with a guest.
    """
    score, found = gain_score(scenario), points(scenario)
    small = max((point.x for point in found), default=0.0) < 4 * GIB
    for point in found:
        point.x /= MIB if small else GIB
        point.worst /= MIB if small else GIB
        point.y /= SCORES[score].unit.shown_per
    figure = Figure(figsize=(9.5, 6.8))
    axis = figure.subplots()
    _draw_curves(axis, found)
    worse = _draw_worst(axis, found)
    clusters = clusters_of(found)
    for cluster in clusters:
        curve = cluster.has_ratio
        colour = _FAILED if cluster.failed else _CURVE if curve else _POINT
        marker = "X" if cluster.failed else "o" if curve else "D"
        size = 90 if cluster.failed else 36 if curve else 75
        axis.scatter([cluster.x], [cluster.y], s=size, marker=marker, color=colour, edgecolor="white", lw=0.9, zorder=4)
    axis.set_xlabel(
        f"least kernel headroom [{'MiB' if small else 'GiB'}]: what the kernel could still take at the worst moment"
    )
    axis.set_ylabel("memory given back [GiB]" if score != IN_MOVABLE else f"{SCORES[score].title} [%]")
    axis.margins(x=0.12, y=0.2)
    axis.set_xlim(_ends([each for point in found for each in (point.x, point.worst)], axis.get_xlim()))
    axis.set_ylim(_ends([point.y for point in found], axis.get_ylim()))
    for ticks, limits, put in (
        (axis.get_xticks(), axis.get_xlim(), axis.set_xticks),
        (axis.get_yticks(), axis.get_ylim(), axis.set_yticks),
    ):
        put([tick for tick in ticks if 0 <= tick <= limits[1]])
    best = front(found)
    _draw_front(axis, best)
    cut = "" if axis.get_xlim()[0] <= 0 and axis.get_ylim()[0] <= 0 else CUT_NOTE
    _legend(figure, found, has_front=len(best) > 1)
    seeds = "" if scenario.replications == 1 else f"; means of {scenario.replications} replications"
    if seeds and any(0 < how.failed < how.runs for how in scenario.failures.values()):
        seeds += ", those that failed included"
    note = "each point is a policy: further up, more memory comes back; further right, more was left to the kernel"
    explained = ""
    if any(point.policy == scenario.bound for point in found):
        explained = f"{scenario.bound} knows the future: the best of the plans that it tried, by MOVABLE over time"
    heading(
        figure, findings.tradeoff(scenario), "Trade-off", scenario, f"{note}{seeds}", worse, cut, explained, most=None
    )
    # Where there is room for names is known once everything else has its place.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    name_clusters(axis, scenario, clusters, _CURVE)
    return figure


def _ends(values: Sequence[float], limits: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of an axis that holds ``values``, which are in ``limits`` with some room.

    It begins at 0, unless that would press all points into a corner, and is no shorter than :func:`least_span` says.
    """
    low, high = limits
    if not values:
        return limits
    if max(values) == min(values):
        return 0.0, max(1.15 * high, 1.0)  # nothing to tell apart, so where it stands is what there is to see
    if max(values) - min(values) > _FAIR_SHARE * max(values):
        # Nothing is below 0, but a mark at 0 needs room for its other half.
        return (max(low, -_BELOW_ZERO * high) if min(values) >= 0 else low) if low < 0 else 0.0, high
    low = least_span(values, low, high)[0]
    return low, max(high, max(values) + _ROOM * (high - low))


def _draw_front(axis: Axes, best: Sequence[Point]) -> None:
    """Shade what is no better than some policy of the front, if that is of several."""
    if len(best) < 2:  # noqa: PLR2004
        return
    left, bottom = axis.get_xlim()[0], axis.get_ylim()[0]
    x, y = [left, *(point.x for point in best)], [best[0].y, *(point.y for point in best)]
    axis.fill_between(x, y, bottom, step="pre", color=GREY, alpha=0.09, lw=0, zorder=0.5)
    axis.step([*x, x[-1]], [*y, bottom], where="pre", color=GREY, lw=1.0, ls=(0, (1, 1.5)), zorder=1, gid="front")


def _draw_curves(axis: Axes, points: list[Point]) -> None:
    """Join the points of each policy that was run with several ratios, in order of the ratio."""
    for family in dict.fromkeys(point.family for point in points if not math.isnan(point.ratio)):
        curve = sorted(
            (point for point in points if point.family == family and not math.isnan(point.ratio)),
            key=lambda point: point.ratio,
        )
        holding = [point for point in curve if not point.failed]
        axis.plot([p.x for p in holding], [p.y for p in holding], color=_CURVE, lw=1.8, zorder=2)
        # To where the kernel lacks memory the curve is broken: there, less comes back because less could be added.
        broken = holding[-1:] + [point for point in curve if point.failed]
        axis.plot([p.x for p in broken], [p.y for p in broken], color=_CURVE, lw=1.2, ls=(0, (3, 2.5)), zorder=2)


def _draw_worst(axis: Axes, points: Sequence[Point]) -> str:
    """Draw how far the worst replication of each policy lies from its mean, and return what to say of it."""
    # What is nearer than the mark is wide would look like a flaw of it.
    near = _WIDTH_OF_MARK * max((point.x for point in points), default=0.0)
    away = [point for point in points if point.worst < point.x - near]
    for point in away:
        colour = _FAILED if point.failed else _POINT if math.isnan(point.ratio) else _CURVE
        axis.plot([point.worst, point.x], [point.y] * 2, color=colour, lw=0.9, alpha=0.55, zorder=1.5, gid="worst")
        axis.plot([point.worst], [point.y], color=colour, marker="|", ms=8, mew=1.4, alpha=0.8, zorder=1.5, gid="worst")
    return "line to the left: down to the replication with the least headroom" if away else ""


def _legend(figure: Figure, points: Sequence[Point], *, has_front: bool) -> None:
    handles: list[Any] = []
    families = list(dict.fromkeys(point.family for point in points if not math.isnan(point.ratio)))
    if families:
        # A policy may be called by its ratio alone.
        named = " and ".join(shortened(family, _FAMILY, 9.5) for family in families if family)
        label = legend_text(f"{named or 'policies'}, by ratio")
        handles.append(Line2D([], [], color=_CURVE, marker="o", ms=6, lw=1.8, markeredgecolor="white", label=label))
    if any(math.isnan(point.ratio) and not point.failed for point in points):
        handles.append(
            Line2D([], [], color=_POINT, marker="D", ms=7, lw=0, markeredgecolor="white", label="other policies")
        )
    if any(point.failed for point in points):
        handles.append(Line2D([], [], color=_FAILED, marker="X", ms=8, lw=0, markeredgecolor="white", label="failed"))
    if has_front:
        what = "beaten in both by a policy that never fails; at its edge, the front"
        handles.append(Patch(facecolor=GREY, alpha=0.12, label=what))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
