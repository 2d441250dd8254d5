"""What reaches the page as text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from markupsafe import Markup

from sim.report.environment import framed
from sim.report.section import Section, json_text
from sim.report.table import Cell, Table

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;\u2028\u2029'\"`$"


def test_data_cannot_end_the_script_it_stands_in() -> None:
    text = json_text({HOSTILE: [HOSTILE]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}


def test_what_no_json_has_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text(float("nan"))


def test_text_in_a_template_is_escaped() -> None:
    table = Table(HOSTILE, [HOSTILE], [[Cell(HOSTILE, below=HOSTILE, link=HOSTILE)]], rows_are=HOSTILE)
    assert "<img" not in table.html()
    assert table.html().count("&lt;img") == 7


def test_the_policy_allows_exactly_what_the_page_brings() -> None:
    page = framed("t", [Section("a", "A", Markup("<p>x</p>"), {"a-data": {"k": "<"}})])
    allowed = set(re.findall(r"sha256-([\w+/=]+)", page))
    inline = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline} == allowed
    assert len(inline) == 3


def test_characters_that_turn_text_round_or_cannot_be_written_are_shown_as_such() -> None:
    page = framed("a\u202eb\x00c\ud800d\r\ne", [])
    assert "<title>a\ufffdb\ufffdc\ufffdd\ne</title>" in page
    page.encode()
