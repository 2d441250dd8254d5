"""``memhp-sim compare``: what it prints and writes, of one folder and of several, and how it ends."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from memhp_sim import compare, open_results
from sim.analysis.wording import MOST_SCENARIOS
from sim.api import run
from sim.cli.main import BAD_INPUT, FAILED, main
from tests.support.doc_pages import DocPage

if TYPE_CHECKING:
    from pathlib import Path

LONG = "a policy with a label that is rather long, as those of sweeps are"
TABLES: dict[str, Any] = {
    "name": "one", "seed": 1, "replications": 15,
    "machines": [{"label": "m", "boot_memory": "1GiB"}],
    "policies": [{"name": "contig-zones"}, {"name": "online-kernel"}, {"name": "online-movable", "label": LONG}],
    "workloads": [{"name": "virtio-mem-resize", "label": "DIMMs", "maximum": "2GiB", "shape": "bursts",
                   "interval": 60, "duration": 900}],
    "guest": {"model": "linux"},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("compare")
    run(TABLES, parent, workers=1)
    run({**TABLES, "name": "two", "policies": TABLES["policies"][:1]}, parent, workers=1)
    return parent


def invoke(*arguments: object, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["compare", *map(str, arguments)])


def test_the_same_policy_of_two_folders_does_not_differ(folder: Path) -> None:
    result = invoke(folder / "one", folder / "two", "--policy", "contig-zones [two]", columns=200)
    assert result.exit_code == 0
    told = "contig-zones [one] and contig-zones [two] do not differ: every score is the same in all 15 replications."
    assert told in result.stdout
    assert "carry the name of their folder: contig-zones" in result.stderr


def test_of_very_many_scenarios_in_which_nothing_is_random_every_difference_counts(tmp_path: Path) -> None:
    machines = [{"label": f"m{number}", "boot_memory": "1GiB"} for number in range(MOST_SCENARIOS + 1)]
    steps = {"name": "steps", "steps": ["plug dimm:1GiB"]}
    policies = [{"name": "contig-zones"}, {"name": "online-movable"}]
    tables = {"name": "exact", "machines": machines, "policies": policies, "workloads": [steps]}
    result = invoke(run(tables, tmp_path, workers=1).store.folder, columns=200)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert f"{MOST_SCENARIOS + 1} workloads on machines" in text
    assert re.search(rf"online-movable .*▲ {MOST_SCENARIOS + 1} ▼ 0", text)  # MOVABLE while it was wanted
    assert f"No policy failed in any of {MOST_SCENARIOS + 1} scenarios." in text
    assert "by however little: nothing is random" in text
    assert "is told apart" not in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_longer_than_the_terminal(folder: Path, columns: int) -> None:
    result = invoke(folder / "one", columns=columns)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert "clairvoyant" in result.stdout, "it is said how decisions are compared"


def test_json_is_all_that_is_printed(folder: Path) -> None:
    result = invoke(folder / "one", "--json", "--scores", "returned_share")
    content = json.loads(result.stdout)
    assert [row["score"] for row in content["scenarios"][0]["rows"]] == ["returned_share"] * 3
    assert content["policies"] == ["contig-zones", "online-kernel", LONG]


def test_files_are_written_and_standard_output_takes_one(folder: Path, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a.csv", "a.md", "a.tex")]
    result = invoke(folder / "one", "--csv", names[0], "--markdown", names[1], "--latex", names[2])
    assert result.exit_code == 0
    assert names[0].read_text().startswith("machine,workload,policy,score,")
    assert "| score | contig-zones |" in names[1].read_text()
    assert r"\begin{tabular}{lrrr}" in names[2].read_text()
    alone = invoke(folder / "one", "--csv", "-")
    assert alone.stdout == names[0].read_text()
    assert invoke(folder / "one", "--csv", "-", "--json").exit_code == BAD_INPUT
    nowhere = invoke(folder / "one", "--csv", tmp_path / "no" / "such" / "a.csv")
    assert (nowhere.exit_code, "Traceback" in nowhere.output) in {(0, False), (BAD_INPUT, False)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policy", "contig-zone"], "unknown policy 'contig-zone'"),
        (["--workload", "x"], "unknown workload 'x'"),
        (["--machine", "x"], "unknown machine 'x'"),
        (["--baseline", "x"], "unknown policy 'x'"),
        (["--scores", "speed"], "there is no score 'speed'"),
    ],
)
def test_what_is_not_there_is_bad_input(folder: Path, arguments: list[str], told: str) -> None:
    result = invoke(folder / "one", *arguments)
    assert result.exit_code == BAD_INPUT
    assert told in result.stderr


def test_a_folder_without_results_is_bad_input(folder: Path, tmp_path: Path) -> None:
    assert invoke(tmp_path).exit_code == BAD_INPUT
    assert "choose one" in invoke(folder).stderr
    assert invoke(tmp_path / "none").exit_code == BAD_INPUT


def test_where_no_run_has_completed_it_fails(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "from memhp_sim import Policy\n\n\nclass Bad(Policy):\n    name = 'bad'\n    summary = 'x'\n\n"
        "    def zone_for(self, view, request):\n        raise RuntimeError('no')\n"
    )
    tables = {**TABLES, "name": "bad", "replications": 1, "policies": [{"name": f"{tmp_path}/bad.py:Bad"}]}
    tables["workloads"] = [{"name": "grow-and-return", "size": "1GiB", "user": "512MiB", "kernel": "128MiB"}]
    tables["machines"] = [{"label": "m", "boot_memory": "1GiB", "slots": 8}]
    result = invoke(run(tables, tmp_path, workers=1).store.folder)
    assert result.exit_code == FAILED
    assert "no run has completed" in result.stderr


def test_python_has_the_same(folder: Path) -> None:
    found = compare([open_results(folder / "one"), folder / "two"], scores=["returned_share"])
    assert list(found.table["policy"]) == ["contig-zones [one]", "online-kernel", LONG, "contig-zones [two]"]
    assert "do not differ" in " ".join(found.scenarios[0].said)


def test_everything_that_the_page_tells_people_to_type_works(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "quickstart").symlink_to(folder / "one")
    monkeypatch.chdir(tmp_path)
    commands = [command for command in DocPage("compare.md").commands if "compare" in command]
    assert len(commands) >= 4
    for command in commands:
        result = CliRunner().invoke(main, shlex.split(command.removeprefix("$ memhp-sim ")))
        assert result.exit_code == 0, result.output
