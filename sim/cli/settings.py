"""The option ``--set``, of commands that take an experiment file or check a plug-in: other values than stand there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., None]")


def _settings(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of the option by key. Raises BadParameter for what is no KEY=VALUE, or a key given twice."""
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, such as replications=5")
        if key in settings:
            raise click.BadParameter(f"{key} is given twice")
        from sim.experiment.assignments import value_of

        settings[key] = value_of(value)
    return settings


def settings_option(words: str) -> Callable[[_Command], _Command]:
    """Return what adds the option, with these ``words`` for help."""
    return click.option("--set", "settings", multiple=True, callback=_settings, metavar="KEY=VALUE", help=words)


set_option = settings_option(
    "Another value than the file's, such as replications=5 or workloads.LABEL.path=trace.csv. Repeatable."
)
"""Adds the option to a command that takes an experiment file."""
