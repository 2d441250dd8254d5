"""Text that fits: nothing is wider than it may be, and labels that differ still differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.plots.lettering import distinct, drawable, shortened, width, wrapped

LONG = "a policy with a very long label, of which only the end differs: ratio 301"
ANY = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=60)


def test_what_fits_stays_and_what_does_not_keeps_its_beginning_and_its_end() -> None:
    assert shortened("short", 2, 10) == "short"
    found = shortened(LONG, 2, 10)
    assert width(found, 10) <= 2
    begin, end = found.split("…")
    assert LONG.startswith(begin)
    assert LONG.endswith(end)
    assert end.endswith("ratio 301")


def test_lines_break_between_words_and_long_words_anywhere() -> None:
    assert wrapped("one two three", width("one two", 10) + 0.01, 10) == ["one two", "three"]
    lines = wrapped("x" * 100, 2, 10)
    assert len(lines) == 3
    assert all(width(line, 10) <= 2 for line in lines)
    assert wrapped("one two three four", width("three", 10) + 0.01, 10, most=2)[0] == "one"


def test_labels_that_would_be_alike_get_a_number() -> None:
    labels = [f"the same at its beginning {number} the same at its end for a very long while" for number in range(3)]
    found = distinct(labels, 1.5, 9)
    assert len(set(found)) == 3
    assert all(width(label, 9) <= 1.5 for label in found)
    assert distinct(["a", "b"], 1.5, 9) == ["a", "b"]


@given(ANY, st.floats(0.5, 4))
def test_no_line_is_wider_than_it_may_be(text: str, inches: float) -> None:
    lines = wrapped(text, inches, 9)
    assert 1 <= len(lines) <= 3
    assert all(width(line, 9) <= inches for line in lines)
    if len(lines) < 3:
        assert "".join(lines).replace(" ", "") == drawable("".join(text.split()))


def test_letters_that_the_font_lacks_are_boxes() -> None:
    assert drawable("政 ratio 5 ✗ …") == "□ ratio 5 ✗ …"
