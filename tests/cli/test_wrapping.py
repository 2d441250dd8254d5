"""Lines that fit a terminal, by what characters take there."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from sim.cli.layout import Column, Row, table_lines
from sim.cli.wrapping import widest_part, wrapped

CHARACTERS = st.sampled_from(["a", "b-", " ", "記", "é", "e\u0301", "\u200f", "ש", "\N{NO-BREAK SPACE}"])
TEXTS = st.lists(CHARACTERS, max_size=60).map("".join)


@given(TEXTS, st.integers(2, 30))
def test_lines_fit_and_lose_nothing_but_blanks(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.text("abc- ", max_size=60), st.integers(2, 30))
def test_text_of_narrow_characters_is_wrapped_as_everywhere(text: str, width: int) -> None:
    plain = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    assert [" ".join(line.split()) for line in wrapped(text, width, cut=False)] == [
        " ".join(line.split()) for line in plain
    ]


def test_wide_characters_are_parted_and_accents_are_not() -> None:
    assert wrapped("記憶體記憶 ab", 6) == ["記憶體", "記憶", "ab"]
    assert wrapped("e\u0301e\u0301e\u0301", 2) == ["e\u0301e\u0301", "e\u0301"]
    assert wrapped("one two three", 9, begin="- ", further="  ") == ["- one two", "  three"]
    assert (widest_part("記憶體 abc"), widest_part("記憶"), widest_part("")) == (3, 2, 0)
    assert wrapped("", 10) == []


def test_a_table_whose_labels_are_wide_fits() -> None:
    label = "記憶體" * 8
    column = Column("group", "score", {"a": [Text("12")], "b": [Text("3")]})
    for width in (20, 40, 80):
        lines = list(table_lines([column], [Row("a", Text(label)), Row("b", Text("plain"))], width))
        assert all(line.cell_len <= width for line in lines)
        assert "".join(line.plain.split()[0] for line in lines if "記" in line.plain) == label
        assert len({line.cell_len for line in lines if line.plain.endswith(("12", " 3"))}) == 1
