"""Which fonts letters are drawn in: one for all figures, and others that are installed for what it lacks."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Final

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.ft2font import FT2Font

FAMILY: Final = "DejaVu Sans"
"""Comes with matplotlib, so figures look the same everywhere."""

_FIRST: Final = ("Noto Sans", "Source Han Sans", "WenQuanYi", "Hiragino", "PingFang", "Microsoft YaHei", "Yu Gothic")
"""How the names of families begin that are tried before all others, which may be of any style."""

_NEVER: Final = (
    "last",
    "adobe blank",
    "color emoji",
    "cmex",
    "cmsy",
    "cmmi",
    "cmr",
    "cmss",
    "cmtt",
    "cmb",
    "stixnonunicode",
)
"""Fonts with a stand-in for every letter, with pictures that cannot be scaled, or of mathematics, which lie about what
they have."""

_REGULAR: Final = 400
"""The weight of letters that are neither light nor bold."""

_family_of: dict[str, str | None] = {}
"""For each letter that was ever looked for the first family that has it; None where no font does."""


def forget_fonts() -> None:
    """Forget which fonts are installed: some were added or removed."""
    _family_of.clear()
    _installed.cache_clear()


def families_for(text: str) -> list[str]:
    """Return the families in which ``text`` is drawn: each letter in the first that has it."""
    found = {_family(letter) for letter in _search(text)} - {None, FAMILY}
    return [FAMILY, *(name for name in _installed() if name in found)] if found else [FAMILY]


def missing(texts: Iterable[str]) -> list[str]:
    """Return the letters of ``texts`` that no installed font has, in their order."""
    text = "".join(texts)
    _search(text)
    return [letter for letter in dict.fromkeys(text) if not letter.isspace() and _family(letter) is None]


def _family(letter: str) -> str | None:
    return _family_of.get(letter, FAMILY)


def _search(text: str) -> set[str]:
    """Return the letters of ``text``, once it is known which family has each."""
    letters = set(text)
    if unknown := {letter for letter in letters if letter not in _family_of}:
        own = {letter for letter in unknown if ord(letter) in _letters()}
        _family_of.update(dict.fromkeys(own, FAMILY))
        unknown -= own
        for name in _installed() if unknown - set(" \n\t") else ():
            if (font := _opened(name)) is not None:
                here = {letter for letter in unknown if font.get_char_index(ord(letter))}
                _family_of.update(dict.fromkeys(here, name))
                unknown -= here
            if not unknown:
                break
        _family_of.update(dict.fromkeys(unknown))
    return letters


@cache
def _letters() -> frozenset[int]:
    """Return the letters that the font of all figures has."""
    return frozenset(get_font(findfont(FontProperties(family=FAMILY))).get_charmap())


@cache
def _installed() -> dict[str, str]:
    """Return the files of all other families by their names, in the order in which they are tried."""
    files: dict[str, str] = {}
    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.weight != _REGULAR, entry.fname)):
        family = entry.name.casefold()
        if entry.style == "normal" and entry.name != FAMILY and not any(part in family for part in _NEVER):
            files.setdefault(entry.name, entry.fname)
    return dict(sorted(files.items(), key=lambda item: (not item[0].startswith(_FIRST), item[0])))


def _opened(family: str) -> FT2Font | None:
    try:
        font = get_font(_installed()[family])
    except (OSError, RuntimeError, ValueError):
        return None  # it was removed, or is damaged
    return font if font.scalable else None


def _worth_saying(record: logging.LogRecord) -> bool:
    """Whether a message of matplotlib is news: that a font which was found here has no bold letters is none."""
    named = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(each, str) and each in _installed() for each in named)


logging.getLogger("matplotlib.font_manager").addFilter(_worth_saying)
