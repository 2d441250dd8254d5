"""Charts with a mark for each policy: scores, differences in pairs, what came back against headroom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from sim.analysis.compare import number, shown_unit, signed
from sim.analysis.ranking import FAILED_MARK
from sim.analysis.same import shown_worst
from sim.analysis.tradeoffs import IN_MOVABLE, gain_score
from sim.analysis.tradeoffs import points as found_points
from sim.plots.spans import least_differences, whole
from sim.report.charts.drawing import CROSS, MARKERS, Chart, Key, Panel, axes, mark
from sim.report.charts.scale import top_of
from sim.scores.registry import SCORES
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.analysis.scenario import Scenario
    from sim.report.charts.drawing import Looks

    Row = Mapping[str, Any]

_WIDE: Final = 1000
_ROW: Final = 24
"""Pixels of a policy's row."""

_LABEL: Final = 19
"""Characters of a policy's label that stand beside its row; all of it is told at the cursor."""
_LABEL_END: Final = 10
"""So many of them are from its end: labels of swept policies differ there."""

_BETTER: Final = {"higher": "higher is better", "lower": "lower is better", "neither": ""}
_SAME_PLACE: Final = 0.02
_FAR_RIGHT: Final = 0.8


def scores_chart(scenario: Scenario, looks: Looks, anchor: str, title: str, rows: Sequence[Row]) -> Chart | None:
    """Return a panel for each score that differs between policies: means as dots, 95 % intervals as lines.

    ``rows`` are those of the scenario in a comparison. None where no score differs.
    """
    panels = []
    for name in dict.fromkeys(str(row["score"]) for row in rows):
        own = _in_order(scenario, [row for row in rows if row["score"] == name and not math.isnan(row["mean"])])
        if len({row["mean"] for row in own}) > 1:
            panels.append(_panel(scenario, looks, name, own, ("mean", "low", "high"), from_zero=True))
    if not panels:
        return None
    note = "Marks are means, lines their 95 % intervals where there are replications enough."
    note += " The baseline's name is bold." if scenario.baseline in scenario.present else ""
    if any(not math.isnan(row["worst"]) and row["worst"] != row["mean"] for row in rows):
        note += " Of what is a least or a most, hollow diamonds are the worst single replication."
    return Chart(f"{anchor}-scores", "marks", title, note, panels)


def differences_chart(scenario: Scenario, looks: Looks, anchor: str, title: str, rows: Sequence[Row]) -> Chart | None:
    """Return the differences to the baseline in pairs, a panel for each score in which any differs; None without."""
    panels = []
    for name in dict.fromkeys(str(row["score"]) for row in rows):
        own = [
            row
            for row in rows
            if row["score"] == name and row["policy"] != row["baseline"] and math.isfinite(row["difference"])
        ]
        if any(row["difference"] for row in own):
            keys = ("difference", "difference_low", "difference_high")
            panels.append(_panel(scenario, looks, name, _in_order(scenario, own), keys, from_zero=False))
    if not panels:
        return None
    note = (
        f"Each policy minus {scenario.against}, replication by replication: a mark at 0 is no difference; lines are "
        "95 % intervals. Filled marks are differences beyond chance, hollow ones may be chance."
    )
    return Chart(f"{anchor}-differences", "marks", title, note, panels)


def _in_order(scenario: Scenario, rows: Sequence[Row]) -> list[Row]:
    order = {policy: place for place, policy in enumerate(scenario.ranked)}
    return sorted(rows, key=lambda row: order[row["policy"]])


def _panel(
    scenario: Scenario, looks: Looks, score: str, rows: Sequence[Row], keys: tuple[str, str, str], *, from_zero: bool
) -> Panel:
    """Return a panel with a row for each policy, at the values of ``rows`` by ``keys``: dot, and ends of a line."""
    known = SCORES[score]
    per, unit = shown_unit(known, [row[key] for row in rows for key in keys])
    shown = (*keys, "worst") if from_zero else keys
    values = [row[key] / per for row in rows for key in shown if math.isfinite(row[key])]
    least = 1.0 if whole(known) else 0.0
    if not from_zero:
        least = least_differences(known, max((abs(row["mean"]) for row in rows), default=0.0) / per)
    left, right = _ends(values, least, from_zero=from_zero)
    grid, texts = axes((left, right), None, (_WIDE, len(rows) * _ROW), whole=whole(known))
    inner, marks, words = [grid], [texts], []
    if left < 0 < right:
        zero = (0 - left) / (right - left) * _WIDE
        inner.append(Markup('<path class="zero" d="M{:.5g} 0v{}"/>').format(zero, len(rows) * _ROW))
    for place, row in enumerate(rows):
        at, low, high = ((row[key] / per - left) / (right - left) for key in keys)
        middle = place * _ROW + _ROW / 2
        colour, told = looks.colour(row["policy"]), _told(row, keys, per, unit)
        words.append(f"{scenario.marked(row['policy'])}: {told}")
        if math.isfinite(low) and math.isfinite(high) and high > low:
            d = f"M{low * _WIDE:.5g} {middle:g}H{high * _WIDE:.5g}"
            inner.append(Markup('<path class="interval" color="{}" d="{}"/>').format(colour, d))
        if math.isfinite(at):
            hollow = keys[0] == "difference" and not row["different"]
            where = (at, middle / (len(rows) * _ROW))
            marks.append(mark(where, looks.marker(row["policy"]), f"{'hollow ' * hollow}s{place}", colour))
        label = f"{FAILED_MARK} {row['policy']}" if scenario.failures[row["policy"]].failed else row["policy"]
        short = label if len(label) <= _LABEL else f"{label[: _LABEL - _LABEL_END - 1]}…{label[-_LABEL_END:]}"
        if from_zero and not math.isnan(worst := row["worst"] / per) and worst != row["mean"] / per:
            where = ((worst - left) / (right - left), middle / (len(rows) * _ROW))
            marks.append(mark(where, MARKERS["D"], f"hollow worst s{place}", colour))
        marks.append(
            Markup('<text class="row{}" x="-8" y="{:.4g}%" dy="4" data-told="{}">{}</text>').format(
                " base" * (row["policy"] == scenario.baseline), 100 * middle / (len(rows) * _ROW), words[-1], short
            )
        )
    better = _BETTER[known.better]
    title = f"{known.title}{f' [{unit}]' if unit else ''}"
    return Panel(
        title, f"{better.capitalize()}. {'; '.join(words)}.".lstrip(". "), len(rows), unit, _WIDE, Markup().join(inner),
        Markup(), Markup().join(marks), height=len(rows) * _ROW, shape="rows", x=(left, right), pixels=len(rows) * _ROW,
        whole=whole(known),
    )  # fmt: skip


