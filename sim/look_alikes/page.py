"""The page of the documentation that shows how close look-alikes come to the real data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.look_alikes.data_sets import DATA_SETS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sim.look_alikes.data_sets import DataSet
    from sim.look_alikes.figures import Figure, Tables

NAME: Final = "look-alikes.md"

_HEAD: Final = """<!-- Written by `python -m sim.look_alikes experiments/data docs`. Change the code, not this file. -->

# Look-alikes

{doc}`Recipes <recipes>` are for public data that is not shipped: it is large, or its licence does not say that it may
be passed on. So that they run as they are, each has a small generated data set in `experiments/data` beside it, with
the same columns. No row of it is copied. `sim/look_alikes` makes them, from a seed and published figures:

```console
$ python -m sim.look_alikes experiments/data docs
```

Below is what was published of each data set, and what its look-alike has; a test holds every figure to the factor that
stands beside it. Where nothing was published, nothing was fitted: the second table of a data set holds figures that we
measured on both, and the text above it says what the look-alike does not have. Use look-alikes to see how a recipe
works and what its results look like; results that are to be believed need the real data.

The logs of kernels under hotplug are shipped as logs of `request-replay` ({doc}`logs`); a memory block map is what
`memhp-sim import` reads of any machine ({doc}`bring-your-own-machine`). Neither needs a look-alike.
"""


def write_page(docs: Path) -> None:
    """Write the page into the folder ``docs``."""
    (docs / NAME).write_text(page_text(), encoding="utf-8")


def page_text() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(_section(name, data_set) for name, data_set in DATA_SETS.items())])


def _section(name: str, data_set: DataSet) -> str:
    tables = data_set.tables()
    files = ", ".join(f"`{file.name}` for `{file.real}`" for file in data_set.files.values() if file.name)
    fitted = [figure for figure in data_set.figures if figure.within is not None]
    others = [figure for figure in data_set.figures if figure.within is None]
    parts = [
        f"## {name}\n\n{data_set.of[0].upper()}{data_set.of[1:]}. Files: {files}.\n",
        "| figure | unit | published | look-alike | within a factor of |\n| --- | --- | ---: | ---: | ---: |",
        *_rows(fitted, tables),
        f"\nWhat it does not have: {data_set.lacks}\n",
    ]
    if others:
        parts += [
            "| figure | unit | measured in the real files | look-alike |\n| --- | --- | ---: | ---: |",
            *_rows(others, tables),
            "",
        ]
    return "\n".join(parts)


def _rows(figures: Iterable[Figure], tables: Tables) -> Iterable[str]:
    what = ""
    for figure in figures:
        what = figure.what.replace("the same", what.partition(",")[0])
        fields = [what, figure.unit, _amount(figure.real), _amount(figure.measure(tables))]
        if figure.within is not None:
            fields.append(f"{figure.within:g}")
        yield f"| {' | '.join(fields)} |"


def _amount(value: float) -> str:
    """Return ``value`` with three digits or more, so that the last ones do not depend on the machine that computes."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004  then with a comma
