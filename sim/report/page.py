"""The report of a folder of results: one HTML file that needs nothing else, the same bytes for the same results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.report.answer import answer
from sim.report.assumptions import assumptions
from sim.report.decisions import decisions
from sim.report.environment import framed
from sim.report.failures import failures_section
from sim.report.next_steps import next_steps
from sim.report.origin import origin
from sim.report.question import question
from sim.report.recommendation import recommendation
from sim.report.scenarios import scenario_sections
from sim.report.subject import read_subject
from sim.results.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

REPORT_NAME: Final = "report.html"


def write_report(folder: Path, out: Path | None = None, maps: Collection[str] = ()) -> Path:
    """Write the report of the results in ``folder`` to ``out`` (``report.html`` in it where None); return its path.

    ``maps`` as for :func:`report_html`. Raises OSError where that cannot be written.
    """
    path = folder / REPORT_NAME if out is None else out
    write_atomically(path, report_html(folder, maps).encode())
    return path


def report_html(folder: Path, maps: Collection[str] = ()) -> str:
    """Return the report of the results in ``folder``, finished or not, as HTML.

    ``maps`` are labels of workloads that shall have memory maps; without any, the first scenarios have them.
    """
    subject = read_subject(folder)
    recommended, costs = recommendation(folder), decisions(subject)
    scenarios, parts = scenario_sections(subject, maps)
    sections = [
        *([] if recommended is None else [recommended]),
        question(subject),
        # Candidates that were dropped have few replications: who looks best of all that was tried is no answer.
        *([answer(subject)] if recommended is None else []),
        next_steps(subject, recommended=recommended is not None),
        scenarios,
        failures_section(subject),
        *([] if costs is None else [costs]),
        assumptions(subject),
        origin(subject),
    ]
    return framed(subject.name, sections, parts)
