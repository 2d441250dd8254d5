"""What a user's choices do to the CPU time of a whole run: ``python -m benchmarks.choices``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.processes import cpu_of_command

if TYPE_CHECKING:
    from collections.abc import Mapping

CHOICES: Final = (
    "--no-plots",
    "--plots-as png,svg",
    "--set guest.sample_every=10",
    "--set guest.model=none",
    "--replication 0",
    "--workers 1",
    "--scheduler local",
)
"""What is added to ``memhp-sim run quickstart --workers 2``; what is said again counts."""


def cost(*choice: str) -> float:
    """Return the CPU time of a run with no results yet, of all its processes."""
    with tempfile.TemporaryDirectory() as folder:
        return cpu_of_command("run", "quickstart", "--out", str(Path(folder)), "--workers", "2", *choice)


def measured() -> dict[str, float]:
    """Return what each choice comes to against the run without it, in percent, measured in turn."""
    return {choice: 100 * cost(*choice.split()) / cost() for choice in CHOICES}


def table(found: Mapping[str, float]) -> str:
    """Return all choices, with what was ``found`` of them, as a table in Markdown."""
    values = ((choice, f"{found[choice]:.0f}" if choice in found else "") for choice in CHOICES)
    rows = [f"| `{choice}` | {value} |" for choice, value in values]
    return "\n".join(["| added to `memhp-sim run quickstart` | % of its CPU time |", "| --- | ---: |", *rows])


if __name__ == "__main__":
    sys.stdout.write(f"{table(measured())}\n")
