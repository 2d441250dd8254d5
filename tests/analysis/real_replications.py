"""Forty real replications of two experiments, whose scores are kept in ``tests/data/replications.csv``.

What intervals hold is tried on them. Write the file anew, where scores are new or mean something else:

    python -m tests.analysis.real_replications

It takes a few minutes.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

import pandas as pd

import workloads.grow_and_return
from sim.analysis.compare import HEADLINE_SCORES
from sim.api import run

ROOT: Final = Path(__file__).parent.parent.parent
FILE: Final = ROOT / "tests" / "data" / "replications.csv"
REPLICATIONS: Final = 40

_RELATIVES: Final[dict[str, Any]] = {
    "seed": 1,
    "machines": [{"label": "1 GiB", "boot_memory": "1GiB", "slots": 64}],
    "policies": [
        {"name": "contig-zones"},
        {"name": "headroom"},
        *({"name": "auto-movable", "label": f"ratio {ratio}", "ratio": ratio} for ratio in (301, 500, 700)),
    ],
    "workloads": [
        {
            "name": f"{workloads.grow_and_return.__file__}:GrowAndReturn",
            "label": "relatives",
            "spread": 1.6,
        }
    ],
    "guest": {"model": "linux"},
}
"""A guest that grows and shrinks, differently each time."""


def experiments() -> list[dict[str, Any]]:
    """Return the experiments, the baseline of each its first policy: a mix, and random relatives."""
    mix = tomllib.loads((ROOT / "tests" / "data" / "mix.toml").read_text("utf-8"))
    mix["workloads"] = [each for each in mix["workloads"] if each["label"] == "mix"]
    mix["machines"] = [each for each in mix["machines"] if each["label"] in mix["workloads"][0]["machines"]]
    kept = {"contig-zones", "online-movable", "auto-movable 301", "auto-movable 100"}
    mix["policies"] = [each for each in mix["policies"] if each.get("label", each["name"]) in kept]
    return [tables | {"name": name, "replications": REPLICATIONS} for name, tables in
            (("mix", mix), ("relatives", _RELATIVES))]  # fmt: skip


def main() -> None:
    """Run the experiments and write the file."""
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        for tables in experiments():
            results = run(tables, folder, workers=2)
            runs = results.runs().sort_values("replication", kind="stable")
            assert (runs["status"] == "completed").all()
            order = {policy: place for place, policy in enumerate(results.policies)}
            runs = runs.sort_values(["policy", "replication"], key=lambda values: values.replace(order), kind="stable")
            frames.append(runs[["workload", "policy", "replication", *HEADLINE_SCORES]])
    pd.concat(frames).to_csv(FILE, index=False, float_format="%.7g", lineterminator="\n")


if __name__ == "__main__":
    main()
