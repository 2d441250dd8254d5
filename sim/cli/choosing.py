"""Which results, and which run of them, a command is about: as its options say, or the only one that there is."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.experiment.plan import Cell, Experiment
    from sim.results.store import ResultStore

RUN_LABELS: Final = ("machine", "workload", "policy")
_MOST_LISTED: Final = 20


def results_folder(path: Path) -> Path | None:
    """Return the folder of results that ``path`` is, or that it holds alone; None where it is none and holds none.

    Raises BadInput where it holds several.
    """
    from sim.cli.main import BadInput
    from sim.faults import listed

    if _holds_results(path):
        return path
    inside = sorted(str(each) for each in path.glob("*/") if _holds_results(each))
    if len(inside) > 1:
        some = inside[:_MOST_LISTED]
        more = f" and {len(inside) - len(some)} more" if len(inside) > len(some) else ""
        raise BadInput(f"{path} holds the results of several experiments; choose one: {listed(some)}{more}")
    return path / inside[0].rpartition("/")[2] if inside else None


def no_results(path: Path) -> str:
    """Return what is told of a ``path`` that is no folder of results, with the one that may be meant."""
    if path.exists():
        said = f"{path} holds no results: it has none of their folders, such as runs and events"
    else:
        said = f"{path} holds no results: it does not exist"
    meant = Path("results") / path.stem
    return f"{said}; did you mean {meant}?" if meant != path and _holds_results(meant) else said


def _holds_results(folder: Path) -> bool:
    from sim.results.layout import ALL_TABLES, UNPACKED

    return any((folder / name).is_dir() for name in (*ALL_TABLES, UNPACKED))


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Tell in words of what cannot be read in the results of ``folder``, and end where that is all of them."""
    import pyarrow as pa

    from sim.cli.main import BadInput
    from sim.results.layout import ALL_TABLES, pack_files
    from sim.results.store import ResultStore

    if any(path for table in ALL_TABLES for path in pack_files(folder, table)) and not ResultStore(folder).keys():
        raise BadInput(f"{folder}: no run of it can be read; memhp-sim run computes them anew")
    try:
        yield
    except (pa.ArrowException, KeyError) as error:
        raise BadInput(
            f"{folder}: damaged, or written by another version ({error}); memhp-sim run --force computes it anew"
        ) from error


def cell_of(experiment: Experiment, source: str, which: dict[str, Any]) -> Cell:
    """Return the cell of an experiment that is asked for: the only one, in the first replication if none is named."""
    from sim.cli.main import BadInput
    from sim.faults import unknown_name

    there = {"machine": experiment.machines, "workload": experiment.workloads, "policy": experiment.policies}
    for name, labels in there.items():
        if which[name] is not None and which[name] not in labels:
            raise BadInput(f"{source}: {unknown_name(name, which[name], labels)}")
    cells = list(experiment.only((which["replication"] or 0,)).cells())
    named = [
        (cell, dict(zip(RUN_LABELS, (parts.machine.label, parts.workload.label, parts.policy.label), strict=True)))
        for cell, parts in ((cell, cell.combination) for cell in cells)
    ]
    asked = [pair for pair in named if all(which[name] in (None, label) for name, label in pair[1].items())]
    if not asked:
        raise BadInput(f"{source}: there is no such run")
    if len(asked) > 1:
        raise BadInput(f"{source} has several runs; choose one:\n{choices([names for _, names in asked])}")
    return asked[0][0]


def run_of(store: ResultStore, which: dict[str, Any]) -> dict[str, Any]:
    """Return the labels of the run that is asked for: the only one, in the lowest replication that there is."""
    from sim.cli.main import BadInput
    from sim.faults import listed
    from sim.results.failure import Status

    runs = store.labels()
    for name, value in which.items():
        if value is not None:
            there = sorted({run[name] for run in runs})
            if value not in there:
                raise BadInput(f"{store.folder}: no run has {name} {value}; there are: {listed(map(str, there))}")
            runs = [run for run in runs if run[name] == value]
    done = [run for run in runs if run["status"] == Status.COMPLETED]
    if not done:
        raise BadInput(f"{store.folder}: no such run has completed")
    first = min(run["replication"] for run in done)
    done = [run for run in done if run["replication"] == first]
    if len(done) > 1:
        raise BadInput(f"{store.folder} holds several runs; choose one:\n{choices(done)}")
    return done[0]


def choices(runs: Sequence[dict[str, Any]]) -> str:
    """Return the options that tell ``runs`` apart, a line for each of the first ones."""
    differ = [name for name in RUN_LABELS if len({run[name] for run in runs}) > 1]
    lines = ["  " + " ".join(f"--{name} {shlex.quote(run[name])}" for name in differ) for run in runs[:_MOST_LISTED]]
    more = len(runs) - len(lines)
    return "\n".join([*lines, *([f"  and {more} more"] if more else [])])


def chosen_scores(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the names in the value of ``--scores``. Raises BadParameter with those that there are."""
    from sim.scores.registry import SCORES

    if text is None:
        return ()
    if text == "all":
        return tuple(SCORES)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in SCORES]:
        raise click.BadParameter(f"there is no score {', '.join(map(repr, unknown))}; there are: {', '.join(SCORES)}")
    return names
