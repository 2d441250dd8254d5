"""The plots of an experiment: memory over time, ratio over time, memory map, scores; each per machine and workload.

Each function returns a :class:`matplotlib.figure.Figure`, which a notebook shows and :func:`save` writes. A policy has
the same colour in every figure of an experiment.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib.style
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sim.analysis.compare import HEADLINE_SCORES, compare, number
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.scenario import scenarios, time_axis
from sim.plots.colours import ZONE_COLOURS, ZONE_NAMES, policy_colours
from sim.plots.figure_heading import MOST_POLICIES, dead_note, heading
from sim.plots.plot_data import memory_series, ratio_series
from sim.plots.tradeoff import plot_tradeoff
from sim.record.blockmap import BlockState, zone_map
from sim.scores.registry import SCORES
from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.plots.plot_data import Spread
    from sim.results.store import ResultStore

STYLE: Final = Path(__file__).with_name("memhp.mplstyle")

_KERNEL_COLOUR: Final = "#222222"
_FAR_BEYOND: Final = 3.0
_GAP_COLOUR: Final = "#d03030"
_MAP_SAMPLES: Final = 600
_MAP_LABELS: Final = 9
_MAP_ROWS: Final = 2048
"""Blocks beyond which a map is thinned out: more than a panel has rows of dots."""


def _panels(count: int, width: float, height: float, labels: tuple[str, str] = ("", "")) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels, ``labels`` being those of the outer x and y axes, and the panels."""
    columns = 2 if count == 4 else min(count, 3)  # noqa: PLR2004  a square looks better than a row and a rest
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


def _seeds_note(scenario: Scenario, *, differs: bool) -> str:
    if scenario.replications == 1:
        return "one replication"
    if not differs:
        return f"{scenario.replications} replications, all alike"
    return f"mean of {scenario.replications} replications; the band is from the least to the largest"


def _policies_to_draw(scenario: Scenario) -> list[str]:
    return scenario.present[:MOST_POLICIES]


def _duration(scenario: Scenario) -> float:
    # A run of no length still needs an axis.
    return float(scenario.runs["duration_s"].max()) or 1.0


def plot_memory(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE and KERNEL over time (GiB), a panel per policy."""
    colours = policy_colours(scenario.policies)
    duration = _duration(scenario)
    per, unit = time_axis(duration)
    policies = _policies_to_draw(scenario)
    figure, axes = _panels(len(policies), 4.2, 2.5, (f"simulated time [{unit}]", "present memory [GiB]"))
    differs = False
    for axis, policy in zip(axes, policies, strict=True):
        series = memory_series(store, scenario, policy)
        for column, colour, width, dash in (
            ("movable_bytes", colours[policy], 2.0, "solid"),
            ("kernel_bytes", _KERNEL_COLOUR, 1.5, (0, (4, 1.4))),
        ):
            line = series[column]
            differs |= line.differs
            _draw_line(axis, line, duration, per, colour, width, dash)
        axis.set_title(scenario.marked(policy), color=colours[policy], fontweight="bold")
        axis.set_xlim(0, duration / per)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    # Once all is drawn: a limit ends the scaling of all panels, and the highest may be any of them.
    axes[0].set_ylim(bottom=0)
    figure.legend(
        handles=[
            Line2D([], [], color="#777777", lw=2.4, label="MOVABLE (in the policy's colour)"),
            Line2D([], [], color=_KERNEL_COLOUR, lw=1.5, ls=(0, (4, 1.4)), label="KERNEL: DMA, DMA32 and Normal"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    heading(figure, "Memory by zone", scenario, _seeds_note(scenario, differs=differs), dead_note(scenario))
    return figure


def _draw_line(
    axis: Axes, line: Spread, duration: float, per: float, colour: str, width: float, dash: Any  # noqa: ANN401  as matplotlib has it
) -> None:  # fmt: skip
    """Draw a step series up to the end of the run, and the band of its replications."""
    time = np.append(line.time, duration) / per
    low, mean, high = (np.append(values, values[-1]) for values in (line.low, line.mean, line.high))
    axis.fill_between(time, low, high, step="post", color=colour, alpha=0.22, lw=0)
    axis.step(time, mean, where="post", color=colour, lw=width, ls=dash)


def plot_ratio(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE : KERNEL over time (percent), a panel per policy, with the ratio that is configured for it.

    Where policies go far beyond every configured ratio, panels end before them and say how far they go.
    """
    colours = policy_colours(scenario.policies)
    duration = _duration(scenario)
    per, unit = time_axis(duration)
    policies = _policies_to_draw(scenario)
    lines = {policy: ratio_series(store, scenario, policy) for policy in policies}
    peaks = {policy: float(np.nanmax(line.high, initial=0.0)) for policy, line in lines.items()}
    configured = {policy: scenario.configured_ratio(policy) for policy in policies}
    top = _highest_ratio(list(peaks.values()), [ratio for ratio in configured.values() if not math.isnan(ratio)])
    figure, axes = _panels(len(policies), 4.2, 2.5, (f"simulated time [{unit}]", "MOVABLE : KERNEL [%]"))
    for axis, policy in zip(axes, policies, strict=True):
        _draw_line(axis, lines[policy], duration, per, colours[policy], 1.6, "solid")
        axis.axhline(configured[policy], color=_KERNEL_COLOUR, lw=1.0, ls=(0, (1, 1.6)))
        if not math.isnan(configured[policy]) and configured[policy] <= top:
            _note_in(axis, 1, configured[policy], f"configured: {configured[policy]:g} %", "bottom")
        if peaks[policy] > top:
            _note_in(axis, 1, top * 1.06, f"goes up to {number(peaks[policy])} %", "top")
        axis.set_title(scenario.marked(policy), color=colours[policy], fontweight="bold")
        axis.set_xlim(0, duration / per)
        axis.set_ylim(0, top * 1.12)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    seeds = _seeds_note(scenario, differs=any(line.differs for line in lines.values()))
    heading(figure, "Ratio", scenario, f"100 * present MOVABLE / present KERNEL memory; {seeds}", dead_note(scenario))
    return figure


def _highest_ratio(peaks: Sequence[float], configured: Sequence[float]) -> float:
    """Return where the axis ends: at the highest peak, unless that is far beyond what is configured."""
    top = max([*(peak for peak in peaks if math.isfinite(peak)), 10.0])
    if not configured:
        return top
    # A ratio of millions stands for "no limit" and would flatten everything.
    sensible = [ratio for ratio in configured if ratio <= 2 * top]
    if sensible and top > _FAR_BEYOND * max(sensible):
        return 2 * max(sensible)
    return max([top, *sensible])


def _note_in(axis: Axes, x: float, y: float, text: str, side: str) -> None:
    """Write ``text`` at ``x`` of the width of ``axis``, readable over lines, above (bottom) or below (top) ``y``."""
    axis.annotate(
        text, (x, y), xycoords=("axes fraction", "data"), xytext=(-3, 3 if side == "bottom" else 0),
        textcoords="offset points", ha="right", va=side, fontsize=8.5, color=_KERNEL_COLOUR, zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8},
    )  # fmt: skip


