"""All that several files say of one machine, asked field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.faults import Faults
from sim.readers.facts import HOST_KINDS
from sim.snapshot.account import Account, Left, Taken, source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sim.readers.facts import Facts


class Said(NamedTuple):
    """A ``value``, and the facts that say it."""

    value: Any
    facts: Facts
    place: str

    @property
    def source(self) -> str:
        """File and place as one text."""
        return source(self.facts.file, self.place)


class Evidence:
    """Facts of one machine; ``account`` takes what becomes of them and ``faults`` what cannot be reconciled."""

    def __init__(self, facts: Sequence[Facts]) -> None:
        self.facts: Final = tuple(facts)
        self.account: Final = Account()
        self.faults: Final = Faults()
        self.zones_at_boot: Said | None = None
        """What follows of zones from what the kernel said when it started, where no file lists them."""
        for each in facts:
            self.account.left += [Left(source(each.file, remark.where), remark.what) for remark in each.remarks]

    def all(self, field: str) -> Iterator[Said]:
        """Yield every value of a field of :class:`sim.readers.facts.Facts` that is set."""
        for each in self.facts:
            value = getattr(each, field)
            if value not in (None, (), {}):
                yield Said(value, each, each.places.get(field, ""))

    def first(self, field: str) -> Said | None:
        """Return the first value of a field, whatever others there are."""
        return next(self.all(field), None)

    def one(
        self, field: str, what: str, show: Callable[[Any], str] = str, *, prefer: Collection[str] | None = None
    ) -> Said | None:
        """Return the value of a field, or None. ``what`` names the field for people, ``show`` writes a value of it.

        Where files differ it is a fault; unless with ``prefer``, kinds of files: the first of these, or the first of
        all, is taken then and the conflict told.
        """
        found = list(self.all(field))
        if not found:
            return None
        chosen = next((said for said in found if said.facts.kind in (prefer or ())), found[0])
        others = [said for said in found if said.value != chosen.value]
        if others:
            told = "; ".join(f"{show(said.value)} ({said.source})" for said in (chosen, *others))
            if prefer is not None:
                self.account.conflicts.append(f"{what}: {told}. The first is taken")
            else:
                self.faults.add(f"{what}: {told}. Files of one machine agree: leave out those of another one")
        return chosen

    def zones(self) -> Said | None:
        """Return what says most of zones: a text that has their bounds, else the first."""
        found = list(self.all("zones"))
        with_bounds = (said for said in found if any(zone.start is not None for zone in said.value))
        return next(with_bounds, found[0] if found else self.zones_at_boot)

    def take(self, what: str, said: Said) -> None:
        """Note that ``what`` was taken from where it is ``said``."""
        self.account.taken.append(Taken(what, said.facts.file, said.place))

    def took(self, what: str, file: str, place: str) -> None:
        """Note that ``what`` was taken from a ``place`` in a ``file``."""
        self.account.taken.append(Taken(what, file, place))

    def of_host(self) -> bool:
        """Whether any file comes from the host."""
        return any(each.kind in HOST_KINDS for each in self.facts)
