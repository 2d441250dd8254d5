"""``memhp-sim import``: an experiment file from what people have of a machine, and an account of how it came about."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.console import print_data, print_json, width_of_output
from sim.cli.machine_options import machine_options, wishes_of
from sim.cli.target import check_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sim.snapshot.account import Account

_EXAMPLES: Final = """\b
For example:
  lsmem --output-all > lsmem.txt                 (in the guest)
  virsh dumpxml guest > guest.xml                (on its host)
  memhp-sim import guest.xml lsmem.txt --out guest.toml
  memhp-sim plan guest.toml --plug dimm:16GiB
"""


@click.command(name="import", epilog=_EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), metavar="NAME.toml", help="Write the experiment to this file.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print experiment and account as JSON.")
@machine_options
def import_(
    files: tuple[str, ...],
    *,
    out: Path | None,
    force: bool,
    as_json: bool,
    **said: Any,  # noqa: ANN401  what machine_options have
) -> None:
    """Make an experiment file of a machine from FILEs that tell of it; each is recognised by its content.

    From the machine: lsmem (best with --output-all, or --json), a copy of /sys/devices/system/memory and
    /sys/devices/system/node (folder or tar), /proc/zoneinfo, /proc/meminfo, free, /proc/cmdline, uname -a, getconf
    PAGESIZE, a boot log, an out-of-memory report. From its host: libvirt's XML (virsh dumpxml), QEMU's command line,
    info memory-devices or query-memory-devices. Several files of one machine say more together; - is standard input.

    Says line by line what was taken from where, what was assumed and what could not be known.
    """
    from sim.experiment.imported import experiment_tables, experiment_text
    from sim.readers.reading import read_facts
    from sim.snapshot.assembly import put_together

    if out is not None:
        check_target(out, force=force)
    imported = put_together(read_facts(files), wishes_of(said))
    tables = experiment_tables(imported, said["policy"])
    text = experiment_text(tables, imported, files)
    if out is not None:
        from sim.results.atomic import write_atomically

        write_atomically(out, text.encode())
    if as_json:
        print_json({"experiment": tables, "account": _as_json(imported.account)})
        return
    width = width_of_output()
    if out is None:
        print_data(text)
    for line in lists(imported.account.parts(), width):
        click.echo(line, err=out is None)
    if out is not None:
        click.echo(f"\n{out} has the machine. What next:")
        for line in (f"memhp-sim show {out}", f"memhp-sim plan {out} --plug dimm:1GiB"):
            click.echo(f"  {line}")


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "taken": [{"what": each.what, "file": each.file, "place": each.place} for each in account.taken],
        "conflicts": account.conflicts,
        "assumed": [each._asdict() for each in account.assumed],
        "unknown": account.unknown,
        "left_out": [each._asdict() for each in account.left],
    }


def lists(parts: Iterable[tuple[str, Sequence[str]]], width: int) -> Iterator[str]:
    """Yield the lines of each part that is not empty: its heading, and its entries under it."""
    from sim.experiment.imported import printable

    for number, (heading, entries) in enumerate(part for part in parts if part[1]):
        if number:
            yield ""
        yield heading
        for entry in entries:
            yield from textwrap.wrap(
                printable(entry), max(width, 20), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
            )
