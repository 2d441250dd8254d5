"""All charts of one scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from sim.analysis import findings
from sim.report.charts.by_policy import differences_chart, returned_chart, scores_chart
from sim.report.charts.drawing import Looks
from sim.report.charts.over_time import (
    Drawn,
    columns_for,
    headroom_chart,
    memory_chart,
    ratio_chart,
    survival_chart,
)
from sim.report.charts.stored import StoredSteps
from sim.report.section import Section
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

    Row = Mapping[str, Any]

SCRIPTS: Final = ("shared.js", "charts.js", "chart-pointer.js")
STYLES: Final = ("charts.css",)

_LINES_OF_A_POLICY: Final = 5


class ScenarioCharts:
    """Draws the charts of one scenario after the other. A :class:`sim.report.scenario_parts.Part`.

    ``scenarios`` are all of the page: the more there are, the fewer columns of time each chart has, so that the page
    stays one that can be opened. ``rows`` gives those of a scenario in a comparison.
    """

    def __init__(
        self, store: ResultStore, scenarios: Sequence[Scenario], rows: Callable[[Scenario], Sequence[Row]]
    ) -> None:
        self._store, self._steps = store, StoredSteps(store)
        self._rows = rows
        self._columns = columns_for(_LINES_OF_A_POLICY * sum(len(each.present) for each in scenarios))

    def __call__(self, scenario: Scenario, anchor: str) -> Section | None:
        """Return the section with the charts of ``scenario``."""
        looks = Looks(scenario.policies)
        rows = [row for row in self._rows(scenario) if SCORES[row["score"]].headline]
        own = f"{anchor}-charts"
        drawn = Drawn(self._steps, scenario, looks, own, self._columns)
        charts = [
            returned_chart(scenario, looks, own, findings.tradeoff(scenario)),
            survival_chart(drawn, findings.survival(scenario)),
            headroom_chart(drawn, findings.scores(scenario, "headroom_min")),
            memory_chart(drawn, findings.memory(scenario, self._store)),
            ratio_chart(drawn, findings.ratio(scenario)),
            scores_chart(scenario, looks, own, findings.scores(scenario), rows),
            differences_chart(scenario, looks, own, findings.differences(scenario), rows),
        ]
        html = Markup("\n").join(chart.html() for chart in charts if chart is not None)
        return Section(own, "Charts", html, scripts=SCRIPTS, styles=STYLES)
