"""Loading an experiment: everything that can be wrong with it is found here, all at once, before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from sim.experiment import recommend_table, sweep
from sim.experiment.assignments import Assigned, assign
from sim.experiment.plan import Experiment, recordings_in_words
from sim.experiment.pydantic_faults import include_faults
from sim.experiment.reading import frozen, read_toml
from sim.experiment.rivals import with_rivals
from sim.experiment.schema import ALL, LABEL_LENGTH, ExperimentTable
from sim.experiment.shipped import find
from sim.experiment.variants import Variants
from sim.faults import Fault, Faults, InputError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.experiment.plan import Combination

MOST_COMBINATIONS: Final = 200_000
MOST_CELLS: Final = 1_000_000
"""More than these is taken for a slip."""


IDLE: Final[Mapping[str, Any]] = {"name": "steps", "label": "nothing"}
"""The workload that asks nothing of a guest."""


def load(
    source: Path | str | Mapping[str, Any],
    *,
    folder: Path | None = None,
    idle: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Experiment:
    """Return the experiment in the TOML file ``source``, the shipped one of that name, or that in a mapping.

    Paths in it are relative to the file's folder; those of a mapping to ``folder`` (the working directory where None).
    One without workloads has nothing to run; ``idle`` takes it all the same, with one that asks nothing, and where
    there are neither policies nor a command line with the policy ``kernel`` as it is by default. ``settings`` take the
    place of what stands there, by key (``{"workloads.recorded.path": "trace.csv"}``, see
    :mod:`sim.experiment.assignments`); relative paths among them are relative to the working directory.
    Raises InputError with every fault that it has, each with its key.
    """
    if isinstance(source, Mapping):
        name = stem = "experiment"
        tables = frozen(source, name)
        folder = folder or Path()
    else:
        name, path = str(source), find(source)
        tables, stem, folder = read_toml(path), path.stem, path.parent
    faults = Faults()
    idle = idle and "workloads" not in tables
    if idle:
        tables = {**tables, "workloads": (IDLE,)}
    assigned = assign(tables, settings or {}, folder.resolve(), faults, idle=idle)
    experiment = _checked(assigned, folder.resolve(), stem, faults, idle=idle)
    if experiment is None:
        moved = map(assigned.moved, faults)
        raise InputError(name, sorted(dict.fromkeys(moved), key=_in_file_order))
    return experiment


def load_stored(folder: Path) -> Experiment | None:
    """Return the experiment whose results are in ``folder``, as their manifest has it; None where there is no manifest.

    Raises ValueError where that is of another version, and InputError where something of it is no longer there.
    """
    from sim.results.layout import MANIFEST_NAME
    from sim.results.manifest import read_manifest

    if not (folder / MANIFEST_NAME).is_file():
        return None
    return load(read_manifest(folder)["config"], folder=folder)


def _replications(wanted: int | str, combinations: Sequence[Combination], faults: Faults) -> int:
    """Return how many replications are run; 0 with a fault where that makes no sense."""
    counts = {each.workload.label: each.most_replications for each in combinations}
    limits = {count for count in counts.values() if count is not None}
    if isinstance(wanted, int):
        if limits and wanted > min(limits):
            right = f"{ALL!r} runs each" if len(limits) == 1 else f"give a number up to {min(limits)}"
            faults.add(f"{wanted} are more than there are: {recordings_in_words(counts)}; {right}")
        return wanted
    if not limits:
        faults.add(f"{ALL!r} needs a workload that plays a recording in each, such as a trace of several series")
    elif len(limits) > 1:
        faults.add(
            f"{ALL!r} needs as many recordings everywhere, but there are {recordings_in_words(counts)};"
            f" give a number up to {min(limits)}"
        )
    return min(limits, default=0)


def _in_file_order(fault: Fault) -> list[tuple[int, str]]:
    """Return what sorts faults by their keys: lists by number, sections in the order in which people write them."""
    section = re.match(r"\w*", fault.key)
    order = list(ExperimentTable.model_fields)
    is_known = section is not None and section[0] in order
    parts = re.findall(r"\[(\d+)\]|([^\[]+)", fault.key)
    return [
        (order.index(section[0]) if is_known and section else -1, ""),
        *((int(number or 0), text) for number, text in parts),
    ]


def _checked(assigned: Assigned, folder: Path, stem: str, faults: Faults, *, idle: bool) -> Experiment | None:
    checked: ExperimentTable | None = None
    tables = assigned.tables
    try:
        checked = ExperimentTable.model_validate(tables)
    except ValidationError as error:
        include_faults(error, ExperimentTable, faults)
    # From here on the raw tables are looked at, so that what a plug-in refuses shows beside faults of shape.
    variants = Variants(tables, folder, faults, idle=idle)
    sweep_tables = tables.get("sweep")
    if not isinstance(sweep_tables, tuple):
        sweep_tables = ()
    sweeps = sweep.read(sweep_tables, variants.labels(), faults.below("sweep"))
    swept = {target for each in sweeps for axis in each.axes for point in axis for target in point}
    faults.include(
        Fault(f"--set {key}", "is swept in the file; its values there are what is run")
        for target, key in assigned.targets.items()
        if target in swept
    )
    combinations_at_most = math.prod(each.count for each in sweeps) * variants.count()
    if combinations_at_most > MOST_COMBINATIONS:
        what = f"makes {combinations_at_most} combinations; at most {MOST_COMBINATIONS} can be run"
        (faults.below("sweep") if sweeps else faults).add(what)
        return None
    combinations = variants.combinations(sweep.points(sweeps))
    searches = recommend_table.searches(
        tables.get("recommend"), variants.entries["policies"], folder, faults.below("recommend")
    )
    if checked is None or faults:
        return None
    if not combinations:
        faults.below("workloads").add("none runs on any machine")
        return None
    replications = _replications(checked.replications, combinations, faults.below("replications"))
    if len(combinations) * replications > MOST_CELLS:
        what = f"makes {len(combinations) * replications} cells; at most {MOST_CELLS} can be run"
        faults.below("replications").add(what)
    policies = list(dict.fromkeys(combination.policy.label for combination in combinations))
    baseline = checked.baseline if checked.baseline is not None else policies[0]
    if baseline not in policies:
        faults.below("baseline").add(unknown_name("policy", baseline, policies))
    recommend = recommend_table.settings(
        checked.recommend, searches, variants.entries["policies"], policies, faults.below("recommend")
    )
    if faults:
        return None
    return Experiment(
        name=checked.name or re.sub(r"[^\w. +-]", "-", stem).strip(" .")[:LABEL_LENGTH] or "experiment",
        description=checked.description,
        seed=checked.seed,
        replications=tuple(range(replications)),
        baseline=baseline,
        cell_timeout=checked.cell_timeout,
        folder=folder,
        combinations=tuple(with_rivals(combinations, folder)),
        tables=tables,
        settings=assigned.values,
        recommend=recommend,
    )
