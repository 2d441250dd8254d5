"""A level of memory: bytes, or a share of what the guest has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sim.faults import shown
from sim.plugins import values
from sim.plugins.parameter_types import Scalar, Size
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Level(Scalar):
    """Bytes, such as ``"256MiB"``, or a share of the guest's memory, such as ``"15%"`` or ``0.15``.

    In Python a whole number is bytes and a float from 0 to 1 a share.
    """

    takes: ClassVar[type] = float
    word: ClassVar[str] = "size|share"

    unit: str = field(default="bytes or share", kw_only=True)

    def read(self, value: object) -> object:
        """Return bytes as a whole number, or a share as a float."""
        if isinstance(value, str) and value.strip().endswith("%"):
            try:
                return values.number(float(value.strip()[:-1])) / 100
            except ValueError:
                raise ValueError(f"{shown(value)} is no share; one is written as 15% is") from None
        return value if isinstance(value, float) else values.size(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a size, a share from 0% to 100%, or a number from 0.0 to 1.0"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is neither a size nor a share."""
        if not isinstance(value, float):
            yield from Size(zero=True).complaints(value)
        elif not 0.0 <= value <= 1.0:  # what is not a number fails this as well
            yield f"must be a size, or a share from 0.0 to 1.0, but is {shown(value)}"

    def written(self, value: object) -> object:
        """Return the size in its largest unit, or the share in percent."""
        return f"{100 * value:g}%" if isinstance(value, float) else Size(zero=True).written(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the schema; what a string comes to, no schema can say."""
        pattern = r"^\s*\d+(\.\d+)?\s*(([KkMmGgTt]([Ii][Bb]?)?|[Bb])?|%)\s*$"
        return {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": pattern}]}


def is_share(level: float) -> bool:
    """Whether a level is a share of the guest's memory, and not a number of bytes."""
    return not isinstance(level, int)


def level_of(level: float, total: int) -> float:
    """Return the bytes of a level in a guest of ``total`` bytes."""
    return level * total if is_share(level) else level


def level_in_words(level: float) -> str:
    """Return a level as people write it."""
    return f"{100 * level:g}%" if is_share(level) else format_size(int(level))
