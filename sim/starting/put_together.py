"""From what somebody has to an experiment to start from: files of a machine, a demand trace, or neither."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sim.faults import Faults, InputError, raise_all
from sim.snapshot.account import ASSUMED, Account
from sim.snapshot.without_blocks import ZONES_UNKNOWN
from sim.starting.demand import read_demand
from sim.starting.edited import with_demand, with_machine
from sim.starting.fit import part_remarks, remarks
from sim.starting.like import check_copies, like
from sim.starting.machine import made_up, of_files
from sim.starting.write import check, experiment_text, replications, trace_table
from sim.toml_text import in_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sim.snapshot.assembly import Imported
    from sim.snapshot.wishes import Wishes
    from sim.starting.demand import Demand
    from sim.starting.like import Alike
    from sim.starting.machine import Start

_T = TypeVar("_T")
Parts = list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an experiment is to start from.

    ``files`` are those of the machine, ``wishes`` what was said beside them, ``kind`` of devices or None; ``demand`` is
    the trace or None, ``columns`` what was said of its columns, and ``whole_mapping`` whether that is all of it.
    ``like`` is the experiment that it is to be like, or None. ``command`` is what was typed; ``force``: data that is
    copied may go over other files.
    """

    files: Sequence[str]
    wishes: Wishes
    kind: str | None
    demand: Path | None
    columns: Mapping[str, Any]
    whole_mapping: bool
    command: str
    like: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """The ``text`` of an experiment, and the ``account`` of how it came about: lines by heading.

    ``copies`` are files that belong beside it, each with what it is a copy of.
    """

    text: str
    account: Parts
    copies: Mapping[Path, Path] = field(default_factory=dict)


def put_together(wanted: Wanted, file: Path) -> Written:
    """Return the experiment for ``file``, and what is to be told of it.

    Raises InputError with everything that is wrong with the files and the trace, at once.
    """
    errors: list[InputError] = []
    alike = _tried(errors, lambda: _like(wanted, file)) if wanted.like is not None else None
    imported = _tried(errors, lambda: _imported(wanted)) if wanted.files else None
    demand = None
    if wanted.demand is not None:
        trace, likely = wanted.demand, _likely(imported, wanted)
        demand = _tried(errors, lambda: read_demand(trace, wanted.columns, likely=likely, whole=wanted.whole_mapping))
    raise_all(errors, "what it is to start from")
    start = _start(wanted, imported, None if demand is None else demand.peak)
    of_files = Account() if imported is None else imported.account
    if alike is not None:
        return _alike(alike, wanted, start, demand, file, of_files)
    account = _account(of_files, start, demand)
    return Written(experiment_text(start, demand, file, wanted.command, account), account)


def _tried(errors: list[InputError], do: Callable[[], _T]) -> _T | None:
    try:
        return do()
    except InputError as error:
        errors.append(error)
        return None


def _start(wanted: Wanted, imported: Imported | None, needed: int | None) -> Start:
    policy = wanted.wishes.policy
    if imported is None:
        return made_up(needed=needed, kind=wanted.kind, policy=policy, boot_memory=wanted.wishes.boot_memory)
    return of_files(imported, needed=needed, kind=wanted.kind, policy=policy)


def _like(wanted: Wanted, file: Path) -> Alike:
    alike = like(str(wanted.like), file, wanted.command)
    check_copies(alike, force=wanted.force)
    return alike


def _alike(alike: Alike, wanted: Wanted, start: Start, demand: Demand | None, file: Path, of_files: Account) -> Written:
    """Return an experiment like another, with the machine and the demand that are wanted in the place of its own."""
    faults = Faults()
    if wanted.kind is not None:
        faults.below("--device").add("is for experiments that begin from a machine; one like another has its devices")
    text = alike.text
    if wanted.files:
        text = with_machine(text, alike.tables, start.machine, faults)
    if demand is not None:
        text = with_demand(text, trace_table(demand, file.parent), replications(demand), faults)
    faults.raise_if_any(str(alike.source))
    copies = {target: source for target, source in alike.copies.items() if in_toml(target.name) in text}
    there = text
    for target, source in copies.items():  # which are not copied yet
        there = there.replace(in_toml(target.name), in_toml(str(source.absolute())))
    check(there, file)
    said = [alike.said]
    if copies:
        said.append(f"its data, copied beside it: {', '.join(sorted(target.name for target in copies))}")
    return Written(text, _parts(of_files, said, [], demand, [] if demand is None else part_remarks(demand)), copies)


def _account(of_files: Account, start: Start, demand: Demand | None) -> Parts:
    said, assumed = [*start.said, *start.growth.said], [*start.assumed, *start.growth.assumed]
    return _parts(of_files, said, assumed, demand, remarks(start, demand))


def _parts(
    of_files: Account, said: Sequence[str], assumed: Sequence[str], demand: Demand | None, to_know: Sequence[str]
) -> Parts:
    """Return how the experiment came about, a part for each heading that has lines."""
    (taken, from_files), *others = of_files.parts()
    parts = {taken: [*from_files, *said, *(demand.said if demand else ())], **dict(others)}
    parts[ASSUMED] += [*assumed, *(demand.assumed if demand else ())]
    parts["To know"] = list(to_know)
    return [(heading, lines) for heading, lines in parts.items() if lines]


def _imported(wanted: Wanted) -> Imported:
    from sim.readers.reading import read_facts
    from sim.snapshot.assembly import put_together as assembled

    imported = assembled(read_facts(wanted.files), wanted.wishes)
    unknown = imported.account.unknown
    if ZONES_UNKNOWN in unknown:  # the controller plugs them, so that nobody has to know
        unknown.remove(ZONES_UNKNOWN)
    return imported


def _likely(imported: Imported | None, wanted: Wanted) -> int | None:
    """Return about how large the machine is, in bytes."""
    if imported is None:
        return wanted.wishes.boot_memory
    return imported.machine.max_memory or imported.machine.boot_memory
