"""The whole question in one picture: who kills the guest, who gives nothing back, and who is between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sim.analysis import findings
from sim.analysis.wording import amount, means
from sim.plots.colours import DARK, GREY, PALETTE
from sim.plots.figure_heading import MOST_ROWS, heading
from sim.plots.panels import label_width, row_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_FAILS, _NOTHING, _BETWEEN = "fails", "gives nothing back", "lives and gives back"
_FACES: Final = {_FAILS: DARK, _NOTHING: "#b8bcc2", _BETWEEN: PALETTE[0]}


def plot_answer(_: ResultStore, scenario: Scenario) -> Figure:
    """Draw for each policy (a row) in how many runs it does not fail, and how much came back (percent).

    Those that fail come first, then those with which less than 5 % comes back, then the others, the best last.
    """
    back = means(scenario, findings.RETURNED, scenario.present)
    kinds = {policy: _kind(scenario, policy, back) for policy in scenario.ranked[:MOST_ROWS]}
    order = [*_FACES]
    policies = sorted(kinds, key=lambda policy: (order.index(kinds[policy]), back.get(policy, 0.0)))
    labels = row_labels(scenario, policies)
    figure = Figure(figsize=(max(6.0 + label_width(labels), 8.0), 0.42 * len(policies) + 1.8))
    lives, returned = figure.subplots(1, 2, sharey=True)
    for row, policy in enumerate(policies):
        how, face = scenario.failures[policy], _FACES[kinds[policy]]
        well = 100 * (how.runs - how.failed) / max(how.runs, 1)
        often = f"{how.runs - how.failed} of {how.runs}" if how.runs > 1 else ("no" if how.failed else "yes")
        _bar(lives, row, well, often, face)
        share = back.get(policy)
        text = "undefined" if share is None else amount(findings.RETURNED, share)
        _bar(returned, row, share or 0.0, text, face)
    lives.set_yticks(range(len(policies)), labels)
    lives.set_ylim(len(policies) - 0.4, -0.6)
    lives.set_title("runs that do not fail", fontsize=10)
    returned.set_title("of what was asked back, came back", fontsize=10)
    for axis in (lives, returned):
        axis.set_xlim(0, 128)  # room for the number at the end of a bar
        axis.set_xticks([0, 50, 100], ["0 %", "50 %", "100 %"])
        axis.grid(visible=False, axis="y")
    shown = [kind for kind in order if kind in kinds.values()]
    figure.legend(
        handles=[Patch(facecolor=_FACES[kind], label=kind) for kind in shown], loc="outside lower center", ncols=3
    )
    heading(figure, findings.extremes(scenario), "Who dies, who gives back", scenario, most=MOST_ROWS)
    return figure


def _kind(scenario: Scenario, policy: str, back: dict[str, float]) -> str:
    if scenario.failures[policy].failed:
        return _FAILS
    return _NOTHING if back.get(policy, 0.0) < findings.NOTHING_BACK else _BETWEEN


def _bar(axis: Axes, row: int, share: float, text: str, face: str) -> None:
    axis.barh(row, share, height=0.62, color=face, zorder=2)
    if not share:
        # A bar of no length is there, too.
        axis.plot([0, 0], [row - 0.31, row + 0.31], color=face, lw=3, zorder=2, clip_on=False)
    axis.annotate(
        text, (share, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9,
        color="black" if share else GREY,
    )  # fmt: skip
