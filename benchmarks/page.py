"""The tables of ``docs/performance.md``: ``python -m benchmarks.page`` measures all of them anew and writes them there.

``python -m benchmarks.page parts choices`` does so with these alone. The machine should have nothing else to do.
"""

from __future__ import annotations

import re
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from benchmarks import choices
from benchmarks.figures import FIGURES
from benchmarks.goals import GOALS
from benchmarks.places import ROOT
from benchmarks.processes import cpu_of_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGE: Final = ROOT / "docs" / "performance.md"


def goals() -> str:
    """Run the benchmarks, and return what they found of the goals as a table in Markdown."""
    import pytest

    pytest.main([str(ROOT / "benchmarks"), "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--tb=no"])
    found = {figure.name: figure.value for figure in FIGURES}
    return goals_table(found)


def shown(value: float) -> str:
    """Return a figure or a limit as the page has it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def goals_table(found: Mapping[str, float]) -> str:
    """Return all goals, with the values that were ``found`` by their names."""
    lines = ["| figure | measured | at most | `-k` |", "| --- | ---: | ---: | --- |"]
    for name, goal in GOALS.items():
        value = shown(found[name]) if name in found else ""
        lines.append(f"| {goal.what} | {value} | {shown(goal.most)} | `{name}` |")
    return "\n".join(lines)


def parts() -> str:
    """Return where the CPU time of the quickstart goes."""
    with tempfile.TemporaryDirectory() as folder:
        command = ("run", "quickstart", "--out", folder, "--workers", "1")
        told = cpu_of_process("-m", "benchmarks.parts", *command)[1]
    return told[told.rindex("| part |") :].strip()


TABLES: Final[dict[str, Callable[[], str]]] = {
    "goals": goals,
    "parts": parts,
    "choices": lambda: choices.table(choices.measured()),
}


def replaced(text: str, name: str, table: str) -> str:
    """Return the page's ``text`` with another ``table`` of this ``name``. Raises ValueError where there is none."""
    begin, end = (f"<!-- {word} {name}, by `python -m benchmarks.page`. -->" for word in ("Table", "End of"))
    new, times = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{table}\n\n{end}", text, flags=re.DOTALL
    )
    if times != 1:
        raise ValueError(f"{PAGE} has {times} tables {name}")
    return new


def main(*names: str) -> None:
    """Measure, write, and print."""
    for name in names or TABLES:
        table = TABLES[name]()
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), name, table), "utf-8")
        sys.stdout.write(f"{table}\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
