"""Values that are given beside an experiment file and take the place of what stands there: ``--set KEY=VALUE``.

Keys are as sweeps name them (:mod:`sim.experiment.sweep`): ``workloads.LABEL.path``, ``workloads.LABEL.PART.path`` of a
composition, ``machines.LABEL.boot_memory``, ``guest.model``, ``timing.offline``; those of ``recommend``; and
``replications``, ``seed`` and the other keys that stand by themselves. More parts lead into tables:
``workloads.LABEL.columns.user``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.experiment.reading import frozen
from sim.experiment.sweep import LABELLED, SINGLE, Target, targets
from sim.experiment.variants import Variants
from sim.faults import Fault, Faults, key_path, shown, unknown_name
from sim.plugins import lookup

if TYPE_CHECKING:
    from sim.experiment.variants import Entry

ALONE: Final = ("name", "description", "seed", "replications", "baseline", "cell_timeout")
"""Keys of an experiment file that stand by themselves."""

UNSWEPT: Final = ("recommend",)
"""Tables in which no sweep can vary anything, as no run depends on them."""

_LONGEST_KEY: Final = 500
"""Characters: TOML's parser takes time with the square of a key's parts."""
_UP_TO_LABEL: Final = 2
"""Parts of a key: its section and a label."""


class Assigned(NamedTuple):
    """An experiment's ``tables`` with the given values in their places.

    ``values`` by key as given, paths absolute; ``keys`` has, for each key in the file, the one that was given for it,
    and ``targets`` which of them sweeps could try values for.
    """

    tables: Mapping[str, Any]
    values: Mapping[str, Any]
    keys: Mapping[str, str]
    targets: Mapping[Target, str]

    def moved(self, fault: Fault) -> Fault:
        """Return a ``fault`` under the key that was given, where it is about a given value."""
        for key, given in self.keys.items():
            if fault.key == key or fault.key.startswith((f"{key}.", f"{key}[")):
                return Fault(f"--set {given}{fault.key[len(key) :]}", fault.what)
        return fault


def assign(
    tables: Mapping[str, Any], given: Mapping[str, Any], folder: Path, faults: Faults, *, idle: bool = False
) -> Assigned:
    """Return ``tables``, which may be wrong in any way, with the values that are ``given`` by key.

    Relative paths among them are relative to the working directory, those of the tables to ``folder``. What is wrong
    with a key is added to ``faults``.
    """
    entries = Variants(tables, folder, Faults(), idle=idle).entries
    changed, values = dict(tables), dict[str, Any]()
    keys, known = dict[str, str](), dict[Target, str]()
    for key, value in frozen(given, "--set").items():
        of_key = Faults(f"--set {key}", faults)
        parts = key_parts(key)
        if parts is None:
            of_key.add("is no key, such as workloads.LABEL.path; a label with other characters stands in double quotes")
        elif len(parts) == 1:
            if parts[0] in ALONE:
                changed[parts[0]] = values[key] = value
                keys[parts[0]] = key
            else:
                _refuse_alone(parts[0], of_key)
        elif parts[0] in UNSWEPT:
            values[key] = value
            if _put(changed, parts, value):
                keys[key_path(*parts)] = key
            else:
                of_key.add(_no_table(parts))
        else:
            place = _Place.of(parts, entries, of_key)
            if place is not None:
                values[key] = place.absolute(value, folder)
                if not place.put(changed, values[key]):
                    of_key.add(_no_table(parts))
                    continue
                keys[place.file_key] = key
                known[place.target] = key
    return Assigned(changed, values, keys, known)


def key_parts(key: str) -> tuple[str, ...] | None:
    """Return the parts of a dotted key as TOML writes one; None where it is none."""
    if len(key) > _LONGEST_KEY or "\n" in key:
        return None
    try:
        inside: Any = tomllib.loads(f"{key} = 0")
    except ValueError:
        return None
    parts: list[str] = []
    while isinstance(inside, dict) and len(inside) == 1:
        ((part, inside),) = inside.items()
        parts.append(part)
    return tuple(parts) if inside == 0 else None


def value_of(text: str) -> object:
    """Return the value that ``text`` has in TOML, or the text itself where TOML would want quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = parsed["value"]
    return value if len(parsed) == 1 and isinstance(value, (bool, int, float, str, list, dict)) else text


def _no_table(parts: tuple[str, ...]) -> str:
    return f"{shown('.'.join(parts[:-1]))} is no table in the file, so nothing can be set in it"


def _too_short(parts: tuple[str, ...], entry: Entry | None) -> str:
    """Say how a key that ends at a table, or at none, goes on."""
    if entry is None or not entry.parts or len(parts) == _UP_TO_LABEL:
        return "is a table; name a key in it" + (f", or of one of {', '.join(entry.parts)}" if entry else "")
    section, label, name = parts
    if name in entry.parts:
        return f"is a table; name a key in it, such as {'.'.join(parts)}.KEY"
    return (
        f"{label} is several workloads together, which have no {name} of their own: name one of them before the key, "
        f"such as {section}.{label}.{next(iter(entry.parts))}.{name}; there are {', '.join(entry.parts)}"
    )


