"""What checks of a plug-in say: one verdict a check, as a test runner prints them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_TRIED: Final = "not tried"

LIMIT_S: Final = 120.0
"""Seconds that a process which checks may take, unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check: its name, what was ``tried`` in a line, and how it came out.

    ``outcome`` is PASSED, FAILED or NOT_TRIED. ``what`` says what is wrong, why it was not tried, or of one that passed
    what an author should know. ``again`` are options of the command that lead back to a failure, such as
    ``--seed 0 --only 17``.
    """

    check: str
    tried: str
    outcome: str = PASSED
    what: str = ""
    again: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def failed(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return those that failed."""
    return [each for each in verdicts if each.outcome == FAILED]


def never_ended(checks: Mapping[str, str], why: str, again: str = "") -> list[Verdict]:
    """Return the verdicts of a plug-in that did not come to its end, for the reason ``why``: "never ends".

    ``checks`` says of each by name what is tried; the first, which is that it ends, failed, and no other was tried.
    """
    (ends, tried), *others = checks.items()
    return [
        Verdict(ends, tried, FAILED, f"it {why}", again),
        *(Verdict(check, what, NOT_TRIED, "it has to end first") for check, what in others),
    ]
