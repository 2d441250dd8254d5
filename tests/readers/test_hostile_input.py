"""Whatever a file holds, reading it ends soon with what it says or with a clear message, and does nothing else."""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner

from sim.cli.main import BAD_INPUT, main
from sim.faults import InputError
from sim.readers.reading import READERS, Reader, read_facts
from tests.support.extremes import extreme
from tests.support.hostile import TEXTS, hostile, odd_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MOST_LINES: Final = 25
_MOST_SECONDS: Final = 2.0
_MOST_KIB: Final = 300 << 10
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORBIDDEN: Final = re.compile(
    r"socket\.|subprocess\.|os\.(system|exec|fork|posix_spawn|spawn|startfile|remove|rename|mkdir|rmdir|link|symlink|chmod|"
    r"chown|truncate|utime|putenv|kill)|shutil\.|tempfile\.|ctypes\.|urllib\.|webbrowser\.|ftplib\.|http\.|pty\.|signal\."
)
_seen: list[str] = []
_watching = [False]


def _watch(event: str, args: tuple[object, ...]) -> None:
    if not _watching[0]:
        return
    if event == "open":
        mode, flags = args[1], args[2]
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITING):
            _seen.append(f"open {args[0]!r} for writing")
    elif _FORBIDDEN.match(event):
        _seen.append(f"{event} {args!r}")


sys.addaudithook(_watch)  # never taken away again; it does nothing but while a file is read


@contextmanager
def nothing_else_happens() -> Iterator[None]:
    """Hold the block to reading: no file written, no program run, no connection."""
    _seen.clear()
    _watching[0] = True
    try:
        yield
    finally:
        _watching[0] = False
    assert _seen == []


def answer(path: Path) -> str:
    """Return what became of reading ``path``: the kinds that were read, or ``refused``; check the message."""
    start = time.process_time()
    try:
        with nothing_else_happens():
            kinds = " ".join(facts.kind for facts in read_facts([path]))
    except InputError as error:
        lines = str(error).split("\n")
        assert len(lines) <= _MOST_LINES
        assert all(line.isprintable() for line in lines)
        assert lines[0].startswith(str(path) if str(path).isprintable() else str(path.parent))
        kinds = "refused"
    assert time.process_time() - start < _MOST_SECONDS
    return kinds


def check(numbers: range, folder: Path) -> Counter[str]:
    """Read the inputs of these numbers one after the other and return how often each answer came."""
    file = folder / "input"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers: Counter[str] = Counter()
    for number in numbers:
        file.write_bytes(hostile(number))
        try:
            answers[answer(file)] += 1
        except Exception as error:
            raise AssertionError(f"input {number}") from error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MOST_KIB
    assert sorted(path.name for path in folder.iterdir()) == ["input"]
    return answers


def test_the_texts_that_the_inputs_are_made_of_are_read(tmp_path: Path) -> None:
    for number, text in enumerate(TEXTS):
        file = tmp_path / str(number)
        file.write_bytes(text)
        assert answer(file) != "refused"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_every_reader_knows_one_of_the_texts_that_the_inputs_are_made_of(reader: Reader) -> None:
    assert any(reader.recognises(text.decode()) for text in TEXTS)


def test_hundreds_of_damaged_foreign_and_hostile_inputs(tmp_path: Path) -> None:
    answers = check(range(1500), tmp_path)
    assert answers["refused"] > 750  # the rest are still right, or hold something that is
    assert len(answers) > 12


@pytest.mark.slow
def test_ten_thousand_damaged_foreign_and_hostile_inputs(tmp_path: Path) -> None:
    check(range(1500, 11_500), tmp_path)


def check_command(numbers: range, folder: Path) -> Counter[int]:
    """Give extreme machines to the command and return how often it ended with which code."""
    codes: Counter[int] = Counter()
    for number in numbers:
        files = []
        for place, text in enumerate(extreme(number)):
            files.append(folder / str(place))
            files[-1].write_text(text)
        for command in ("import", "show"):
            result = CliRunner().invoke(main, [command, *map(str, files)])
            assert result.exit_code in {0, BAD_INPUT}, (number, command, result.exception)
            assert bool(result.stderr.strip()) or result.exit_code == 0
            codes[result.exit_code] += 1
    return codes


def test_machines_out_of_all_proportion_are_taken_or_refused(tmp_path: Path) -> None:
    codes = check_command(range(60), tmp_path)
    assert min(codes[0], codes[BAD_INPUT]) > 5


@pytest.mark.slow
def test_a_thousand_machines_out_of_all_proportion(tmp_path: Path) -> None:
    check_command(range(60, 1060), tmp_path)


def test_damaged_foreign_and_hostile_input_ends_the_command_with_a_message(tmp_path: Path) -> None:
    file = tmp_path / "input"
    for number in range(1500, 1600):
        file.write_bytes(hostile(number))
        result = CliRunner().invoke(main, ["import", str(file)])
        assert result.exit_code in {0, BAD_INPUT}, (number, result.exception)
        assert result.exit_code == 0 or result.stderr.strip().isprintable() or "faults" in result.stderr


def test_what_is_no_plain_file_is_refused_or_left_out(tmp_path: Path) -> None:
    answers = {}
    for path in odd_places(tmp_path):
        answers[path.name] = answer(path)
    assert set(answers.values()) == {"refused"}


def _write(path: Path) -> None:
    path.write_text("")


def _make(path: Path) -> None:
    path.mkdir()


def _run(_: Path) -> None:
    os.system("true")  # noqa: S605


@pytest.mark.parametrize("act", [_write, _make, _run])
def test_watching_notices(tmp_path: Path, act: Callable[[Path], None]) -> None:
    with pytest.raises(AssertionError), nothing_else_happens():
        act(tmp_path / "x")
