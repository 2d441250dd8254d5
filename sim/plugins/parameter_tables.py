"""Parameters that are tables, with keys of their own: the word for them, beside those of the other modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sim.faults import shown, unknown_name
from sim.plugins.parameter_types import ParameterType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.faults import Faults


class Key(NamedTuple):
    """A key of a :class:`Table`: its ``type``, and one line that says what it means. Without ``needed`` it may lack."""

    name: str
    type: ParameterType
    meaning: str
    needed: bool = False


@dataclass(frozen=True)
class Table(ParameterType):
    """A table of these ``keys``. The plug-in gets a dict of those that are given."""

    takes: ClassVar[type] = Mapping
    word: ClassVar[str] = "table"

    keys: tuple[Key, ...]

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"a table of {', '.join(key.name for key in self.keys)}"

    def details(self) -> Iterator[tuple[str, str]]:
        """Yield each key with its values and its meaning."""
        for key in self.keys:
            yield key.name, f"{key.type.in_words}{' (needed)' * key.needed}: {key.meaning}"

    def convert(self, value: object, faults: Faults) -> object:
        """Return the table with the keys that are given; faults are told under each one's key."""
        if not isinstance(value, Mapping):
            faults.add(f"{shown(value)} is not a table")
            return None
        types = {key.name: key.type for key in self.keys}
        for name in value:
            if name not in types:
                faults.below(name).add(unknown_name("key", name, types))
        for name in self._lacking(value):
            faults.below(name).add("is missing")
        return {name: types[name].convert(value[name], faults.below(name)) for name in types if name in value}

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no table, with keys that lack or are none, and with the values of all others."""
        if not isinstance(value, Mapping):
            yield f"must be a table, but is {shown(value)}"
            return
        types = {key.name: key.type for key in self.keys}
        for name in value:
            if name not in types:
                yield unknown_name("key", str(name), types)
        for name in self._lacking(value):
            yield f"{name} is missing"
        for name, of in types.items():
            if name in value:
                yield from (f"{name} {complaint}" for complaint in of.complaints(value[name]))

    def _lacking(self, value: Mapping[Any, object]) -> Iterator[str]:
        return (key.name for key in self.keys if key.needed and key.name not in value)

    def written(self, value: object) -> object:
        """Return the table as one would write it."""
        if not isinstance(value, Mapping):
            return value
        return {key.name: key.type.written(value[key.name]) for key in self.keys if key.name in value}

    def with_paths(self, value: object, rewrite: Callable[[str], str]) -> object:
        """Return the table with the paths in its values rewritten."""
        if not isinstance(value, Mapping):
            return value
        types = {key.name: key.type for key in self.keys}
        return {name: types[name].with_paths(each, rewrite) if name in types else each for name, each in value.items()}

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {key.name: key.type.json_schema() | {"description": key.meaning} for key in self.keys},
            "additionalProperties": False,
        }
        needed = [key.name for key in self.keys if key.needed]
        return schema | ({"required": needed} if needed else {})


@dataclass(frozen=True)
class ShortTable(Table):
    """A table whose key ``short`` may stand alone: what is no table is the value of that key."""

    short: str

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"{self._alone.in_words} (its {self.short}), or {super().in_words}"

    @property
    def _alone(self) -> ParameterType:
        return next(key.type for key in self.keys if key.name == self.short)

    def convert(self, value: object, faults: Faults) -> object:
        """Return the table; the faults of a value that stands alone are those of the whole."""
        return (
            super().convert(value, faults)
            if isinstance(value, Mapping)
            else {self.short: self._alone.convert(value, faults)}
        )

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with a table, or with the value that stands alone."""
        return super().complaints(value) if isinstance(value, Mapping) else self._alone.complaints(value)

    def written(self, value: object) -> object:
        """Return the table, or its one key's value where it has no other."""
        if isinstance(value, Mapping) and set(value) != {self.short}:
            return super().written(value)
        return self._alone.written(value[self.short] if isinstance(value, Mapping) else value)

    def json_schema(self) -> dict[str, Any]:
        """Return the schema."""
        return {"anyOf": [self._alone.json_schema(), super().json_schema()]}
