"""The index of a large trace: its samples split by series once, in a folder of the user's cache.

It is found by the file's content, the mapping and the version of this format, is written aside and renamed, and may be
deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.traces.content import cache_folder, content_hash
from sim.traces.splitting import read_runs
from sim.traces.stored import StoredTrace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.traces.mapping import Columns
    from sim.traces.splitting import Splitter

_VERSION: Final = 2
_ABANDONED_S: Final = 86_400.0
_SERIES: Final = "series.json"
_UNFINISHED: Final = "unfinished-"


def index_folder(path: Path, columns: Columns) -> Path:
    """Return where the index of the file at ``path``, read by ``columns``, is or would be. Raises OSError."""
    key = f"{_VERSION}\0{content_hash(path)}\0{columns!r}"
    return cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:32]


def read_index(folder: Path) -> StoredTrace | None:
    """Return the trace in the index ``folder``, or None where there is none that can be used."""
    try:
        about = json.loads((folder / _SERIES).read_bytes())
        spans = np.array(about["first_us"], np.int64), np.array(about["last_us"], np.int64)
        told = np.array(about["told"], np.bool_)
        return StoredTrace(about["names"], about["quantities"], read_runs(folder), spans, told)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):  # damaged: made again
        shutil.rmtree(folder, ignore_errors=True)
        return None


def unfinished() -> Path:
    """Return a new folder for an index that is being written: in the cache, or where that cannot be a temporary one."""
    with contextlib.suppress(OSError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{_UNFINISHED}*"):
            if time.time() - old.stat().st_mtime > _ABANDONED_S:  # of a process that was killed
                shutil.rmtree(old, ignore_errors=True)
        made = folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
        made.mkdir()
        return made
    return Path(tempfile.mkdtemp(prefix="memhp-sim-trace-"))


def finish(split: Splitter, folder: Path | None, names: Sequence[str], quantities: Sequence[str]) -> Path:
    """Complete the index that ``split`` has written, and return where it is then: ``folder`` if that can be.

    If another process was faster, that is its index. Raises OSError.
    """
    aside = split.folder
    if aside is None:
        raise AssertionError("nothing was written")
    about = {
        "names": list(names),
        "quantities": list(quantities),
        "first_us": split.first_us.tolist(),
        "last_us": split.last_us.tolist(),
        "told": split.told.tolist(),
    }
    (aside / _SERIES).write_text(json.dumps(about), "utf-8")
    if folder is None or aside.parent != folder.parent:
        return aside
    try:
        aside.rename(folder)
    except OSError:
        if read_index(folder) is None:
            raise
        shutil.rmtree(aside, ignore_errors=True)
    return folder
