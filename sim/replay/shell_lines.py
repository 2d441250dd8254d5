"""Turns the shell lines of recorded loads into actions on the guest.

Understood: the recording's own ``load`` program, and what stands around it: ``rm``, ``sync``, ``echo N >
.../drop_caches``, ``dd``, ``: > FILE``, ``ls -R`` and ``find``, ``mkdir``, ``mount``, ``;``, ``&&``, ``||``,
``for`` and ``while`` loops with ``[ A -lt B ]``, ``( ... ) &`` in the background with ``sleep``, variables,
``$((...))`` and ``$(basename ...)``. Whatever else is in a line is passed on as not understood, and has no effect on
the guest.
"""

from __future__ import annotations

import operator as op
import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.replay.load_commands import Action, Verb
from sim.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_ROUNDS: Final = 2_000_000
"""Loop rounds after which a line is taken to be endless."""
_SEPARATORS: Final = frozenset({";", "&&", "||", "|", "&"})
_UNITS: Final = {"": 1, "k": KIB, "K": KIB, "M": MIB, "G": GIB}
_NO_EFFECT: Final = frozenset({"mkdir", "mount", "true", "false", "echo", "cd", "[", "test", "wc", "umount", "swapoff"})
_NUMBERS_NEEDED: Final = {
    Verb.ANON: 1, Verb.PAGE_TABLES: 1, Verb.CACHE: 1, Verb.FILL: 1, Verb.FILES: 2, Verb.PROCESSES: 1, Verb.PIPES: 1,
    Verb.SOCKETS: 2, Verb.KILL: 0,
}  # fmt: skip
"""The verbs of the ``load`` program, and how many numbers each takes."""


def parse_command(line: str, *, max_rounds: int = MAX_ROUNDS) -> list[Action]:
    """Return the actions of a shell line, in order; files made one by one in a directory are gathered into one action.

    Raises ValueError for a loop that is not closed or does not end within ``max_rounds``.
    """
    return list(_gather(_run(_tokens(line), {}, max_rounds)))


def _gather(actions: Iterable[Action]) -> Iterator[Action]:
    """Join files that were made one after another in the same place."""
    held: Action | None = None
    for action in actions:
        if action.verb is Verb.SLEEP and not action.background:
            continue  # what a line takes in all was recorded
        if held is not None and action.verb is Verb.FILES and replace(action, amount=held.amount) == held:
            held = replace(held, amount=held.amount + action.amount)
            continue
        if held is not None:
            yield held
        held = action
    if held is not None:
        yield held


_COMPARE: Final = {"-lt": op.lt, "-le": op.le, "-gt": op.gt, "-ge": op.ge, "-eq": op.eq, "-ne": op.ne}

_WORD: Final = re.compile(
    r"[^\S\n]*(&&|\|\||;|\||\n|(?:>&\d|\$\(\(.*?\)\)|\$\([^()]*\)|\"[^\"]*\"|'[^']*'|[^\s;&|])+|&)"
)


def _tokens(line: str) -> list[str]:
    return [word if word != "\n" else ";" for word in _WORD.findall(line)]


def _run(tokens: list[str], variables: dict[str, str], rounds: int) -> Iterator[Action]:
    """Run a list of commands joined by ``;``, ``&&``, ``||`` and ``|``."""
    # Whether the next command runs: after && if the one before succeeded, after || if it failed, else in any case.
    at, runs = 0, True
    while at < len(tokens):
        word = tokens[at]
        if word in {";", "&", "|"}:
            at, runs = at + 1, True
        elif word == "&&":
            at += 1
        elif word == "||":
            at, runs = at + 1, not runs
        elif word.startswith("("):
            inside, at = _group(tokens, at)
            background = tokens[at : at + 1] == ["&"]
            for action in _run(inside, variables, rounds) if runs else ():
                yield replace(action, background=background)
        elif word in {"for", "while"}:
            end = _matching(tokens, at)
            do = tokens.index("do", at)
            head, body = tokens[at + 1 : do], tokens[do + 1 : end]
            if runs:
                yield from _loop(word, head, body, variables, rounds)
            at = end + 1
        else:
            stop = _next_separator(tokens, at)
            if runs:
                yield from _command(tokens[at:stop], variables)
                runs = variables.pop("?", "0") == "0"
            at = stop


