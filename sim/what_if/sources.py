"""The machine that somebody names: an experiment file, or what there is of a real one, put together on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.experiment.assignments import assign
from sim.experiment.reading import read_toml
from sim.experiment.shipped import SUFFIX, find, refuse_slip
from sim.faults import Fault, Faults, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Source(NamedTuple):
    """The ``tables`` of an experiment, what they are called in messages, and the ``folder`` of their paths.

    ``remarks`` say what was assumed.
    """

    tables: Mapping[str, Any]
    name: str
    folder: Path
    remarks: tuple[str, ...] = ()


def read_source(files: Sequence[str | Path], settings: Mapping[str, Any] | None = None) -> Source:
    """Return the machine in an experiment (a .toml file, a shipped one's name), or what is imported from ``files``.

    ``settings`` take the place of what stands in the experiment, by key. Raises InputError with what cannot be read.
    """
    paths = [find(file, folders=True) for file in files]
    experiments = [path for path in paths if path.suffix == SUFFIX]
    if not experiments:
        refuse_slip(paths[0])
        if settings:
            raise InputError("--set", [Fault("", f"is for experiments: {files[0]} is none")])
        return _imported(files)
    if len(files) > 1:
        others = ", ".join(str(path) for path in paths if path is not experiments[0])
        raise InputError(str(experiments[0]), [Fault("", f"is a machine by itself; leave out {others}")])
    (path, *_) = experiments
    faults = Faults()
    assigned = assign(read_toml(path), settings or {}, path.parent.resolve(), faults, idle=True)
    faults.raise_if_any(str(path))
    return Source(assigned.tables, str(path), path.parent)


def _imported(files: Sequence[str | Path]) -> Source:
    from sim.experiment.imported import tables_of_facts
    from sim.readers.reading import read_facts

    tables, remarks = tables_of_facts(read_facts(files))
    if remarks:
        remarks.append("memhp-sim import says where all of it comes from, and takes what you know better")
    return Source(tables, ", ".join(map(str, files)), Path(), tuple(remarks))
