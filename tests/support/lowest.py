"""Prints the oldest libraries that the program claims to work with, as constraints for pip: "make lowest"."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_TIME_EXTRAS = ("dask", "optuna", "sql")


def constraints() -> Iterator[str]:
    """Yield ``name==version`` for each library that the program itself needs, optional ones included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = (project["optional-dependencies"][extra] for extra in RUN_TIME_EXTRAS)
    for requirement in [*project["dependencies"], *(library for extra in optional for library in extra)]:
        name, version = re.fullmatch(r"([a-z0-9-]+)>=([0-9.]+)", requirement).groups()  # type: ignore[union-attr]
        yield f"{name}=={version}"


if __name__ == "__main__":
    print(*constraints(), sep="\n")  # noqa: T201
