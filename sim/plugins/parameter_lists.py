"""Parameters that are lists: the words for them, beside those of :mod:`sim.plugins.parameter_types`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sim.faults import shown
from sim.plugins.parameter_types import ParameterType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.faults import Faults


@dataclass(frozen=True)
class ListOf(ParameterType):
    """A list of at least one ``item``, each of which messages call a ``noun``."""

    takes: ClassVar[type] = Sequence

    item: ParameterType
    noun: str = "value"

    @property
    def name(self) -> str:
        """What listings call it."""
        return f"list[{self.item.name}]"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"a list of at least one: {self.item.in_words}"

    def details(self) -> Iterator[tuple[str, str]]:
        """Yield what is to be explained of each element."""
        return self.item.details()

    def convert(self, value: object, faults: Faults) -> object:
        """Return the elements as a list; faults are told under each element's key."""
        if not isinstance(value, (list, tuple)):
            faults.add(f"{shown(value)} is not a list ({self.name})")
            return None
        return [self.item.convert(element, faults.below(number)) for number, element in enumerate(value)]

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no list, with an empty one, and with each of its elements."""
        if not isinstance(value, (list, tuple)) or not value:
            yield f"must be a list of at least one {self.noun}, but is {shown(value)}"
            return
        for element in value:
            yield from self.item.complaints(element)

    def written(self, value: object) -> object:
        """Return the elements as one would write them."""
        return tuple(map(self.item.written, value)) if isinstance(value, (list, tuple)) else value

    def with_paths(self, value: object, rewrite: Callable[[str], str]) -> object:
        """Return the list with the paths in its elements rewritten."""
        return [self.item.with_paths(element, rewrite) for element in value] if isinstance(value, list) else value

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "array", "items": self.item.json_schema(), "minItems": 1}


@dataclass(frozen=True)
class OneOrMore(ListOf):
    """A list of at least one ``item``; one may stand alone, without the brackets."""

    @property
    def name(self) -> str:
        """What listings call it."""
        return f"{self.item.name} or {super().name}"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"{self.item.in_words}, or a list of them"

    def convert(self, value: object, faults: Faults) -> object:
        """Return the elements as a list, also of one that stands alone."""
        return (
            super().convert(value, faults) if isinstance(value, (list, tuple)) else [self.item.convert(value, faults)]
        )

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with an empty list, and with each element."""
        return super().complaints(value) if isinstance(value, (list, tuple)) else self.item.complaints(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        return {"anyOf": [self.item.json_schema(), super().json_schema()]}


@dataclass(frozen=True)
class Row(ParameterType):
    """A list of exactly these ``items``."""

    takes: ClassVar[type] = Sequence

    items: tuple[ParameterType, ...]

    @property
    def name(self) -> str:
        """What listings call it."""
        return f"[{', '.join(item.name for item in self.items)}]"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"a list of {len(self.items)}: {'; '.join(item.in_words for item in self.items)}"

    def convert(self, value: object, faults: Faults) -> object:
        """Return the elements as a list; faults are told under each element's key."""
        if not isinstance(value, (list, tuple)):
            faults.add(f"{shown(value)} is not a list ({self.name})")
            return None
        if len(value) != len(self.items):
            faults.add(f"has {len(value)} elements; {len(self.items)} are needed ({self.name})")
            return None
        pairs = zip(self.items, value, strict=True)
        return [item.convert(element, faults.below(number)) for number, (item, element) in enumerate(pairs)]

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no list of this length, and with each of its elements."""
        if not isinstance(value, (list, tuple)) or len(value) != len(self.items):
            yield f"must be a list of {len(self.items)} ({self.name}), but is {shown(value)}"
            return
        for item, element in zip(self.items, value, strict=True):
            yield from item.complaints(element)

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        items = [item.json_schema() for item in self.items]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
