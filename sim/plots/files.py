"""The files of an experiment's figures: only those are drawn whose data changed since they were drawn last.

Beside them stands :data:`NOTES`, which says what each was drawn of, as a digest: the runs' rows and the keys of their
cells, from which all that is stored of them follows; and the code that drew it. There the checksums of the files stand,
too, so that one that came to harm is drawn anew.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.plots.loading import load_matplotlib
from sim.results.atomic import write_atomically
from sim.results.damage import Damage, set_aside, unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from sim.plots.registry import Wanted
    from sim.results.store import ResultStore

FORMATS: Final = ("png", "svg")
"""What figures can be written as; the first where nothing is asked for."""

NOTES: Final = "drawn.json"
_FORMAT: Final = 2
_ANEW: Final = "drawn anew by the next memhp-sim run"


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

    damages = damaged(folder)
    for damage in damages:
        damage.warn()
        if damage.path.is_dir() or damage.path == folder:
            set_aside(damage.path)
    harmed = {damage.path.name for damage in damages}
    digest_of = _Digests(formats)
    figures = [(each, digest_of(each)) for each in wanted(store, policies, bound, baseline, kinds, comparison)]
    noted = _noted(folder)
    there = {
        each.name: (digest, noted[each.name][1])
        for each, digest in figures
        if each.name in noted and noted[each.name][0] == digest and not harmed & noted[each.name][1].keys()
    }
    folder.mkdir(parents=True, exist_ok=True)
    if len(there) < len(figures):  # whoever is killed while drawing has not left what seems to be damaged
        _note(folder, there)
    _drop(folder, {name for _, files in there.values() for name in files})
    try:
        for each, digest in figures:
            if each.name not in there:
                there[each.name] = digest, _draw(each, folder, formats)
    finally:
        # What was drawn before somebody lost patience need not be drawn again.
        _note(folder, there)
    return [folder / name for each, _ in figures for name in there[each.name][1]]


def damaged(folder: Path) -> list[Damage]:
    """Return which of the figures in ``folder``, and of what is said of them, are not as they were written."""
    if not folder.is_dir():
        there = folder.exists() or folder.is_symlink()
        return [Damage(folder, "is no folder, as should be there", _ANEW)] if there else []
    notes = folder / NOTES
    if not notes.exists() and not notes.is_symlink():
        return []
    try:
        files = {name: crc for _, files in _read_notes(folder).values() for name, crc in files.items()}
    except OSError as error:
        return [Damage(notes, unreadable(notes, error), _ANEW)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [Damage(notes, "does not say of what the figures were drawn", _ANEW)]
    found = []
    for name, crc in files.items():
        path = folder / name
        try:
            if zlib.crc32(path.read_bytes()) != crc:
                found.append(Damage(path, "is not as it was drawn", _ANEW))
        except OSError as error:
            there = path.exists() or path.is_symlink()
            found.append(Damage(path, unreadable(path, error) if there else "is not there", _ANEW))
    return found


def _draw(each: Wanted, folder: Path, formats: Collection[str]) -> dict[str, int]:
    """Draw what is wanted and return the names of the files, with their CRC-32."""
    load_matplotlib()
    files = {}
    for stem, figure in each.draw():
        from sim.plots.saving import save

        files.update({path.name: zlib.crc32(path.read_bytes()) for path in save(figure, folder / stem, formats)})
    return files


def _note(folder: Path, there: Mapping[str, tuple[str, dict[str, int]]]) -> None:
    write_atomically(folder / NOTES, json.dumps({"format": _FORMAT, "figures": there}, indent=1).encode())


def _noted(folder: Path) -> Mapping[str, tuple[str, dict[str, int]]]:
    """Return the digest and files of each figure that was drawn before; nothing where that is not known."""
    try:
        return _read_notes(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_notes(folder: Path) -> dict[str, tuple[str, dict[str, int]]]:
    noted = json.loads((folder / NOTES).read_text("utf-8"))
    if noted["format"] != _FORMAT:  # of an earlier version
        return {}
    # Only names: nobody is led out of the folder by what stands there.
    return {
        str(name): (str(digest), {Path(file).name: int(crc) for file, crc in files.items()})
        for name, (digest, files) in noted["figures"].items()
    }


def _drop(folder: Path, keep: Collection[str]) -> None:
    """Remove figures that are none of ``keep``."""
    for form in FORMATS:
        for old in folder.glob(f"*.{form}"):
            if old.name not in keep and not old.is_dir():
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
