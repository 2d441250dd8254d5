"""Turns the shell lines of recorded loads into actions on the guest.

Understood: the recording's own ``load`` program, and what stands around it: ``rm``, ``sync``, ``echo N >
.../drop_caches``, ``dd``, ``: > FILE``, ``ls -R`` and ``find``, ``mkdir``, ``mount``, ``;``, ``&&``, ``||``,
``for`` and ``while`` loops with ``[ A -lt B ]``, variables and ``$((...))``. Whatever else is in a line is passed
on as not understood, and has no effect on the guest.
"""

from __future__ import annotations

import fnmatch
import operator as op
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.guest.contract import Demand, OomEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.guest.demands import Demands

_MIB_PAGES = 256
_PAGE = 4096
MAX_ROUNDS = 2_000_000
"""Loop rounds after which a line is taken to be endless."""
_TMPFS = ("/tmp", "/dev/shm", "/run")  # noqa: S108 (paths inside the recorded guest)
_UNITS = {"": 1, "k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_FREEING = frozenset({"kill", "remove", "sync", "drop"})
_IN_MIB = frozenset({"anon", "pt", "cache", "fill"})
_NO_EFFECT = frozenset(
    {"mkdir", "mount", "true", "false", "echo", "cd", "sleep", "[", "test", "wc", "umount", "swapoff"}
)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a line does to the guest: a verb, the name it acts on, and two numbers.

    Verbs: ``anon`` (``amount`` MiB, ``size`` 1 for huge pages), ``pt`` (MiB); ``cache``, ``fill`` (MiB; path);
    ``files`` (``amount`` files of ``size`` bytes; path); ``procs``, ``pipes`` (``amount``); ``socks`` (``amount``
    of ``size`` bytes); ``kill``; ``remove`` (path, may hold wildcards); ``sync``; ``drop`` (``amount`` 1, 2 or 3);
    ``look`` (path); ``unknown`` (name is the command).
    """

    verb: str
    name: str = ""
    amount: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one action: pages got, share of the request met, kills."""

    action: Action
    demand: Demand


def parse_command(line: str, *, max_rounds: int = MAX_ROUNDS) -> list[Action]:
    """Return the actions of a shell line, in order; files made one by one in a directory are gathered into one action.

    Raises ValueError for a loop that is not closed or does not end within ``max_rounds``.
    """
    return list(_gather(_run(_tokens(line), {}, max_rounds)))


def apply(guest: Demands, actions: Iterable[Action], node: int = 0) -> list[Applied]:
    """Do the actions to a guest, in order, all on one node; return what became of each. Stops when the guest dies."""
    out = []
    for action in actions:
        if guest.died:
            break
        out.append(Applied(action, _apply_one(guest, action, node)))
    return out


def ooms(applied: Iterable[Applied]) -> tuple[OomEvent, ...]:
    """Return all kills of a line, in order."""
    return tuple(event for item in applied for event in item.demand.ooms)


def _apply_one(guest: Demands, a: Action, node: int) -> Demand:
    """Do one action; the pages of what frees are not counted."""
    if a.verb in _FREEING:
        _free(guest, a)
        return Demand(0)
    tmpfs = a.name.startswith(_TMPFS)
    amount = a.amount * _MIB_PAGES if a.verb in _IN_MIB else a.amount
    match a.verb:
        case "anon":
            return guest.anonymous(a.name, amount, node, huge=bool(a.size))
        case "pt":
            return guest.page_tables(a.name, amount, node)
        case "cache":
            return guest.read_file(a.name, amount, node)
        case "fill":
            return (guest.tmpfs_data if tmpfs else guest.write_file)(a.name, amount, node)
        case "files":
            return (guest.tmpfs_files if tmpfs else guest.disk_files)(a.name, amount, a.size, node)
        case "procs" | "pipes":
            return (guest.processes if a.verb == "procs" else guest.pipes)(a.name, amount, node)
        case "socks":
            return guest.sockets(a.name, amount, a.size, node)
        case "look":
            return guest.look_up_files(a.name)
        case _:
            return Demand(0)


def _free(guest: Demands, a: Action) -> None:
    if a.verb == "kill":
        guest.kill(a.name)
    elif a.verb == "sync":
        guest.sync()
    elif a.verb == "drop":
        guest.drop_caches(cache=bool(a.amount & 1), slab=bool(a.amount & 2))
    else:
        wild = any(c in a.name for c in "*?[")
        for name in [x for x in guest.loads if fnmatch.fnmatchcase(x, a.name)] if wild else [a.name]:
            guest.remove_files(name)


def _gather(actions: Iterable[Action]) -> Iterator[Action]:
    """Join files that were made one after another in the same place."""
    last: Action | None = None
    for a in actions:
        if last and a.verb == last.verb == "files" and (a.name, a.size) == (last.name, last.size):
            last = Action("files", a.name, last.amount + a.amount, a.size)
            continue
        if last:
            yield last
        last = a
    if last:
        yield last


# A small shell.

_COMPARE = {"-lt": op.lt, "-le": op.le, "-gt": op.gt, "-ge": op.ge, "-eq": op.eq, "-ne": op.ne}

_WORD = re.compile(r"[^\S\n]*(&&|\|\||;|\||\n|(?:>&\d|\$\(\(.*?\)\)|\"[^\"]*\"|'[^']*'|[^\s;&|])+|&)")


def _tokens(line: str) -> list[str]:
    return [t if t != "\n" else ";" for t in _WORD.findall(line)]


def _run(tokens: list[str], variables: dict[str, str], rounds: int) -> Iterator[Action]:
    """Run a list of commands joined by ``;``, ``&&``, ``||`` and ``|``."""
    i, go = 0, True
    while i < len(tokens):
        word = tokens[i]
        if word in {";", "&", "|"}:
            i, go = i + 1, True
        elif word == "&&":
            i += 1
        elif word == "||":
            i, go = i + 1, not go
        elif word in {"for", "while"}:
            end = _matching(tokens, i)
            do = tokens.index("do", i)
            head, body = tokens[i + 1 : do], tokens[do + 1 : end]
            if go:
                yield from _loop(word, head, body, variables, rounds)
            i = end + 1
        else:
            j = i
            while j < len(tokens) and tokens[j] not in {";", "&&", "||", "|", "&"}:
                j += 1
            if go:
                yield from _command(tokens[i:j], variables)
                go = variables.pop("?", "0") == "0"
            i = j


def _matching(tokens: list[str], start: int) -> int:
    """Return where the loop that starts at ``start`` ends."""
    depth = 0
    for i in range(start, len(tokens)):
        if tokens[i] in {"for", "while"}:
            depth += 1
        elif tokens[i] == "done":
            depth -= 1
            if not depth:
                return i
    raise ValueError(f"shell line: '{tokens[start]}' without 'done'")


def _loop(word: str, head: list[str], body: list[str], variables: dict[str, str], rounds: int) -> Iterator[Action]:
    if word == "for":
        for value in [v for t in head[2:] if t != ";" for v in _expand(t, variables).split()]:
            variables[head[0]] = value
            yield from _run(body, variables, rounds)
        return
    test = [t for t in head if t != ";"]
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
    return "".join(shlex.split(word)) if any(q in word for q in "\"'") else word


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
    w = [_expand(x, variables) for x in words if x not in {"[", "]", "test"}]
    if w == ["true"]:
        return True
    match w:
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
    rest = [_expand(w, variables) for w in words]
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
    paths = [a for a in args[1:] if a.startswith("/")]
    if name == "load":
        yield _load(args[1:])
    elif target.endswith("/drop_caches"):
        yield Action("drop", amount=int(args[1]) if len(args) > 1 and args[1].isdigit() else 3)
    elif name == "dd":
        yield from _dd(args[1:])
    elif name in {":", "touch"}:
        for path in [target] if target else paths:
            yield Action("files", path.rsplit("/", 1)[0], 1, 0)
    elif (verb := _on_paths(name, args)) is not None:
        for path in paths or [""]:
            if path or verb == "sync":
                yield Action(verb, path)
    elif name not in _NO_EFFECT:
        yield Action("unknown", " ".join(args))


def _on_paths(name: str, args: list[str]) -> str | None:
    """Return the verb of a command that does one thing to each of its paths, None for another command."""
    if name in {"rm", "sync"}:
        return "remove" if name == "rm" else "sync"
    recursive = name in {"find", "du"} or (name == "ls" and any(a.startswith("-") and "R" in a for a in args))
    return "look" if recursive else None


def _dd(args: list[str]) -> Iterator[Action]:
    """``dd``: a file written from zeros, or a file read."""
    operands = dict(a.split("=", 1) for a in args if "=" in a)
    size = _size(operands.get("bs", "512")) * _size(operands.get("count", "0"))
    out, source = operands.get("of", ""), operands.get("if", "")
    if out.startswith("/") and not out.startswith("/dev/"):
        yield Action("fill", out, size >> 20)
    elif source.startswith("/") and not source.startswith("/dev/"):
        yield Action("cache", source, size >> 20)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kKMG]?)i?B?", text)
    if not match:
        raise ValueError(f"dd: {text!r} is not a size")
    return int(match[1]) * _UNITS[match[2]]


def _load(args: list[str]) -> Action:
    """Read the arguments of the recording's own load program. Raises ValueError for what it would not take."""
    verb, name, *numbers = args + [""] * (2 - len(args))
    values = [int(n) for n in numbers if n.isdigit()]
    needed = {"anon": 1, "pt": 1, "cache": 1, "fill": 1, "files": 2, "procs": 1, "pipes": 1, "socks": 2, "kill": 0}
    if verb not in needed or len(values) < needed[verb] or not name:
        return Action("unknown", " ".join(["load", *args]))
    size = 0
    if verb == "files":
        size = values[1]
    elif verb == "socks":
        size = values[1] << 10
    elif verb == "anon":
        size = int("huge" in numbers)
    return Action(verb, name, values[0] if values else 0, size)
