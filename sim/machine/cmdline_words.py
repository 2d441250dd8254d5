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
        word, rest = _next_word(rest)
        if word.text == "--":
            break
        words.append(word)
    return words


def _next_word(text: str) -> tuple[Word, str]:
    """Return the first word of ``text``, and what follows it."""
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
    whole = text[begin:end]
    if quoted and whole.endswith('"'):
        whole = whole[:-1]
    name, value = (whole[: equals - begin], whole[equals - begin + 1 :]) if equals else (whole, None)
    if value is not None and value.startswith('"'):
        value = value[1:].removesuffix('"')
    return Word(text[:end], name.replace("-", "_"), value), text[end:].lstrip(_BLANKS)
