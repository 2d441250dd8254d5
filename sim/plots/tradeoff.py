"""The plot of what zones are about: memory that comes back against memory that is left to the kernel."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sim.analysis import findings
from sim.plots.figure_heading import heading
from sim.scores.registry import SCORES
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_CURVE: Final = "#0072b2"
_POINT: Final = "#d55e00"
_FAILED: Final = "#222222"
_SAME: Final = 0.022
"""Points nearer than this share of both axes are drawn as one with a common label."""

_FAIR_SHARE: Final = 0.25

_BESIDE_CURVE: Final = ((1, 1), (0, 0), (1, 0.5), (0, 0.5), (1, 0), (0, 1))
"""Where a ratio may be written, best first: to the left (0) or right (1), and below (0), beside or above (1)."""

_BESIDE_POINT: Final = ((1, 0.5), (1, 1), (1, 0), (0, 1), (0, 0), (0, 0.5))
_BESIDE_BOTH: Final = ((1, 1), (0, 0), (1, 0.5), (0, 1), (1, 0), (0, 0.5))
_BESIDE_FAILED: Final = ((1, 0), (1, 0.5), (0, 1), (0, 0.5), (1, 1), (0, 0))
"""Off a curve that comes from the upper right."""


@dataclass(slots=True)
class _Point:
    """One policy: least headroom (``x``), memory given back (``y``), whether it failed, its ratio.

    ``mark`` is what is written around its name or ratio.
    """

    policy: str
    mark: str
    x: float
    y: float
    failed: bool
    ratio: float
    family: str


@dataclass(slots=True)
class _Cluster:
    points: list[_Point] = field(default_factory=list)

    @property
    def x(self) -> float:
        return math.fsum(point.x for point in self.points) / len(self.points)

    @property
    def y(self) -> float:
        return math.fsum(point.y for point in self.points) / len(self.points)

    @property
    def failed(self) -> bool:
        return any(point.failed for point in self.points)

    @property
    def is_curve(self) -> bool:
        """Whether there are only ratios."""
        return all(not math.isnan(point.ratio) for point in self.points)

    @property
    def has_ratio(self) -> bool:
        """Whether a curve goes through it."""
        return any(not math.isnan(point.ratio) for point in self.points)

    def label(self) -> str:
        """Return the ratios among the points, and the names of the others."""
        ratios: dict[str, list[float]] = {}
        for point in sorted(self.points, key=lambda point: point.ratio):
            if not math.isnan(point.ratio):
                ratios.setdefault(point.mark, []).append(point.ratio)
        lines = [
            mark.format(f"{alike[0]:g}" + (f" to {alike[-1]:g}" if alike[-1] > alike[0] else "") + " %")
            for mark, alike in ratios.items()
        ]
        return "\n".join([*lines, *(p.mark.format(p.policy) for p in self.points if math.isnan(p.ratio))])


def plot_tradeoff(_: ResultStore, scenario: Scenario) -> Figure:
    """Draw each policy as a point: memory given back over the least kernel headroom; ratios are joined to a curve.

    Where nothing was ever given back, hotplugged memory in ZONE_MOVABLE (mean, percent) takes its place. Values are
    means over the replications. Only for scenarios with a guest.
    """
    returned = bool((scenario.runs["returned"] > 0).any())
    points = _points(scenario, "returned" if returned else "movable_share_mean", GIB if returned else 1.0)
    small = max((point.x for point in points), default=0.0) < 4 * GIB
    for point in points:
        point.x /= MIB if small else GIB
    figure = Figure(figsize=(9.5, 6.6))
    axis = figure.subplots()
    _draw_curves(axis, points)
    clusters = _clusters(points)
    for cluster in clusters:
        curve = cluster.has_ratio
        colour = _FAILED if cluster.failed else _CURVE if curve else _POINT
        marker = "X" if cluster.failed else "o" if curve else "D"
        size = 90 if cluster.failed else 36 if curve else 75
        axis.scatter([cluster.x], [cluster.y], s=size, marker=marker, color=colour, edgecolor="white", lw=0.9, zorder=4)
    axis.set_xlabel(
        f"least kernel headroom [{'MiB' if small else 'GiB'}]: what the kernel could still take at the worst moment"
    )
    what = "memory given back [GiB]" if returned else f"{SCORES['movable_share_mean'].title} [%]"
    axis.set_ylabel(what)
    axis.margins(x=0.12, y=0.2)
    # From zero, unless that would press all points into a corner.
    if _spread([point.x for point in points]):
        axis.set_xlim(left=min(0.0, axis.get_xlim()[0]))
    if _spread([point.y for point in points]):
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    _label(axis, clusters)
    axis.annotate(
        "better", xy=(0.985, 0.975), xytext=(0.9, 0.9), xycoords="axes fraction", textcoords="axes fraction",
        ha="center", va="center", color="#777777", fontsize=10, arrowprops={"arrowstyle": "->", "color": "#777777"},
    )  # fmt: skip
    _legend(figure, points)
    seeds = "" if scenario.replications == 1 else f"; means of {scenario.replications} replications"
    if seeds and any(0 < how.failed < how.runs for how in scenario.failures.values()):
        seeds += ", those that failed included"
    note = "each point is a policy: further up, more memory comes back; further right, more was left to the kernel"
    explained = ""
    if any(point.policy == scenario.bound for point in points):
        explained = f"{scenario.bound} knows the future: the best of the plans that it tried, by MOVABLE over time"
    heading(figure, findings.tradeoff(scenario), "Trade-off", scenario, f"{note}{seeds}", explained, most=None)
    return figure


def _points(scenario: Scenario, score: str, per: float) -> list[_Point]:
    points = []
    for policy in scenario.present:
        runs = scenario.of(policy)
        x, y = float(runs["headroom_min"].mean()), float(runs[score].mean()) / per
        if math.isnan(x) or math.isnan(y):
            continue
        failed = bool(scenario.failures[policy].failed)
        family = re.sub(r"[,\s]*(ratio )?\d+( ?%)?$", "", policy)
        mark, ratio = scenario.marked(policy, "{}"), scenario.configured_ratio(policy)
        points.append(_Point(policy, mark, x, y, failed, ratio, family))
    for point in points:
        # One ratio makes no curve: the policy is written by its name.
        if sum(other.family == point.family for other in points) == 1:
            point.ratio = math.nan
    return points


def _spread(values: list[float]) -> bool:
    """Whether values differ by a fair share of what they are."""
    return not values or max(values) - min(values) > _FAIR_SHARE * max(values)


def _draw_curves(axis: Axes, points: list[_Point]) -> None:
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


def _clusters(points: list[_Point]) -> list[_Cluster]:
    """Gather points that lie on each other."""
    if not points:
        return []
    wide = max(max(p.x for p in points) - min(p.x for p in points), 1e-9)
    high = max(max(p.y for p in points) - min(p.y for p in points), 1e-9)
    clusters: list[_Cluster] = []
    for point in points:
        for cluster in clusters:
            first = cluster.points[0]
            near = abs(first.x - point.x) < _SAME * wide and abs(first.y - point.y) < _SAME * high
            if near and first.failed == point.failed:
                cluster.points.append(point)
                break
        else:
            clusters.append(_Cluster([point]))
    return clusters


def _label(axis: Axes, clusters: list[_Cluster]) -> None:
    """Write at each cluster what it is, where there is room; of the ratios in between, some may have none."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()

    def place(cluster: _Cluster) -> tuple[float, float]:
        return (cluster.x - left) / (right - left), (cluster.y - bottom) / (top - bottom)

    occupied = [(x - 0.012, y - 0.018, x + 0.012, y + 0.018) for x, y in map(place, clusters)]
    ratios = sorted((cluster for cluster in clusters if cluster.is_curve), key=lambda cluster: cluster.points[0].ratio)
    others = [cluster for cluster in clusters if not cluster.is_curve]
    for cluster in (*others, *ratios[:1], *ratios[:0:-1]):
        x, y = place(cluster)
        text = cluster.label()
        lines = text.split("\n")
        wide = (0.0092 if cluster.is_curve else 0.0118) * max(map(len, lines))
        high = 0.034 * len(lines)
        for across, up in _beside(cluster):
            x0 = x + 0.014 if across else x - 0.014 - wide
            y0 = y + 0.012 if up == 1 else y - 0.012 - high if up == 0 else y - high / 2
            box = (x0, y0, x0 + wide, y0 + high)
            inside = box[0] >= 0 and box[2] <= 1 and box[1] >= 0 and box[3] <= 1
            if inside and not any(_overlap(box, other) for other in occupied):
                break
        else:
            if cluster.is_curve and not cluster.failed:
                continue
        occupied.append(box)
        axis.text(
            x0 if across else x0 + wide, y0 + high / 2, text, transform=axis.transAxes, va="center",
            ha="left" if across else "right", fontsize=9 if cluster.is_curve else 10, zorder=5,
            color=_CURVE if cluster.is_curve and not cluster.failed else "#222222",
            fontweight="normal" if cluster.is_curve else "bold",
        )  # fmt: skip


def _beside(cluster: _Cluster) -> tuple[tuple[int, float], ...]:
    if not cluster.has_ratio:
        return _BESIDE_POINT
    return _BESIDE_FAILED if cluster.failed else _BESIDE_CURVE if cluster.is_curve else _BESIDE_BOTH


_Box = tuple[float, float, float, float]


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _legend(figure: Figure, points: list[_Point]) -> None:
    handles = []
    families = list(dict.fromkeys(point.family for point in points if not math.isnan(point.ratio)))
    if families:
        label = f"{' and '.join(families)}, by ratio"
        handles.append(Line2D([], [], color=_CURVE, marker="o", ms=6, lw=1.8, markeredgecolor="white", label=label))
    if any(math.isnan(point.ratio) and not point.failed for point in points):
        handles.append(
            Line2D([], [], color=_POINT, marker="D", ms=7, lw=0, markeredgecolor="white", label="other policies")
        )
    if any(point.failed for point in points):
        handles.append(Line2D([], [], color=_FAILED, marker="X", ms=8, lw=0, markeredgecolor="white", label="failed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
