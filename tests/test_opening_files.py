"""What is no file with an end is refused at once, in words, by every command that takes a file."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.opening import UnreadableError, open_regular, read_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMANDS = {
    "validate": ["validate", "FILE"],
    "run": ["run", "FILE", "--out", "OUT"],
    "recommend": ["recommend", "FILE", "--out", "OUT"],
    "replay": ["replay", "FILE"],
    "explain": ["explain", "FILE"],
    "calibration": ["calibration", "FILE"],
    "import": ["import", "FILE"],
    "show": ["show", "FILE"],
    "plan": ["plan", "FILE", "--plug", "dimm:1GiB"],
    "new --from-machine": ["new", "OUT.toml", "--from-machine", "FILE"],
    "new --demand": ["new", "OUT.toml", "--demand", "FILE"],
    "new --like": ["new", "OUT.toml", "--like", "FILE"],
    "rerun": ["rerun", "FILE", "--out", "OUT"],
    "describe": ["workloads", "describe", "FILE", "--time", "t", "--user", "u"],
}


@pytest.fixture(name="odd", params=["pipe", "zero", "random", "socket", "loop"])
def _odd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
            yield path
        return
    else:
        path.symlink_to({"zero": "/dev/zero", "random": "/dev/urandom", "loop": str(path)}[request.param])
    yield path


@pytest.mark.parametrize("command", COMMANDS)
def test_what_never_ends_is_refused_at_once(command: str, odd: Path, tmp_path: Path) -> None:
    given = [word.replace("FILE", str(odd)).replace("OUT", str(tmp_path / "out")) for word in COMMANDS[command]]
    told = CliRunner().invoke(main, given)
    assert told.exit_code == 2, told.output
    assert isinstance(told.exception, SystemExit)
    assert "not a file" in told.output or "Too many levels of symbolic links" in told.output
    assert {path.name for path in tmp_path.iterdir()} == {"odd"}


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(UnreadableError, match=r"^is larger than 16 MiB$"):
        read_regular(path, 16 << 20)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe{\x00", r"is not a text file \(byte 0\)"),
        (b"[" * 100_000, r"is not JSON, or cut off \(nested too deeply\)"),
        (b"9" * 5000, r"is not JSON, or cut off \(a number of thousands of digits\)"),
        (b"{", r"is not JSON, or cut off \(line 1: "),
    ],
)
def test_what_is_no_json_is_told(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=f"^{why}"):
        read_json(path, 1 << 20)


def test_json_is_read_with_and_without_the_mark_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + b'{"a": [1]}')
        assert read_json(path, 1 << 20) == {"a": [1]}


def test_links_are_followed_only_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"said")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"said"
    with pytest.raises(UnreadableError, match="not a file"):
        open_regular(tmp_path / "link", follow=False)


@pytest.mark.parametrize("name", ["a\0b", "half \ud800"])
def test_a_name_that_no_file_has_is_told(name: str) -> None:
    with pytest.raises(UnreadableError, match=r"^cannot be read: "):
        open_regular(name)


@pytest.mark.parametrize("name", ["guest-trace", "demand-trace", "request-replay", "load-trace", "host-packing"])
def test_a_sparse_file_of_gibibytes_is_refused_at_its_start(name: str, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    tables: dict[str, Any] = {
        "machines": [{"boot_memory": "1GiB"}],
        "policies": [{"name": "auto-movable"}],
        "workloads": [{"name": name, "path": "sparse"}],
    }
    if "trace" in name and name != "load-trace":
        tables["workloads"][0]["columns"] = {"time": "t", "user": "u"}
    if name == "host-packing":
        tables["workloads"][0]["columns"] = {"memory": {"column": "m"}}
    (tmp_path / "e.toml").write_text(tomli_w.dumps(tables), "utf-8")
    start = time.process_time()

    told = CliRunner().invoke(main, ["validate", str(tmp_path / "e.toml")])

    assert told.exit_code == 2
    assert "zero byte" in told.stderr
    assert time.process_time() - start < 3


def test_describe_refuses_a_sparse_file_at_its_start(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 << 30)

    told = CliRunner().invoke(main, ["workloads", "describe", str(tmp_path / "sparse"), "--time", "t", "--user", "u"])

    assert told.exit_code == 2
    assert told.stderr == "Error: sparse: holds a zero byte: it is no text in UTF-8\n"