def _next_separator(tokens: list[str], start: int) -> int:
    return next((at for at in range(start, len(tokens)) if tokens[at] in _SEPARATORS), len(tokens))


def _group(tokens: list[str], start: int) -> tuple[list[str], int]:
    """Return what stands in the parentheses that open at ``start``, and where what follows them begins."""
    for at in range(start, len(tokens)):
        if tokens[at].endswith(")") and "$(" not in tokens[at]:
            inside = [tokens[start][1:], *tokens[start + 1 : at], tokens[at][:-1]]
            return [word for word in inside if word], _next_separator(tokens, at)  # between them: where output goes
    raise ValueError("shell line: '(' without ')'")


def _matching(tokens: list[str], start: int) -> int:
    """Return where the loop that starts at ``start`` ends."""
    depth = 0
    for at in range(start, len(tokens)):
        if tokens[at] in {"for", "while"}:
            depth += 1
        elif tokens[at] == "done":
            depth -= 1
            if not depth:
                return at
    raise ValueError(f"shell line: '{tokens[start]}' without 'done'")


def _loop(word: str, head: list[str], body: list[str], variables: dict[str, str], rounds: int) -> Iterator[Action]:
    if word == "for":
        words = [_expand(word, variables) for word in head[2:] if word != ";"]
        for value in " ".join(words).split():
            variables[head[0]] = value
            yield from _run(body, variables, rounds)
        return
    test = [word for word in head if word != ";"]
    for _ in range(rounds):
        if not _test(test, variables):
            return
        yield from _run(body, variables, rounds)
    raise ValueError(f"shell line: 'while {' '.join(test)}' does not end")


def _expand(word: str, variables: dict[str, str]) -> str:
    """Put in variables and arithmetic, and take quotes away."""

    def number(match: re.Match[str]) -> str:
        text = re.sub(r"\$?([A-Za-z_]\w*)", lambda m: variables.get(m[1], "0"), match[1])
        return str(_arithmetic(text))

    word = re.sub(r"\$\(\((.*?)\)\)", number, word)
    word = re.sub(r"\$\{?(\w+)\}?", lambda m: variables.get(m[1], ""), word)
    word = re.sub(r"\$\(basename (?:[^()]*/)?([^()/]*)\)", r"\1", word)
    return "".join(shlex.split(word)) if any(quote in word for quote in "\"'") else word


def _arithmetic(text: str) -> int:
    """Compute sums, differences and products of whole numbers."""
    total = 0
    for sign, product in re.findall(r"([+-]?)\s*(\d+(?:\s*[*]\s*\d+)*)", text):
        value = 1
        for factor in product.split("*"):
            value *= int(factor)
        total += -value if sign == "-" else value
    return total


def _test(words: list[str], variables: dict[str, str]) -> bool:
    """Evaluate ``[ A -op B ]``."""
    expanded = [_expand(word, variables) for word in words if word not in {"[", "]", "test"}]
    if expanded == ["true"]:
        return True
    match expanded:
        case [left, "=", right]:
            return left == right
        case [left, operator, right] if left.lstrip("-").isdigit() and right.lstrip("-").isdigit():
            compare = _COMPARE.get(operator)
            return compare is not None and bool(compare(int(left), int(right)))
        case _:
            return False


