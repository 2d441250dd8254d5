"""The command ``memhp-sim``: the table of its sub-commands (``SECTIONS``, where one is added), and its exit codes.

A sub-command is imported when it is called, so that the command starts fast.

Exit codes: 0 all is well, 1 a check or a run failed, 2 bad input, or nowhere to write to, 130 interrupted. A pipe that
is closed early, as by ``head``, changes none of them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from sim import __version__
from sim.cli.interrupts import interrupts
from sim.cli.outputs import nobody_reads, outputs
from sim.results.damage import DamageWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Before NumPy is loaded. Its products are small here: on a busy machine, threads that wait for each other take thirty
# times as long as one alone, and cells run beside each other anyway.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

SECTIONS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Find a setting": {
        "run": ("sim.cli.run:run", "Run an experiment: simulate, score, compare, plot."),
        "new": ("sim.cli.new:new", "Write an experiment to start from: machine and demand."),
        "recommend": ("sim.cli.recommend:recommend", "Say which setting to take, how sure, and what it gives up."),
        "compare": ("sim.cli.compare:compare", "Compare the policies of results: what is beyond chance."),
        "report": ("sim.cli.report:report", "Write what results say into one HTML file."),
    },
    "Experiments": {
        "experiments": ("sim.cli.experiments:experiments", "List the experiments that come with the program."),
        "validate": ("sim.cli.experiment:validate", "Check an experiment file and say what it would run."),
        "rerun": ("sim.cli.run:rerun", "Run again what a manifest describes."),
        "check": ("sim.cli.check:check", "Say which files of results are damaged, and what to do."),
        "policies": ("sim.cli.plugins:policies", "List the onlining policies with their parameters."),
        "workloads": ("sim.cli.plugins:workloads", "List the workloads; describe a demand trace."),
        "presets": ("sim.cli.presets:presets", "List guests, times and loads that experiments can name."),
        "schema": ("sim.cli.experiment:schema", "Print the JSON Schema of experiment files."),
    },
    "Your own plug-ins": {
        "check-policy": ("sim.cli.check_plugin:check_policy", "Check a policy of your own against its contract."),
        "check-workload": ("sim.cli.check_plugin:check_workload", "Check a workload of your own against its contract."),
    },
    "Machines": {
        "import": ("sim.cli.import_:import_", "Make a machine's experiment file: lsmem, libvirt XML, ..."),
        "show": ("sim.cli.show:show", "Print a machine's memory as lsmem does, at any moment."),
        "plan": ("sim.cli.plan:plan", "Say where plugged memory would go, and what comes back."),
    },
    "A run in detail": {
        "explain": ("sim.cli.replay:explain", "Show zone decisions in order, each with its reason."),
        "export": ("sim.cli.export:export", "Write a run's requests and events as CSV, JSONL or Parquet."),
    },
    "The model against real kernels": {
        "replay": ("sim.cli.replay:replay", "Replay recorded kernels and compare block by block."),
        "calibration": ("sim.cli.replay:calibration", "Compare the guest model with recordings under load."),
        "incidents": ("sim.cli.incidents:incidents", "Simulate published incidents and compare them."),
    },
}
"""Sub-commands by what they are for: where each is, and one line for the list, which imports none of them."""

COMMANDS: Final = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
"""All sub-commands, in that order."""


class BadInput(click.ClickException):
    """Bad input, reported on stderr without a traceback."""

    exit_code = BAD_INPUT


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and which turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` name; an unknown one gets a hint."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from sim.faults import unknown_name

            ctx.fail(unknown_name("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        wide = max(map(len, COMMANDS))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{wide}}", summary) for name, (_, summary) in section.items()])

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as click's
        """Run the command line, and end the process, unless ``standalone_mode`` is False."""
        with outputs() if options.get("standalone_mode", True) else contextlib.nullcontext():
            return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> click.Context:  # noqa: ANN401  as click's
        """Return the context of the arguments, which are read in it."""
        try:
            return super().make_context(*args, **options)
        except KeyboardInterrupt:
            _interrupted()

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what a user typed wrong is told in words, never as a traceback."""
        with interrupts() as found:
            try:
                return self._invoke(ctx)
            except KeyboardInterrupt:
                _interrupted()
            except (click.exceptions.Exit, click.Abort):
                raise
            except Exception:
                if found.came:  # extension modules make something else of it
                    _interrupted()
                raise

    def _invoke(self, ctx: click.Context) -> object:
        from sim.cli.reading_progress import shown_while_reading

        try:
            with _damage_told(), shown_while_reading():
                return super().invoke(ctx)
        except ValueError as error:
            _report(error)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and nobody_reads():  # what would have been all that the command does
                ctx.exit(0)
            from sim.results.atomic import no_room

            where = f"{error.filename}: " if error.filename else ""
            then = "; make room there, and run the command again" if no_room(error) else ""
            raise BadInput(f"{where}{error.strerror or error}{then}") from error


def _interrupted() -> NoReturn:
    click.echo("Interrupted.", err=True)
    raise click.exceptions.Exit(INTERRUPTED)


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    """Print what cannot be read of results, each once, without the line of code that Python's warnings show."""
    told: set[str] = set()
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:  # noqa: ANN401
            if not issubclass(category, DamageWarning):
                others(message, category, *where, **more)
            elif str(message) not in told:
                told.add(str(message))
                click.echo(f"Warning: {message}", err=True)

        warnings.simplefilter("always", DamageWarning)
        warnings.showwarning = show
        yield


def _report(error: ValueError) -> NoReturn:
    """Turn faults in a user's input into a message; anything else is a mistake of the program and stays an error."""
    from sim.faults import InputError

    if isinstance(error, InputError):
        raise BadInput(str(error)) from error
    raise error


class _Narrow(click.HelpFormatter):
    """Help that fits a terminal that is narrower than click expects."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  as click's
        super().__init__(*args, **options)
        columns = shutil.get_terminal_size().columns
        if columns < 52:  # noqa: PLR2004  click's least width, and its margin
            self.width = max(columns - 1, 20)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write the list in two columns, neither of which takes more than half of the width."""
        super().write_dl(list(rows), min(col_max, self.width // 2), min(col_spacing, self.width // 20 + 1))


click.Context.formatter_class = _Narrow


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="memhp-sim")
def main() -> None:
    """Simulate Linux memory hotplug: which zone should plugged memory go to?

    Start with: memhp-sim run quickstart
    """
