"""``memhp-sim workloads describe``: what is in a demand trace, before anything is simulated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.console import print_json
from sim.cli.trace_columns import checked_mapping, column_options, mapping_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.traces.summary import Summary

_PICTURES: Final = (".png", ".svg")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@column_options
@click.option("--workload", metavar="LABEL", help="Which workload of an experiment file.")
@click.option("--path", "path", type=click.Path(path_type=Path), help="The trace, instead of the experiment file's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: sizes in bytes, times in seconds.")
@click.option("--plot", "plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw it: FILE.png or FILE.svg.")
def describe(
    file: Path,
    *,
    workload: str | None,
    path: Path | None,
    as_json: bool,
    plot: Path | None,
    **columns: Any,  # noqa: ANN401  what column_options have
) -> None:
    """Describe a demand trace: series, span, steps, how large it is, how much it changes, what is missing.

    FILE is a trace (CSV, also gzip or zstd, Parquet, or JSON of Prometheus) whose columns are mapped by options, such
    as --time t_s --series vm --user use_mib:1MiB, or an experiment file, one of whose workloads reads a trace.
    """
    from sim.experiment.shipped import find
    from sim.traces.opening import open_trace
    from sim.traces.summary import summarize

    file = find(file)
    if plot is not None and plot.suffix not in _PICTURES:
        raise click.UsageError(f"--plot writes {' or '.join(_PICTURES)}, but got {plot.name}")
    if file.suffix == ".toml":
        if any(columns.values()):
            raise click.UsageError("an experiment file says which column is what: leave those options out")
        file, mapping = _of_experiment(file, workload, path)
    elif workload or path:
        raise click.UsageError("--workload and --path are for experiment files")
    else:
        mapping = mapping_of(columns)
        if not mapping:
            raise click.UsageError(_help(file))
    summary = summarize(open_trace(file, mapping))
    if as_json:
        print_json({"file": str(file), **summary.as_json()})
    else:
        _print(summary, file)
    if plot is not None:
        _draw(summary, file, plot)


def _of_experiment(file: Path, workload: str | None, path: Path | None) -> tuple[Path, dict[str, Any]]:
    """Return the trace that a workload of the experiment reads, and its mapping."""
    from sim.cli.main import BadInput
    from sim.experiment.reading import read_toml
    from sim.faults import Faults, listed, unknown_name

    readers = {label: table for label, table in _workloads(read_toml(file)) if _reads_trace(table, file.parent)}
    if not readers:
        raise BadInput(f"{file}: no workload in it reads a demand trace (none has columns)")
    if workload is not None and workload not in readers:
        raise BadInput(f"{file}: {unknown_name('workload', workload, readers)}")
    if workload is None and len(readers) > 1:
        raise BadInput(f"{file}: several workloads read a demand trace; choose one by --workload: {listed(readers)}")
    label = workload or next(iter(readers))
    table = readers[label]
    faults = Faults(label)
    mapping = checked_mapping(table["columns"], faults.below("columns"))
    if path is None and not (isinstance(table.get("path"), str) and table["path"]):
        faults.below("path").add("is missing; it can be given by --path")
    faults.raise_if_any(str(file))
    return path or file.parent / table["path"], mapping


def _reads_trace(table: Mapping[str, Any], folder: Path) -> bool:
    """Whether a workload reads a demand trace: some have ``columns`` of another kind. One that is unknown may."""
    from sim.plugins.lookup import WORKLOAD, PluginError, find
    from workloads.parts.traces.columns import COLUMNS

    if "columns" not in table:
        return False
    try:
        parameters = find(WORKLOAD, str(table.get("name")), folder).parameters
    except PluginError:
        return True
    return any(parameter.type == COLUMNS for parameter in parameters)


def _workloads(tables: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each workload's label and table, parts of several together among them, as far as they are tables at all."""
    listed = tables.get("workloads", ())
    for table in listed if isinstance(listed, (list, tuple)) else (listed,):
        if isinstance(table, dict):
            together = table.get("together", ())
            parts = [each for each in together if isinstance(each, dict)] if isinstance(together, tuple) else []
            for each in (table, *parts):
                yield str(each.get("label") or table.get("label") or each.get("name", "?")), each


def _help(file: Path) -> str:
    """Say which columns the file has, if that can be told, and how they are mapped."""
    from sim.traces.columns_of import columns_of

    names = columns_of(file)
    has = f"; {file.name} has {', '.join(names)}" if names else ""
    return f"which column is what? Say for example: --time t_s --series vm --user use_mib:1MiB{has}"


def _print(summary: Summary, file: Path) -> None:
    from sim.cli.console import standard_console
    from sim.cli.trace_screen import print_summary

    print_summary(standard_console(), summary, os.path.normpath(file))


def _draw(summary: Summary, file: Path, plot: Path) -> None:
    from sim.plots.loading import load_matplotlib

    load_matplotlib()
    from sim.plots.saving import save_as, styled
    from sim.plots.trace import plot_trace

    with styled(file.name):
        figure = plot_trace(summary, file.name)
    save_as(figure, plot)
