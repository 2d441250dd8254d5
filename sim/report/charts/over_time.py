"""Charts over time: memory by zone, the ratio, the kernel's headroom, and who is still alive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from sim.analysis.compare import number
from sim.analysis.scenario import time_axis
from sim.report.charts.drawing import CROSS, Chart, Key, Panel, axes, mark
from sim.report.charts.scale import top_of
from sim.report.charts.stepped import HEIGHT, Columns, band_path, in_columns, line_path
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.analysis.scenario import Scenario
    from sim.report.charts.drawing import Looks
    from sim.report.charts.stored import Steps, StoredSteps

MOST_COLUMNS: Final = 480
"""Columns of time in a chart: as many as a chart on a wide screen has pixels."""

_FEW_COLUMNS: Final = 120
_LINES_AT_MOST: Final = 300
"""Lines on a page beyond which each has fewer columns."""

_MOST_BANDS: Final = 4
"""Policies in one panel up to which the spread of their replications is drawn; beyond, it is told at the cursor."""


def columns_for(lines: int) -> int:
    """Return how many columns of time each chart of a page has that draws so many ``lines``."""
    return max(_FEW_COLUMNS, min(MOST_COLUMNS, MOST_COLUMNS * _LINES_AT_MOST // max(lines, 1)))


@dataclass(frozen=True)
class Drawn:
    """What charts over time of one scenario have in common."""

    steps: StoredSteps
    scenario: Scenario
    looks: Looks
    anchor: str
    columns: int

    @cached_property
    def zones(self) -> dict[str, dict[str, list[Steps]]]:
        """The steps of what is in zones and of what is plugged, by policy: read once for two charts."""
        names = ("movable_bytes", "kernel_bytes", "offline_bytes", "hotplugged_bytes", "plugged_bytes")
        return {policy: self.steps.of("series", self.scenario, policy, names) for policy in self.scenario.present}

    @property
    def end(self) -> tuple[float, str]:
        """The end of the time axis, and its unit."""
        per, unit = time_axis(self.duration)
        return self.duration / per, unit

    @property
    def duration(self) -> float:
        """Seconds of the longest run."""
        return float(self.scenario.runs["duration_s"].max()) or 1.0

    def spec(self) -> dict[str, object]:
        """Return what the script must know of the time axis."""
        high, unit = self.end
        return {"low": 0, "high": f"{high:.9g}", "x-unit": unit, "columns": self.columns}

    def note(self) -> str:
        """Return of how many replications lines are the mean."""
        many = self.scenario.replications
        return f"Mean of {many} replications; at the cursor also the least and the largest." if many > 1 else ""

    @property
    def below(self) -> str:
        """The time axis in words."""
        return f"simulated time [{self.end[1]}]"

    def key(self, series: int, policy: str) -> Key:
        """Return the entry of a policy in a legend."""
        return Key(series, self.looks.dash(policy), self.scenario.marked(policy), self.looks.colour(policy))


def memory_chart(drawn: Drawn, title: str) -> Chart:
    """Return MOVABLE, KERNEL and all that is plugged over time, a panel for each policy, all to one scale."""
    scenario = drawn.scenario
    found = {
        policy: {
            name: _divided(in_columns(steps, drawn.columns), GIB)
            for name, steps in _memory(drawn.zones[policy]).items()
            if steps
        }
        for policy in scenario.present
    }
    top = top_of(max((_largest(each) for lines in found.values() for each in lines.values()), default=0.0), 3)
    panels = []
    for policy, lines in found.items():
        inner, words = [], []
        for series, (name, css, what) in enumerate(
            (
                ("kernel_bytes", "kernel", "KERNEL"),
                ("movable_bytes", "", "MOVABLE"),
                ("plugged_bytes", "plugged", "plugged in all"),
            )
        ):
            if name in lines:
                band = css != "plugged"
                inner.append(_line(lines[name], top, series, css, drawn.looks.colour(policy), what, with_band=band))
                words.append(f"{what} {_in_words(lines[name], 'GiB')}")
        panels.append(_panel(drawn, scenario.marked(policy), "GiB", top, inner, words, policy))
    keys = (
        Key(1, "any", "MOVABLE, in the policy's colour"),
        Key(0, "kernel", "KERNEL: DMA, DMA32 and Normal"),
        Key(2, "plugged", "plugged in all, boot memory included"),
    )
    note = f"{drawn.note()} Zones count blocks that are online; virtio-mem may have unplugged parts of them.".lstrip()
    return Chart(f"{drawn.anchor}-memory", "lines", title, note, panels, keys, drawn.spec(), drawn.below)


def _memory(read: dict[str, list[Steps]]) -> dict[str, list[Steps]]:
    """Return the steps of MOVABLE, of KERNEL and of all that is plugged, boot memory included."""
    plugged = []
    for movable, kernel, offline, hotplugged, of_devices in zip(*read.values(), strict=True):
        boot = movable[1][:1] + kernel[1][:1] + offline[1][:1] - hotplugged[1][:1]
        plugged.append((of_devices[0], of_devices[1] + boot, of_devices[2]))
    return {name: read[name] for name in ("movable_bytes", "kernel_bytes")} | {"plugged_bytes": plugged}


def ratio_chart(drawn: Drawn, title: str) -> Chart:
    """Return MOVABLE : KERNEL over time in percent, all policies in one panel."""
    lines = {}
    for policy in drawn.scenario.present:
        read = drawn.zones[policy]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = [
                (times, 100.0 * movable / kernel, end)
                for (times, movable, end), (_, kernel, _) in zip(
                    read["movable_bytes"], read["kernel_bytes"], strict=True
                )
            ]
        if ratios:
            lines[policy] = in_columns(ratios, drawn.columns)
    return _overlaid(drawn, "ratio", title, "MOVABLE : KERNEL", "%", lines, drawn.note())


def headroom_chart(drawn: Drawn, title: str) -> Chart | None:
    """Return the kernel's headroom over time, all policies in one panel; None where no guest is modelled."""
    lines = {}
    for policy in drawn.scenario.present:
        page = float(drawn.scenario.of(policy)["page_bytes"].iloc[0])
        steps = drawn.steps.of("guest", drawn.scenario, policy, ("headroom",))["headroom"]
        if steps:
            lines[policy] = _divided(in_columns(steps, drawn.columns), MIB / page)
    if not lines:
        return None
    unit, per = ("GiB", GIB / MIB) if max(map(_largest, lines.values())) >= 4 * GIB / MIB else ("MiB", 1.0)
    lines = {policy: _divided(line, per) for policy, line in lines.items()}
    note = "What the kernel could still take; a dead guest has none."
    return _overlaid(drawn, "headroom", title, "kernel headroom", unit, lines, f"{note} {drawn.note()}".strip())


