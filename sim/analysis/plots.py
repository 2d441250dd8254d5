"""The plots of an experiment: memory over time, ratio over time, memory map, scores; each per machine and workload.

Each function returns a :class:`matplotlib.figure.Figure`, which a notebook shows and :func:`save` writes. A policy has
the same colour in every figure of an experiment.
"""

from __future__ import annotations

import math
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib.style
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sim.analysis.colours import ZONE_COLOURS, ZONE_NAMES, policy_colours, policy_dashes
from sim.analysis.compare import FEWEST_FOR_INTERVAL, HEADLINE_SCORES, compare, number
from sim.analysis.data import memory_series, ratio_series, scenarios, time_axis
from sim.blockmap import ABSENT, zone_map
from sim.score import SCORES
from sim.units import GIB, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from sim.analysis.data import Scenario
    from sim.results.store import ResultStore

STYLE: Final = Path(__file__).with_name("memhp.mplstyle")
MOST_POLICIES: Final = 12
"""Panels beyond which a figure cannot be read; the first ones of the experiment are drawn, and the heading says so."""

_KERNEL_COLOUR: Final = "#222222"
_GAP_COLOUR: Final = "#d03030"
_MAP_SAMPLES: Final = 600
_MAP_LABELS: Final = 9
_MAP_ROWS: Final = 2048
"""Blocks beyond which a map is thinned out: more than a panel has rows of dots."""


