"""Whether all shipped experiments, and guests drawn at random, still give the same results, cell for cell.

``python -m tests.support.same_results note FILE [NAME...]`` notes a digest for each cell of the first replication,
``... compare FILE [NAME...]`` names the cells whose events, samples or scores are others now (exit code 1). Without
names all experiments: some three minutes on one core. For whoever makes something faster.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.experiment import build
from sim.experiment.load import load
from sim.experiment.shipped import shipped
from sim.record.series import run_series
from sim.scores.registry import compute_scores
from tests.support.places import ROOT
from tests.support.recommend_check import relative

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.experiment.plan import Cell, Experiment
    from sim.record.run_result import RunResult

RELATIVES: Final = 12
EXTRA: Final = {"mix": ROOT / "tests" / "data" / "mix.toml"}


def digest(result: RunResult) -> dict[str, str]:
    """Return short digests of a run's events, of its samples, and of what it was scored."""
    scores = compute_scores(result, run_series(result))
    guest = b"".join(name.encode() + np.asarray(values).tobytes() for name, values in sorted(result.guest.items()))
    rest = (sorted(result.counters.items()), result.duration_us, result.device_names, result.device_groups)
    parts = {
        "events": result.events.tobytes(),
        "samples": guest,
        "scores": repr(sorted(scores.items())).encode(),
        "rest": repr(rest).encode(),
    }
    return {part: hashlib.sha256(content).hexdigest()[:12] for part, content in parts.items()}


def experiments(names: list[str]) -> Iterator[tuple[str, Experiment]]:
    """Yield the experiments with these names, or all: those that are shipped, the mix, and random relatives."""
    files = {**shipped(), **EXTRA}
    for name in names or [*files, *(f"relative-{number}" for number in range(RELATIVES))]:
        yield name, load(files[name]) if name in files else load(relative(int(name.split("-")[-1])), folder=ROOT)


def cells(name: str, experiment: Experiment) -> Iterator[tuple[str, Cell]]:
    """Yield the cells of the first replication with names of their own."""
    first = experiment.only(experiment.replications[:1])
    for number, cell in enumerate(first.cells()):
        yield f"{name} | {cell} | {number}", cell


def digests(names: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the digests of all cells by their names."""
    for name, experiment in experiments(names):
        for label, cell in cells(name, experiment):
            yield label, digest(build.simulation(cell, asks=build.played(cell))())


def main(verb: str, file: str, *names: str) -> int:
    """Note or compare; return the exit code."""
    path = Path(file)
    if verb == "note":
        path.write_text(json.dumps(dict(digests(list(names))), indent=1), "utf-8")
        return 0
    noted = json.loads(path.read_text("utf-8"))
    others = 0
    for label, found in digests(list(names)):
        if found != noted.get(label):
            others += 1
            parts = [part for part, value in found.items() if value != noted.get(label, {}).get(part)]
            sys.stdout.write(f"{label}: other {', '.join(parts)}\n")
    sys.stdout.write(f"{others} differ\n")
    return int(others > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