def _ends(values: Sequence[float], least: float, *, from_zero: bool) -> tuple[float, float]:
    """Return the ends of an axis that reaches ``least`` from 0 at least: of differences, to both sides."""
    low, high = min(values), max(values)
    if from_zero and low >= 0:
        return 0.0, top_of(max(high, least))
    low, high = min(low, 0.0 if from_zero else -least), max(high, 0.0 if from_zero else least)
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def _told(row: Row, keys: tuple[str, str, str], per: float, unit: str) -> str:
    value, low, high = (row[key] / per for key in keys)
    shown = signed if keys[0] == "difference" else number
    text = f"{shown(value)} {unit}".strip()
    if math.isfinite(low) and math.isfinite(high):
        text += f" ({shown(low)} to {shown(high)})"
    if keys[0] == "mean" and (worst := shown_worst(row, per)):
        text += f", {worst}"
    if keys[0] == "difference" and not row["different"] and value:
        text += ", which may be chance"
    return text


def returned_chart(scenario: Scenario, looks: Looks, anchor: str, title: str) -> Chart | None:
    """Return what came back against the kernel's least headroom, a mark for each policy; None without a guest.

    Where nothing ever comes back, MOVABLE over time takes its place.
    """
    score = gain_score(scenario)
    found = found_points(scenario)
    points = [(point.policy, point.x, point.y) for point in found]
    if not points:
        return None
    across = GIB if max(x for _, x, _ in points) >= 4 * GIB else MIB
    unit_x = "GiB" if across == GIB else "MiB"
    per, unit_y = shown_unit(SCORES[score], [y for *_, y in points])
    right, top = top_of(max(x for _, x, _ in points) / across), top_of(max(y for *_, y in points) / per)
    grid, texts = axes((0.0, right), (0.0, top), (_WIDE, _WIDE))
    marks, words, lines = [], [], [grid]
    places = [(x / across / right, 1 - y / per / top) for _, x, y in points]
    for place, (policy, x, y) in enumerate(points):
        how = scenario.failures[policy]
        told = f"{number(y / per)} {unit_y} for {number(x / across)} {unit_x} of headroom"
        if found[place].worst < x:
            told += f" (least {number(found[place].worst / across)})"
            ends = (found[place].worst / across / right * _WIDE, places[place][0] * _WIDE)
            d = f"M{ends[0]:.5g} {places[place][1] * _WIDE:.5g}H{ends[1]:.5g}"
            lines.append(Markup('<path class="interval" color="{}" d="{}"/>').format(looks.colour(policy), d))
        told += f"; {'; '.join(how.reasons)}" if how.failed else ""
        words.append(f"{place + 1} {scenario.marked(policy)}: {told}")
        shape = CROSS if how.failed else looks.marker(policy)
        css = f"s{place}{' dead' * bool(how.failed)}{' left' * (places[place][0] > _FAR_RIGHT)}"
        # Marks on one another share a label, at the first of them.
        near = [other for other, at in enumerate(places) if math.dist(at, places[place]) < _SAME_PLACE]
        label = ", ".join(str(other + 1) for other in near) if near[0] == place else ""
        marks.append(
            Markup('<g data-told="{}">{}</g>').format(
                words[-1], mark(places[place], shape, css, looks.colour(policy), label)
            )
        )
    what = "memory given back" if score != IN_MOVABLE else SCORES[score].title
    keys = [
        Key(
            place,
            "dead" if scenario.failures[policy].failed else "",
            f"{place} {scenario.marked(policy)}",
            looks.colour(policy),
            "shape",
            _moved(looks, scenario, policy),
        )
        for place, (policy, *_) in enumerate(points, start=1)
    ]
    many = scenario.replications
    note = "Further up, more comes back; further right, more was left to the kernel."
    note += f" Means of {many} replications." if many > 1 else ""
    if len(lines) > 1:
        note += " Lines go down to the replication with the least headroom."
    panel = Panel(
        f"{what} [{unit_y}]",
        "; ".join(words) + ".",
        top,
        unit_y,
        _WIDE,
        Markup().join(lines),
        texts,
        Markup().join(marks),
        height=_WIDE,
        shape="tall",
        x=(0.0, right),
    )
    below = f"least kernel headroom [{unit_x}]: what the kernel could still take at the worst moment"
    return Chart(f"{anchor}-returned", "marks", title, note, [panel], keys, {}, below)


def _moved(looks: Looks, scenario: Scenario, policy: str) -> str:
    """Return the path of a policy's marker in the middle of a legend's key."""
    shape = CROSS if scenario.failures[policy].failed else looks.marker(policy)
    return f"M13 5{shape.replace('M', 'm', 1)}"
