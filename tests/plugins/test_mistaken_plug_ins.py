"""Plug-ins whose authors have made a mistake: told by name when they are found, and never a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from memhp_sim import Percent, Seconds, Size
from sim.plugins import lookup
from sim.plugins.lookup import POLICY, PluginError

if TYPE_CHECKING:
    from pathlib import Path

POLICY_FILE = """
from collections.abc import Mapping
from typing import Annotated

from sim.plugins.parameter_choices import Choice
from memhp_sim import Key, ListOf, Number, Percent, Policy, Row, Size, Table, Whole, Word


class Mine(Policy):
    {attributes}

    def __init__(self, *, share: Annotated[{annotation}, "what it means"] = {default}) -> None:
        self.share = share

    def zone_for(self, request, memory):
        return 2
"""
ATTRIBUTES = 'name = "mine"\n    summary = "one of my own"'


def written(folder: Path, annotation: str = "int", default: str = "1", attributes: str = ATTRIBUTES) -> str:
    text = POLICY_FILE.format(attributes=attributes, annotation=annotation, default=default)
    (folder / "mine.py").write_text(text, "utf-8")
    return "mine.py:Mine"


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [
        ("int, Whole(0.5, 2)", "1", "the bounds of Whole must be whole numbers, but are 0.5 and 2"),
        ("int, Whole(3, 2)", "1", "the bounds of Whole leave nothing: from 3 to 2"),
        ("float, Number('a', 2)", "1.0", "the bounds of Number must be numbers, but are 'a' and 2"),
        ("int, Whole(unit=5)", "1", "the unit of Whole must be a word, but is 5"),
        ("int, Whole(unit='a\\nb')", "1", "the unit of Whole must be a word, but is 'a\\nb'"),
        ("int, Size(multiple_of=0)", "1", "multiple_of of Size must be a number of bytes, 1 at least, but is 0"),
        ("str, Word('up')", "'up'", "the words of Word must be a tuple of at least one, but are 'up'"),
        ("str, Word(())", "'up'", "the words of Word must be a tuple of at least one, but are ()"),
        (
            "str, Choice(('up', 'down'), ('x',))",
            "'up'",
            "the meanings of Choice must be as many as its words, 2, but are 1",
        ),
        ("list[int], ListOf(Whole)", "(1,)", "<class 'sim.plugins.parameter_types.Whole'> is no description of values"),
        ("list[int], Row(())", "(1,)", "the items of Row must be a tuple of at least one, but are ()"),
        ("list[int], Row(Whole())", "(1,)", "the items of Row must be a tuple of at least one, but are Whole("),
        ("Mapping[str, int], Table(())", "{}", "the keys of Table must be a tuple of at least one Key, but are ()"),
        (
            "Mapping[str, int], Table((Whole(),))",
            "{}",
            "the keys of Table must be a tuple of at least one Key, but are",
        ),
        (
            "Mapping[str, int], Table((Key('a', Whole(), 'x'), Key('a', Size(), 'x')))",
            "{}",
            "the keys of Table must differ, but are a, a",
        ),
        (
            "Mapping[str, int], Table((Key('a', Whole(2, 1), 'x'),))",
            "{}",
            "the bounds of Whole leave nothing: from 2 to 1",
        ),
        ("list[int], Row((Whole(), Whole(2, 1)))", "(1, 1)", "the bounds of Whole leave nothing: from 2 to 1"),
    ],
)
def test_a_mistaken_description_is_told_with_the_parameter(
    annotation: str, default: str, said: str, tmp_path: Path
) -> None:
    name = written(tmp_path, annotation, default)
    with pytest.raises(PluginError) as error:
        lookup.find(POLICY, name, tmp_path)
    assert f"describes its parameters wrongly: parameter 'share': {said}" in str(error.value)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ('summary = "x"', "needs a name, one line of text, but has None"),
        ('name = "x"', "needs a summary, one line of text, but has None"),
        ('name = " "\n    summary = "x"', "needs a name, one line of text, but has ' '"),
        ('name = "x"\n    summary = "two\\nlines"', "needs a summary, one line of text, but has 'two\\nlines'"),
        ('name = 5\n    summary = "x"', "needs a name, one line of text, but has 5"),
    ],
)
def test_a_name_and_a_line_that_says_what_it_is_are_needed(attributes: str, said: str, tmp_path: Path) -> None:
    name = written(tmp_path, attributes=attributes)
    with pytest.raises(PluginError) as error:
        lookup.find(POLICY, name, tmp_path)
    assert said in str(error.value)


def test_bounds_come_first_and_units_only_by_name() -> None:
    assert (Percent(10, 50).least, Percent(10, 50).most, Percent(10, 50).unit) == (10, 50, "percent")
    assert (Size(True).zero, Size(True).unit) == (True, "bytes")  # noqa: FBT003
    assert (Seconds(True).zero, Seconds(True).unit) == (True, "s")  # noqa: FBT003


# What lies beside a plug-in -------------------------------------------------------------------------------------------

CHILD = """
from a_neighbour_of_mine import Parent


class Child(Parent):
    name = "child"
    summary = "decides as its parent does"
"""


def test_a_file_may_import_its_neighbours_and_their_code_counts_with_it(tmp_path: Path) -> None:
    text = POLICY_FILE.format(attributes=ATTRIBUTES, annotation="int", default="1").replace(
        "class Mine", "class Parent"
    )
    neighbour = tmp_path / "a_neighbour_of_mine.py"
    neighbour.write_text(text, "utf-8")
    (tmp_path / "child.py").write_text(CHILD, "utf-8")

    first = lookup.find(POLICY, "child.py:Child", tmp_path)
    alone = lookup.find(POLICY, "a_neighbour_of_mine.py:Parent", tmp_path)
    neighbour.write_text(text + "# changed", "utf-8")
    second = lookup.find(POLICY, "child.py:Child", tmp_path)

    assert first.parameters == alone.parameters
    assert len({first.code, second.code, alone.code}) == 3


def test_python_s_path_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = written(tmp_path)
    for path in ([str(tmp_path), "/somewhere"], ["/somewhere"]):
        monkeypatch.setattr("sys.path", [*path, *sys.path])
        before = list(sys.path)
        lookup.find(POLICY, name, tmp_path)
        assert sys.path == before
