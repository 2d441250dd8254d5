from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.results import identity
from sim.results.manifest import TIMING_FIELD, build_manifest, git_state, read_manifest, write_manifest


def manifest(**timings: float) -> dict[str, Any]:
    return build_manifest(
        "quick", {"seed": 1, "policies": ["ä"]}, seeds={"master": 1, "replications": 2},
        cells={"planned": 4, "completed": 3, "failed": 1}, timings=timings,
    )  # fmt: skip


def test_a_manifest_says_what_it_takes_to_run_again(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, manifest(workers=2))
    found = read_manifest(tmp_path)
    assert found == read_manifest(path) == manifest(workers=2)
    assert found["config"] == {"seed": 1, "policies": ["ä"]}
    assert found["config_sha256"] == identity.sha256('{"policies":["ä"],"seed":1}')
    assert found["program"]["version"] == sim.__version__
    assert found["program"]["code"] == identity.code_version()
    assert found["python"]["version"].startswith("3.")
    assert {"numpy", "simpy", "pyarrow"} <= found["libraries"].keys()
    assert found["machine"]["cpus"] >= 1
    assert found["cells"] == {"planned": 4, "completed": 3, "failed": 1}


def test_only_the_timings_differ_between_two_runs(tmp_path: Path) -> None:
    texts = []
    for workers, wall in ((1, 3.5), (2, 1.9)):
        path = write_manifest(tmp_path / str(workers), manifest(workers=workers, wall_s=wall))
        texts.append(path.read_text())
    assert texts[0] != texts[1]
    first, second = (json.loads(text) for text in texts)
    del first[TIMING_FIELD], second[TIMING_FIELD]
    assert json.dumps(first) == json.dumps(second)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is no manifest: it is empty"),
        (b"[1]", "has no 'format' and 'config'"),
        (b'{"format": 99, "config": {}}', "has format 99, this program reads format 1"),
        (b"\xff\xfe", "is no manifest: it is not a text file (byte 0)"),
        (b"[" * 100_000, "is no manifest: it is not JSON, or cut off (nested too deeply)"),
    ],
)
def test_what_is_no_manifest_gets_one_clear_line(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"manifest\.json") as raised:
        read_manifest(tmp_path)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_commit_is_known_in_a_checkout_and_nowhere_else(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    source = Path(sim.__file__).parent / "results"
    if not (source.parent.parent / ".git").exists():
        pytest.skip("not in a checkout")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True).stdout
    state = git_state(source)
    assert state is not None
    assert state["commit"] == head.strip()


def test_a_checkout_is_modified_once_a_file_of_it_differs(tmp_path: Path) -> None:
    """A repository with one file, of the name that the program looks for."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "manifest.py").write_text("1")
    assert git_state(tmp_path) is None  # a file that belongs to no repository
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (tmp_path / "notes").write_text("not known to git")
    head = git("rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": head, "modified": False}
    (tmp_path / "manifest.py").write_text("2")
    assert git_state(tmp_path) == {"commit": head, "modified": True}
