"""Texts are kept as patterns and numbers, and come back as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.report.memory_map.texts import PAGES, PLAIN, Texts, packed


def filled(pattern: str, args: tuple[int, ...]) -> str:
    numbers = iter(args)
    return "".join(str(next(numbers)) if each in {PAGES, PLAIN} else each for each in pattern)


def test_texts_that_differ_in_numbers_alone_share_a_pattern() -> None:
    texts = Texts()
    one = texts.take("MOVABLE 0 + block 32768 <= limit 788662 (ratio 301 %)", {32768, 788662, 0})
    two = texts.take("MOVABLE 0 + block 32768 <= limit 900000 (ratio 100 %)", {32768, 900000, 0})
    assert one[0] == two[0]
    assert two[1] == (0, 32768, 900000, 100)
    assert texts.patterns == [f"MOVABLE {PLAIN} + block {PAGES} <= limit {PAGES} (ratio {PLAIN} %)"]


@given(st.text(alphabet=st.sampled_from("ab 0123456789.,-:x\x01\x02\u00e9")))
def test_any_text_comes_back(text: str) -> None:
    texts = Texts()
    number, args = texts.take(text)
    assert filled(texts.patterns[number], args) == text.replace(PAGES, " ").replace(PLAIN, " ")


@given(st.lists(st.integers(-3, 3)))
def test_numbers_in_a_row_come_back(values: list[int]) -> None:
    back: list[int] = []
    for part in packed(values).split(",") if values else []:
        value, _, times = part.partition("*")
        back += [int(value)] * int(times or 1)
    assert back == values
