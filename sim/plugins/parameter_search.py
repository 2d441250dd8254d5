"""Which values of a parameter are worth trying, as its plug-in says beside its type, or a user in ``[recommend]``.

One of these stands among the notes of an annotation::

    ratio: Annotated[int, Percent(), Between(25, 6400, steps=9), "what it means"] = 301
    eager: Annotated[bool, OneOf((False, True)), "what it means"] = False
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from sim.plugins.parameter_types import Number, ParameterType, Seconds, Size, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Spacing = Literal["even", "geometric"]

FIRST_STEPS: Final = 8
"""Values that a range is begun with where nobody says how many."""

_FINEST: Final = 96
"""Parts of a range within which two values are not worth telling apart: 6 % of a ratio from 25 to 6400."""


@dataclass(frozen=True)
class Search(ABC):
    """Values of a parameter that are worth trying.

    ``several_nodes``: only on a machine with more than one node, as nothing depends on them elsewhere. ``only_with``:
    only where other parameters of the plug-in have these values, for the same reason.
    """

    several_nodes: bool = field(default=False, kw_only=True)
    only_with: tuple[tuple[str, object], ...] = field(default=(), kw_only=True)

    def where(self, **parameters: object) -> Self:
        """Return the same values, but only where other parameters have the values that are named."""
        return replace(self, only_with=tuple(parameters.items()))

    def matters(self, parameters: Mapping[str, object], nodes: int) -> bool:
        """Whether the values can differ in what they do: for these other ``parameters``, on so many ``nodes``."""
        return (nodes > 1 or not self.several_nodes) and all(
            parameters.get(name) == value for name, value in self.only_with
        )

    @property
    def continuous(self) -> bool:
        """Whether it is a range of which no list of values was asked for."""
        return False

    @abstractmethod
    def first(self, of: ParameterType) -> tuple[Any, ...]:
        """Return the values to begin with, each once."""

    def halfway(self, of: ParameterType, low: Any, high: Any) -> Any | None:  # noqa: ANN401  of the parameter's type
        """Return the value in the middle of two that were tried, None where none is worth trying."""
        del of, low, high
        return None

    @abstractmethod
    def in_words(self, of: ParameterType) -> str:
        """Which values are tried, for people."""

    @abstractmethod
    def as_json(self, of: ParameterType) -> dict[str, Any]:
        """Return the same as plain values."""

    @abstractmethod
    def flaws(self, of: ParameterType) -> Iterator[str]:
        """Yield what is wrong with it."""

    def _where_in_words(self) -> str:
        conditions = [f"where {name} is {value}" for name, value in self.only_with]
        if self.several_nodes:
            conditions.append("on machines with several nodes")
        return f" ({', '.join(conditions)})" if conditions else ""

    def _where_as_json(self) -> dict[str, Any]:
        several = {"several_nodes": True} if self.several_nodes else {}
        return several | ({"only_with": dict(self.only_with)} if self.only_with else {})


@dataclass(frozen=True)
class OneOf(Search):
    """These ``values`` and no others."""

    values: tuple[Any, ...]

    def first(self, of: ParameterType) -> tuple[Any, ...]:
        """Return all of them."""
        del of
        return tuple(dict.fromkeys(self.values))

    def in_words(self, of: ParameterType) -> str:
        """Which values are tried."""
        return f"{', '.join(_word(of, value) for value in self.first(of))}{self._where_in_words()}"

    def as_json(self, of: ParameterType) -> dict[str, Any]:
        """Return the values as a file has them."""
        return {"values": [of.written(value) for value in self.first(of)], **self._where_as_json()}

    def flaws(self, of: ParameterType) -> Iterator[str]:
        """Find fault with an empty list, and with values that the parameter does not take."""
        values: object = self.values  # whatever an author wrote
        if not isinstance(values, tuple) or not values:
            yield f"the values to try must be a tuple of at least one, but are {values!r}"
            return
        yield from _not_taken(of, self.values)


@dataclass(frozen=True)
class Between(Search):
    """From ``low`` to ``high``: begun with ``steps`` values, even or each as many times the one before.

    Further values are tried between those that turn out well. Without ``steps`` no list is meant at all. ``also`` are
    values that are tried beside, such as a default.
    """

    low: float
    high: float
    steps: int | None = None
    spacing: Spacing = "even"
    also: tuple[Any, ...] = ()

    @property
    def continuous(self) -> bool:
        """Whether no number of steps was asked for."""
        return self.steps is None

    def first(self, of: ParameterType) -> tuple[Any, ...]:
        """Return the steps and what is tried beside, ascending."""
        steps = self.steps or FIRST_STEPS
        if steps == 1 or self.low == self.high:
            points = [self.low]
        else:
            points = [self.at(of, number / (steps - 1)) for number in range(steps)]
        return tuple(sorted({*points, *self.also}))

    def at(self, of: ParameterType, share: float) -> Any:  # noqa: ANN401  of the parameter's type
        """Return the value at this ``share`` of the way from low to high (0 to 1), of the parameter's type."""
        if self.spacing == "geometric":
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        return min(max(_rounded(of, value), _rounded(of, self.low)), _rounded(of, self.high))

    def share(self, value: float) -> float:
        """Return how far on the way from low to high a ``value`` is: 0 to 1 within the range, the inverse of at."""
        if self.low == self.high:
            return 0.0
        if self.spacing == "geometric":
            return math.log(value / self.low) / math.log(self.high / self.low) if value > 0 else -math.inf
        return (value - self.low) / (self.high - self.low)

    def halfway(self, of: ParameterType, low: Any, high: Any) -> Any | None:  # noqa: ANN401  of the parameter's type
        """Return the value in the middle, None where the two are too near to each other."""
        first, last = self.share(low), self.share(high)
        if not math.isfinite(first) or last - first < 1 / _FINEST:
            return None
        middle = self.at(of, (first + last) / 2)
        return middle if low < middle < high else None

    def in_words(self, of: ParameterType) -> str:
        """Which values are tried."""
        many = "" if self.steps is None else f" in {self.steps} steps"
        even = ", each as many times the one before" if self.spacing == "geometric" else ""
        also = f", and {', '.join(_word(of, value) for value in self.also)}" if self.also else ""
        ends = " to ".join(_word(of, _rounded(of, value)) for value in (self.low, self.high))
        return f"{ends}{many}{even}{also}{self._where_in_words()}"

    def as_json(self, of: ParameterType) -> dict[str, Any]:
        """Return the range as ``[recommend]`` has it."""
        steps = {} if self.steps is None else {"steps": self.steps}
        also = {"also": [of.written(value) for value in self.also]} if self.also else {}
        ends = {"from": of.written(_rounded(of, self.low)), "to": of.written(_rounded(of, self.high))}
        return {**ends, **steps, "spacing": self.spacing, **also, **self._where_as_json()}

    def flaws(self, of: ParameterType) -> Iterator[str]:
        """Find fault with parameters that are no numbers, with ends that leave nothing, and with what is not taken."""
        if not is_number(of):
            yield f"{of.name} has no values between two others: list those to try"
        elif not all(_is_plain(value) for value in (self.low, self.high)):
            yield f"the ends of the values to try must be numbers, but are {self.low!r} and {self.high!r}"
        elif self.low > self.high:
            yield f"the values to try leave nothing: from {self.low!r} to {self.high!r}"
        elif self.spacing not in ("even", "geometric"):
            yield f"the spacing must be 'even' or 'geometric', but is {self.spacing!r}"
        elif self.spacing == "geometric" and self.low <= 0:
            yield f"geometric steps begin above 0, not at {self.low!r}"
        elif self.steps is not None and (type(self.steps) is not int or self.steps < 1):
            yield f"the steps must be a whole number, 1 at least, but are {self.steps!r}"
        else:
            yield from _not_taken(of, self.first(of))


def is_number(of: ParameterType) -> bool:
    """Whether there are values between two values of a parameter."""
    return isinstance(of, (Whole, Number, Size, Seconds))


def _is_plain(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _rounded(of: ParameterType, value: float) -> Any:  # noqa: ANN401  of the parameter's type
    """Return the value nearest to ``value`` that the parameter may have; times and numbers to four digits."""
    if of.takes is int:
        unit = of.multiple_of if isinstance(of, Size) else 1
        return round(value / unit) * unit
    return float(f"{value:.4g}")


def _word(of: ParameterType, value: object) -> str:
    written = of.written(value)
    if isinstance(written, float):
        return f"{written:g}"
    return str(written).lower() if isinstance(written, bool) else str(written)


def _not_taken(of: ParameterType, values: tuple[Any, ...]) -> Iterator[str]:
    for value in values:
        yield from (f"of the values to try, one {complaint}" for complaint in of.complaints(value))
