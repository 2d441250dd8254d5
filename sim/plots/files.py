"""The files of an experiment's figures: only those are drawn whose data changed since they were drawn last.

Beside them stands :data:`NOTES`, which says what each was drawn of, as a digest: the runs' rows and the keys of their
cells, from which all that is stored of them follows; and the code that drew it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.plots.loading import load_matplotlib
from sim.results.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from sim.plots.registry import Wanted
    from sim.results.store import ResultStore

FORMATS: Final = ("png", "svg")
"""What figures can be written as; the first where nothing is asked for."""

NOTES: Final = "drawn.json"


def save_all(
    store: ResultStore,
    folder: Path,
    policies: Sequence[str] = (),
    bound: str | None = None,
    baseline: str | None = None,
    kinds: Collection[str] = (),
    comparison: pd.DataFrame | None = None,
    formats: Collection[str] = FORMATS[:1],
) -> list[Path]:
    """Have the figures of the experiment in ``store`` in ``folder``, no others, and return their paths.

    Each is written in all of ``formats``; for the rest see :func:`sim.plots.registry.wanted`. What is there already of
    the same data stays as it is.
    """
    from sim.plots.registry import wanted

    digest_of = _Digests(formats)
    figures = [(each, digest_of(each)) for each in wanted(store, policies, bound, baseline, kinds, comparison)]
    noted = _noted(folder)
    there = {
        each.name: (digest, noted[each.name][1])
        for each, digest in figures
        if each.name in noted
        and noted[each.name][0] == digest
        and all((folder / name).is_file() for name in noted[each.name][1])
    }
    _drop(folder, {name for _, names in there.values() for name in names})
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for each, digest in figures:
            if each.name not in there:
                there[each.name] = digest, _draw(each, folder, formats)
    finally:
        # What was drawn before somebody lost patience need not be drawn again.
        write_atomically(folder / NOTES, json.dumps({"format": 1, "figures": there}, indent=1).encode())
    return [folder / name for each, _ in figures for name in there[each.name][1]]


def _draw(each: Wanted, folder: Path, formats: Collection[str]) -> list[str]:
    """Draw what is wanted and return the names of the files."""
    load_matplotlib()
    names = []
    for stem, figure in each.draw():
        from sim.plots.saving import save

        names += [path.name for path in save(figure, folder / stem, formats)]
    return names


def _noted(folder: Path) -> Mapping[str, tuple[str, list[str]]]:
    """Return the digest and files of each figure that was drawn before; nothing where that is not known."""
    try:
        noted = json.loads((folder / NOTES).read_text("utf-8"))
        return {
            str(name): (str(digest), [str(file) for file in files])
            for name, (digest, files) in noted["figures"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _drop(folder: Path, keep: Collection[str]) -> None:
    """Remove figures that are none of ``keep``."""
    for form in FORMATS:
        for old in folder.glob(f"*.{form}"):
            if old.name not in keep:
                old.unlink()


class _Digests:
    """What identifies what is drawn, of what and by what code, in ``formats``."""

    def __init__(self, formats: Collection[str]) -> None:
        self._formats = list(formats)
        self._rows: tuple[pd.DataFrame | None, str] = None, ""
        """The rows of the last figure: that of the next are mostly the same."""

    def __call__(self, each: Wanted) -> str:
        if self._rows[0] is not each.runs:
            self._rows = each.runs, hashlib.sha256(each.runs.to_csv(index=False).encode()).hexdigest()
        said = [each.name, each.policies, each.bound, each.baseline, self._formats, _code(), self._rows[1]]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@cache
def _code() -> str:
    """Return what identifies the code that finds and draws, but for that of which runs' keys follow."""
    digest = hashlib.sha256(metadata.version("matplotlib").encode())
    here = Path(__file__).parent
    for folder in (here, here.parent / "analysis"):
        for path in sorted(folder.iterdir()):
            if path.suffix in {".py", ".mplstyle"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()
