"""From what somebody has to an experiment to start from: files of a machine, a demand trace, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.faults import InputError
from sim.snapshot.account import ASSUMED, Account
from sim.starting.demand import read_demand
from sim.starting.fit import remarks
from sim.starting.machine import made_up, of_files
from sim.starting.write import experiment_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sim.snapshot.assembly import Imported
    from sim.snapshot.wishes import Wishes
    from sim.starting.demand import Demand
    from sim.starting.machine import Start

Parts = list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an experiment is to start from.

    ``files`` are those of the machine, ``wishes`` what was said beside them, ``kind`` of devices or None; ``demand`` is
    the trace or None, ``columns`` what was said of its columns, and ``whole_mapping`` whether that is all of it.
    ``command`` is what was typed.
    """

    files: Sequence[str]
    wishes: Wishes
    kind: str | None
    demand: Path | None
    columns: Mapping[str, Any]
    whole_mapping: bool
    command: str


@dataclass(frozen=True, slots=True)
class Written:
    """The ``text`` of an experiment, and the ``account`` of how it came about: lines by heading."""

    text: str
    account: Parts


def put_together(wanted: Wanted, file: Path) -> Written:
    """Return the experiment for ``file``, and what is to be told of it.

    Raises InputError with everything that is wrong with the files and the trace, at once.
    """
    errors: list[InputError] = []
    imported = None
    if wanted.files:
        try:
            imported = _imported(wanted)
        except InputError as error:
            errors.append(error)
    demand = None
    if wanted.demand is not None:
        try:
            demand = read_demand(
                wanted.demand, wanted.columns, likely=_likely(imported, wanted), whole=wanted.whole_mapping
            )
        except InputError as error:
            errors.append(error)
    _raise(errors)
    needed = None if demand is None else demand.peak
    policy = wanted.wishes.policy
    if imported is not None:
        start = of_files(imported, needed=needed, kind=wanted.kind, policy=policy)
    else:
        start = made_up(needed=needed, kind=wanted.kind, policy=policy, boot_memory=wanted.wishes.boot_memory)
    account = _account(Account() if imported is None else imported.account, start, demand)
    return Written(experiment_text(start, demand, file, wanted.command, account), account)


def _account(of_files: Account, start: Start, demand: Demand | None) -> Parts:
    """Return how the experiment came about, a part for each heading that has lines."""
    (taken, from_files), *others = of_files.parts()
    parts = {
        taken: [*from_files, *start.said, *start.growth.said, *(demand.said if demand else ())],
        **dict(others),
    }
    parts[ASSUMED] += [*start.assumed, *start.growth.assumed, *(demand.assumed if demand else ())]
    parts["To know"] = remarks(start, demand)
    return [(heading, lines) for heading, lines in parts.items() if lines]


def _imported(wanted: Wanted) -> Imported:
    from sim.readers.reading import read_facts
    from sim.snapshot.assembly import put_together as assembled

    return assembled(read_facts(wanted.files), wanted.wishes)


def _likely(imported: Imported | None, wanted: Wanted) -> int | None:
    """Return about how large the machine is, in bytes."""
    if imported is None:
        return wanted.wishes.boot_memory
    return imported.machine.max_memory or imported.machine.boot_memory


def _raise(errors: Sequence[InputError]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        from sim.faults import Fault

        faults = [
            Fault(f"{error.source}: {fault.key}".removesuffix(": "), fault.what)
            for error in errors
            for fault in error.faults
        ]
        raise InputError("what it is to start from", faults)