def survival_chart(drawn: Drawn, title: str) -> Chart | None:
    """Return the share of replications whose guest is alive, over time; None where none dies."""
    runs = drawn.scenario.runs
    if not (runs["died"] > 0).any():
        return None
    edges = np.linspace(0, drawn.duration, drawn.columns + 1)[1:]
    lines = {}
    for policy in drawn.scenario.present:
        own = drawn.scenario.of(policy)
        deaths = np.sort(own["death_time"].dropna().to_numpy())
        alive = 100.0 * (1 - np.searchsorted(deaths, edges, side="right") / len(own))
        lines[policy] = Columns(alive, alive, alive)
    many = drawn.scenario.replications
    note = f"Of {many} replications." if many > 1 else "One replication."
    return _overlaid(drawn, "survival", title, "guests alive", "%", lines, note, top=100.0, deaths=False)


def _overlaid(  # noqa: PLR0913  what a chart says
    drawn: Drawn,
    kind: str,
    title: str,
    what: str,
    unit: str,
    lines: dict[str, Columns],
    note: str,
    *,
    top: float | None = None,
    deaths: bool = True,
) -> Chart:
    """Return one panel with a line for each policy."""
    top = top_of(max(map(_largest, lines.values()), default=0.0)) if top is None else top
    few = len(lines) <= _MOST_BANDS
    inner = [
        _line(line, top, series, drawn.looks.dash(policy), drawn.looks.colour(policy), policy, with_band=few)
        for series, (policy, line) in enumerate(lines.items())
    ]
    words = [f"{drawn.scenario.marked(policy)}: {_in_words(line, unit)}" for policy, line in lines.items()]
    marks = [_death(drawn, policy, line, top, series) for series, (policy, line) in enumerate(lines.items()) if deaths]
    panel = _panel(drawn, f"{what} [{unit}]", unit, top, inner, words, marks=Markup().join(marks), shape="tall")
    keys = [drawn.key(series, policy) for series, policy in enumerate(lines)]
    if any(marks):
        keys.append(Key(-1, "dead", "a guest dies, for the first time", shape="cross", d="M9 1l8 8m0-8l-8 8"))
    return Chart(f"{drawn.anchor}-{kind}", "lines", title, note, [panel], keys, drawn.spec(), drawn.below)


