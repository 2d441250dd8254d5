"""The words of a kernel's command line: ``next_arg`` of ``lib/cmdline.c``, ``parse_args`` of ``kernel/params.c``."""

from __future__ import annotations

from typing import Final, NamedTuple

_BLANKS: Final = " \t\n\v\f\r\xa0"


class Word(NamedTuple):
    """A word of the line as written, its name (dashes as underscores), and its value; None where it has no ``=``."""

    text: str
    name: str
    value: str | None


def split(text: str) -> list[Word]:
    """Return the words of a command line. Quotes hold blanks together; what follows ``--`` is for init: left out."""
    words = []
    rest = text.lstrip(_BLANKS)
    while rest:
        raw, name, value, rest = _next_word(rest)
        if value is None and name == "--":
            break
        words.append(Word(raw, name.replace("-", "_"), value))
    return words


def _next_word(text: str) -> tuple[str, str, str | None, str]:
    """Return the first word of ``text`` as it stands, its name and its value, and what follows it."""
    quoted = text.startswith('"')
    inside, equals, begin, end = quoted, 0, int(quoted), len(text)
    for at in range(begin, len(text)):
        character = text[at]
        if character in _BLANKS and not inside:
            end = at
            break
        if character == "=" and not equals and at > begin:
            equals = at
        if character == '"':
            inside = not inside
    name, value = (text[begin:equals], text[equals + 1 : end]) if equals else (text[begin:end], None)
    # One quote at the end goes, whichever of the two before it belongs to.
    if value is not None and value.startswith('"'):
        value = value[1:].removesuffix('"')
    elif quoted and value is None:
        name = name.removesuffix('"')
    elif quoted and value is not None:
        value = value.removesuffix('"')
    return text[:end], name, value, text[end:].lstrip(_BLANKS)
