"""What the README begins with is what the quickstart gives: a picture, and the sentence of what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.support.opening import PICTURE, picture, quickstart, sentence
from tests.support.places import ROOT

if TYPE_CHECKING:
    from sim.analysis.scenario import Scenario


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return quickstart(tmp_path_factory.mktemp("opening"))


def test_the_picture_is_what_the_quickstart_gives_today(found: Scenario) -> None:
    assert picture(found) == PICTURE.read_text("utf-8"), "python -m tests.support.opening draws it"


def test_the_readme_and_the_documentation_open_with_the_picture_and_its_sentence(found: Scenario) -> None:
    for page, folder in (("README.md", "docs/"), ("docs/index.md", "")):
        text = (ROOT / page).read_text("utf-8")
        assert f"![{sentence(found)}]({folder}{PICTURE.name})" in text.splitlines()[:10], page


def test_the_quickstart_shows_one_that_kills_one_that_gives_nothing_back_and_one_between(found: Scenario) -> None:
    back = found.runs.groupby("policy")["returned_share"].mean()
    assert [policy for policy in found.present if found.failures[policy].failed] == ["all MOVABLE"]
    assert found.failures["all MOVABLE"].failed == found.replications == 20
    assert back["all KERNEL"] < 5
    assert back["ratio 401"] > 50


def test_the_picture_is_drawing_and_words_alone() -> None:
    tree = ET.parse(PICTURE)  # noqa: S314  a file of ours
    names = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert names == {"svg", "title", "rect", "line", "text"}
    assert PICTURE.stat().st_size < 10_000
