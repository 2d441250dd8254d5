"""Doing harm to a store at random: to a file of it, in one of the ways in which files come to harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def _truncate(path: Path, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(0, len(content)))])


def _delete(path: Path, _: np.random.Generator) -> None:
    path.unlink()


def _flip(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for bit in rng.choice(8 * len(content), int(rng.integers(1, 4)), replace=False).tolist():
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def _zeros(path: Path, rng: np.random.Generator) -> None:
    """Do what a power failure does to a page that was not on the disk yet."""
    content = bytearray(path.read_bytes())
    begin = int(rng.integers(len(content)))
    part = content[begin : begin + 4096]
    content[begin : begin + 4096] = bytes(len(part)) if any(part) else b"\1" * len(part)
    path.write_bytes(content)


def _foreign(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(rng.bytes(int(rng.integers(1, 5000))))


def _folder(path: Path, _: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def _link(path: Path, _: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def _empty(path: Path, _: np.random.Generator) -> None:
    path.write_bytes(b"")


WAYS: Final[dict[str, Callable[[Path, np.random.Generator], None]]] = {
    "truncate": _truncate,
    "delete": _delete,
    "flip": _flip,
    "zeros": _zeros,
    "foreign": _foreign,
    "folder": _folder,
    "link": _link,
    "empty": _empty,
}
SWAP: Final = "swap"


def damage(store: Path, rng: np.random.Generator, times: int) -> dict[Path, str]:
    """Do harm to files of ``store``, so many ``times``, each file once; return to which, and how."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    files = [files[place] for place in rng.permutation(len(files)).tolist()]
    harmed: dict[Path, str] = {}
    ways = [*WAYS, SWAP]
    for _ in range(times):
        path, way = files.pop(), ways[int(rng.integers(len(ways)))]
        harmed[path] = way
        if way in WAYS:
            WAYS[way](path, rng)
            continue
        other = files.pop()
        harmed[other] = way
        one, two = path.read_bytes(), other.read_bytes()
        path.write_bytes(two)
        other.write_bytes(one)
    return harmed