def _panel(  # noqa: PLR0913  what a panel is made of
    drawn: Drawn,
    title: str,
    unit: str,
    top: float,
    inner: Sequence[Markup],
    words: Sequence[str],
    policy: str = "",
    *,
    marks: str = "",
    shape: str = "",
) -> Panel:
    grid, texts = axes((0.0, drawn.end[0]), (0.0, top), (drawn.columns, HEIGHT))
    told = f"Over {number(drawn.end[0])} {drawn.end[1]}. {'; '.join(words)}."
    content = Markup().join([grid, *inner])
    css, colour = (drawn.looks.dash(policy), drawn.looks.colour(policy)) if policy else ("", "")
    return Panel(title, told, top, unit, drawn.columns, content, texts, marks, css=css, colour=colour, shape=shape)


def _line(line: Columns, top: float, series: int, css: str, colour: str, name: str, *, with_band: bool) -> Markup:
    """Return a line with the band of its replications, or of what happens within a column."""
    band = band_path(line, top)
    area = Markup('<path class="band {}{}" color="{}" data-series="{}" d="{}"/>').format(
        css, "" if with_band else " told", colour, series, band
    )
    path = Markup('<path class="line {}" color="{}" data-series="{}" data-name="{}" d="{}"/>').format(
        css, colour, series, name, line_path(line.mean, top)
    )
    return (area if band else Markup()) + path


def _death(drawn: Drawn, policy: str, line: Columns, top: float, series: int) -> Markup:
    """Return a cross where a guest of ``policy`` dies for the first time; nothing where none does."""
    first = float(drawn.scenario.of(policy)["death_time"].min())
    if math.isnan(first):
        return Markup()
    column = min(int(first / drawn.duration * drawn.columns), drawn.columns - 1)
    # Where it comes from: afterwards a dead guest has nothing.
    value = line.mean[max(column - 1, 0)]
    height = 1 - min(max(float(value) / top, 0.0), 1.0) if math.isfinite(value) else 0.0
    return mark((first / drawn.duration, height), CROSS, f"dead s{series}", drawn.looks.colour(policy))


def _in_words(line: Columns, unit: str) -> str:
    """Return from where to where a line goes, and how it ends."""
    with np.errstate(all="ignore"):
        low, high = float(np.nanmin(line.low, initial=math.inf)), float(np.nanmax(line.high, initial=-math.inf))
    known = line.mean[~np.isnan(line.mean)]
    if not len(known):
        return "is not known"
    last = f"{number(float(known[-1]))} {unit}".strip()
    if low == high:
        return f"is {last} throughout"
    return f"from {number(low)} to {number(high)} {unit}, in the end {last}"


def _largest(line: Columns) -> float:
    finite = line.high[np.isfinite(line.high)]
    return float(finite.max(initial=0.0))


def _divided(line: Columns, by: float) -> Columns:
    return Columns(line.mean / by, line.low / by, line.high / by)
