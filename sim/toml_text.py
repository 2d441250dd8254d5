"""Values as TOML writes them on one line, in an experiment file or an option. A leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

QUOTE: Final = "'"
"""The quotation mark of strings within an option, which a shell's user puts in double quotes."""

_LAST_OF_FOUR_DIGITS: Final = 0xFFFF
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\"}


def in_toml(value: object, *, quote: str = '"') -> str:
    """Return a string, number, truth value, list or table as TOML; a string in ``quote`` where that can hold it."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {in_toml(item, quote=quote)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(in_toml(item, quote=quote) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    if quote == QUOTE and value.isprintable() and QUOTE not in value:
        return f"'{value}'"
    return '"' + "".join(_escaped(each) for each in value) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _LAST_OF_FOUR_DIGITS else f"\\U{code:08x}"


def _key(key: str) -> str:
    return key if key and all(each.isascii() and (each.isalnum() or each in "_-") for each in key) else in_toml(key)
