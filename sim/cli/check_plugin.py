"""``memhp-sim check-policy`` and ``check-workload``: does a plug-in keep to its contract? One line a check."""

from __future__ import annotations

import json
import shlex
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sim.cli.console import print_json, width_of_output
from sim.cli.settings import settings_option
from sim.plugins.verdicts import LIMIT_S, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.plugins.verdicts import Verdict

_Command = TypeVar("_Command", bound="Callable[..., None]")

_MARGIN: Final = 11
"""Characters that the outcome takes: what follows is indented by so many where there is room."""
_NARROW: Final = 60


def _options(command: _Command) -> _Command:
    """Add the options that both commands have."""
    for option in (
        click.option("--force", is_flag=True, help="With --template: write over a file that is there."),
        click.option(
            "--template",
            type=click.Path(path_type=Path),
            metavar="FILE.py",
            help="Write a file to start from, which passes, and check nothing.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--time-limit",
            "limit",
            type=click.FloatRange(0.1, 86400),
            default=LIMIT_S,
            show_default=True,
            metavar="SECONDS",
            help="How long a process that checks may take.",
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Where all chance begins."),
        settings_option("A parameter's value, such as ratio=401 or columns.time=t_s. Repeatable."),
        click.argument("name", metavar="[FILE.py:CLASS]", required=False),
    ):
        command = option(command)
    return command


@click.command(name="check-policy")
@_options
@click.option("--machines", type=click.IntRange(1, 100_000), default=40, show_default=True, help="Random machines.")
@click.option("--only", type=click.IntRange(0), metavar="MACHINE", help="Go back to this one of the machines alone.")
def check_policy(name: str | None, *, machines: int, only: int | None, **said: Any) -> None:  # noqa: ANN401  options
    """Check a policy of your own, path/to/file.py:Class, or one that comes with the program, by its name.

    Plugs and unplugs memory on random machines and holds every answer to the contract: answers are zones that Linux
    has there, the same question gets the same answer, whole runs are decided as their blocks are, nothing is changed,
    no clock is looked at, and it does not take too long. Runs in processes of its own. Exit code 0 where all checks
    passed, 1 where one failed, 2 where there is no such policy.
    """

    def checked(given: Mapping[str, Any]) -> list[Verdict]:
        from policies.testkit.verdicts import policy_verdicts

        place, values = given["name"], given["values"]
        return policy_verdicts(place, values, seed=said["seed"], machines=machines, only=only, limit=said["limit"])

    _check("policy", name, said, checked)


@click.command(name="check-workload")
@_options
def check_workload(name: str | None, **said: Any) -> None:  # noqa: ANN401  options
    """Check a workload of your own, path/to/file.py:Class, or one that comes with the program, by its name.

    Runs it on a machine that has what it says that it needs, with a guest, under two policies and two seeds, in
    processes of its own, and holds every request to the contract. Exit code 0 where all checks passed, 1 where one
    failed, 2 where there is no such workload, or it does not take the parameters.
    """

    def checked(given: Mapping[str, Any]) -> list[Verdict]:
        from workloads.testkit.verdicts import workload_verdicts

        return workload_verdicts(given["name"], given["values"], seed=said["seed"], limit=said["limit"])

    _check("workload", name, said, checked)


def _check(
    kind: str, name: str | None, said: Mapping[str, Any], checked: Callable[[Mapping[str, Any]], list[Verdict]]
) -> None:
    from sim.cli.main import FAILED, BadInput
    from sim.plugins.lookup import PluginError

    template: Path | None = said["template"]
    if (name is None) == (template is None):
        raise click.UsageError(f"name a {kind}, such as my_{kind}.py:My{kind.capitalize()}, or a file for --template")
    if template is not None:
        _write_template(kind, template, force=said["force"])
        return
    began = time.monotonic()
    try:
        verdicts = checked({"name": name, "values": _nested(said["settings"])})
    except PluginError as error:
        raise BadInput(str(error)) from error
    wrong = failed(verdicts)
    if said["as_json"]:
        answer = {kind: name, "passed": not wrong, "checks": [each.as_json() for each in verdicts]}
        print_json(answer)
    else:
        _print(_command_line(kind, str(name), said["settings"]), verdicts, time.monotonic() - began)
    if wrong:
        raise click.exceptions.Exit(FAILED)


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by parameter; a key with dots leads into a table. Raises BadParameter for what is no key."""
    from sim.experiment.assignments import key_parts

    values: dict[str, Any] = {}
    for key, value in settings.items():
        parts = key_parts(key)
        if parts is None:
            raise click.BadParameter(f"{key} is no key, such as ratio or columns.time", param_hint="'--set'")
        inside: Any = values
        for part in parts[:-1]:
            inside = inside.setdefault(part, {}) if isinstance(inside, dict) else None
        if not isinstance(inside, dict):
            raise click.BadParameter(f"{key} is set inside of what is no table", param_hint="'--set'")
        inside[parts[-1]] = value
    return values


def _write_template(kind: str, file: Path, *, force: bool) -> None:
    from sim.cli.target import check_target
    from sim.results.atomic import write_atomically
    from sim.starting.text import typed

    check_target(file, force=force, suffix=".py", what="Python files")
    package = {"policy": "policies.testkit", "workload": "workloads.testkit"}[kind]
    text = files(package).joinpath("template.txt").read_text("utf-8").replace("THIS_FILE.py", file.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text.encode())
    click.echo(f"{file} is a {kind} that works. Change it, then:")
    click.echo(f"  memhp-sim check-{kind} {typed(file)}:My{kind.capitalize()}")


def _command_line(kind: str, name: str, settings: Mapping[str, Any]) -> str:
    """Return the command that checks this, with its parameters."""
    from sim.experiment.assignments import value_of

    words = ["memhp-sim", f"check-{kind}", name]
    for key, value in settings.items():
        plain = isinstance(value, str) and value_of(value) == value
        words += ["--set", f"{key}={value if plain else json.dumps(value)}"]
    return shlex.join(words)


def _print(command: str, verdicts: list[Verdict], seconds: float) -> None:
    from sim.cli.wrapping import wrapped
    from sim.plugins.verdicts import FAILED, NOT_TRIED, PASSED

    width = max(width_of_output(), 20)
    indent = " " * (_MARGIN if width >= _NARROW else 2)
    colours = {PASSED: "green", FAILED: "red", NOT_TRIED: "yellow"}
    for each in verdicts:
        outcome = each.outcome.upper() if each.outcome == FAILED else each.outcome
        note = f" ({each.what})" if each.what and each.outcome != FAILED else ""
        text = f"{each.check}: {each.what if each.outcome == NOT_TRIED else each.tried + note}"
        first, *further = wrapped(text, width, begin=f"{outcome:<{_MARGIN}}", further=indent)
        click.echo(click.style(outcome, colours[each.outcome]) + first[len(outcome) :])
        if each.outcome == FAILED:
            further += wrapped(each.what, width, begin=indent, further=indent)
            if each.again:
                further += wrapped(f"again: {command} {each.again}", width, begin=indent, further=indent)
        for line in further:
            click.echo(line)
    counts = ", ".join(f"{sum(each.outcome == one for each in verdicts)} {one}" for one in (PASSED, FAILED, NOT_TRIED))
    click.echo()
    click.echo(f"{counts} ({seconds:.1f} s)")
