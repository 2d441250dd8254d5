"""Letters that the font of figures lacks: another font that is installed, a box where none has them, no warning."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from sim.plots import fonts
from sim.plots.lettering import drawable, width
from sim.plots.registry import PLOTS
from sim.plots.saving import save
from sim.plots.survival import plot_survival
from sim.results.store import ResultStore
from tests.plots.by_hand import legend, score_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNIC, OTHER = "\ue00a\ue00b", "\ue00c"
"""Of letters that nobody owns, so that no font which happens to be installed has them."""


def make_font(path: Path, family: str, letters: str) -> None:
    """Write a font in which each of ``letters`` is a square."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((900, 0), (900, 800), (100, 800)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"u{ord(letter):x}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)


def forget() -> None:
    fonts.forget_fonts()
    width.cache_clear()


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[None]:
    """Install two fonts that have letters which the font of figures lacks."""
    before = list(fontManager.ttflist)
    for name, letters in (("Zz Runic", RUNIC), ("Zz Runic Too", RUNIC + OTHER)):
        make_font(tmp_path / f"{name}.ttf", name, letters)
        fontManager.addfont(tmp_path / f"{name}.ttf")
    forget()
    yield
    fontManager.ttflist[:] = before
    forget()


@pytest.mark.usefixtures("installed")
def test_a_letter_is_drawn_in_the_first_font_that_has_it() -> None:
    assert fonts.families_for("plain") == ["DejaVu Sans"]
    assert fonts.families_for(f"a {RUNIC}") == ["DejaVu Sans", "Zz Runic"]
    assert fonts.families_for(f"{OTHER}{RUNIC}") == ["DejaVu Sans", "Zz Runic", "Zz Runic Too"]
    assert drawable(f"a {RUNIC}{OTHER}") == f"a {RUNIC}{OTHER}"
    # The letters of the made-up font are as wide as they are high.
    assert width(RUNIC, 72) == pytest.approx(2 * 1.04, abs=0.05)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", ["scores", "distribution", "differences"])
def test_figures_are_drawn_in_it_without_a_warning(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    few = {name: {"returned_share": [1.0, 2.0 + len(name)]} for name in (RUNIC, f"b{OTHER}")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = PLOTS[kind].draw(ResultStore(tmp_path), score_scenario(few))
        save(figure, tmp_path / "x", ("png", "svg"))
    assert caplog.messages == []
    (label,) = [text for text in figure.findobj(Text) if text.get_text().startswith(RUNIC)][:1]
    assert "Zz Runic" in label.get_fontfamily()


def test_a_letter_that_no_font_has_is_a_box_and_named_once() -> None:
    assert fonts.missing(["a\ue00d", "\ue00d b"]) == ["\ue00d"]
    assert drawable("a\ue00d b") == "a□ b"
    assert fonts.families_for("\ue00d") == ["DejaVu Sans"]


def test_a_font_that_was_removed_is_passed_over(tmp_path: Path) -> None:
    before = list(fontManager.ttflist)
    make_font(tmp_path / "gone.ttf", "Zz Gone", RUNIC)
    fontManager.addfont(tmp_path / "gone.ttf")
    (tmp_path / "gone.ttf").unlink()
    forget()
    try:
        assert drawable(RUNIC) == "□□"
    finally:
        fontManager.ttflist[:] = before
        forget()


def test_text_stays_on_one_line() -> None:
    assert drawable("two\nlines\tand a tab") == "two lines and a tab"


def test_a_legend_has_names_that_begin_with_an_underscore(tmp_path: Path) -> None:
    few = {
        "_hidden": {"died": [0.0, 0.0], "death_time": [float("nan")] * 2},
        "seen": {"died": [1.0, 1.0], "death_time": [2.0, 3.0]},
    }
    found = legend(plot_survival(ResultStore(tmp_path), score_scenario(few)))
    assert [label.strip() for label in found] == ["_hidden", "✗ seen (2 of 2)"]
