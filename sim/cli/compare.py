"""``memhp-sim compare``: the policies of one or more results side by side, with what tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sim.cli.choosing import chosen_scores, no_results, readable, results_folder
from sim.cli.console import print_data, print_json, print_notes, standard_console

if TYPE_CHECKING:
    from sim.comparison.gather import Gathered
    from sim.comparison.whole import Comparison

_STANDARD_OUTPUT: Final = "-"


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--baseline", metavar="POLICY", help="What others are held against.  [default: the experiment's]")
@click.option("--policy", "policies", multiple=True, metavar="LABEL", help="Only this policy. Repeatable.")
@click.option("--machine", "machines", multiple=True, metavar="LABEL", help="Only this machine. Repeatable.")
@click.option("--workload", "workloads", multiple=True, metavar="LABEL", help="Only this workload. Repeatable.")
@click.option(
    "--scores",
    callback=chosen_scores,
    metavar="NAME,...",
    help="Only these scores, by their names in docs/scores.md.  [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/compare.md).")
@click.option("--csv", metavar="FILE", help="Write every row as CSV; - is standard output.")
@click.option("--markdown", metavar="FILE", help="Write tables for a text in Markdown.")
@click.option("--latex", metavar="FILE", help="Write tables for a text in LaTeX.")
def compare(
    results: tuple[Path, ...],
    *,
    baseline: str | None,
    policies: tuple[str, ...],
    machines: tuple[str, ...],
    workloads: tuple[str, ...],
    scores: tuple[str, ...],
    as_json: bool,
    **files: str | None,
) -> None:
    """Compare the policies of RESULTS (folders that "memhp-sim run" left): every score, with what is beyond chance.

    Policies of several folders stand side by side. They are compared in pairs where machine, workload, guest, times,
    seed and replication are the same, whatever they are called.
    """
    from sim.cli.main import FAILED, BadInput
    from sim.comparison.gather import gather
    from sim.comparison.whole import whole

    targets = {form: file for form, file in files.items() if file is not None}
    if [*targets.values()].count(_STANDARD_OUTPUT) + as_json > 1:
        raise click.UsageError("one at most can go to standard output")
    folders = []
    for path in results:
        folder = results_folder(path)
        if folder is None:
            raise BadInput(no_results(path))
        folders.append(folder)
    with readable(folders[0] if len(folders) == 1 else Path(", ".join(map(str, folders)))):
        gathered = gather(folders, baseline).only(policies, machines, workloads)
        comparison = whole(gathered, scores or None)
    _write(comparison, targets)
    if as_json:
        from sim.comparison.document import document

        print_json(document(comparison), indent=1)
    elif _STANDARD_OUTPUT not in targets.values():
        _print(comparison, gathered, asked=scores)
    if not comparison.scenarios:
        click.echo("Error: no run has completed, so there is nothing to compare", err=True)
        raise click.exceptions.Exit(FAILED)


def _write(comparison: Comparison, targets: dict[str, str]) -> None:
    """Write each form to its file, whole or not at all."""
    from sim.comparison.forms import FORMS
    from sim.results.atomic import write_atomically

    for form, target in targets.items():
        text = FORMS[form](comparison)
        if target == _STANDARD_OUTPUT:
            print_data(text)
        else:
            write_atomically(Path(target), text.encode())


def _print(comparison: Comparison, gathered: Gathered, *, asked: tuple[str, ...]) -> None:
    from sim.analysis.wording import MOST_SCENARIOS
    from sim.cli.compare_screen import print_overview, print_scenarios

    console = standard_console()
    print_notes(standard_console(stderr=True), gathered.notes)
    if len(comparison.scenarios) > MOST_SCENARIOS:
        print_overview(console, comparison)
    else:
        print_scenarios(console, comparison, asked)
