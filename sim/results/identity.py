"""What identifies a result: the cell's configuration in one canonical form, and the code that computed it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_LENGTH: Final = 32
"""Hexadecimal digits of a cell's key: 128 bits of a SHA-256."""

_PACKAGES: Final = ("policies", "sim", "workloads")
_FOLDERS: Final = tuple(f"{package}/" for package in _PACKAGES)
_WITHOUT: Final = (
    "sim/analysis/",
    "sim/cli/",
    "sim/comparison/",
    "sim/look_alikes/",
    "sim/plots/",
    "sim/readers/",
    "sim/recommend/",
    "sim/report/",
    "sim/shipped/",
    "sim/snapshot/",
    "sim/starting/",
    "sim/what_if/",
)
"""What only looks at results, and so cannot change them; and the experiments that an installed package brings along.

Those are input like any other. In a checkout they stand beside the packages, and its version is to be the same.
"""


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> str:
    """Return the one JSON text for ``value``: sorted keys, no blanks. ValueError for NaN, TypeError for objects."""
    return _ENCODER.encode(value)


def sha256(text: str) -> str:
    """Return the SHA-256 of ``text`` in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_version() -> str:
    """Return what identifies the code that results depend on: the version and a hash of its sources and data files.

    Two installations with the same sources have the same version, wherever they are, and whatever else lies there.
    """
    root = Path(__file__).resolve().parent.parent.parent
    digest = hashlib.sha256()
    for name in _own_files(root):
        content = (root / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"{__version__}+{digest.hexdigest()[:16]}"


def _own_files(root: Path) -> list[str]:
    """Return the program's files below ``root`` that results depend on, in order of their paths.

    An installed program knows its files: other distributions may have put theirs into folders of the same names. In a
    checkout every file in the folders is the program's.
    """
    installed = next(iter(metadata.distributions(name="memhp-sim", path=[str(root)])), None)
    if installed is not None:
        paths = [path for file in installed.files or () if (path := root / str(file)).is_file()]
    else:
        paths = [path for package in _PACKAGES for path in (root / package).rglob("*")]
    names = (path.relative_to(root).as_posix() for path in sorted(paths) if path.suffix in {".py", ".csv"})
    return [name for name in names if name.startswith(_FOLDERS) and not name.startswith(_WITHOUT)]


def cell_key(config: Mapping[str, object], code: str | None = None) -> str:
    """Return the content address of the cell with the effective ``config`` (JSON types), computed by ``code``.

    ``code`` is :func:`code_version` where None; a caller that uses plug-ins from elsewhere adds what identifies them.
    """
    return sha256(canonical_json({"config": config, "code": code_version() if code is None else code}))[:KEY_LENGTH]


@dataclass(frozen=True, slots=True)
class CellId:
    """Names of a cell, as the result files carry them.

    ``key`` is :func:`cell_key`; ``machine``, ``workload`` and ``policy`` are labels; ``replication`` counts from 0;
    ``seed`` is the master seed; ``factors`` are the values that the experiment varies (JSON types) by their keys.
    """

    key: str
    machine: str
    workload: str
    policy: str
    replication: int
    seed: int
    factors: Mapping[str, object] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, str, str]:
        """The labels that name the folder of the cell's files, in the order of the folders."""
        return self.machine, self.workload, self.policy
