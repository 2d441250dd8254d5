"""``memhp-sim new``: an experiment file to start from, explained line by line."""

from __future__ import annotations

import shlex
import textwrap
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.console import width_of_output
from sim.cli.import_ import lists
from sim.cli.machine_options import machine_options, wishes_of
from sim.cli.target import check_target
from sim.cli.trace_columns import column_options, mapping_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXAMPLES: Final = """\b
For example:
  memhp-sim new first.toml
  memhp-sim new guest.toml --from-machine domain.xml --demand demand.csv
  memhp-sim new guest.toml --from-machine domain.xml --demand vms.csv --series vm --user used_mib:1MiB
  memhp-sim new mine.toml --like neon-x60
"""


@click.command(epilog=_EXAMPLES)
@click.argument("file", metavar="FILE.toml", type=click.Path(path_type=Path))
@click.option(
    "--from-machine",
    "files",
    multiple=True,
    metavar="FILE",
    help="A file of the machine, as memhp-sim import reads them: libvirt's XML, lsmem, /proc/meminfo, ... Repeatable.",
)
@click.option(
    "--demand",
    type=click.Path(path_type=Path),
    metavar="TRACE",
    help="How much memory was used over time: CSV, Parquet or JSON of Prometheus.",
)
@click.option(
    "--like",
    metavar="NAME",
    help="Start from the text of an experiment: a shipped one (memhp-sim experiments lists them), or a file.",
)
@click.option("--device", "kind", type=click.Choice(["virtio-mem", "dimm", "cxl"]), help="What memory is plugged as.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@machine_options
@partial(column_options, without=("kernel",))  # --kernel is the machine's
def new(
    file: Path,
    *,
    files: tuple[str, ...],
    demand: Path | None,
    like: str | None,
    kind: str | None,
    force: bool,
    **said: Any,  # noqa: ANN401  what machine_options and column_options have
) -> None:
    """Write an experiment to start from into FILE.toml: it runs as it is, and says what each line means.

    With files of a machine it has that machine, with a demand trace that demand, and a controller that suits the
    machine's devices. Columns of the trace are recognised by their names where those are clear, and asked for where
    not: --time, --series, --user and the like say which is which. With --like it has the text of another experiment,
    in which your machine and your demand take the place of its own.
    """
    check_target(file, force=force)
    _check_used(said, machine=bool(files), demand=demand is not None)
    from sim.results.atomic import write_atomically
    from sim.starting.put_together import Wanted, put_together

    wanted = Wanted(
        files=files,
        wishes=wishes_of(said),
        kind=kind,
        demand=demand,
        columns=mapping_of({name: value for name, value in said.items() if name != "kernel"}),
        whole_mapping=said["columns"] is not None,
        command=_typed(),
        like=like,
        force=force,
    )
    with _folder_of(file):
        written = put_together(wanted, file)
        for target, source in written.copies.items():
            write_atomically(target, source.read_bytes())
        write_atomically(file, written.text.encode())
    width = max(width_of_output(), 20)
    for line in lists(written.account, width):
        click.echo(line)
    click.echo()
    click.echo(textwrap.fill(f"{file} is an experiment that runs as it is. What next:", width, break_on_hyphens=False))
    for line in _next(file):
        click.echo(f"  {line}")


def _check_used(said: dict[str, Any], *, machine: bool, demand: bool) -> None:
    """Refuse options of a machine's files and of a trace where there are none."""
    of_machine = ("kernel", "architecture", "page_size", "zone")
    of_demand = [name for name in sorted(said) if name not in (*of_machine, "boot_memory", "policy")]
    for names, there, needed in ((of_machine, machine, "--from-machine FILE"), (of_demand, demand, "--demand TRACE")):
        given = [f"--{name.replace('_', '-')}" for name in names if said[name]]
        if given and not there:
            raise click.UsageError(f"{', '.join(given)}: needs {needed}")


@contextmanager
def _folder_of(file: Path) -> Iterator[None]:
    """Have the folder of ``file`` there, from which paths are seen; what was made goes again where the body fails."""
    made = [folder for folder in (file.parent, *file.parent.parents) if not folder.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # where there is something in it
            for folder in made:
                folder.rmdir()
        raise


def _typed() -> str:
    import sys

    return shlex.join(["memhp-sim", *sys.argv[1:]])


def _next(file: Path) -> Iterator[str]:
    from sim.starting.text import typed

    name = typed(file)
    yield f"memhp-sim validate {name}"
    yield f"memhp-sim run {name}"
    yield f"memhp-sim recommend {name}"
    yield f"memhp-sim report results/{shlex.quote(f'{file.stem}-recommend')}"
