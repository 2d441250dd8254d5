"""Which rows of a table are asked for: of some cells, labels and replications, kinds of events, a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from sim.units import seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from sim.results.layout import Labels


class Wanted(TypedDict, total=False):
    """What rows of a table can be asked for by; all of it has to hold.

    ``machine``, ``workload`` and ``policy`` are labels, or several; ``replications`` their numbers; ``kinds`` those of
    events (:class:`sim.record.recorder.EventKind`); ``between`` the first and last simulated time, in seconds.
    """

    machine: str | Collection[str]
    workload: str | Collection[str]
    policy: str | Collection[str]
    replications: Collection[int]
    kinds: Collection[int]
    between: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; None stands for everything. ``times`` are the first and last (us)."""

    cells: frozenset[str] | None = None
    labels: tuple[frozenset[str] | None, frozenset[str] | None, frozenset[str] | None] = (None, None, None)
    replications: Collection[int] | None = None
    kinds: Collection[int] | None = None
    times: tuple[int, int] | None = None

    @classmethod
    def of(cls, cells: Collection[str] | None, wanted: Wanted) -> Selection:
        """Return the selection that ``wanted`` describes, of ``cells`` (keys) if not None. TypeError for others."""
        if unknown := set(wanted) - set(Wanted.__annotations__):
            known = ", ".join(Wanted.__annotations__)
            raise TypeError(f"nothing can be asked for by {min(unknown)!r}; by these: {known}")
        between = wanted.get("between")
        replications = wanted.get("replications")
        return cls(
            None if cells is None else frozenset(cells),
            (_several(wanted.get("machine")), _several(wanted.get("workload")), _several(wanted.get("policy"))),
            replications if replications is None or isinstance(replications, range) else frozenset(replications),
            wanted.get("kinds"),
            None if between is None else (seconds_to_us(between[0]), seconds_to_us(between[1])),
        )

    def takes(self, labels: Labels, replication: int, key: str) -> bool:
        """Whether any rows of a cell are asked for."""
        return (
            (self.cells is None or key in self.cells)
            and (self.replications is None or replication in self.replications)
            and all(some is None or label in some for some, label in zip(self.labels, labels, strict=True))
        )

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that it takes to choose among the rows of a cell."""
        return (*(["t_us"] if self.times else []), *(["kind"] if self.kinds is not None else []))

    def rows(self, table: pa.Table) -> pa.Table:
        """Return those rows of ``table`` that are asked for, given that its cells are."""
        import pyarrow as pa
        import pyarrow.compute as pc

        masks: list[Any] = []
        if self.times:
            masks += [pc.greater_equal(table["t_us"], self.times[0]), pc.less_equal(table["t_us"], self.times[1])]
        if self.kinds is not None:
            kinds = pa.array([int(kind) for kind in self.kinds], table["kind"].type)
            masks.append(pc.is_in(table["kind"], kinds))
        for mask in masks[1:]:
            masks[0] = pc.and_(masks[0], mask)
        return table.filter(masks[0]) if masks else table


def _several(labels: str | Collection[str] | None) -> frozenset[str] | None:
    if labels is None:
        return None
    return frozenset([labels] if isinstance(labels, str) else labels)
