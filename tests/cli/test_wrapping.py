"""Lines that fit a terminal, by what characters take there."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from sim.cli.layout import Column, Row, table_lines
from sim.cli.wrapping import folded, widest_part, wrapped

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


def test_lines_are_folded_at_blanks_and_columns_in_them_stay() -> None:
    assert folded("  a   b  cc", 80) == "  a   b  cc"
    assert folded("  12 s  block 3: MOVABLE", 14) == "  12 s  block\n    3: MOVABLE"
    assert folded("x" * 30 + " y", 10) == "x" * 30 + "\n  y"
    assert folded("記憶體記憶", 6) == "記憶體\n  記憶"


def test_the_word_of_a_label_that_leaves_no_room_for_the_table_is_cut() -> None:
    lines = list(table_lines([Column("", "score", {"a": [Text("12")]})], [Row("a", Text("x" * 90))], 40))
    assert all(line.cell_len <= 40 for line in lines)
    assert "".join(line.plain.split()[0] for line in lines if "x" in line.plain) == "x" * 90


def test_a_table_whose_labels_are_wide_fits() -> None:
    label = "記憶體" * 8
    column = Column("group", "score", {"a": [Text("12")], "b": [Text("3")]})
    for width in (20, 40, 80):
        lines = list(table_lines([column], [Row("a", Text(label)), Row("b", Text("plain"))], width))
        assert all(line.cell_len <= width for line in lines)
        assert "".join(line.plain.split()[0] for line in lines if "記" in line.plain) == label
        assert len({line.cell_len for line in lines if line.plain.endswith(("12", " 3"))}) == 1
