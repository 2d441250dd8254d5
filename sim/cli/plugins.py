"""``memhp-sim policies`` and ``memhp-sim workloads``: what there is, with parameters, defaults and units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.console import print_json, standard_console
from sim.cli.describe import describe

_LIST: Final = "list"

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from sim.plugins.lookup import Kind, Listed
    from sim.plugins.parameters import Parameter


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def policies(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the onlining policies (or only those NAMEd), with parameters, defaults and units.

    A NAME may also be path/to/file.py:Class.
    """
    from sim.plugins.lookup import POLICY

    _show(POLICY, names, as_json=as_json)


class _ListOrMore(click.Group):
    """A command with sub-commands that lists where none is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what is no sub-command for what is to be listed."""
        if args[:1] not in ([name] for name in (*self.commands, *ctx.help_option_names)):
            args = [_LIST, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListOrMore)
def workloads() -> None:
    """List the workloads, or describe a demand trace that one could play.

    "memhp-sim workloads NAME" lists only that one.
    """


@workloads.command(_LIST)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _list_workloads(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the workloads (or only those NAMEd), with parameters, defaults and units.

    A NAME may also be path/to/file.py:Class.
    """
    from sim.plugins.lookup import WORKLOAD

    _show(WORKLOAD, names, as_json=as_json)


workloads.add_command(describe)


def _show(kind: Kind, names: tuple[str, ...], *, as_json: bool) -> None:
    listed = _entries(kind, names)
    if as_json:
        print_json([_as_json(entry) for entry in listed])
        return
    from rich.console import Group

    # Printed at once: for each print the console asks the terminal for its size.
    standard_console().print(Group(*(line for entry in listed for line in _lines(entry))))


def _entries(kind: Kind, names: tuple[str, ...]) -> list[Listed]:
    from sim.cli.main import BadInput
    from sim.plugins import lookup

    if not names:
        return lookup.listing(kind)
    try:
        return [lookup.Listed(name, lookup.find(kind, name), "") for name in names]
    except lookup.PluginError as error:
        raise BadInput(str(error)) from error


def _as_json(entry: Listed) -> dict[str, Any]:
    if entry.plugin is None:
        return {"name": entry.name, "error": entry.error}
    return {
        "name": entry.name,
        "summary": entry.plugin.summary,
        "from": entry.plugin.origin,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type.name,
                "default": parameter.written,
                "unit": parameter.type.unit,
                "meaning": parameter.meaning,
                **({} if parameter.search is None else {"search": parameter.search.as_json(parameter.type)}),
            }
            for parameter in entry.plugin.parameters
        ],
        "details": {
            parameter.name: details
            for parameter in entry.plugin.parameters
            if (details := dict(parameter.type.details()))
        },
    }


def _lines(entry: Listed) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    def line(indent: int, *parts: str | tuple[str, str]) -> RenderableType:
        return Padding(Text.assemble(*parts), (0, 0, 0, indent), expand=False)

    if entry.plugin is None:
        yield line(0, (entry.name, "bold"), "  ", ("cannot be used: ", "red"), entry.error)
        yield ""
        return
    yield line(0, (entry.name, "bold cyan"), "  ", entry.plugin.summary)
    for parameter in entry.plugin.parameters:
        yield line(2, (parameter.name, "bold"), *_default(parameter), "  ", (f"({_type(parameter)})", "dim"))
        yield line(6, parameter.meaning)
        if parameter.search is not None:
            yield line(6, ("worth trying: ", "dim"), parameter.search.in_words(parameter.type))
        for name, meaning in parameter.type.details():
            yield line(8, (name, "bold"), ": ", meaning)
    yield ""


def _default(parameter: Parameter) -> tuple[str, ...]:
    from sim.plugins.docs_pages import as_toml

    if parameter.written is None:
        return (" = needed",) if parameter.required else ()
    return (f" = {as_toml(parameter.written)}",)


def _type(parameter: Parameter) -> str:
    from sim.plugins.docs_pages import usual_unit

    kind = parameter.type
    return kind.name.replace("|", " | ") if kind.unit == usual_unit(kind) else f"{kind.name}, {kind.unit}"