def _panels(count: int, width: float, height: float, labels: tuple[str, str] = ("", "")) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels, ``labels`` being those of the outer x and y axes, and the panels."""
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(width * columns, 7.5), height * rows + 1.2))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=bool(labels[0]), sharey=True)
    axes: list[Axes] = list(grid.flat)
    for unused in axes[count:]:
        unused.set_visible(False)
    for place, axis in enumerate(axes[:count]):
        # A panel with nothing below it keeps its own labels.
        lowest = place + columns >= count
        axis.tick_params(labelbottom=lowest or not labels[0])
        axis.set_xlabel(labels[0] if lowest else "")
        axis.set_ylabel("" if place % columns else labels[1])
    return figure, axes[:count]


def _heading(figure: Figure, title: str, scenario: Scenario, *notes: str) -> None:
    """Write what the figure shows, and below it, smaller, how to read it; the panels get the rest of the figure."""
    present = len(scenario.present)
    drawn = f"the first {MOST_POLICIES} of {present} policies" if present > MOST_POLICIES else ""
    lines = [line for text in (*notes, drawn) if text for line in text.split("\n")]
    above, first, below = 0.08, 0.27, 0.2  # inches: margin, title, each line below it
    height = figure.get_figheight()
    figure.text(0.012, 1 - above / height, f"{title}: {scenario.title}", va="top", fontsize=14, fontweight="bold")
    for row, text in enumerate(lines):
        top = above + first + below * row
        figure.text(0.012, 1 - top / height, text, va="top", fontsize=10, color="#444444")
    head = (above + first + below * len(lines) + 0.06) / height
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1 - head))


def _seeds_note(scenario: Scenario, *, differs: bool) -> str:
    if scenario.replications == 1:
        return "one replication"
    if not differs:
        return f"{scenario.replications} replications, all alike"
    return f"mean of {scenario.replications} replications; the band is from the least to the largest"


def _drawn(scenario: Scenario) -> list[str]:
    return scenario.present[:MOST_POLICIES]


def _duration(scenario: Scenario) -> float:
    return float(scenario.runs["duration_s"].max())


def plot_memory(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE and KERNEL over time (GiB), a panel per policy, with what the host asked for."""
    colours = policy_colours(scenario.policies)
    duration = _duration(scenario)
    per, unit = time_axis(duration)
    policies = _drawn(scenario)
    figure, axes = _panels(len(policies), 4.2, 2.5, (f"simulated time [{unit}]", "present memory [GiB]"))
    differs = False
    for axis, policy in zip(axes, policies, strict=True):
        found = memory_series(store, scenario, policy)
        for column, colour, width, dash in (
            ("movable_bytes", colours[policy], 2.0, "solid"),
            ("kernel_bytes", _KERNEL_COLOUR, 1.5, (0, (4, 1.4))),
        ):
            line = found[column]
            differs |= line.differs
            time = np.append(line.time, duration) / per
            axis.step(time, np.append(line.mean, line.mean[-1]), where="post", color=colour, lw=width, ls=dash)
            axis.fill_between(
                time, np.append(line.low, line.low[-1]), np.append(line.high, line.high[-1]), step="post",
                color=colour, alpha=0.22, lw=0,
            )  # fmt: skip
        axis.set_title(policy, color=colours[policy], fontweight="bold")
        axis.set_xlim(0, duration / per)
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    figure.legend(
        handles=[
            Line2D([], [], color="#777777", lw=2.4, label="MOVABLE (in the policy's colour)"),
            Line2D([], [], color=_KERNEL_COLOUR, lw=1.5, ls=(0, (4, 1.4)), label="KERNEL: DMA, DMA32 and Normal"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    _heading(figure, "Memory by zone", scenario, _seeds_note(scenario, differs=differs))
    return figure


def plot_ratio(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE : KERNEL over time (percent), one line per policy, with the configured ratios as thin lines.

    Policies that go far beyond every configured ratio leave the panel; the legend says how far.
    """
    colours, dashes = policy_colours(scenario.policies), policy_dashes(scenario.policies)
    duration = _duration(scenario)
    per, unit = time_axis(duration)
    policies = _drawn(scenario)
    found = {policy: ratio_series(store, scenario, policy) for policy in policies}
    peaks = {policy: float(np.nanmax(line.high, initial=0.0)) for policy, line in found.items()}
    ratios = {policy: scenario.configured_ratio(policy) for policy in policies}
    configured = {ratio for ratio in ratios.values() if not math.isnan(ratio)}
    top = max([*(peak for peak in peaks.values() if math.isfinite(peak)), *configured, 10.0])
    if configured and top > 3 * max(configured):
        top = 2 * max(configured)
    figure = Figure(figsize=(10.5, 5.2))
    axis = figure.subplots()
    for policy in policies:
        line = found[policy]
        time = np.append(line.time, duration) / per
        axis.fill_between(
            time, np.append(line.low, line.low[-1]), np.append(line.high, line.high[-1]), step="post",
            color=colours[policy], alpha=0.15, lw=0,
        )  # fmt: skip
        beyond = f", up to {peaks[policy]:,.0f} %" if peaks[policy] > top else ""
        axis.step(
            time, np.append(line.mean, line.mean[-1]), where="post", color=colours[policy], ls=dashes[policy],
            label=f"{policy}{beyond}",
        )  # fmt: skip
    for ratio in sorted(configured):
        axis.axhline(ratio, color="#222222", lw=0.9, ls=(0, (1, 2)), zorder=1)
        axis.annotate(
            f"configured: {ratio:g} %", (1, ratio), xycoords=("axes fraction", "data"), xytext=(-3, 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=9, color="#222222", zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8},
        )  # fmt: skip
    axis.set_xlim(0, duration / per)
    axis.set_ylim(0, top * 1.06)
    axis.set_xlabel(f"simulated time [{unit}]")
    axis.set_ylabel("MOVABLE : KERNEL [% of present memory]")
    figure.legend(loc="outside right upper", title="policy", alignment="left")
    _heading(figure, "Ratio", scenario, _seeds_note(scenario, differs=any(line.differs for line in found.values())))
    return figure


def plot_map(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw each block's zone over time, a panel per policy, blocks in address order. Shows the first replication."""
    duration = _duration(scenario)
    per, unit = time_axis(duration)
    policies = _drawn(scenario)
    colours = policy_colours(scenario.policies)
    codes = sorted(ZONE_COLOURS)
    first = int(scenario.runs["replication"].min())
    colour_map = ListedColormap([ZONE_COLOURS[code] for code in codes])
    norm = BoundaryNorm([code - 0.5 for code in [*codes, codes[-1] + 1]], colour_map.N)
    maps = []
    for policy in policies:
        result = store.result(str(scenario.of(policy)["cell"].iloc[0]))
        maps.append((zone_map(result, samples=_MAP_SAMPLES), result.block_pages * PAGE_SIZE))
    blocks = np.unique(np.concatenate([found.blocks for found, _ in maps]))
    stride = -(-len(blocks) // _MAP_ROWS)
    figure, axes = _panels(len(policies), 4.2, 3.1, (f"simulated time [{unit}]", "physical address [GiB]"))
    seen: set[int] = set()
    for axis, policy, (found, _) in zip(axes, policies, maps, strict=True):
        states = np.full((len(found.t_us), len(blocks)), ABSENT, dtype=np.int8)
        states[:, np.searchsorted(blocks, found.blocks)] = found.states
        seen |= set(np.unique(states).tolist())
        axis.imshow(
            states[:, ::stride].T, extent=(0, duration / per, 0, len(blocks)), origin="lower", aspect="auto",
            cmap=colour_map, norm=norm, interpolation="nearest", interpolation_stage="data",
        )  # fmt: skip
        axis.set_title(policy, color=colours[policy], fontweight="bold")
        axis.grid(visible=False)
        _address_axis(axis, blocks, maps[0][1])
    handles: list[Any] = [
        Patch(facecolor=ZONE_COLOURS[code], edgecolor="#888888", lw=0.6, label=ZONE_NAMES[code])
        for code in sorted(seen, key=lambda code: (code == ABSENT, code))
    ]
    if (np.diff(blocks) > 1).any():
        handles.append(Line2D([], [], color=_GAP_COLOUR, lw=0.9, label="gap in the addresses"))
    figure.legend(handles=handles, loc="outside lower center", ncols=8)
    thinned = f"; every {stride}th is drawn" if stride > 1 else ""
    note = f"zone of every memory block ({maps[0][1] >> 20} MiB) over time; replication {first}{thinned}"
    _heading(figure, "Memory map", scenario, note)
    return figure


def _address_axis(axis: Axes, blocks: npt.NDArray[np.int64], block_bytes: int) -> None:
    """Label rows with round addresses, and draw a line where addresses jump over what never exists."""
    jumps = (np.flatnonzero(np.diff(blocks) > 1) + 1).tolist()
    for jump in jumps:
        axis.axhline(jump, color=_GAP_COLOUR, lw=0.9)
    # The finest round step that leaves room between the labels, counted over what exists.
    step = block_bytes
    while len(blocks) * block_bytes / step > _MAP_LABELS:
        step *= 2
    round_rows = np.flatnonzero(blocks * block_bytes % step == 0).tolist()
    apart = step // block_bytes * 0.6
    ticks: list[int] = []
    for row in sorted({*round_rows, *jumps}):
        if not ticks or row - ticks[-1] >= apart:
            ticks.append(row)
    axis.set_yticks(ticks, [f"{int(blocks[row]) * block_bytes / GIB:g}" for row in ticks])


def plot_scores(_: ResultStore, scenario: Scenario, scores: Sequence[str] = HEADLINE_SCORES) -> Figure:
    """Draw ``scores``, a panel per score and a row per policy: each replication, their mean and its 95 % interval.

    Scores that tell no policy from another have no panel but a line in the heading.
    """
    policies = _drawn(scenario)
    colours = policy_colours(scenario.policies)
    table = compare(scenario.runs, policies[0], scores, policies=scenario.policies)
    telling = [name for name in scores if _tells_apart(scenario, name)]
    alike = [name for name in scores if name not in telling]
    figure, axes = _panels(max(len(telling), 1), 3.9, 0.3 * len(policies) + 1.1)
    for axis, name in zip(axes, telling, strict=False):
        score = SCORES[name]
        rows = table[table["score"] == name].set_index("policy")
        for row, policy in enumerate(policies):
            values = scenario.of(policy)[name].dropna().to_numpy(dtype=np.float64) / score.unit.shown_per
            values = values[np.isfinite(values)]
            if not len(values):
                axis.annotate(
                    "undefined", (0, row), xycoords=("axes fraction", "data"), xytext=(4, 0), va="center",
                    textcoords="offset points", fontsize=8, color="#777777",
                )  # fmt: skip
                continue
            mean, low, high = (rows[key][policy] / score.unit.shown_per for key in ("mean", "low", "high"))
            # No score is below 0 but an excess, so neither is what one may expect of its mean.
            low = low if values.min() < 0 else max(low, 0.0)
            if low < high:
                axis.plot([low, high], [row, row], color=colours[policy], lw=2.2, solid_capstyle="round")
            axis.scatter([mean], [row], s=48, color=colours[policy], edgecolor="white", lw=0.8, zorder=3)
            if len(values) > 1:
                axis.scatter(values, np.full(len(values), row + 0.27), s=9, color=colours[policy], marker="|", lw=1.0)
        axis.set_yticks(range(len(policies)), policies)
        axis.set_ylim(len(policies) - 0.4, -0.6)
        better = {"higher": "higher is better →", "lower": "← lower is better", "neither": ""}[score.better]
        axis.set_title(score.title, fontsize=10)
        unit = f"[{score.unit.shown_symbol}]" if score.unit.shown_symbol else ""
        axis.set_xlabel("   ".join(text for text in (unit, better) if text))
        _room(axis)
    if not telling:
        axes[0].set_axis_off()
    _heading(figure, "Scores", scenario, _scores_note(scenario), _alike_note(scenario, alike))
    return figure


def _tells_apart(scenario: Scenario, score: str) -> bool:
    """Whether ``score`` differs between policies that have it, in any replication."""
    values = scenario.runs.groupby("replication")[score].nunique()
    return bool((values > 1).any())


def _scores_note(scenario: Scenario) -> str:
    if scenario.replications == 1:
        return "one replication"
    bar = "; bar: 95 % confidence interval of the mean" if scenario.replications >= FEWEST_FOR_INTERVAL else ""
    return f"dot: mean of {scenario.replications} replications{bar}; ticks below: the replications"


def _alike_note(scenario: Scenario, scores: Sequence[str]) -> str:
    parts = []
    for name in scores:
        values = scenario.runs[name].dropna()
        unit = SCORES[name].unit
        if len(values):
            mean = number(float(values.mean()) / unit.shown_per)
            parts.append(f"{SCORES[name].title.lower()} {mean} {unit.shown_symbol}".strip())
    return textwrap.fill(f"the same for all policies that have it: {'; '.join(parts)}", 130) if parts else ""


def _room(axis: Axes) -> None:
    """Let the axis begin at 0, unless values are negative, and leave some room on both sides."""
    low, high = axis.get_xlim()
    margin = 0.03 * max(abs(low), abs(high))
    axis.set_xlim(low if low < -2 * margin else -margin, high)
    axis.xaxis.set_major_locator(MaxNLocator(4))


PLOTS: Final[dict[str, Callable[[Any, Any], Figure]]] = {
    "memory": plot_memory,
    "ratio": plot_ratio,
    "map": plot_map,
    "scores": plot_scores,
}
"""The plots by the name that their files begin with."""


def figures(store: ResultStore, policies: Sequence[str] = ()) -> Iterator[tuple[str, Figure]]:
    """Yield every plot of the experiment in ``store`` with its file's name. ``policies`` is their order, if known."""
    with matplotlib.style.context(str(STYLE)):
        for scenario in scenarios(store.runs(), policies):
            for kind, plot in PLOTS.items():
                yield f"{kind}-{_slug(scenario.machine)}-{_slug(scenario.workload)}", plot(store, scenario)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``figure`` as ``stem`` with .png and .svg, the same bytes every time, and return the two paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    with matplotlib.style.context(str(STYLE)):
        figure.savefig(paths[0], metadata={"Software": None})
        figure.set_layout_engine("none")  # what the first drawing has laid out stays
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def save_all(store: ResultStore, folder: Path, policies: Sequence[str] = ()) -> list[Path]:
    """Write every plot of the experiment in ``store`` into ``folder`` and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures(store, policies):
        paths += save(figure, folder / name)
    return paths


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-") or "x"
