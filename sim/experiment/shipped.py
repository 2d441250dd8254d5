"""Experiments that come with the program: found by name from anywhere, in a checkout and once installed.

A name is the file's path within the folder of shipped experiments, without ``.toml``: ``tradeoff``,
``recipes/kernel-logs``. Its last part alone does where no other experiment has it. They are read where they lie, which
may be read-only; their data lies beside them.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTING: Final = "memhp-sim experiments"
"""The command that lists them."""

SUFFIX: Final = ".toml"
_SIM: Final = Path(__file__).resolve().parents[1]
_MOST_FILES: Final = 1000
"""Files of a folder that are looked through for one with a name like that of a missing one."""

_NEAR: Final = 3


def shipped_folder() -> Path:
    """Return the folder of the shipped experiments: beside the packages in a checkout, inside them if installed.

    Raises InputError where it is missing.
    """
    places = (_SIM.parent / "experiments", _SIM / "shipped")
    for place in places:
        if (place / "incidents").is_dir():
            return place
    raise InputError("experiments", [Fault("", f"the shipped ones are missing; looked in {places[0]}, {places[1]}")])


def shipped(folder: Path | None = None) -> dict[str, Path]:
    """Return the files of all shipped experiments by name: those at the top, then folder by folder."""
    root = folder or shipped_folder()
    files = sorted(root.rglob(f"*{SUFFIX}"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in files}


def find(given: Path | str, *, folders: bool = False) -> Path:
    """Return the experiment file that ``given`` means: a file of that path, or else the shipped one of that name.

    What is neither is returned as it is, for whoever reads it to say that it is missing. ``folders``: a folder of that
    path goes before a name, too.
    """
    path = Path(given)
    if path.suffix == SUFFIX or _is_there(path, folders=folders):
        return path
    return _by_name(path.as_posix(), shipped()) or path


def _is_there(path: Path, *, folders: bool) -> bool:
    try:
        return path.exists() if folders else path.exists() and not path.is_dir()
    except (OSError, ValueError):  # a name too long, a zero byte: whoever reads it says so
        return True


def _by_name(name: str, known: Mapping[str, Path]) -> Path | None:
    if name in known:
        return known[name]
    ends = [path for full, path in known.items() if full.rpartition("/")[2] == name]
    return ends[0] if len(ends) == 1 else None


def refuse_slip(path: Path) -> None:
    """Raise InputError where ``path`` does not exist and something of nearly that name does, which it tells."""
    if not _is_there(path, folders=True) and (near := what_is_near(path)):
        raise InputError(str(path), [Fault("", f"does not exist; {near}")])


def what_is_near(missing: Path) -> str:
    """Return what may have been meant by a file that does not exist: files beside it and shipped experiments, in words.

    Where nothing is near it is empty for a file, and for a bare name says where to look.
    """
    stem = missing.name.removesuffix(SUFFIX)
    beside = {path.name.removesuffix(SUFFIX): str(path) for path in _files_beside(missing)}
    names: dict[str, str] = {}
    for name in shipped():
        names.setdefault(name.rpartition("/")[2], name)
        names[name] = name
    files = [beside[each] for each in difflib.get_close_matches(stem, beside, n=_NEAR)]
    asked = (missing.as_posix().removesuffix(SUFFIX).removeprefix("experiments/"), stem)
    found = [names[each] for text in asked for each in difflib.get_close_matches(text, names, n=_NEAR)]
    exact = [names[text] for text in asked if text in names]
    known = list(dict.fromkeys(exact[:1] or found))[:_NEAR]
    said = [
        *([f"the file {' or '.join(files)}"] if files else []),
        *([f"the shipped experiment {' or '.join(known)}"] if known else []),
    ]
    listing = f"{LISTING} lists what is shipped"
    if not said:
        return listing if missing.suffix != SUFFIX and missing.parent == Path() else ""
    return f"did you mean {', or '.join(said)}? {listing}"


def _files_beside(missing: Path) -> Iterator[Path]:
    try:
        for _, path in zip(range(_MOST_FILES), missing.parent.iterdir(), strict=False):
            if path.suffix == SUFFIX:
                yield path
    except (OSError, ValueError):
        return
