"""What is drawn of each scenario, in the order in which it stands on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sim.report.charts.scenario_charts import ScenarioCharts
from sim.report.memory_map.scenario_maps import ScenarioMaps

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sim.analysis.scenario import Scenario
    from sim.report.section import Section
    from sim.report.subject import Subject


class Part(Protocol):
    """Draws the completed runs of one machine and workload."""

    def __call__(self, scenario: Scenario, anchor: str) -> Section | None:
        """Return the section, whose anchor and ids begin with ``anchor``; None where there is nothing to draw.

        It stands under a heading of the fourth level. The same runs give the same bytes.
        """


def parts_for(subject: Subject, scenarios: Sequence[Scenario], maps: Collection[str] = ()) -> tuple[Part, ...]:
    """Return what draws ``scenarios``, those of one page together; ``maps`` are workloads that shall have memory maps.

    Without any, the first scenarios have them.
    """
    rows = {(each.machine, each.workload): each.rows for each in subject.scenarios}
    sources = subject.comparison.gathered.sources if subject.comparison is not None else ()
    experiment = sources[0].experiment if sources else None
    return (
        ScenarioCharts(subject.store, scenarios, lambda scenario: rows[scenario.machine, scenario.workload]),
        ScenarioMaps(subject.store, scenarios, maps, experiment),
    )
