"""Which mutants the type checker gives away: mypy over all of them at once, since each is a function of its own.

mutmut can do this by itself, but parses every mutated file anew for it each time that it is started.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.mutation.results import BY_TYPES, FOLDER

if TYPE_CHECKING:
    from pathlib import Path

_MYPY: Final = ("mypy", "--output", "json", "--disable-error-code", "unused-ignore", "sim", "policies", "workloads")


def _spans(path: Path) -> list[tuple[int, int, str]]:
    """Return the first line, the last line and the name of each mutant in the file ``path``."""
    return [
        (node.lineno, node.end_lineno or node.lineno, node.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name and not node.name.endswith("_orig")
    ]


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
    lines: dict[str, list[int]] = {}
    for line in found.stdout.splitlines():
        if line.startswith("{") and (error := json.loads(line))["severity"] == "error":
            lines.setdefault(error["file"], []).append(error["line"])
    wrong = set()
    for file, numbers in lines.items():
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        # What mypy says of other lines is a consequence of a mutant elsewhere, or of mutmut's own code.
        for first, last, name in _spans(FOLDER / file):
            if any(first <= number <= last for number in numbers):
                wrong.add(f"{module}.{name}")
    BY_TYPES.write_text(json.dumps(sorted(wrong), indent=1), encoding="utf-8")
