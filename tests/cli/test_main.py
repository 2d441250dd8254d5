from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import tomli_w
from click.testing import CliRunner

from sim import __version__
from sim.cli.main import COMMANDS, main
from sim.plots.files import NOTES
from sim.results.store import ResultStore
from tests.experiment.examples import BAD_POLICIES, small
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from click.testing import Result

QUICKSTART = ROOT / "experiments" / "quickstart.toml"
COMMAND = [sys.executable, "-c", "from sim.cli.main import main; main(prog_name='memhp-sim')"]


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # options as subprocess has them
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False, **options
    )


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(small()))
    return path


def imported(*arguments: str) -> set[str]:
    """Return the modules that a process has loaded when the command with these ``arguments`` has printed something."""
    return imported_by(arguments)


def imported_by(*commands: Sequence[str]) -> set[str]:
    """Return the modules that a process has loaded when all these ``commands`` have printed something."""
    code = (
        "import sys\nfrom sim.cli.main import main\n"
        f"for each in {[list(command) for command in commands]!r}:\n"
        "    try: main(each)\n"
        "    except SystemExit as end: assert not end.code\n"
        "print(','.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout
    return set(done.stderr.strip().split(","))


def test_help_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pandas", "pydantic", "rich", "simpy", "pyarrow", "matplotlib", "scipy", "jinja2"}
    assert not heavy & imported("--help")


def test_the_list_of_workloads_waits_for_no_guest_model_and_no_reader_of_traces() -> None:
    heavy = {"sim.guest", "sim.machine", "sim.traces.opening", "pandas", "pydantic", "pyarrow", "matplotlib", "scipy"}
    assert not heavy & imported("workloads")


def test_results_that_are_there_are_shown_without_what_runs_and_draws(experiment: Path, tmp_path: Path) -> None:
    run = ("run", str(experiment), "--out", str(tmp_path / "out"), "--workers", "2")
    assert invoke(*run).exit_code == 0
    results = str(tmp_path / "out" / "tiny")
    loaded = imported_by(run, ("compare", results), ("report", results))
    assert "pandas" in loaded
    assert not {"matplotlib", "scipy", "concurrent.futures.process", "multiprocessing.forkserver"} & loaded


def test_help_costs_little_more_than_click() -> None:
    """In CPU time, least of five each, so that other work on the machine does not count; see the benchmarks, too."""
    click, shown = (
        min(cpu_time([sys.executable, "-c", code]) for _ in range(5))
        for code in ("import click", "from sim.cli.main import main\nmain(['--help'], standalone_mode=False)")
    )

    assert shown < 4 * click


def cpu_time(command: list[str]) -> float:
    """Return the CPU time of ``command`` in seconds."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0
    return used.ru_utime + used.ru_stime


def test_the_list_of_commands_is_what_there_is() -> None:
    listed = invoke("--help").stdout
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name} " in listed
        assert summary in listed
        assert "Usage: " in invoke(name, "--help").stdout


def test_the_version() -> None:
    assert invoke("--version").stdout == f"memhp-sim, version {__version__}\n"


def test_an_unknown_command_gets_a_hint() -> None:
    result = invoke("vaildate", "x")

    assert result.exit_code == 2
    assert "unknown command 'vaildate'; did you mean 'validate'?" in result.stderr


@pytest.mark.parametrize("kind", ["policies", "workloads"])
def test_plug_ins_are_listed_with_parameters_defaults_and_units(kind: str) -> None:
    listed = json.loads(invoke(kind, "--json").stdout)
    text = invoke(kind).stdout

    assert len(listed) >= 4
    for plugin in listed:
        assert plugin["name"] in text
        for parameter in plugin["parameters"]:
            assert parameter.keys() - {"search"} == {"name", "type", "default", "unit", "meaning"}
            assert parameter["name"] in text


def test_one_plug_in_is_shown() -> None:
    assert json.loads(invoke("policies", "auto-movable", "--json").stdout)[0]["parameters"][0] == {
        "name": "ratio",
        "type": "int",
        "default": 301,
        "unit": "percent",
        "meaning": "most MOVABLE to early KERNEL memory (auto_movable_ratio); 0 = never MOVABLE",
        "search": {"from": 25, "to": 6400, "steps": 9, "spacing": "geometric", "also": [301]},
    }
    assert "worth trying: 25 to 6400 in 9 steps" in invoke("policies", "auto-movable").stdout
    result = invoke("policies", "auto-movabel")
    assert result.exit_code == 2
    assert "did you mean 'auto-movable'?" in result.stderr


def test_validate_says_what_would_run_and_writes_nothing(experiment: Path) -> None:
    result = invoke("validate", experiment)

    assert result.exit_code == 0
    assert "tiny.toml: no faults" in result.stdout
    assert "8: 4 combinations x 2 replications" in result.stdout
    assert [path.name for path in experiment.parent.iterdir()] == ["tiny.toml"]

    told = json.loads(invoke("validate", "--json", experiment).stdout)
    assert (told["cells"], told["baseline"], told["name"]) == (8, "contig-zones", "tiny")
    assert told["estimated_seconds"] > 0
    assert json.loads(invoke("validate", "--json", "--no-probe", experiment).stdout)["estimated_seconds"] is None


def test_validate_lists_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(tomli_w.dumps(small(seed="x", replications=0, baseline="nope", policies=[{"name": "x"}], extra=1)))

    result = invoke("validate", path)

    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == f"Error: {path}: 4 faults"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["extra", "seed", "replications", "policies[0].name"]


def test_schema_is_json() -> None:
    assert json.loads(invoke("schema").stdout)["title"] == "memhp-sim experiment"


def test_run_shows_scores_draws_plots_and_says_where_they_are(experiment: Path, tmp_path: Path) -> None:
    result = invoke("run", experiment, "--out", tmp_path / "results", "--workers", 1)

    assert result.exit_code == 0
    assert result.stdout.startswith("sail on vm: nothing is random here, so one run of each policy\n")
    assert "\ndimms on vm, mean of 2 replications\n" in result.stdout
    assert "Baseline: contig-zones. Below" in result.stdout
    assert result.stdout.endswith("6 of 6 runs completed\n")
    assert result.stderr == ""
    folder = tmp_path / "results" / "tiny"
    assert str(folder / "plots") in result.stdout
    assert {path.name for path in (folder / "plots").iterdir()} == {"memory-vm-dimms.png", "memory-vm-sail.png", NOTES}
    assert {path.name for path in folder.iterdir()} >= {"manifest.json", "experiment.toml", "runs", "series", "events"}

    again = invoke("run", experiment, "--out", tmp_path / "results", "--workers", 1, "--no-plots")
    assert again.stdout.endswith("6 of 6 runs completed (6 of them were there already)\n")


def test_run_takes_single_replications(experiment: Path, tmp_path: Path) -> None:
    invoke("run", experiment, "--out", tmp_path, "--replication", 1, "--no-plots", "--workers", 1)
    assert set(ResultStore(tmp_path / "tiny").runs()["replication"]) == {1}

    invoke("run", experiment, "--out", tmp_path, "--replication", 7, "--no-plots", "--workers", 1)
    assert set(ResultStore(tmp_path / "tiny").runs()["replication"]) == {1, 7}


def test_a_manifest_alone_is_enough_to_run_again(experiment: Path, tmp_path: Path) -> None:
    invoke("run", experiment, "--out", tmp_path / "a", "--no-plots", "--workers", 1)
    manifest = tmp_path / "elsewhere.json"
    manifest.write_bytes((tmp_path / "a" / "tiny" / "manifest.json").read_bytes())

    again = invoke("rerun", manifest, "--out", tmp_path / "b", "--no-plots", "--workers", 1)

    assert again.exit_code == 0
    assert again.stdout.endswith("6 of 6 runs completed\n")
    first, second = (ResultStore(tmp_path / name / "tiny").runs() for name in "ab")
    assert first.equals(second)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1, "config": {}}', '{"format": 2, "config": {}}'])
def test_what_is_no_manifest_is_bad_input(content: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(content)

    result = invoke("rerun", path)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {path}: ")


def test_a_failed_run_is_reported_and_the_exit_code_is_1(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD_POLICIES)
    path = tmp_path / "half.toml"
    path.write_text(tomli_w.dumps(small(policies=[{"name": "contig-zones"}, {"name": "bad.py:Raising"}])))

    result = invoke("run", path, "--out", tmp_path, "--no-plots", "--workers", 1)

    assert result.exit_code == 1
    assert result.stdout.endswith("3 of 6 runs completed, 3 failed\n")
    reasons = result.stderr.splitlines()
    assert all(line.startswith("failed (policy): policy 'fine' raised KeyError") for line in reasons[::2])
    assert all(line.startswith("  Raising / ") for line in reasons[1::2])
    assert "Traceback" not in result.stderr


def test_all_runs_failing_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD_POLICIES)
    path = tmp_path / "all.toml"
    path.write_text(tomli_w.dumps(small(policies=[{"name": "bad.py:Raising"}])))

    result = invoke("run", path, "--out", tmp_path, "--workers", 1)

    assert result.exit_code == 1
    assert result.stdout == "0 of 4 runs completed, 4 failed\n"


def test_a_folder_that_cannot_be_written_is_bad_input(experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = invoke("run", experiment, "--out", tmp_path / "file", "--workers", 1)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "Not a directory" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("ended", ["by Ctrl-C", "by SIGTERM", "by SIGKILL"])
def test_a_run_that_is_ended_is_no_traceback_and_keeps_what_is_finished(tmp_path: Path, ended: str) -> None:
    slowly = BAD_POLICIES.replace("while True:\n            time.sleep(0.01)", "time.sleep(0.02)\n        return 3")
    (tmp_path / "slow.py").write_text(slowly)
    path = tmp_path / "slow.toml"
    policies = [{"name": "slow.py:Fine"}, {"name": "slow.py:Hanging"}]
    path.write_text(tomli_w.dumps(small(policies=policies, replications=1000)))
    command = [*COMMAND, "run", str(path), "--out", str(tmp_path), "--workers", "2", "--no-plots"]

    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        store = ResultStore(tmp_path / "slow")
        deadline = time.monotonic() + 60
        while len(store.keys()) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        if ended == "by Ctrl-C":
            os.killpg(running.pid, signal.SIGINT)
        else:
            running.send_signal(signal.SIGTERM if ended == "by SIGTERM" else signal.SIGKILL)
        stdout, stderr = running.communicate(timeout=60)

    assert stdout == ""
    if ended == "by SIGKILL":
        assert (running.returncode, stderr) == (-signal.SIGKILL, "")
    else:
        assert running.returncode == 130
        assert stderr.startswith("Interrupted. ")
        assert "Traceback" not in stderr
    assert 3 <= len(store.completed()) < 2000


def test_output_into_a_closed_pipe_is_no_traceback() -> None:
    with subprocess.Popen(
        [*COMMAND, "schema"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "{\n"
        running.stdout.close()
        assert running.stderr.read() == ""


def test_whoever_stops_reading_an_explanation_is_not_told_of_a_workload(tmp_path: Path) -> None:
    """Refusals of the host are printed while the workload asks; 2,000 of them are more than a pipe holds."""
    rows = "".join(f"{n},plug,d{n},dimm,512MiB\n" for n in range(2000))
    (tmp_path / "log.csv").write_text("t_s,op,device,kind,size_bytes\n" + rows)
    path = tmp_path / "refused.toml"
    path.write_text(
        """machines = [{ boot_memory = "4GiB", max_memory = "4GiB" }]
policies = [{ name = "contig-zones" }]
workloads = [{ name = "request-replay", path = "log.csv" }]
"""
    )
    with subprocess.Popen(
        [*COMMAND, "explain", path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("contig-zones")
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", "x.toml", "--workers", "0"), ("run", "x.toml", "--workers", "no")]
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)

    assert result.exit_code == 2
    assert "Usage: " in result.stderr


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], ResultStore]:
    """The shipped experiment, run through the command as users start it, and its results."""
    folder = tmp_path_factory.mktemp("quickstart")
    done = process("run", QUICKSTART, "--out", folder, "--no-plots", "--replication", "0")
    return done, ResultStore(folder / "quickstart")


def test_the_quickstart_runs(quickstart: tuple[subprocess.CompletedProcess[str], ResultStore]) -> None:
    """Every policy and workload of it."""
    done, store = quickstart

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" runs completed\n")
    runs = store.runs()
    assert list(runs["status"].unique()) == ["completed"]
    assert len(runs) == int(done.stdout.rsplit("\n", 2)[1].split()[0])


def test_there_is_no_progress_bar_without_a_terminal(
    quickstart: tuple[subprocess.CompletedProcess[str], ResultStore],
) -> None:
    done, _ = quickstart

    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
