"""What is written beside the points of the trade-off: names and ratios, where there is room for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.plots.colours import DARK, GREY
from sim.plots.lettering import height, shortened, width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.analysis.tradeoffs import Point

_SAME: Final = 0.022
"""Points nearer than this share of both axes are drawn as one with a common label."""

_LONGEST: Final = 3.0
_MARK: Final = 0.09
_NEAR: Final = 0.12
"""Inches: the widest label, half of a mark, and how far a label is from its mark."""

_LINE: Final = 0.04
"""Inches on both sides of a line that are kept free."""

_FARTHER: Final = (0.35, 0.6, 0.9, 1.25, 1.7, 2.2)
"""Where there is no room beside a mark, a label stands so many inches away, at a thin line."""

_BESIDE_CURVE: Final = ((1, 1), (0, 0), (1, 0.5), (0, 0.5), (1, 0), (0, 1))
"""Where a ratio may be written, best first: to the left (0) or right (1), and below (0), beside or above (1)."""

_BESIDE_POINT: Final = ((1, 0.5), (1, 1), (1, 0), (0, 1), (0, 0), (0, 0.5))
_BESIDE_BOTH: Final = ((1, 1), (0, 0), (1, 0.5), (0, 1), (1, 0), (0, 0.5))
_BESIDE_FAILED: Final = ((1, 0), (1, 0.5), (0, 1), (0, 0.5), (1, 1), (0, 0))
"""Off a curve that comes from the upper right."""

_BETTER: Final = (1.1, 0.5)
"""Inches: what the word better takes, with its arrow."""

_CORNERS: Final = (
    (0.99, 0.98),
    (0.99, 0.3),
    (0.3, 0.98),
    (0.65, 0.98),
    (0.99, 0.6),
    (0.3, 0.3),
    (0.65, 0.3),
    (0.65, 0.6),
)

_Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Cluster:
    """Points that lie on each other: one mark with a common label."""

    points: list[Point] = field(default_factory=list)

    @property
    def x(self) -> float:
        """Where the mark is, across."""
        return math.fsum(point.x for point in self.points) / len(self.points)

    @property
    def y(self) -> float:
        """Where the mark is, upwards."""
        return math.fsum(point.y for point in self.points) / len(self.points)

    @property
    def failed(self) -> bool:
        """Whether these are policies that fail: others are never in one cluster with them."""
        return any(point.failed for point in self.points)

    def has(self, policy: str | None) -> bool:
        """Whether one of the points is of ``policy``."""
        return any(point.policy == policy for point in self.points)

    @property
    def is_curve(self) -> bool:
        """Whether there are only ratios."""
        return all(not math.isnan(point.ratio) for point in self.points)

    @property
    def has_ratio(self) -> bool:
        """Whether a curve goes through it."""
        return any(not math.isnan(point.ratio) for point in self.points)

    def label(self, scenario: Scenario) -> list[str]:
        """Return the ratios among the points, and the names of the others, a line for each."""
        ratios: dict[str, list[float]] = {}
        for point in sorted(self.points, key=lambda point: point.ratio):
            if not math.isnan(point.ratio):
                ratios.setdefault(scenario.marked(point.policy, "{}"), []).append(point.ratio)
        lines = [
            mark.replace("{}", f"{alike[0]:g}" + (f" to {alike[-1]:g}" if alike[-1] > alike[0] else "") + " %")
            for mark, alike in ratios.items()
        ]
        return lines + [scenario.marked(point.policy) for point in self.points if math.isnan(point.ratio)]


def clusters_of(points: Sequence[Point]) -> list[Cluster]:
    """Gather points that lie on each other."""
    if not points:
        return []
    wide = max(max(p.x for p in points) - min(p.x for p in points), 1e-9)
    high = max(max(p.y for p in points) - min(p.y for p in points), 1e-9)
    clusters: list[Cluster] = []
    for point in points:
        for cluster in clusters:
            first = cluster.points[0]
            near = abs(first.x - point.x) < _SAME * wide and abs(first.y - point.y) < _SAME * high
            if near and first.failed == point.failed:
                cluster.points.append(point)
                break
        else:
            clusters.append(Cluster([point]))
    return clusters


def name_clusters(axis: Axes, scenario: Scenario, clusters: Sequence[Cluster], curve: str) -> None:
    """Write at each cluster what it is; ratios on a curve, in its colour, only where there is room beside them.

    ``axis`` has its place in the figure already. Names that find no room beside their mark are joined to it by a line.
    """
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    box = axis.get_window_extent()
    figure = axis.get_figure(root=True)
    dots = figure.dpi if figure is not None else 1.0
    wide, high = box.width / dots, box.height / dots

    def place(cluster: Cluster) -> tuple[float, float]:
        return wide * (cluster.x - left) / (right - left), high * (cluster.y - bottom) / (top - bottom)

    occupied = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in map(place, clusters)]
    for cluster in clusters:
        for point in cluster.points:
            (x, y), (worst, _) = place(cluster), place(Cluster([replace(point, x=point.worst)]))
            # The line down to the worst replication: letters on it could not be read.
            if worst < x - _MARK:
                occupied.append((worst - _LINE, y - _LINE, x, y + _LINE))
    ratios = sorted((cluster for cluster in clusters if cluster.is_curve), key=lambda cluster: cluster.points[0].ratio)
    others = [cluster for cluster in clusters if not cluster.is_curve]
    for cluster in (*others, *ratios[:1], *ratios[:0:-1]):
        size, weight = (9.0, "normal") if cluster.is_curve else (10.0, "bold")
        lines = [shortened(line, min(_LONGEST, 0.8 * wide), size, weight) for line in cluster.label(scenario)]
        extent = (max(width(line, size, weight) for line in lines), height(len(lines), size))
        # A ratio that finds no room beside its mark is told by those to both sides of it.
        droppable = cluster.is_curve and not cluster.failed and not cluster.has(scenario.baseline)
        places = _boxes(cluster, place(cluster), extent, far=not droppable)
        chosen = next((each for each in places if _is_free(each.box, (wide, high), occupied)), None)
        if chosen is None:
            continue
        found, (x, y) = chosen.box, place(cluster)
        occupied.append(found)
        if chosen.far:
            nearest = min(max(x, found[0]), found[2]), min(max(y, found[1]), found[3])
            ends = [(x / wide, y / high), (nearest[0] / wide, nearest[1] / high)]
            axis.plot(*zip(*ends, strict=True), transform=axis.transAxes, color=GREY, lw=0.6, zorder=3, gid="to a name")
        text = axis.text(
            (found[0] if chosen.across else found[2]) / wide, (found[1] + found[3]) / 2 / high, "\n".join(lines),
            transform=axis.transAxes, va="center", ha="left" if chosen.across else "right", fontsize=size,
            fontweight=weight, color=curve if droppable else DARK, zorder=5,
        )  # fmt: skip
        text.set_in_layout(False)
    _say_where_is_better(axis, (wide, high), occupied)


def _say_where_is_better(axis: Axes, ends: tuple[float, float], occupied: Sequence[_Box]) -> None:
    """Draw an arrow to the upper right, in that corner or wherever else there is room for it."""
    for right, up in _CORNERS:
        x, y = right * ends[0] - _BETTER[0], up * ends[1] - _BETTER[1]
        if _is_free((x, y, x + _BETTER[0], y + _BETTER[1]), ends, occupied):
            arrow = axis.annotate(
                "better", xy=((x + _BETTER[0]) / ends[0], (y + _BETTER[1]) / ends[1]),
                xytext=((x + 0.3) / ends[0], (y + 0.1) / ends[1]), xycoords="axes fraction",
                textcoords="axes fraction", ha="center", va="center", color=GREY, fontsize=10,
                arrowprops={"arrowstyle": "->", "color": GREY},
            )  # fmt: skip
            arrow.set_in_layout(False)
            return


class _Place(NamedTuple):
    """Where a label may stand: its box, whether it is to the right of its mark, and whether far from it."""

    box: _Box
    across: bool
    far: bool = False


def _boxes(cluster: Cluster, at: tuple[float, float], extent: tuple[float, float], *, far: bool) -> Iterator[_Place]:
    """Yield where a label may stand, best first, and places ``far`` from its mark last."""
    (x, y), (wide, high) = at, extent
    for across, up in _beside(cluster):
        x0 = x + _NEAR if across else x - _NEAR - wide
        y0 = y + _NEAR / 2 if up == 1 else y - _NEAR / 2 - high if up == 0 else y - high / 2
        yield _Place((x0, y0, x0 + wide, y0 + high), bool(across))
    for away in _FARTHER if far else ():
        for to_right in (True, False):
            for aside, lift in ((0.8, 1), (0.8, -1), (1, 0), (0, 1), (0, -1)):
                x0 = x + aside * away if to_right else x - aside * away - wide
                y0 = y + lift * away - (0, high / 2, high)[1 - lift]
                yield _Place((x0, y0, x0 + wide, y0 + high), to_right, far=True)


def _is_free(box: _Box, ends: tuple[float, float], occupied: Sequence[_Box]) -> bool:
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= ends[0] and box[3] <= ends[1]
    return inside and not any(_overlap(box, other) for other in occupied)


def _beside(cluster: Cluster) -> tuple[tuple[int, float], ...]:
    if not cluster.has_ratio:
        return _BESIDE_POINT
    return _BESIDE_FAILED if cluster.failed else _BESIDE_CURVE if cluster.is_curve else _BESIDE_BOTH


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