def plot_map(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw each block's zone over time, a panel per policy, blocks in address order.

    Shows the first replication that all of the policies have, and the first of each where there is none.
    """
    duration = _duration(scenario)
    per, unit = time_axis(duration)
    policies = _policies_to_draw(scenario)
    colours = policy_colours(scenario.policies)
    codes = sorted(ZONE_COLOURS)
    of_policies = [scenario.of(policy).set_index("replication")["cell"] for policy in policies]
    # The same traffic for all, also where a policy's first run failed.
    shared = set.intersection(*(set(cells.index) for cells in of_policies))
    colour_map = ListedColormap([ZONE_COLOURS[code] for code in codes])
    norm = BoundaryNorm([code - 0.5 for code in [*codes, codes[-1] + 1]], colour_map.N)
    maps = []
    for cells in of_policies:
        result = store.result(str(cells.loc[min(shared)] if shared else cells.iloc[0]))
        maps.append((zone_map(result, samples=_MAP_SAMPLES), result.block_pages * result.page_size))
    blocks = np.unique(np.concatenate([zones.blocks for zones, _ in maps]))
    stride = -(-len(blocks) // _MAP_ROWS)
    figure, axes = _panels(len(policies), 4.2, 3.1, (f"simulated time [{unit}]", "physical address [GiB]"))
    seen: set[int] = set()
    for axis, policy, (zones, _) in zip(axes, policies, maps, strict=True):
        states = np.full((len(zones.t_us), len(blocks)), BlockState.ABSENT, dtype=np.int8)
        states[:, np.searchsorted(blocks, zones.blocks)] = zones.states
        seen |= set(np.unique(states).tolist())
        axis.imshow(
            states[:, ::stride].T, extent=(0, duration / per, 0, len(blocks)), origin="lower", aspect="auto",
            cmap=colour_map, norm=norm, interpolation="nearest", interpolation_stage="data",
        )  # fmt: skip
        axis.set_title(scenario.marked(policy), color=colours[policy], fontweight="bold")
        axis.grid(visible=False)
        _address_axis(axis, blocks, maps[0][1])
    handles: list[Any] = [
        Patch(facecolor=ZONE_COLOURS[code], edgecolor="#888888", lw=0.6, label=ZONE_NAMES[code])
        for code in sorted(seen, key=lambda code: (code == BlockState.ABSENT, code))
    ]
    if (np.diff(blocks) > 1).any():
        handles.append(Line2D([], [], color=_GAP_COLOUR, lw=0.9, label="gap in the addresses"))
    figure.legend(handles=handles, loc="outside lower center", ncols=8)
    thinned = f"; one in {stride} is drawn" if stride > 1 else ""
    which = f"replication {min(shared)}" if shared else "the first replication of each policy"
    note = f"zone of every memory block ({maps[0][1] >> 20} MiB) over time; {which}{thinned}"
    heading(figure, "Memory map", scenario, note, dead_note(scenario))
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

    Scores that tell no policy from another have no panel but a place in the heading, unless none does.
    """
    policies = scenario.ranked[:MOST_POLICIES]
    colours = policy_colours(scenario.policies)
    table = compare(scenario.runs, policies[0], scores, policies=scenario.policies)
    defined = [name for name in scores if scenario.runs[name].notna().any()]
    telling = [name for name in defined if _tells_apart(scenario, name)] or defined
    alike = [name for name in defined if name not in telling]
    varied = bool((scenario.runs.groupby("policy")[list(scores)].nunique() > 1).any(axis=None))
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
            if varied:
                axis.scatter(values, np.full(len(values), row + 0.27), s=9, color=colours[policy], marker="|", lw=1.0)
        axis.set_yticks(range(len(policies)), [scenario.marked(policy) for policy in policies])
        axis.set_ylim(len(policies) - 0.4, -0.6)
        better = {"higher": "higher is better →", "lower": "← lower is better", "neither": ""}[score.better]
        axis.set_title(score.title, fontsize=10)
        unit = f"[{score.unit.shown_symbol}]" if score.unit.shown_symbol else ""
        axis.set_xlabel("   ".join(text for text in (unit, better) if text))
        _room(axis)
    if not telling:
        axes[0].set_axis_off()
    heading(figure, "Scores", scenario, _scores_note(scenario, varied=varied), _alike_note(scenario, alike))
    return figure


def _tells_apart(scenario: Scenario, score: str) -> bool:
    """Whether ``score`` differs between policies that have it, in any replication."""
    values = scenario.runs.groupby("replication")[score].nunique()
    return bool((values > 1).any())


def _scores_note(scenario: Scenario, *, varied: bool) -> str:
    if not varied:
        return "one replication" if scenario.replications == 1 else f"{scenario.replications} replications, all alike"
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
    return f"the same for all policies that have it: {'; '.join(parts)}" if parts else ""


def _room(axis: Axes) -> None:
    """Let the axis begin at 0, unless values are negative, and leave some room on both sides."""
    low, high = axis.get_xlim()
    margin = 0.03 * max(abs(low), abs(high))
    axis.set_xlim(low if low < -2 * margin else -margin, high + margin)
    axis.xaxis.set_major_locator(MaxNLocator(4))


PLOTS: Final[dict[str, Callable[[Any, Any], Figure]]] = {
    "memory": plot_memory,
    "ratio": plot_ratio,
    "map": plot_map,
    "scores": plot_scores,
}
"""The plots by the name that their files begin with."""

GUEST_PLOTS: Final[dict[str, Callable[[Any, Any], Figure]]] = {"tradeoff": plot_tradeoff}
"""More of them, where a guest is modelled."""


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are to be made and written: the look of all plots."""
    return matplotlib.style.context(str(STYLE))


def figures(store: ResultStore, policies: Sequence[str] = (), bound: str | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield every plot of the experiment in ``store`` with its file's name.

    ``policies`` is their order, ``bound`` the label of the one that knows the future, if known.
    """
    with styled():
        for scenario in scenarios(store.runs(), policies, bound):
            for kind, plot in (PLOTS | (GUEST_PLOTS if scenario.has_guest else {})).items():
                yield f"{kind}-{_slug(scenario.machine)}-{_slug(scenario.workload)}", plot(store, scenario)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``figure`` as ``stem`` with .png and .svg, the same bytes every time, and return the two paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    save_as(figure, paths[0])
    _save_drawn(figure, paths[1])
    return paths


def save_as(figure: Figure, path: Path) -> None:
    """Write ``figure`` as ``path``, which ends in .png or .svg, the same bytes every time."""
    with styled():
        if path.suffix == ".png":
            figure.savefig(path, metadata={"Software": None})
        else:
            figure.draw_without_rendering()
            _save_drawn(figure, path)


def _save_drawn(figure: Figure, path: Path) -> None:
    """Write ``figure``, which was drawn before, as SVG."""
    with styled(), matplotlib.rc_context({"figure.constrained_layout.use": False}):
        # What the first drawing has laid out stays; a figure with an engine would be drawn twice.
        figure.set_layout_engine(None)
        for axis in figure.axes:
            # The last digits depend on where in memory the engine's variables lie, and names in the file on them.
            axis.set_position(tuple(round(each, 6) for each in axis.get_position().bounds))
        figure.savefig(path, metadata={"Date": None})


def save_all(store: ResultStore, folder: Path, policies: Sequence[str] = (), bound: str | None = None) -> list[Path]:
    """Write every plot of the experiment in ``store`` into ``folder`` and return the paths. See :func:`figures`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures(store, policies, bound):
        paths += save(figure, folder / name)
    return paths


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-") or "x"
