"""What mutmut has found so far, read from its folder: each mutant with its area, its change and its fate."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

FOLDER: Final = Path("mutants")
"""Where mutmut keeps the mutated sources and what became of them, in the folder that it is run in."""

BY_TYPES: Final = FOLDER / "by-types.json"
"""The names of the mutants that the type checker gives away, once it was asked."""

AREAS: Final = {
    "memory": ("sim/memory/*",),
    "devices": ("sim/devices/*",),
    "core": ("sim/kernel/*",),
    "guest": (
        "sim/guest/*",
        "sim/replay/load_commands.py",
        "sim/replay/shell_lines.py",
        "sim/replay/load_comparison.py",
    ),
    "scores": ("sim/scores/*",),
    "series": (
        "sim/record/arrays.py",
        "sim/record/events.py",
        "sim/record/mixed_groups.py",
        "sim/record/online_pages.py",
        "sim/record/series.py",
        "sim/record/shrink_requests.py",
    ),
    "starting": ("sim/starting/*",),
    "report": ("sim/report/*",),
    "analysis": ("sim/analysis/*", "sim/comparison/*", "sim/plots/*", "sim/recommend/*"),
    "policies": ("policies/*",),
}
"""The areas that mutants are made in: patterns of files, together those of ``only_mutate`` in pyproject.toml."""

_NOTICED: Final = frozenset({1, 3, 24, -24, 36, 152, 255, 35, -9, -11})
"""Exit codes of mutmut's workers that mean: a test failed, ran for ever or crashed."""
_SURVIVED: Final = frozenset({0, 5, 33})
"""All tests passed, or no test calls the function."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: its name, the file it is in, and its fate.

    ``code`` is mutmut's exit code, None where it was not tried; ``by_types`` says whether its types are wrong.
    """

    name: str
    file: str
    code: int | None
    by_types: bool

    @property
    def area(self) -> str:
        """The area that the file belongs to."""
        return next(area for area, patterns in AREAS.items() if any(fnmatch(self.file, p) for p in patterns))

    @property
    def tried(self) -> bool:
        """Whether its fate is known."""
        return self.by_types or self.code in _NOTICED | _SURVIVED

    @property
    def noticed(self) -> bool:
        """Whether the tests, or the types, gave it away."""
        return self.by_types or self.code in _NOTICED

    @property
    def unnoticed(self) -> bool:
        """Whether everything stayed green."""
        return not self.by_types and self.code in _SURVIVED

    @property
    def function(self) -> str:
        """The function that it is in, as ``module.function`` or ``module.Class.method``."""
        module, _, rest = self.name.rpartition(".")
        rest = rest.rpartition("__mutmut_")[0]
        return f"{module}.{rest.removeprefix('x_') if rest.startswith('x_') else rest[1:].replace('ǁ', '.')[1:]}"


def mutants() -> list[Mutant]:
    """Return all mutants that mutmut has written down, by file and number; none before its first run."""
    typed = set(json.loads(BY_TYPES.read_text(encoding="utf-8"))) if BY_TYPES.exists() else set()
    found = []
    for meta in sorted(FOLDER.rglob("*.py.meta")):
        file = meta.relative_to(FOLDER).as_posix().removesuffix(".meta")
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        found += [Mutant(name, file, code, name in typed) for name, code in codes.items()]
    return found


def change(mutant: Mutant) -> str:
    """Return the lines that the mutant takes away and puts in, with - and + before them."""
    spans = json.loads((FOLDER / f"{mutant.file}.spans").read_text(encoding="utf-8"))["spans"]
    lines = (FOLDER / mutant.file).read_text(encoding="utf-8").splitlines()
    name = mutant.name.rpartition(".")[2]
    texts = []
    for function in (f"{name.rpartition('__mutmut_')[0]}__mutmut_orig", name):
        first, last = spans[function]
        texts.append([line.replace(function, "def") for line in lines[first - 1 : last]])
    kept = [
        line
        for line in difflib.unified_diff(texts[0], texts[1], lineterm="", n=0)
        if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))
    ]
    return "\n".join(kept)
