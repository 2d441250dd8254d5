"""The options that say which column of a demand trace is what, of every command that reads one."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sim.traces.mapping import FORMS
from sim.traces.samples import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.faults import Faults

_Command = TypeVar("_Command", bound="Callable[..., None]")


def column_options(command: _Command, *, without: Sequence[str] = ()) -> _Command:
    """Add an option for the time, the series, each quantity but those ``without``, and the whole mapping."""
    for name, meaning in reversed(list(QUANTITIES.items())):
        if name in without:
            continue
        option = click.option(
            f"--{name.replace('_', '-')}", name, metavar="COLUMN[:UNIT]", help=f"{meaning[0].upper()}{meaning[1:]}."
        )
        command = option(command)
    for option in (
        click.option("--columns", metavar="TOML", help="The whole mapping, as an experiment file has it."),
        click.option("--series", metavar="COLUMN", multiple=True, help="What tells series apart; several times too."),
        click.option("--time", metavar="COLUMN[:UNIT]", help="When; UNIT: seconds of a 1, or the form of dates."),
    ):
        command = option(command)
    return command


def mapping_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping that the ``options`` say, empty where they say nothing. Raises InputError with its faults."""
    from sim.faults import Faults

    given = {name: options[name] for name in ("time", *QUANTITIES) if options.get(name) is not None}
    series, columns = options["series"], options["columns"]
    if columns is not None:
        if given or series:
            raise click.UsageError("--columns is the whole mapping: leave the options of single columns out")
        text = columns.strip()
        try:
            table: Any = tomllib.loads(f"columns = {text if text.startswith('{') else f'{{ {text} }}'}")["columns"]
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            example = "{ time = 't_s', series = 'vm', user = { column = 'use_mib', unit = '1MiB' } }"
            raise click.UsageError(f"--columns is not TOML: {error}; right would be {example}") from None
    else:
        table = {name: _one_column(name, text) for name, text in given.items()}
        if series:
            table["series"] = list(series)
    faults = Faults("columns")
    mapping = checked_mapping(table, faults)
    faults.raise_if_any("columns")
    return mapping


def checked_mapping(table: object, faults: Faults) -> dict[str, Any]:
    """Return the mapping that ``table`` says, with what is wrong in it added to ``faults``."""
    from workloads.parts.traces.columns import COLUMNS

    before = len(faults)
    converted = COLUMNS.convert(table, faults)
    if len(faults) == before:
        for complaint in COLUMNS.complaints(converted):
            faults.add(complaint)
    return converted  # type: ignore[return-value]  # where there is no fault


def _one_column(name: str, text: str) -> dict[str, Any]:
    column, colon, unit = text.rpartition(":")
    if not colon:
        return {"column": text}
    if name != "time":
        return {"column": column, "unit": unit}
    if unit in FORMS[1:]:
        return {"column": column, "form": unit}
    try:
        return {"column": column, "unit": float(unit)}
    except ValueError:
        raise click.UsageError(
            f"--time: {unit!r} is no number of seconds, and no form of dates: {', '.join(FORMS[1:])}"
        ) from None
