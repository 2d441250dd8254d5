"""Names of figures' files: of what a figure is of, such that no two are the same on any system."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST: Final = 120
"""Characters: with a folder before it and an ending behind, what the shortest of the usual limits takes."""

_MARK: Final = 8
"""Digits of what tells two names apart, of which an experiment has some hundreds."""


def file_names(figures: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a name, without its ending, for each of ``figures``, which are given by a kind and labels.

    Labels lose what not all systems take. Where two figures would have the same name then, in small letters and large
    ones (which some systems do not tell apart), and where a label loses a letter or a name is too long, the name ends
    in digits that follow from the labels alone. ``figures`` are different; their order does not matter.
    """
    short = ["-".join([kind, *map(_kept, labels)]) for kind, *labels in figures]
    often = Counter(name.casefold() for name in short)
    return [
        name if often[name.casefold()] == 1 and len(name) <= _LONGEST and not _lossy(labels) else _marked(name, labels)
        for name, labels in zip(short, figures, strict=True)
    ]


def _kept(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.") or "x"


def _lossy(labels: Sequence[str]) -> bool:
    """Whether letters or digits are lost, of which a name is made up, and not just signs between them."""
    return any(letter.isalnum() and not letter.isascii() for label in labels for letter in label)


def _marked(name: str, labels: Sequence[str]) -> str:
    digits = hashlib.sha256("\0".join(labels).encode()).hexdigest()[:_MARK]
    return f"{name[: _LONGEST - _MARK - 1].rstrip('-.')}-{digits}"
