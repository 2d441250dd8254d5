"""What tests of public reports share: the report's input as an experiment, run at once, and what its tables say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.load import load
from sim.incidents.runs import Runs, run_all
from sim.scores.registry import compute_scores

if TYPE_CHECKING:
    from pathlib import Path

    from sim.incidents.runs import Run

LINUX: dict[str, Any] = {"model": "linux"}
ONE_DIMM: dict[str, Any] = {
    "name": "dimm-slots",
    "slots": 1,
    "initial": 1,
    "grow_probability": 1.0,
    "duration": 30,
}


def experiment(
    machine: dict[str, Any],
    *workloads: dict[str, Any],
    policies: tuple[str | dict[str, Any], ...] = ("contig-zones",),
    **other: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """The tables of a report: its machine, what was asked of it, under each policy (a name or a table)."""
    named = [each if isinstance(each, dict) else {"name": each} for each in policies]
    return {"machines": [machine], "policies": named, "workloads": list(workloads), **other}


def log(folder: Path, text: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
    """The workload that replays the requests in ``text``, whose columns its first line names."""
    (folder / "log.csv").write_text(text)
    return {"name": "request-replay", "path": "log.csv", "label": "log", **parameters}


def runs(tables: dict[str, Any], folder: Path) -> Runs:
    """All runs of an experiment; paths in it are relative to ``folder``."""
    return run_all(load(tables, folder=folder))


def scores(run: Run) -> dict[str, float]:
    """All scores of a run by name."""
    return compute_scores(run.result)


def imported(*files: Path, out: Path) -> None:
    """Make the experiment ``out`` of what was pasted, with ``memhp-sim import``."""
    done = CliRunner().invoke(main, ["import", *map(str, files), "--out", str(out)])
    assert done.exit_code == 0, done.output


def screen(tables: dict[str, Any], folder: Path) -> str:
    """What ``memhp-sim run`` prints, blanks made one."""
    path = folder / "report.toml"
    path.write_text(tomli_w.dumps(tables))
    done = CliRunner().invoke(main, ["run", str(path), "--out", str(folder), "--no-plots", "--workers", "1"])
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())