class _Place(NamedTuple):
    """Where a value goes: the entry of a section (None where it has no labels), its target, and the way inside."""

    target: Target
    entry: Entry | None
    inside: tuple[str, ...]

    @classmethod
    def of(cls, parts: tuple[str, ...], entries: Mapping[str, Mapping[str, Entry]], faults: Faults) -> _Place | None:
        """Return the place of a key, None with the fault that it has."""
        section, *rest = parts
        if section not in (*LABELLED, *SINGLE):
            faults.add(unknown_name("section or key", section, [*ALONE, *LABELLED, *SINGLE, *UNSWEPT]))
            return None
        of_section = entries.get(section, {})
        entry = of_section.get(rest[0]) if section in LABELLED else None
        depth = 2 if section in SINGLE else 4 if entry is not None and entry.parts else 3
        if len(parts) < depth:
            if section in LABELLED and entry is None:
                faults.add(unknown_name(f"label of {section}", rest[0], of_section))
            else:
                faults.add(_too_short(parts, entry))
            return None
        leaf: Any = 0
        for part in reversed(parts[:depth]):
            leaf = {part: leaf}
        labels = {name: {label: each.parts for label, each in known.items()} for name, known in entries.items()}
        wrong = Faults()
        found = [target for target, _, _ in targets(leaf, labels, wrong)]
        faults.include(Fault(faults.key, fault.what) for fault in wrong)
        return cls(found[0], entry, parts[depth:]) if found and not wrong else None

    @property
    def file_key(self) -> str:
        """The key that the value has in the file."""
        target = self.target
        if self.entry is None:
            return key_path(target.section, target.key, *self.inside)
        part = ("together", self.entry.parts.index(target.part)) if target.part else ()
        return key_path(*part, target.key, *self.inside, below=self.entry.key)

    def absolute(self, value: Any, folder: Path) -> Any:  # noqa: ANN401  whatever TOML can hold
        """Return ``value`` with the paths in it absolute."""
        table = self._table
        kind = {"policies": lookup.POLICY, "workloads": lookup.WORKLOAD}.get(self.target.section)
        if self.inside or kind is None or not isinstance(table.get("name"), str):
            return value
        try:
            plugin = lookup.find(kind, table["name"], folder)
        except lookup.PluginError:
            return value
        for parameter in plugin.parameters:
            if parameter.name == self.target.key:
                return parameter.type.with_paths(value, lambda path: str(Path.cwd() / path))
        return value

    @property
    def _table(self) -> Mapping[str, Any]:
        if self.entry is None:
            return {}
        if not self.target.part:
            return self.entry.table
        part: Mapping[str, Any] = self.entry.table["together"][self.entry.parts.index(self.target.part)]
        return part

    def put(self, tables: dict[str, Any], value: Any) -> bool:  # noqa: ANN401  whatever TOML can hold
        """Put ``value`` into a copy of the table where it goes. False where the way leads through something else."""
        target = self.target
        if self.entry is None:
            way: tuple[str | int, ...] = (target.section,)
        else:
            number = int(self.entry.key.rpartition("[")[2].rstrip("]"))
            part = ("together", self.entry.parts.index(target.part)) if target.part else ()
            way = (target.section, number, *part)
        return _put(tables, (*way, target.key, *self.inside), value)


def _put(inside: dict[Any, Any] | list[Any], way: tuple[str | int, ...], value: object) -> bool:
    """Put ``value`` at the end of the ``way``, with copies of the tables and lists on it."""
    step, *rest = way
    if not rest:
        inside[step] = value  # type: ignore[index]  # a list is only ever asked for a number
        return True
    below = inside[step] if isinstance(inside, list) else inside.get(step, {})  # type: ignore[index]  # as above
    if isinstance(below, Mapping):
        copy: dict[Any, Any] | list[Any] = dict(below)
    elif isinstance(below, tuple) and isinstance(rest[0], int):
        copy = list(below)
    else:
        return False
    if not _put(copy, tuple(rest), value):
        return False
    inside[step] = tuple(copy) if isinstance(copy, list) else copy  # type: ignore[index]  # as above
    return True


def _refuse_alone(name: str, faults: Faults) -> None:
    if name in LABELLED:
        faults.add(f"is a list of tables; name a key in one of them: {name}.LABEL.KEY")
    elif name in (*SINGLE, *UNSWEPT):
        faults.add(f"is a table; name a key in it: {name}.KEY")
    else:
        faults.add(unknown_name("key", name, [*ALONE, *LABELLED, *SINGLE, *UNSWEPT]))
