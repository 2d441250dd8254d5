"""The options that say of a machine what its files do not, of every command that makes an experiment of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.snapshot.wishes import Wishes

_Command = TypeVar("_Command", bound="Callable[..., None]")


def _size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    from sim.plugins.values import size

    if text is None:
        return None
    try:
        return size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def machine_options(command: _Command) -> _Command:
    """Add the options."""
    for option in (
        click.option(
            "--policy",
            metavar="NAME[:KEY=VALUE,...]",
            help="Policy of the experiment, such as as-shipped:by=rhel-10 (memhp-sim policies lists them).",
        ),
        click.option(
            "--zone",
            type=click.Choice(["Normal", "Movable"]),
            help="Zone of memory that was added after boot, where no file tells it.",
        ),
        click.option(
            "--page-size", callback=_size, metavar="SIZE", help="Its base page: 4KiB, on arm64 16KiB or 64KiB too."
        ),
        click.option("--architecture", type=click.Choice(["x86-64", "arm64", "s390x"]), help="What it is built as."),
        click.option("--kernel", metavar="SERIES", help="Its kernel, such as 6.12."),
        click.option("--boot-memory", callback=_size, metavar="SIZE", help="Memory of the machine at boot."),
    ):
        command = option(command)
    return command


def wishes_of(options: Mapping[str, Any]) -> Wishes:
    """Return what the ``options`` say."""
    from sim.memory.zones import ZONE_BY_LABEL
    from sim.snapshot.wishes import Wishes

    zone = None if options["zone"] is None else int(ZONE_BY_LABEL[options["zone"]])
    names = ("boot_memory", "kernel", "architecture", "page_size", "policy")
    return Wishes(**{name: options[name] for name in names}, zone=zone)
