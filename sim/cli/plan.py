"""``memhp-sim plan``: what would become of memory that is plugged, resized or unplugged, and what would come back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sim.cli.console import print_json, standard_console
from sim.cli.settings import set_option
from sim.cli.target import check_target

if TYPE_CHECKING:
    from sim.what_if.question import Question

_OPS: Final = ("plug", "resize", "unplug", "demand")
_ORDER: Final = "memhp-sim.order"
_EXAMPLES: Final = """\b
For example:
  memhp-sim plan guest.toml --plug dimm:16GiB@0
  memhp-sim plan guest.toml --resize vmem0:64GiB --policy auto-movable:ratio=401
  memhp-sim plan guest.toml --plug dimm:16GiB --demand kernel:2GiB
  memhp-sim plan lsmem.txt domain.xml --plug dimm:16GiB
"""


class _InOrder(click.Command):
    """A command that knows in which order its options were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as ever, and note the order."""
        *_, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


@click.command(cls=_InOrder, epilog=_EXAMPLES)
@click.argument("files", metavar="MACHINE...", nargs=-1, required=True)
@click.option(
    "--plug",
    multiple=True,
    metavar="KIND:SIZE[@NODE]",
    help="Plug a dimm, dax or virtio-mem device, such as dimm:16GiB@0 or virtio-mem:4GiB,max=64GiB. Behind a comma may"
    " stand id=NAME, address=0x140000000, block=2MiB (of virtio-mem).",
)
@click.option("--resize", multiple=True, metavar="ID:SIZE", help="Set the size of a virtio-mem device.")
@click.option("--unplug", multiple=True, metavar="ID", help="Ask for a DIMM or dax device back.")
@click.option(
    "--demand",
    multiple=True,
    metavar="KIND:SIZE",
    help="Have programs use memory, such as anonymous:4GiB or kernel:1GiB.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="Try this policy, such as auto-movable:ratio=401, or that of the file with this label. Repeatable.  [default:"
    " those of the file, and three others beside a single one]",
)
@set_option
@click.option("--machine", metavar="LABEL", help="Which machine, where the file has several.")
@click.option("--guest", is_flag=True, help="Model the guest (idle Debian) where the file does not.")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE.toml", help="Save it as an experiment to run.")
@click.option("--force", is_flag=True, help="Save it over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    files: tuple[str, ...],
    *,
    settings: dict[str, Any],
    save: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401  see below
) -> None:
    """Say where plugged memory would go on a MACHINE, what it costs and whether it fails, and what would come back.

    MACHINE is an experiment file (.toml), of which machine, guest and policies count; or files of a real machine, such
    as lsmem's output and libvirt's XML, which memhp-sim import knows (and says what it makes of them).

    Steps are made in the order given, each when the guest is done with the one before; then everything that they added
    is asked back, last things first. Without steps, all devices that the machine has are asked back.
    """
    from sim.what_if.plan import answer
    from sim.what_if.question import question
    from sim.what_if.sources import read_source

    if save is not None:
        check_target(save, force=force)
    steps = _in_order(click.get_current_context().meta[_ORDER], options)
    asked = question(read_source(files, settings), steps, **options)
    if save is not None:
        _save(asked, save)
    found = answer(asked)
    if as_json:
        print_json(found.as_json())
    else:
        from sim.cli.plan_screen import print_answer

        print_answer(standard_console(), found)
        if save is not None:
            click.echo(f"\n{save} has it as an experiment: memhp-sim run {save}")
    if any(outcome.error for outcome in found.outcomes):
        from sim.cli.main import FAILED

        raise click.exceptions.Exit(FAILED)


def _in_order(order: list[str], options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the steps among the ``options``, which they are taken out of, in the order in which they were given."""
    values = {op: iter(options.pop(op)) for op in _OPS}
    return [(op, next(values[op])) for op in order if op in values]


def _save(asked: Question, path: Path) -> None:
    import tomli_w

    from sim.experiment.effective_config import effective_tables
    from sim.results.atomic import write_atomically

    tables = effective_tables(asked.experiment)
    del tables["name"]  # the file's own, whatever it is called later
    write_atomically(path, tomli_w.dumps(tables).encode())