def _command(words: list[str], variables: dict[str, str]) -> Iterator[Action]:
    """Turn one simple command into actions; ``variables["?"]`` is left at "1" if it is false."""
    if len(words) == 1 and (match := re.fullmatch(r"(\w+)=(.*)", words[0])):
        variables[match[1]] = _expand(match[2], variables)
        return
    if words and words[0] in {"[", "test"}:
        variables["?"] = "0" if _test(words, variables) else "1"
        return
    if words == ["false"]:
        variables["?"] = "1"
        return
    args, target = [], ""
    rest = [_expand(word, variables) for word in words]
    while rest:
        word = rest.pop(0)
        match = re.fullmatch(r"\d?(>>?)(.*)", word)
        if match:
            file = match[2] or (rest.pop(0) if rest else "")
            if not word.startswith("2") and not file.startswith("&"):
                target = file
        else:
            args.append(word)
    yield from _simple(args, target)


def _simple(args: list[str], target: str) -> Iterator[Action]:
    """Give the meaning of a command with its words expanded and its output file, if any."""
    name = args[0] if args else ":"
    paths = [argument for argument in args[1:] if argument.startswith("/")]
    if name in {"load", "sleep"}:
        yield _load(args[1:]) if name == "load" else _sleep(args)
    elif target.endswith("/drop_caches"):
        yield Action(Verb.DROP, amount=int(args[1]) if len(args) > 1 and args[1].isdigit() else 3)
    elif name == "dd":
        yield from _dd(args[1:])
    elif name in {":", "touch"}:
        for path in [target] if target else paths:
            yield Action(Verb.FILES, path.rsplit("/", 1)[0], 1, 0)
    elif (verb := _on_paths(name, args)) is not None:
        for path in paths or [""]:
            if path or verb == Verb.SYNC:
                yield Action(verb, path)
    elif name not in _NO_EFFECT:
        yield Action(Verb.UNKNOWN, " ".join(args))


def _sleep(args: list[str]) -> Action:
    """Return how long to wait; not at all where that is not said in seconds."""
    seconds = float(args[1]) if len(args) == 2 and re.fullmatch(r"\d+(\.\d+)?", args[1]) else 0.0  # noqa: PLR2004
    return Action(Verb.SLEEP, amount=round(seconds * 1000))


def _on_paths(name: str, args: list[str]) -> Verb | None:
    """Return the verb of a command that does one thing to each of its paths, None for another command."""
    if name in {"rm", "sync"}:
        return Verb.REMOVE if name == "rm" else Verb.SYNC
    recursive = name in {"find", "du"} or (
        name == "ls" and any(argument.startswith("-") and "R" in argument for argument in args)
    )
    return Verb.LOOK if recursive else None


def _dd(args: list[str]) -> Iterator[Action]:
    """``dd``: a file written from zeros, or a file read."""
    operands = dict(argument.split("=", 1) for argument in args if "=" in argument)
    size = _size(operands.get("bs", "512")) * _size(operands.get("count", "0"))
    out, source = operands.get("of", ""), operands.get("if", "")
    if out.startswith("/") and not out.startswith("/dev/"):
        yield Action(Verb.FILL, out, size // MIB)
    elif source.startswith("/") and not source.startswith("/dev/"):
        yield Action(Verb.CACHE, source, size // MIB)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kKMG]?)i?B?", text)
    if not match:
        raise ValueError(f"dd: {text!r} is not a size")
    return int(match[1]) * _UNITS[match[2]]


def _load(args: list[str]) -> Action:
    """Read the arguments of the recording's own load program. Raises ValueError for what it would not take."""
    word, name, *numbers = args + [""] * (2 - len(args))
    values = [int(number) for number in numbers if number.isdigit()]
    verb = Verb(word) if word in _NUMBERS_NEEDED else Verb.UNKNOWN
    if verb is Verb.UNKNOWN or len(values) < _NUMBERS_NEEDED[verb] or not name:
        return Action(Verb.UNKNOWN, " ".join(["load", *args]))
    bytes_each = 0
    if verb is Verb.FILES:
        bytes_each = values[1]
    elif verb is Verb.SOCKETS:
        bytes_each = values[1] * KIB
    return Action(verb, name, values[0] if values else 0, bytes_each, huge=verb is Verb.ANON and "huge" in numbers)
