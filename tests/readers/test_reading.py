"""Recognising files by what is in them, and reading several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.faults import Fault, InputError
from sim.readers.facts import Facts, Remark
from sim.readers.reading import Reader, read_facts

if TYPE_CHECKING:
    from pathlib import Path


def _read_count(text: str, file: str) -> Facts:
    lines = text.split("\n")
    numbers = [(number, line) for number, line in enumerate(lines, 1) if line.startswith("count")]
    bad = [Fault(f"line {number}", "is no count") for number, line in numbers if not line[6:].isdigit()]
    if bad:
        raise InputError(file, bad)
    number, line = numbers[0]
    places = {"slots": f"line {number}"}
    return Facts(file, "count", places=places, remarks=[Remark("line 1", "first")], slots=int(line[6:]))


COUNT = Reader("a count", lambda text: "count" in text, _read_count)
LETTERS = Reader("letters", lambda text: "abc" in text, lambda _, file: Facts(file, "letters"))


def test_each_part_of_a_pasted_terminal_is_read_and_places_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "paste"
    file.write_text("$ cat a\nabc\n$ cat b\n\ncount 3\n$ cat c\ncount 4 abc\n".replace("4 abc", "4\nabc"))
    facts = read_facts([file], (COUNT, LETTERS))
    assert [(one.kind, one.slots, one.places) for one in facts] == [
        ("letters", None, {}),
        ("count", 3, {"slots": "line 5"}),
        ("count", 4, {"slots": "line 7"}),
        ("letters", None, {}),
    ]
    assert [one.remarks for one in facts[1:3]] == [[Remark("line 4", "first")], [Remark("line 7", "first")]]


def test_faults_of_all_parts_and_files_are_told_at_once(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    one.write_text("$ cat a\ncount x\n$ cat b\ncount y\n")
    two.write_text("nothing")
    three.write_text("abc")
    with pytest.raises(InputError) as error:
        read_facts([one, two, three], (COUNT, LETTERS))
    assert str(error.value).split("\n") == [
        "2 files: 3 faults",
        f"  {one}: line 2: is no count",
        f"  {one}: line 4: is no count",
        (
            f"  {two}: is not recognised; what is read: a count, letters, "
            "a copy of /sys/devices/system/memory (folder or tar)"
        ),
    ]


def test_files_of_a_folder_that_are_not_read_become_remarks(tmp_path: Path) -> None:
    for name, text in (("a", "abc"), ("b", "?"), ("c", "count x")):
        (tmp_path / name).write_text(text)
    (facts,) = read_facts([tmp_path], (COUNT, LETTERS))
    assert facts.file == f"{tmp_path}:a"
    assert facts.remarks == [
        Remark(f"{tmp_path}:c", "not read: line 1: is no count"),
        Remark("b", "not recognised"),
    ]
    (tmp_path / "a").unlink()
    with pytest.raises(InputError, match="line 1: is no count"):
        read_facts([tmp_path], (COUNT, LETTERS))
