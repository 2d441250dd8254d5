"""What an imported machine was made of: what was taken from where, chosen, assumed, and what could not be known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

ASSUMED: Final = "Assumed, as no file says it"
"""The heading of what could be said otherwise."""


def source(file: str, place: str) -> str:
    """Return a file and a place in it as one text."""
    return f"{file}, {place}" if place else file


class Taken(NamedTuple):
    """``what`` the machine has, and the ``file`` and the ``place`` in it that say so."""

    what: str
    file: str
    place: str

    @property
    def source(self) -> str:
        """File and place as one text."""
        return source(self.file, self.place)


class Assumed(NamedTuple):
    """``what`` is taken for true because no file says it, and ``otherwise``: how to say something else."""

    what: str
    otherwise: str


class Left(NamedTuple):
    """What stands in a file and is not taken: ``where``, with the file's name, and ``what`` of it."""

    where: str
    what: str


@dataclass(slots=True)
class Account:
    """Lines for a person, in the order in which they were found.

    ``conflicts``: where files contradict each other, and which of them was believed. ``unknown``: what the files cannot
    tell and the simulation has to do without.
    """

    taken: list[Taken] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    assumed: list[Assumed] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def parts(self) -> list[tuple[str, list[str]]]:
        """Return everything in lines, by heading; parts without lines are there, too."""
        return [
            ("Taken", [f"{each.what} <- {each.source}" for each in self.taken]),
            ("Contradictions, and what was believed", list(self.conflicts)),
            (
                ASSUMED,
                [f"{each.what} (to say otherwise: {each.otherwise})" for each in self.assumed],
            ),
            ("Not known", list(self.unknown)),
            ("Not taken", [f"{each.where}: {each.what}" for each in self.left]),
        ]

    def tell_once(self) -> None:
        """Drop what stands here twice, as it was met on more than one way."""
        self.taken = list(dict.fromkeys(self.taken))
        self.conflicts = list(dict.fromkeys(self.conflicts))
        self.assumed = list(dict.fromkeys(self.assumed))
        self.unknown = list(dict.fromkeys(self.unknown))
        self.left = list(dict.fromkeys(self.left))
