"""How the commands that run an experiment end: exit codes, what is told, what is drawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

import sim.analysis.wording
import sim.cli.run_screen
import sim.experiment.run
from sim.cli.main import main
from sim.experiment.probe import LONGEST_S, Probe
from sim.experiment.run import Report
from sim.experiment.run_cell import Outcome
from sim.plots.registry import KINDS
from sim.results.failure import Stage
from sim.results.identity import code_version
from sim.results.manifest import write_manifest
from sim.results.store import ResultStore
from tests.experiment.examples import small
from tests.experiment.test_ends_of_runs import MOODY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from click.testing import Result

    from sim.experiment.executors import Task
    from sim.experiment.plan import Experiment

DIMMS = [{"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 120}]
TWO = [{"name": "contig-zones"}, {"name": "auto-movable"}]


class Folder:
    """A folder with an experiment ``e.toml`` and its results."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "e"
        (path / "moody.py").write_text(MOODY)

    def write(self, **changed: Any) -> None:  # noqa: ANN401  whatever TOML can hold
        tables = small(**{"policies": TWO, "workloads": DIMMS, "replications": 2, **changed})
        (self.path / "e.toml").write_text(tomli_w.dumps(tables))

    def command(self, name: str, what: Path, *options: object) -> Result:
        arguments = [name, what, "--out", self.path, "--workers", 1, *options]
        result = CliRunner().invoke(main, list(map(str, arguments)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def run(self, *options: object, plots: bool = False) -> Result:
        return self.command("run", self.path / "e.toml", *([] if plots else ["--no-plots"]), *options)

    def rerun(self, *options: object) -> Result:
        return self.command("rerun", self.results, "--no-plots", *options)

    def replications(self) -> list[int]:
        return ResultStore(self.results).runs()["replication"].tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write()
    return made


def last(result: Result) -> str:
    return result.stdout.splitlines()[-1]


# Exit codes and going on ----------------------------------------------------------------------------------------------


def test_the_exit_code_is_1_as_long_as_a_run_fails_however_many_are_there(folder: Folder) -> None:
    folder.write(policies=[{"name": "moody.py:Moody"}, *TWO], baseline="contig-zones")
    (folder.path / "bad mood").touch()
    found = [folder.run(), folder.rerun()]
    (folder.path / "bad mood").unlink()
    found += [folder.run(), folder.run("--force"), folder.rerun()]

    assert [(result.exit_code, last(result)) for result in found] == [
        (1, "4 of 6 runs completed, 2 failed"),
        (1, "4 of 6 runs completed (4 of them were there already), 2 failed"),
        (0, "6 of 6 runs completed (4 of them were there already)"),
        (0, "6 of 6 runs completed"),
        (0, "6 of 6 runs completed (6 of them were there already)"),
    ]
    # Results are shown whether or not anything was computed.
    assert all("Baseline: contig-zones. Below" in result.stdout for result in found)
    assert found[0].stderr == (
        "failed (policy): policy 'fine' raised KeyError for block 32: 'not today'\n"
        "  Moody / dimm-slots / vm / replication 0, and 1 more\n"
    )
    assert [result.stderr for result in found[2:]] == [""] * 3


def test_replications_are_run_in_order_and_once_however_they_are_given(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    really = sim.experiment.run.run

    def run(experiment: Experiment, out: Path, **options: Any) -> Report:  # noqa: ANN401  passed on
        asked.append(experiment.replications)
        return really(experiment, out, **options)

    monkeypatch.setattr("sim.experiment.run.run", run)
    folder.run(*("--replication", 5, "--replication", 1, "--replication", 5))
    assert asked == [(1, 5)]
    assert folder.replications() == [1, 5, 1, 5]
    assert last(folder.rerun("--force")) == "4 of 4 runs completed"
    folder.run()
    folder.rerun()
    assert asked[1:] == [(1, 5), (0, 1), (0, 1)]


def test_a_rerun_says_when_another_version_wrote_the_manifest(folder: Folder) -> None:
    folder.run("--replication", 0)
    assert folder.rerun().stderr == ""
    path = folder.results / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["program"]["code"] = "0.0.1+older"
    write_manifest(folder.results, manifest)
    result = folder.rerun()
    assert result.exit_code == 0
    assert result.stderr == f"Note: written by version 0.0.1+older, this is {code_version()}; results may differ.\n"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"config": {"seed": 8}},
            "not the one that was run: config_sha256 is not the hash of config",
        ),
        ({"config_sha256": "0" * 64}, "its configuration is not the one that was run"),
        ({"config_sha256": None}, "its configuration is not the one that was run"),
        ({"program": {"name": "another"}}, "was written by another program, 'another'; this one is 'memhp-sim'"),
        ({"program": ["memhp-sim"]}, "was written by another program, none; this one is 'memhp-sim'"),
    ],
)
@pytest.mark.parametrize("layout", [2, None], ids=["an earlier layout", "this one"])
def test_a_manifest_that_does_not_fit_itself_is_refused(
    folder: Folder, changed: dict[str, Any], told: str, layout: int | None
) -> None:
    folder.run("--replication", 0)
    path = folder.results / "manifest.json"
    manifest = json.loads(path.read_text())
    for key, value in changed.items():
        manifest[key] = manifest[key] | value if isinstance(value, dict) else value
    if layout is None:
        write_manifest(folder.results, manifest)
    else:
        del manifest["timings"]["sha256"]
        path.write_text(json.dumps(manifest | {"layout": layout}))
    there = path.read_bytes()
    result = folder.rerun()
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {folder.results}")
    assert told in result.stderr
    assert path.read_bytes() == there


