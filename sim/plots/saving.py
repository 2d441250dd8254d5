"""The look of all figures, and files of them: the same bytes every time."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sim.plots.fonts import families_for
from sim.results.atomic import written_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from matplotlib.figure import Figure

STYLE: Final = Path(__file__).with_name("memhp.mplstyle")

_AS: Final[Mapping[str, Mapping[str, Any]]] = {
    # A file that is a fifteenth larger is packed in two thirds of the time, which is a third of what drawing takes.
    ".png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
    ".svg": {"metadata": {"Date": None}},
}
"""How files are written, by what their names end in."""


@contextmanager
def styled(*labels: str) -> Iterator[None]:
    """Give the context in which figures are to be made: the look of all plots, in fonts that have all of ``labels``."""
    with matplotlib.style.context([str(STYLE), {"font.family": families_for("".join(labels))}]):
        yield


def save(figure: Figure, stem: Path, formats: Collection[str]) -> list[Path]:
    """Write ``figure`` as ``stem`` in each of ``formats`` (png, svg), the same bytes every time; return the paths."""
    paths = [stem.with_name(f"{stem.name}.{each}") for each in formats]
    for path in paths:
        save_as(figure, path)
    return paths


def save_as(figure: Figure, path: Path) -> None:
    """Write ``figure`` as ``path``, which ends in .png or .svg, the same bytes every time."""
    with styled(), matplotlib.rc_context({"figure.constrained_layout.use": False}):
        _lay_out(figure)
        with written_whole(path, durable=False) as file:
            figure.savefig(file, format=path.suffix[1:], **_AS[path.suffix])


def _lay_out(figure: Figure) -> None:
    """Give all that is in ``figure`` its place, once: while it has an engine for that, it is drawn twice each time."""
    if (engine := figure.get_layout_engine()) is None:
        return
    # How wide letters are depends on the dots that they are made of, and for the engine on the canvas as well.
    FigureCanvasAgg(figure)
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    engine.execute(figure)
    figure.set_layout_engine(None)
    for axis in figure.axes:
        # The last digits depend on where in memory the engine's variables lie, and names in the file on them.
        axis.set_position(tuple(round(each, 6) for each in axis.get_position().bounds))
