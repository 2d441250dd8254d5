"""The look of all figures, and files of them: the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib.style

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.figure import Figure

STYLE: Final = Path(__file__).with_name("memhp.mplstyle")


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are to be made and written: the look of all plots."""
    return matplotlib.style.context(str(STYLE))


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``figure`` as ``stem`` with .png and .svg, the same bytes every time, and return the two paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    save_as(figure, paths[0])
    _save_drawn(figure, paths[1])
    return paths


def save_as(figure: Figure, path: Path) -> None:
    """Write ``figure`` as ``path``, which ends in .png or .svg, the same bytes every time."""
    with styled():
        if path.suffix == ".png":
            figure.savefig(path, metadata={"Software": None})
        else:
            figure.draw_without_rendering()
            _save_drawn(figure, path)


def _save_drawn(figure: Figure, path: Path) -> None:
    """Write ``figure``, which was drawn before, as SVG."""
    with styled(), matplotlib.rc_context({"figure.constrained_layout.use": False}):
        # What the first drawing has laid out stays; a figure with an engine would be drawn twice.
        figure.set_layout_engine(None)
        for axis in figure.axes:
            # The last digits depend on where in memory the engine's variables lie, and names in the file on them.
            axis.set_position(tuple(round(each, 6) for each in axis.get_position().bounds))
        figure.savefig(path, metadata={"Date": None})
