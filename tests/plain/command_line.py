"""The words of a kernel's command line as the kernel finds them: in one buffer, characters of which become ends."""

from __future__ import annotations

END = "\0"
BLANKS = " \t\n\v\f\r\xa0"


def words_of(text: str) -> list[tuple[str, str | None]]:
    """Return each word's name, with underscores, and its value; None where it has no ``=``."""
    buffer = [*text, END]
    words = []
    at = _skip(buffer, 0)
    while buffer[at] != END:
        name_at, value_at, at = _next(buffer, at)
        name = _string(buffer, name_at)
        value = None if value_at is None else _string(buffer, value_at)
        if value is None and name == "--":
            break
        words.append((name.replace("-", "_"), value))
        at = _skip(buffer, at)
    return words


def _string(buffer: list[str], at: int) -> str:
    return "".join(buffer[at : buffer.index(END, at)])


def _skip(buffer: list[str], at: int) -> int:
    while buffer[at] in BLANKS:
        at += 1
    return at


def _next(buffer: list[str], args: int) -> tuple[int, int | None, int]:
    """Cut the word at ``args`` out; return where its name and its value begin, and where to go on."""
    quoted = buffer[args] == '"'
    args += quoted
    i, equals = _end(buffer, args, inside=quoted)
    value = None
    if equals:
        buffer[args + equals] = END
        value = args + equals + 1
        if buffer[value] == '"':
            value += 1
            if buffer[args + i - 1] == '"':
                buffer[args + i - 1] = END
    if quoted and i > 0 and buffer[args + i - 1] == '"':
        buffer[args + i - 1] = END
    following = args + i
    if buffer[following] != END:
        buffer[following] = END
        following += 1
    return args, value, following


def _end(buffer: list[str], args: int, *, inside: bool) -> tuple[int, int]:
    """Return how long the word is, and where in it the first ``=`` stands; 0 for none."""
    i = equals = 0
    while buffer[args + i] != END and (inside or buffer[args + i] not in BLANKS):
        if not equals and buffer[args + i] == "=":
            equals = i
        if buffer[args + i] == '"':
            inside = not inside
        i += 1
    return i, equals
