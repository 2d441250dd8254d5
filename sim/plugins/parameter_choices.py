"""Parameters that are names of things, each of which a listing explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.plugins.parameter_types import Word

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Choice(Word):
    """One of ``words``, which stand for things; ``meanings`` say what each is, in the same order."""

    meanings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What listings call it: the words follow below, with what they mean."""
        return "word"

    def details(self) -> Iterator[tuple[str, str]]:
        """Yield each word with its meaning."""
        yield from zip(self.words, self.meanings, strict=True)
