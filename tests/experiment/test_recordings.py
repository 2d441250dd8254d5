"""Replications that are recordings: each plays a series of a trace, there are as many as series, and all keep to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sim.analysis.compare import compare
from sim.analysis.until import Until
from sim.api import open_results
from sim.cli.main import main
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.faults import InputError
from sim.results.store import ResultStore
from sim.units import MIB
from tests.experiment.test_schedule import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.experiment.plan import Experiment
    from sim.experiment.run import Report

VMS = {"quiet": (100, 120, 90), "hungry": (200, 2500, 300), "middling": (50, 600, 60)}
"""MiB at 0, 60 and 120 seconds: one of them wants more than the machine will ever have."""
POLICIES = [{"name": "online-movable"}, {"name": "online-kernel"}]


def written(folder: Path, vms: Mapping[str, tuple[int, ...]] = VMS) -> Path:
    lines = [
        "vm,t,user",
        *(f"{vm},{60 * n},{mib}" for n in range(3) for vm, levels in vms.items() for mib in [levels[n]]),
    ]
    path = folder / "trace.csv"
    path.write_text("\n".join(lines), "utf-8")
    return path


def tables(path: Path, **changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever TOML can hold
    return {
        "name": "recorded",
        "replications": "all",
        "machines": [{"label": "vm", "boot_memory": "1GiB"}],
        "guest": {"model": "linux"},
        "policies": POLICIES,
        "workloads": [
            {
                "label": "recorded",
                "together": [
                    {"name": "steps", "steps": ["plug dimm:512MiB"]},
                    {"name": "guest-trace", **trace(path)},
                ],
            }
        ],
        **changed,
    }


def trace(path: Path) -> dict[str, Any]:
    return {"path": str(path), "columns": {"time": "t", "series": "vm", "user": {"column": "user", "unit": MIB}}}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Report]:
    """Return the experiment, and what running it has left."""
    folder = tmp_path_factory.mktemp("recorded")
    experiment = load(tables(written(folder)))
    return experiment, run(experiment, folder / "a", workers=InProcess())


def faults(experiment: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(experiment)
    return [str(fault) for fault in caught.value.faults]


def test_each_series_is_played_once_under_every_policy_and_named(done: tuple[Experiment, Report]) -> None:
    _, report = done
    assert report.summary() == "6 of 6 runs completed"
    runs = ResultStore(report.folder).runs().sort_values(["policy", "replication"])
    assert runs["recording"].tolist() == [*VMS, *VMS]
    assert runs.loc[runs["unserved_byte_seconds"] > 0, "recording"].unique().tolist() == ["hungry"]
    assert (runs["streams_drawn"] == 0).all()
    manifest = json.loads((report.folder / "manifest.json").read_text("utf-8"))
    assert manifest["seeds"]["replications"] == [0, 1, 2]
    assert manifest["nothing_random"] == []
    assert manifest["config"]["replications"] == "all"
    found = compare(runs, "online-movable", ["unserved_byte_seconds"])
    assert found["replications"].tolist() == [3, 3]
    assert found["pairs"].tolist() == [3, 3]


def test_what_is_there_is_not_run_again_and_one_alone_is_the_same(
    done: tuple[Experiment, Report], tmp_path: Path
) -> None:
    experiment, report = done
    again = run(experiment, report.folder.parent, workers=InProcess())
    assert (again.planned, again.reused, again.completed) == (6, 6, 0)
    alone = run(experiment.only((1,)), tmp_path / "b", workers=InProcess())
    assert ResultStore(alone.folder).runs()["recording"].tolist() == ["hungry"] * 2
    both = run(experiment, tmp_path / "b", workers=InProcess())
    assert (both.planned, both.reused, both.completed) == (6, 2, 4)
    assert files(both) == files(report)


def test_rerun_and_the_effective_file_play_the_same(done: tuple[Experiment, Report], tmp_path: Path) -> None:
    experiment, report = done
    arguments = ["rerun", str(report.folder), "--out", str(tmp_path), "--workers", "1", "--no-plots"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert files(run(experiment, tmp_path, workers=InProcess())) == files(report)
    effective = load(report.folder / "experiment.toml")
    assert [task[1] for task in effective.tasks()] == [task[1] for task in experiment.tasks()]


def test_other_series_are_other_cells(tmp_path: Path) -> None:
    experiment = load(tables(written(tmp_path)))
    before = [identity.key for _, identity in experiment.tasks()]
    assert len(set(before)) == 6
    written(tmp_path, {**VMS, "quiet": (100, 121, 90)})
    after = [identity.key for _, identity in load(tables(tmp_path / "trace.csv")).tasks()]
    assert not set(before) & set(after)


def test_more_replications_than_recordings_are_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert load(tables(path, replications=2)).replications == (0, 1)
    assert faults(tables(path, replications=4)) == [
        "replications: 4 are more than there are: 3 recordings of recorded to play; 'all' runs each"
    ]
    nothing = [{"name": "dimm-slots", "duration": 60}]
    assert faults(tables(path, workloads=nothing)) == [
        "replications: 'all' needs a workload that plays a recording in each, such as a trace of several series"
    ]
    one = {"name": "guest-trace", "label": "one", **trace(path), "series": "quiet"}
    assert faults(tables(path, workloads=[one]))[0].startswith("replications: 'all' needs a workload that plays")
    (tmp_path / "fewer").mkdir()
    fewer = written(tmp_path / "fewer", {"a": (1, 2, 3), "b": (1, 2, 3)})
    workloads = [{"name": "guest-trace", "label": label, **trace(of)} for label, of in (("x", path), ("y", fewer))]
    assert faults(tables(path, workloads=workloads, replications=3)) == [
        "replications: 3 are more than there are: 3 recordings of x, 2 recordings of y to play; give a number up to 2"
    ]
    assert "\n".join(faults(tables(path, workloads=workloads))) == (
        "replications: 'all' needs as many recordings everywhere, but there are 3 recordings of x, 2 recordings of y"
        " to play; give a number up to 2"
    )
    assert faults(tables(path, replications="most")) == ["replications: 'most' is not a whole number"]
    with pytest.raises(InputError, match=r"there is no replication 3: 3 recordings of recorded to play, the first of"):
        load(tables(path)).only((3,))


def test_parts_side_by_side_play_as_many_recordings(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "fewer").mkdir()
    fewer = written(tmp_path / "fewer", {"a": (1, 2, 3), "b": (1, 2, 3)})
    parts = [{"name": "guest-trace", "label": label, **trace(of)} for label, of in (("x", path), ("y", fewer))]
    uneven = tables(path, workloads=[{"label": "both", "together": parts}], replications=2)
    assert "\n".join(faults(uneven)) == (
        "workloads[0].together: has 3 recordings of x, 2 recordings of y to play, each replication the next of every"
        " part: choose as many of each by series"
    )
    parts[0]["series"] = "[qh]*"
    assert len(load(tables(path, workloads=[{"label": "both", "together": parts}])).replications) == 2


def test_commands_take_a_recording_by_its_number(tmp_path: Path) -> None:
    path = written(tmp_path)
    file = tmp_path / "recorded.toml"
    import tomli_w

    file.write_text(tomli_w.dumps(tables(path)), "utf-8")
    out = ["--out", str(tmp_path / "out"), "--workers", "1", "--no-plots"]
    result = CliRunner().invoke(main, ["run", str(file), "--replication", "3", *out])
    assert result.exit_code == 2
    assert "there is no replication 3: 3 recordings" in result.output
    assert CliRunner().invoke(main, ["run", str(file), "--replication", "2", *out]).exit_code == 0
    assert open_results(tmp_path / "out" / "recorded").runs()["recording"].unique().tolist() == ["middling"]
    shown = CliRunner().invoke(main, ["explain", str(file), "--replication", "1", "--policy", "online-kernel"])
    assert shown.exit_code == 0
    assert "replication 1" in shown.output
    checked = CliRunner().invoke(main, ["validate", str(file), "--json", "--no-probe"])
    assert json.loads(checked.output)["replications"] == 3


def test_replications_are_added_as_long_as_there_are_recordings(tmp_path: Path) -> None:
    many = {f"vm{n}": (100 + n, 300 + 100 * (n % 9), 200) for n in range(8)}
    path = written(tmp_path, many)
    (tmp_path / "log.csv").write_text(
        "t_s,device,op,kind,node,size_bytes\n0,d,plug,dimm,0,536870912\n90,d,unplug,,,\n", "utf-8"
    )
    log = {"name": "request-replay", "path": str(tmp_path / "log.csv"), "tail": 60}
    workload = {"label": "asked back", "together": [log, {"name": "guest-trace", **trace(path)}]}
    experiment = load(tables(path, replications=5, workloads=[workload]))
    until = Until(width=1e-9, most=200)
    report = run(experiment, tmp_path / "a", workers=InProcess(), extension=until)
    runs = ResultStore(report.folder).runs()
    assert set(runs["recording"]) == set(many)
    (sentence,) = until.outcome(experiment, runs)
    assert sentence.endswith("not to ± 1e-09; there are no more recordings.")
    assert len(until.keep(experiment)) == 16


def test_a_run_that_fails_says_which_recording_it_was(tmp_path: Path) -> None:
    policy = tmp_path / "hasty.py"
    policy.write_text(
        "from memhp_sim import Policy, ZoneType, Explanation\n"
        "class Hasty(Policy):\n    name = 'hasty'\n    summary = 'fails'\n"
        "    def zone_for(self, request, memory):\n        raise KeyError('zone')\n"
        "    def explain(self, request, memory):\n        return Explanation(ZoneType.MOVABLE, 'x', {})\n",
        "utf-8",
    )
    experiment = load(tables(written(tmp_path), policies=[{"name": f"{policy}:Hasty"}]))
    report = run(experiment, tmp_path / "a", workers=InProcess())
    assert [outcome.cell.rpartition(" (")[2] for outcome in report.failed] == ["quiet)", "hungry)", "middling)"]
    assert sorted(ResultStore(report.folder).runs()["recording"]) == sorted(VMS)


def test_policies_that_look_ahead_see_the_recording_of_their_replication(tmp_path: Path) -> None:
    policies = [{"name": "clairvoyant"}, {"name": "headroom"}]
    experiment = load(tables(written(tmp_path), policies=policies)).only((2,))
    report = run(experiment, tmp_path / "a", workers=InProcess())
    assert report.summary() == "2 of 2 runs completed"
    assert ResultStore(report.folder).runs()["recording"].tolist() == ["middling"] * 2
