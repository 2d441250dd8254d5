"""Published incidents as experiments: run them, and say whether the simulation shows what was reported."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.experiment.load import load
from sim.experiment.schema import PublishedTable
from sim.experiment.shipped import shipped_folder
from sim.faults import Fault, InputError
from sim.incidents.checks import CHECKS
from sim.incidents.runs import run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sim.experiment.plan import Experiment
    from sim.incidents.checks import Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """An incident's published and simulated outcome.

    ``fitted`` are settings whose values were read off the published outcome; ``seconds`` is the real time of the runs.
    """

    id: str
    source: str
    published: str
    cause: str
    simulated: str
    margin: str
    agrees: bool
    seconds: float
    fitted: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        return ("yes" if self.agrees else "no") + (", fitted" if self.fitted else "")

    def as_json(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return {
            "id": self.id,
            "source": self.source,
            "published": self.published,
            "cause": self.cause,
            "simulated": self.simulated,
            "margin": self.margin,
            "agrees": self.agrees,
            "fitted": list(self.fitted),
            "seconds": round(self.seconds, 3),
        }


def incidents_folder() -> Path:
    """Return the folder of the incidents' files."""
    return shipped_folder() / "incidents"


def load_incident(name: str, folder: Path | None = None) -> Experiment:
    """Return the experiment of incident ``name``. Raises InputError where it has faults or no published outcome."""
    experiment = load((folder or incidents_folder()) / f"{name}.toml")
    if "published" not in experiment.tables:
        raise InputError(name, [Fault("published", "is missing: nothing to compare with")])
    return experiment


def judge(name: str, experiment: Experiment) -> Verdict:
    """Run the ``experiment`` of incident ``name`` and compare it with the figures published there."""
    return CHECKS[name](run_all(experiment), _published(experiment).figures)


def report(name: str, folder: Path | None = None) -> Report:
    """Run incident ``name`` as it is shipped, and judge it."""
    experiment = load_incident(name, folder)
    published = _published(experiment)
    start = time.perf_counter()
    verdict = judge(name, experiment)
    return Report(
        id=name,
        source=published.source,
        published=published.outcome,
        cause=published.cause,
        simulated=verdict.simulated,
        margin=verdict.margin,
        agrees=bool(verdict.agrees),
        seconds=time.perf_counter() - start,
        fitted=published.fitted,
    )


def _published(experiment: Experiment) -> PublishedTable:
    return PublishedTable.model_validate(experiment.tables["published"])


def count(reports: Sequence[Report]) -> str:
    """Say in words how many of ``reports`` agree; those that a setting was fitted to are counted apart."""
    foretold = [one.agrees for one in reports if not one.fitted]
    fitted = [one.agrees for one in reports if one.fitted]
    words = []
    if foretold or not fitted:
        words.append(f"{sum(foretold)} of {len(foretold)} agree")
    if fitted:
        words.append(f"{sum(fitted)} of {len(fitted)} agree that a setting was fitted to")
    return "; ".join(words)


def markdown(reports: Iterable[Report]) -> str:
    """Return ``reports`` as a Markdown table."""
    rows = [
        f"| `{report.id}` | {report.source} | {report.published} | {report.simulated} | {report.margin} |"
        f" {report.word} |"
        for report in reports
    ]
    head = "| incident | source | published | simulated | margin | agrees |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])
