"""What is drawn of each scenario, in the order in which it stands on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from sim.analysis.scenario import Scenario
    from sim.report.section import Section
    from sim.results.store import ResultStore


class Part(Protocol):
    """Draws the completed runs of one machine and workload."""

    def __call__(self, store: ResultStore, scenario: Scenario, anchor: str) -> Section | None:
        """Return the section, whose anchor and ids begin with ``anchor``; None where there is nothing to draw.

        It stands under a heading of the fourth level. The same runs give the same bytes.
        """


PARTS: Final[tuple[Part, ...]] = ()
