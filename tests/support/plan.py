"""The plan of the house, as pyproject.toml has it for import-linter, and as docs/architecture.md shows it.

``python -m tests.support.plan`` writes the table of the documentation again.
"""

from __future__ import annotations

import ast
import tomllib
from typing import TYPE_CHECKING, Any, Final

from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = ROOT / "docs" / "architecture.md"
_BEGIN: Final = "<!-- Written by `python -m tests.support.plan`. Change pyproject.toml and docstrings instead. -->\n"
_END: Final = "<!-- End of the plan. -->\n"


def contract(begins: str) -> dict[str, Any]:
    """Return the only import contract whose name begins so. Raises ValueError where there are none or several."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (found,) = (entry for entry in settings["contracts"] if entry["name"].startswith(begins))
    return dict(found)


def floors() -> list[list[str]]:
    """Return the modules and packages of each floor, the highest first."""
    return [[room.strip() for room in floor.split("|")] for floor in contract("Every room")["layers"]]


def place(room: str) -> Path:
    """Return the file whose docstring says what the module or package ``room`` is."""
    path = ROOT.joinpath(*room.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def said_of(room: str) -> tuple[str, str]:
    """Return what lives in ``room`` and what it must not know, from its docstring; the latter may be empty."""
    paragraphs = (ast.get_docstring(ast.parse(place(room).read_text("utf-8"))) or "").split("\n\n")
    first = " ".join(paragraphs[0].split())
    rest = " ".join(" ".join(paragraphs[1:]).split())
    _, _, forbidden = rest.partition("must not know ")
    return first.removesuffix("."), forbidden.partition(".")[0].partition(":")[0]


def table() -> str:
    """Return the plan as a table in Markdown, with the markers around it."""
    lines = ["| floor | room | what lives there | what it must not know |", "| ---: | --- | --- | --- |"]
    for height, rooms in enumerate(reversed(floors())):
        for room in rooms:
            path = place(room).relative_to(ROOT)
            shown = f"{path.parent.as_posix()}/" if path.name == "__init__.py" else path.as_posix()
            what, forbidden = said_of(room)
            what = what.replace("``", "`").replace(":func:", "").replace(":class:", "").replace("|", "\\|")
            lines.append(f"| {height} | `{shown}` | {what} | {forbidden} |")
    return f"{_BEGIN}\n" + "\n".join([lines[0], lines[1], *reversed(lines[2:])]) + f"\n\n{_END}"


def page() -> str:
    """Return the page with the table as it has to be. Raises ValueError where it has no place for it."""
    text = PAGE.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the plan: the lines {_BEGIN!r} and {_END!r}")
    return before + table() + after


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
