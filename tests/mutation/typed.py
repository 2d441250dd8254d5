"""Which mutants the type checker gives away: mypy over all of them at once, since each is a function of its own.

mutmut can do this by itself, but parses every mutated file anew for it each time that it is started. What mypy says of
the unchanged copy of a function too, or of an attribute that every copy of an ``__init__`` defines, is no mistake of a
mutant.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.mutation.results import BY_TYPES, FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

_MYPY: Final = ("mypy", "--output", "json", "--disable-error-code", "unused-ignore", "sim", "policies", "workloads")


def _spans(source: str) -> list[tuple[int, int, str]]:
    """Return the first line, the last line and the name of each copy of a function, also of the unchanged."""
    return [
        (node.lineno, node.end_lineno or node.lineno, node.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name
    ]


def given_away(source: str, errors: Iterable[tuple[int, str, str]]) -> set[str]:
    """Return the mutants in ``source`` whose types are wrong, by name.

    ``errors`` has line, code and message of what mypy found in it. What it says of lines that are in no mutant is a
    consequence of a mutant elsewhere, or of mutmut's own code.
    """
    said: dict[str, set[tuple[str, str]]] = {}
    spans = _spans(source)
    for line, code, message in errors:
        if code != "no-redef":
            same = (code, re.sub(r"\d+", "N", message))  # a message may name a line
            for name in (name for first, last, name in spans if first <= line <= last):
                said.setdefault(name, set()).add(same)
    return {
        name
        for name, of_mutant in said.items()
        if of_mutant - said.get(f"{name.rpartition('__mutmut_')[0]}__mutmut_orig", set())
    }


def check() -> None:
    """Find the mutants whose types are wrong and keep their names, unless that was done since they were written.

    Raises RuntimeError where mypy itself fails.
    """
    written = max(path.stat().st_mtime for path in FOLDER.rglob("*.py.spans"))
    if BY_TYPES.exists() and BY_TYPES.stat().st_mtime > written:
        return
    found = subprocess.run(
        [sys.executable, "-m", *_MYPY], cwd=FOLDER, capture_output=True, encoding="utf-8", check=False
    )
    if found.returncode not in {0, 1}:  # 2: mypy itself failed, which must not pass for mutants of good types
        raise RuntimeError(f"mypy could not check the mutants: {found.stdout}{found.stderr}")
    errors: dict[str, list[tuple[int, str, str]]] = {}
    for line in found.stdout.splitlines():
        if line.startswith("{") and (error := json.loads(line))["severity"] == "error":
            errors.setdefault(error["file"], []).append((error["line"], error["code"], error["message"]))
    wrong = set()
    for file, of_file in errors.items():
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        source = (FOLDER / file).read_text(encoding="utf-8")
        wrong |= {f"{module}.{name}" for name in given_away(source, of_file)}
    BY_TYPES.write_text(json.dumps(sorted(wrong), indent=1), encoding="utf-8")
