"""``memhp-sim recommend`` from a file to a screen and a folder, on a guest small enough to run often."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sim.api import Results
from sim.cli.main import BAD_INPUT, FAILED, main
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.recommend import document
from sim.recommend.asked import asked as ask
from sim.recommend.limits import limit
from sim.recommend.recommend import recommend
from sim.recommend.sampler import KEPT
from sim.results.store import ResultStore
from tests.support.lock_holder import holder
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SMALL = """
description = "A guest that grows and shrinks, small enough to run often"
seed = 3

[guest]
model = "linux"
sample_every = 60

[[machines]]
label = "small"
boot_memory = "512MiB"

[[policies]]
name = "contig-zones"

[[policies]]
name = "headroom"

[[policies]]
name = "online-movable"

[[workloads]]
name = "grow-and-return"
label = "grows"
size = "6GiB"
step = "512MiB"
user = "2GiB"
kernel = "300MiB"
kernel_rate = "1MiB"
tick = 60
leave = 700
ask_back = 800
duration = 1000
SPREAD

[recommend]
add_linux_policies = false
"""


def written(folder: Path, *, spread: float = 1.0, more: str = "", name: str = "small") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(SMALL.replace("SPREAD", f"spread = {spread}") + more, "utf-8")
    return path


def asked(*words: str | Path | int, width: int = 80) -> Result:
    return CliRunner().invoke(main, ["recommend", *map(str, words)], env={"COLUMNS": str(width)})


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files but those that hold real times."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    found = {name: path.read_bytes() for name, path in files.items() if "timings" not in name}
    manifest = json.loads(found.pop("manifest.json"))
    del manifest["timings"]
    return {**found, "manifest": json.dumps(manifest).encode()}


@pytest.fixture(scope="module")
def certain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Nothing is random: one run of each candidate."""
    folder = tmp_path_factory.mktemp("certain")
    return folder, asked(written(folder), "--out", folder, "--workers", 1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Each replication is another relative of the guest; few replications are allowed."""
    folder = tmp_path_factory.mktemp("drawn")
    return folder, asked(written(folder, spread=1.3), "--out", folder, "--workers", 1, "--replications", 25)


def read(folder: Path) -> document.Recommendation:
    found = document.read(folder)
    assert found is not None
    return found


def test_where_nothing_is_random_a_run_of_each_is_enough(certain: tuple[Path, Result]) -> None:
    folder, result = certain
    assert result.exit_code == 0, result.output
    answer = read(folder / "small-recommend").answers[0]
    assert answer.nothing_random
    assert (answer.pick, answer.confidence) == ("contig-zones", 1.0)
    assert [each.replications for each in answer.candidates] == [1, 1, 1]
    assert "Nothing is random here" in result.output
    assert "memhp_default_state=online" in result.output


def test_the_answer_comes_with_all_that_it_needs(drawn: tuple[Path, Result]) -> None:
    folder, result = drawn
    words = " ".join(result.output.split())
    assert result.exit_code == 0
    for text in (
        "Limit (no other was named): nothing fails in 95 % of replications",
        "grows on small", "Take contig-zones: Came back", "How sure: nothing fails in 95 % of replications: held in",
        "more would do to be 95 % sure of it", "What it gives up:", "headroom, which no kernel can be told:",
        "How far the wall is: Kernel headroom, least:", "If things are otherwise: With plugging twice as fast",
        "Kernel command line, from the next boot on: memhp_default_state=online", "Report: memhp-sim report",
    ):  # fmt: skip
        assert text in words
    answer = read(folder / "small-recommend").answers[0]
    assert 0 < answer.confidence < 0.95
    assert "Not certain yet (" in words


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_but_what_is_to_be_copied_is_wider_than_the_terminal(drawn: tuple[Path, Result], width: int) -> None:
    folder, _ = drawn
    result = asked(folder / "small.toml", "--out", folder, "--workers", 1, "--replications", 25, width=width)
    wide = [line for line in result.output.splitlines() if len(line) > width]
    assert all(line.startswith(("  ", "Report: ")) for line in wide), wide


def test_the_folder_is_one_of_ordinary_results(drawn: tuple[Path, Result]) -> None:
    folder, _ = drawn
    results = Results(folder / "small-recommend")
    answer = read(results.store.folder).answers[0]
    assert results.policies == [each.label for each in answer.candidates]
    runs = results.runs()
    counts = runs.groupby("policy")["replication"].count().to_dict()
    assert counts == {each.label: each.replications for each in answer.candidates}
    assert (runs["status"] == "completed").all()
    compared = results.compare()
    mean = compared[(compared["policy"] == answer.pick) & (compared["score"] == answer.objective)]["mean"].iloc[0]
    assert mean == pytest.approx(answer.candidates[0].mean)
    # Of the first replications all files are there, of the others the rows alone.
    kept = {int(number) for number in results.series()["replication"]}
    assert kept == set(range(min(KEPT, max(counts.values()))))


def test_a_second_time_nothing_is_run_and_nothing_changes(drawn: tuple[Path, Result]) -> None:
    folder, _ = drawn
    before = contents(folder / "small-recommend")
    again = asked(folder / "small.toml", "--out", folder, "--workers", 1, "--replications", 25)
    runs = read(folder / "small-recommend").runs
    assert f"{runs} runs, {runs} of them there already" in " ".join(again.output.split())
    assert contents(folder / "small-recommend") == before


def test_two_workers_and_a_run_that_was_killed_give_the_same_bytes(drawn: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = drawn
    before = contents(folder / "small-recommend")
    left = tmp_path / "small-recommend"
    shutil.copytree(folder / "small-recommend", left)
    # Killed: cells that were not run, a half-written file; nothing at the end.
    for name in ("manifest.json", "recommendation.json", "experiment.toml"):
        (left / name).unlink()
    store = ResultStore(left)
    store.prune(sorted(store.keys())[::3])
    half = next(left.glob("events/*.parquet"))
    half.with_name(f"{half.name}.tmp-0123456789abcdef").write_bytes(b"half")
    shutil.copy(folder / "small.toml", tmp_path)
    result = asked(tmp_path / "small.toml", "--out", tmp_path, "--workers", 2, "--replications", 25)
    assert result.exit_code == 0
    after = contents(left)
    assert after.keys() == before.keys()
    assert {name for name in before if after[name] != before[name]} == set()


def test_json_is_what_the_file_has(certain: tuple[Path, Result]) -> None:
    folder, _ = certain
    result = asked(folder / "small.toml", "--out", folder, "--workers", 1, "--json")
    printed: dict[str, Any] = json.loads(result.stdout)
    assert {"format": document.FORMAT, **printed} == json.loads(
        (folder / "small-recommend" / document.NAME).read_text()
    )


def test_nothing_satisfies_the_limits_is_an_answer(tmp_path: Path) -> None:
    limits = ("--limit", "headroom never under 64GiB", "--limit", "nothing fails")
    result = asked(written(tmp_path), "--out", tmp_path, "--workers", 1, *limits)
    words = " ".join(result.output.split())
    assert result.exit_code == FAILED
    assert "Nothing satisfies the limits" in words
    assert (
        "headroom never under 64GiB (Kernel headroom, least >= 64 GiB in every replication): broken by 2 of 2" in words
    )
    assert "Nearest to it comes contig-zones: held in 0 of 1" in words
    assert "nothing fails (Guest died and Kernel out of memory and Failed adds <= 0" in words
    assert read(tmp_path / "small-recommend").answers[0].pick is None


def test_a_pick_that_is_not_certain_fails_only_where_it_must_be(
    certain: tuple[Path, Result], drawn: tuple[Path, Result]
) -> None:
    few = ("--out", drawn[0], "--workers", 1, "--replications", 25)
    assert asked(drawn[0] / "small.toml", *few).exit_code == 0
    unsure = asked(drawn[0] / "small.toml", *few, "--certain", "--json")
    assert unsure.exit_code == FAILED
    assert unsure.stderr.startswith("Not certain: grows on small (0.")
    assert json.loads(unsure.stdout)["answers"][0]["pick"] == "contig-zones"
    sure = asked(certain[0] / "small.toml", "--out", certain[0], "--workers", 1, "--certain")
    assert (sure.exit_code, sure.stderr) == (0, "")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    result = asked(
        written(tmp_path), "--limit", "headrom >= 3MiB", "--limit", "be nice", "--maximise", "luck",
        "--indifference", "three", "--confidence", "2",
    )  # fmt: skip
    assert result.exit_code == BAD_INPUT
    for text in ("5 faults", "--limit[0]", "did you mean 'headroom'", "--limit[1]", "unknown score 'luck'",
                 "--indifference", "--confidence"):  # fmt: skip
        assert text in result.output
    assert not (tmp_path / "small-recommend").exists()


def test_what_the_file_says_is_gone_by_and_the_command_goes_first(tmp_path: Path) -> None:
    more = 'limits = ["headroom never under 8 GiB"]\nminimise = "return_time"\n'
    path = written(tmp_path, more=more)
    assert asked(path, "--out", tmp_path, "--workers", 1).exit_code == FAILED
    found = read(tmp_path / "small-recommend")
    assert (found.limits[0].text, found.answers[0].objective) == ("headroom never under 8 GiB", "return_time")
    assert asked(path, "--out", tmp_path, "--workers", 1, "--limit", "nothing fails").exit_code == 0
    assert read(tmp_path / "small-recommend").limits[0].text == "nothing fails"
    path.write_text(path.read_text("utf-8").replace("8 GiB", "8 %"), "utf-8")
    wrong = asked(path, "--out", tmp_path)
    assert wrong.exit_code == BAD_INPUT
    assert "recommend.limits[0]" in wrong.output


def test_several_scenarios_get_one_setting_too(tmp_path: Path) -> None:
    more = '\n[[machines]]\nlabel = "large"\nboot_memory = "4GiB"\n'
    result = asked(written(tmp_path, more=more), "--out", tmp_path, "--workers", 1)
    assert result.exit_code == 0, result.output
    found = read(tmp_path / "small-recommend")
    assert [answer.pick for answer in found.answers] == ["contig-zones", "online-movable"]
    # All MOVABLE, the small guest dies.
    assert found.together is not None
    assert found.together.pick == "contig-zones"
    assert "One setting for all of them" in result.output
    assert found.together.sensitivity[0]["sentence"] == "With plugging twice as fast it holds in all scenarios."
    assert result.output.count("If things are otherwise:") == 3


def test_what_is_done_is_told_from_the_first_look_on(certain: tuple[Path, Result]) -> None:
    told: list[str] = []
    experiment = load(certain[0] / "small.toml")
    done = recommend(experiment, certain[0], ask(experiment), workers=InProcess(), on_scenario=told.append)
    assert told == ["A look at grows on small", "grows on small", "If things are otherwise: grows on small"]
    assert (done.computed, done.reused) == (0, 3)


def test_a_budget_that_is_too_small_for_all_candidates_is_no_error(tmp_path: Path) -> None:
    more = '\n[[machines]]\nlabel = "large"\nboot_memory = "4GiB"\n'
    result = asked(written(tmp_path, more=more), "--out", tmp_path, "--workers", 1, "--budget", 1)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    found = read(tmp_path / "small-recommend")
    never = [
        kept for answer in found.answers for each in answer.candidates for kept in each.limits if not each.replications
    ]
    assert never
    assert all((kept.held, kept.low, kept.high, kept.verdict) == (0, None, None, "open") for kept in never)


def test_a_folder_that_is_damaged_or_in_use_is_told_in_a_sentence(certain: tuple[Path, Result], tmp_path: Path) -> None:
    shutil.copytree(certain[0] / "small-recommend", tmp_path / "small-recommend")
    command = (certain[0] / "small.toml", "--out", tmp_path, "--workers", 1)
    with holder(tmp_path / "small-recommend") as other:
        used = asked(*command)
        waiting = threading.Timer(0.5, other.kill)
        waiting.start()
        waited = asked(*command, "--wait")
    assert used.exit_code == BAD_INPUT
    assert "another process is at work in it" in used.stderr
    assert waited.exit_code == 0
    assert waited.stderr.startswith(f"Waiting for process {other.pid} on ")
    for path in (tmp_path / "small-recommend" / "runs").rglob("*.parquet"):
        path.write_text("junk", "utf-8")
    damaged = asked(*command)
    assert damaged.exit_code == 0
    assert "its end is missing; set aside as runs-00-of-01.parquet.aside-" in damaged.stderr


@pytest.mark.parametrize("keep", [False, True])
def test_runs_of_no_more_use_are_told_and_kept_where_that_is_wanted(
    certain: tuple[Path, Result], tmp_path: Path, *, keep: bool
) -> None:
    folder = tmp_path / "small-recommend"
    shutil.copytree(certain[0] / "small-recommend", folder)
    before = ResultStore(folder).runs()
    command = (certain[0] / "small.toml", "--out", tmp_path, "--workers", 1, "--set", "seed=9")
    told = asked(*command, *(["--keep"] if keep else [])).stderr.splitlines()
    end = f"They are kept in {folder / 'earlier' / '1'}." if keep else "They were removed; --keep keeps such runs."
    assert told[0] == f"Note: {folder} held {len(before)} runs that this recommendation did not need:"
    assert told[-1] == end
    assert (folder / "earlier").exists() is keep
    if keep:
        assert set(ResultStore(folder / "earlier" / "1").runs()["cell"]) == set(before["cell"])
    assert not asked(*command).stderr
    assert (folder / "earlier").exists() is keep


def test_an_output_that_takes_plain_letters_only_gets_these(certain: tuple[Path, Result]) -> None:
    plain = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    command = [sys.executable, "-m", "memhp_sim", "recommend", str(certain[0] / "small.toml"), "--workers", "1"]
    done = subprocess.run(
        [*command, "--out", str(certain[0])], cwd=ROOT, env={**os.environ, **plain}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "-----" in done.stdout.decode("ascii")


def test_a_document_that_is_none_is_refused(tmp_path: Path) -> None:
    assert document.read(tmp_path) is None
    for text in ("", "[]", '{"format": 9}', '{"format": 1}'):
        (tmp_path / document.NAME).write_text(text, "utf-8")
        with pytest.raises(ValueError, match="is no recommendation"):
            document.read(tmp_path)


def test_what_is_written_reads_back(drawn: tuple[Path, Result], tmp_path: Path) -> None:
    found = read(drawn[0] / "small-recommend")
    document.write(tmp_path, found)
    assert document.as_json(read(tmp_path)) == document.as_json(found)


def test_from_python_it_is_the_same(certain: tuple[Path, Result]) -> None:
    import memhp_sim

    folder, _ = certain
    found = memhp_sim.recommend(folder / "small.toml", folder, limits=["nothing fails in 95 % of replications"])
    assert isinstance(found, memhp_sim.Recommendation)
    assert document.as_json(found) == document.as_json(read(folder / "small-recommend"))
    assert not found.by_default
    assert str(found).startswith("grows on small: Take contig-zones")
    with pytest.raises(memhp_sim.InputError, match="--limit"):
        memhp_sim.recommend(folder / "small.toml", folder, limits=["be nice"])


def test_the_limits_of_the_page_can_be_said() -> None:
    page = (ROOT / "docs" / "recommend.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    texts = [text for row in rows for text in row.split("`")[1::2]]
    commands = [line for line in page.splitlines() if line.startswith("$ memhp-sim recommend")]
    texts += [text for line in commands for text in line.split('"')[1::2]]
    assert len(texts) >= 12
    for text in texts:
        limit(text)
