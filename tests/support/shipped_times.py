"""Writes how long the shipped experiments take: ``python -m tests.support.shipped_times`` (half a minute)."""

from __future__ import annotations

import json

from sim.experiment.load import load
from sim.experiment.probe import probe
from sim.experiment.shipped import shipped, shipped_folder
from sim.experiment.shipped_list import TIMES_NAME
from sim.results.atomic import write_atomically


def rounded(seconds: float) -> float:
    """Return ``seconds`` to one digit, as no two machines agree on more, and at least a second."""
    return max(1.0, float(f"{seconds:.1g}"))


def times() -> dict[str, float]:
    """Return about how many seconds each shipped experiment takes on one core."""
    return {name: rounded(probe(load(path)).seconds) for name, path in shipped().items()}


if __name__ == "__main__":
    write_atomically(shipped_folder() / TIMES_NAME, (json.dumps(times(), indent=2) + "\n").encode())
