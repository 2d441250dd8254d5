"""The report of a folder of results: one HTML file that needs nothing else, the same bytes for the same results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.experiment.load import load_stored
from sim.plots.plot_data import scenarios
from sim.report.environment import framed, rendered
from sim.report.scenario_parts import PARTS
from sim.report.section import Section
from sim.results.atomic import write_atomically
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from pathlib import Path

REPORT_NAME: Final = "report.html"


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the results in ``folder`` to ``out`` (``report.html`` in it where None); return its path.

    Raises OSError where that cannot be written.
    """
    path = folder / REPORT_NAME if out is None else out
    write_atomically(path, report_html(folder).encode())
    return path


def report_html(folder: Path) -> str:
    """Return the report of the results in ``folder``, finished or not, as HTML."""
    store = ResultStore(folder)
    experiment = load_stored(folder)
    runs = store.runs()
    policies = experiment.policies if experiment else ()
    blocks, parts = [], []
    for number, scenario in enumerate(scenarios(runs, policies)):
        anchor = f"s{number}"
        drawn = [section for part in PARTS if (section := part(store, scenario, anchor)) is not None]
        parts += drawn
        blocks.append({"anchor": anchor, "title": scenario.title, "sections": drawn})
    name = experiment.name if experiment else folder.resolve().name
    sections = [Section("scenarios", "Scenario by scenario", rendered("scenarios", scenarios=blocks))]
    return framed(name, sections, parts)
