"""Published incidents as experiments: run them, and say whether the simulation shows what was reported."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.experiment.load import load
from sim.experiment.schema import PublishedTable
from sim.faults import Fault, InputError
from sim.incidents.checks import CHECKS
from sim.incidents.runs import run_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.experiment.plan import Experiment
    from sim.incidents.checks import Verdict

_SIM = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Report:
    """An incident's published and simulated outcome. ``seconds`` is the real time that its runs took."""

    id: str
    source: str
    published: str
    cause: str
    simulated: str
    margin: str
    agrees: bool
    seconds: float

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
            "seconds": round(self.seconds, 3),
        }


def incidents_folder() -> Path:
    """Return the folder of the incidents' files: beside the packages in a checkout, inside the package if installed."""
    places = (_SIM.parent / "experiments" / "incidents", _SIM / "shipped" / "incidents")
    for place in places:
        if place.is_dir():
            return place
    raise InputError(
        "incidents", [Fault("", f"the shipped experiments are missing; looked in {places[0]}, {places[1]}")]
    )


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
    )


def _published(experiment: Experiment) -> PublishedTable:
    return PublishedTable.model_validate(experiment.tables["published"])


def markdown(reports: Iterable[Report]) -> str:
    """Return ``reports`` as a Markdown table."""
    rows = [
        f"| `{report.id}` | {report.source} | {report.published} | {report.simulated} | {report.margin} |"
        f" {'yes' if report.agrees else 'no'} |"
        for report in reports
    ]
    head = "| incident | source | published | simulated | margin | agrees |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])
