"""The parts of a run as files for other programs: what was asked, and the tables of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.results.exported import EXPORTED, rows_of
from sim.results.exporting import FORMS, TEXT_FORMS, form_of, write_lines, write_rows
from workloads.parts.requests.writer import csv_lines, jsonl_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sim.record.run_result import RunResult
    from sim.results.exporting import Target
    from workloads.parts.requests.request import Request

REQUESTS: Final = "requests"
PARTS: Final = (REQUESTS, *EXPORTED)


def form_of_part(part: str, path: Path) -> str:
    """Return the form that the name of a part's file says. Raises ValueError where it says none that there is."""
    return form_of(path, TEXT_FORMS if part == REQUESTS else FORMS)


def export_part(part: str, target: Target, form: str, result: RunResult, requests: Sequence[Request]) -> None:
    """Write one of :data:`PARTS` of a run with these ``requests`` in the ``form`` to a file, or what is open.

    Raises InputError for requests that the form cannot hold, and OSError where the file cannot be written.
    """
    if part == REQUESTS:
        lines = csv_lines(requests, part) if form == "csv" else jsonl_lines(requests, part)
        write_lines(target, lines)
    else:
        write_rows(target, form, EXPORTED[part], rows_of(result, part))
