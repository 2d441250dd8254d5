"""What is told of runs that failed: each reason once, with the first run that it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from sim.experiment.run_cell import Outcome
    from sim.results.failure import Stage

_REASONS_SHOWN: Final = 10


def print_failures(failed: Iterable[Outcome], console: Console, rest: str) -> None:
    """Print why runs ``failed``; of many reasons the first ten, and ``rest`` on the others."""
    from rich.text import Text

    reasons: dict[tuple[Stage, str], list[str]] = {}
    for outcome in failed:
        reasons.setdefault((outcome.stage, outcome.error), []).append(outcome.cell)
    for (stage, error), cells in list(reasons.items())[:_REASONS_SHOWN]:
        more = f", and {len(cells) - 1} more" if len(cells) > 1 else ""
        where = f" ({stage.value}): {error}\n  {cells[0]}{more}"
        console.print(Text.assemble(("failed", "red"), where), soft_wrap=True)
    if len(reasons) > _REASONS_SHOWN:
        more = f"... and {len(reasons) - _REASONS_SHOWN} more reasons{rest}"
        console.print(more, markup=False, soft_wrap=True)