def test_ctrl_c_says_what_is_kept_and_is_exit_code_130(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object, out: Path, *, on_start: Callable[[Report], None], **__: object) -> None:
        on_start(Report(out, planned=9, reused=3, completed=2))
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.experiment.run.run", interrupted)
    result = folder.run()
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == (
        "Interrupted. 5 of 9 runs completed (3 of them were there already); the same command goes on from there.\n"
    )


# What is told ---------------------------------------------------------------------------------------------------------


def test_failures_with_other_reasons_are_told_apart_and_only_ten_of_them(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sim.experiment.run_cell import Outcome
    from sim.results.identity import CellId

    def failing(_: object, out: Path, **__: object) -> Report:
        report = Report(out / "e", planned=15)
        for number in range(13):
            identity = CellId(str(number), "m", "w", "p", number, 1)
            report.count(Outcome(identity, f"cell {number}", "{}", Stage.SIMULATE, f"reason {min(number, 10)}"))
        return report

    monkeypatch.setattr("sim.experiment.run.run", failing)
    result = folder.run()
    assert (result.exit_code, result.stdout) == (1, "0 of 15 runs completed, 13 failed\n")
    lines = result.stderr.splitlines()
    assert lines[:2] == ["failed (simulate): reason 0", "  cell 0"]
    assert lines[18:20] == ["failed (simulate): reason 9", "  cell 9"]
    assert lines[20] == f"... and 1 more reasons; see the table runs in {folder.results}"
    assert len(lines) == 21


BEST = {"name": "clairvoyant", "label": "knows all"}


@pytest.mark.parametrize(
    ("changed", "differences"),
    [
        ({}, ["contig-zones"]),
        ({"baseline": "auto-movable"}, ["auto-movable"]),
        ({"policies": [*TWO, BEST]}, ["contig-zones", "knows all"]),
        ({"policies": [*TWO, BEST], "baseline": "knows all"}, ["knows all"]),
    ],
)
def test_tables_are_against_the_baseline_and_then_against_who_knows_the_future(
    changed: dict[str, Any], differences: list[str], folder: Folder
) -> None:
    folder.write(**changed)
    told = folder.run("--replication", 0).stdout
    against = [line for line in told.splitlines() if line.startswith("Baseline: ")]
    assert against == [f"Baseline: {label}." for label in differences]
    regret = "Regret: what is lost against knows all, which knows what comes"
    assert told.count(regret) == len(differences) - 1
    assert ("knows all: proved best" in told) == ("knows all" in differences)


# Plots ----------------------------------------------------------------------------------------------------------------


asked: list[object] = []
"""The kinds of plots that were to be drawn, each time."""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Pretend to draw three plots; note what was in their folder."""
    found: list[list[str]] = []
    asked.clear()

    def draw(store: ResultStore, folder: Path, policies: list[str], *of: Any) -> list[Path]:  # noqa: ANN401  as save_all takes them
        assert policies == ["contig-zones", "auto-movable"]
        bound, baseline, kinds = of[:3]
        assert (bound, baseline) == (None, "contig-zones")
        asked.append(kinds)
        folder.mkdir(exist_ok=True)
        found.append(sorted(path.name for path in folder.iterdir()))
        paths = [folder / f"{name}{len(found)}.{kind}" for name in "abc" for kind in of[-1]]
        for path in paths:
            path.touch()
        assert len(store.runs())
        return paths

    monkeypatch.setattr("sim.plots.files.save_all", draw)
    return found


def test_plots_are_written_in_the_formats_that_are_asked_for(folder: Folder, drawn: list[list[str]]) -> None:
    assert (
        f"Plots     {folder.results}/plots/ (3 plots, as PNG; --draw all draws every kind)\n"
        in folder.run(plots=True).stdout
    )
    assert "Plots" not in folder.run().stdout
    assert (
        f"{folder.results}/plots/ (3 plots, as SVG; --draw all draws every kind)\n"
        in folder.run("--plots-as", "svg", plots=True).stdout
    )
    both = folder.run("--plots-as", "svg, png", plots=True)
    assert f"{folder.results}/plots/ (3 plots, each as SVG and PNG; --draw all draws every kind)\n" in both.stdout
    assert len(drawn) == 3
    wrong = folder.run("--plots-as", "svg,pdf", plots=True)
    assert wrong.exit_code == 2
    assert "plots cannot be written as 'pdf'; there are: 'png', 'svg'" in " ".join(wrong.output.split())


def test_very_many_runs_or_scenarios_are_drawn_only_when_asked_for(
    folder: Folder, drawn: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim.cli.run_screen, "MOST_RUNS_DRAWN", 4)
    folder.run(plots=True)
    assert len(drawn) == 1
    monkeypatch.setattr(sim.cli.run_screen, "MOST_RUNS_DRAWN", 3)
    few = folder.run(plots=True).stdout
    assert "There are too many runs to draw without being asked to; --plots draws them." in few
    assert "Baseline: " in few
    assert len(drawn) == 1
    monkeypatch.setattr(sim.analysis.wording, "MOST_SCENARIOS", 0)
    none = folder.run(plots=True).stdout
    assert "1 workloads on machines are too many to print; all scores are in the table runs." in none
    assert "They are too many to draw, too; --plots draws them." in none
    assert "Baseline: " not in none
    assert len(drawn) == 1
    folder.run("--plots", plots=True)
    assert len(drawn) == 2


def test_kinds_of_plots_are_drawn_that_are_named(folder: Folder, drawn: list[list[str]]) -> None:
    folder.run("--draw", "memory, survival,memory", plots=True)
    folder.run("--draw", "all", plots=True)
    folder.run("--draw", "memory")  # and --no-plots
    assert asked == [("memory", "survival"), KINDS]
    assert len(drawn) == 2
    wrong = folder.run("--draw", "memroy", plots=True)
    assert wrong.exit_code == 2
    assert "there is no plot 'memroy'; there are: memory, ratio," in " ".join(wrong.output.split())


# Validate -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.99, "a second"),
        (1.2, "1 seconds"),
        (119.4, "119 seconds"),
        (120, "2.0 minutes"),
        (7190, "119.8 minutes"),
        (7200, "2.0 hours"),
        (90000, "25.0 hours"),
    ],
)
def test_validate_tells_the_time_in_a_fitting_unit(
    seconds: float, told: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.experiment.probe.probe", lambda _: Probe(2, (), seconds, 0))
    monkeypatch.setattr("time.process_time", lambda: 0.0)
    result = CliRunner().invoke(main, ["validate", str(folder.path / "e.toml")])
    assert result.stdout.splitlines() == [
        f"{folder.path / 'e.toml'}: no faults",
        "  machines   vm",
        "  policies   contig-zones",
        "             auto-movable",
        "  workloads  dimm-slots",
        "  baseline   contig-zones",
        "  seed       7",
        "  runs       4: 2 combinations x 2 replications",
        f"  time       about {told} on one core",
    ]


def test_the_estimate_takes_a_cell_of_each_workload_and_of_each_policy_for_all_runs(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first policy takes 2 s with one workload, 5 s with the other; the last thrice as long as the first two."""
    took = {"contig-zones": 1.0, "auto-movable": 1.0, "online-kernel": 3.0}
    tried = []

    def run_all(tasks: Iterable[Task], folder: None, _workers: object, limit: float) -> Iterator[Outcome]:
        assert (folder, limit) == (None, LONGEST_S)
        for cell, identity in tasks:
            tried.append((identity.policy, identity.workload))
            cpu_s = took[identity.policy] * (2.0 if identity.workload == "dimm-slots" else 5.0) - 0.005
            yield Outcome(identity, str(cell), "", times={"cpu_s": cpu_s})

    monkeypatch.setattr("sim.experiment.probe.run_all", run_all)
    folder.write(
        replications=4,
        policies=[*TWO, {"name": "online-kernel"}],
        workloads=[*DIMMS, {"name": "dimm-slots", "label": "other", "duration": 60}],
    )
    result = CliRunner().invoke(main, ["validate", "--json", str(folder.path / "e.toml")])
    told = json.loads(result.stdout)
    assert told["estimated_seconds"] == pytest.approx(4 * (1 + 1 + 3) * (2 + 5), abs=2)
    assert told["tried"] == {"runs": 4, "cut_off": 0, "failed": []}
    assert tried == [
        ("contig-zones", "dimm-slots"),
        ("contig-zones", "other"),
        ("auto-movable", "dimm-slots"),
        ("online-kernel", "dimm-slots"),
    ]
