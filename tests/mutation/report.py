"""Says how many mutants were noticed in each area, and which of those that were not have no reason.

``survivors.toml`` beside this file holds the reasons. Each entry names functions (a pattern), optionally the changed
lines (a regular expression), whether the mutants are ``equivalent`` (no run can differ) or ``accepted`` (a difference
that no test needs to see), and why. Exit code 1 where an area is under the floor or a survivor has no reason.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.mutation.results import AREAS, Mutant, change, mutants

FLOOR: Final = 0.85
"""Share of the valid mutants of each area that has to be noticed."""
SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
KINDS: Final = ("equivalent", "accepted")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why mutants that no test notices are all right."""

    functions: str
    change: re.Pattern[str]
    kind: str
    why: str

    def fits(self, mutant: Mutant, text: str) -> bool:
        """Whether this speaks of ``mutant``, whose change is ``text``."""
        return fnmatchcase(mutant.function, self.functions) and self.change.search(text) is not None


def reasons(path: Path = SURVIVORS) -> list[Reason]:
    """Return what the file says. Raises ValueError for an entry that is not complete."""
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["survivor"]:
        if entry.keys() - {"change"} != {"functions", "kind", "why"} or entry["kind"] not in KINDS:
            raise ValueError(f"{path}: an entry has functions, kind ({' or '.join(KINDS)}) and why: {entry}")
        pattern = re.compile(entry.get("change", ""), re.MULTILINE)
        found.append(Reason(entry["functions"], pattern, entry["kind"], entry["why"]))
    return found


def main(survivors: Path = SURVIVORS) -> int:
    """Print the table and the survivors without a reason; return an exit code."""
    known = reasons(survivors)
    tried: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    typed: Counter[str] = Counter()
    judged: Counter[tuple[str, str]] = Counter()
    every = mutants()
    total = Counter(mutant.area for mutant in every)
    open_ones: list[tuple[Mutant, str]] = []
    for mutant in every:
        if mutant.by_types:
            # Given away before any test runs: it says nothing about the tests.
            typed[mutant.area] += 1
            continue
        tried[mutant.area] += mutant.tried
        noticed[mutant.area] += mutant.noticed
        if mutant.unnoticed:
            text = change(mutant)
            reason = next((reason for reason in known if reason.fits(mutant, text)), None)
            judged[mutant.area, "open" if reason is None else reason.kind] += 1
            if reason is None:
                open_ones.append((mutant, text))
    for mutant, text in open_ones:
        print(f"{mutant.name}\n{text}\n")  # noqa: T201
    print("area      mutants  by types  tried  noticed  equivalent  accepted  open  share")  # noqa: T201
    bad = bool(open_ones)
    for area in AREAS:
        valid = tried[area] - judged[area, "equivalent"]
        share = noticed[area] / valid if valid else 0.0
        bad |= share < FLOOR
        print(  # noqa: T201
            f"{area:<9} {total[area]:>7} {typed[area]:>9} {tried[area]:>6} {noticed[area]:>8}"
            f" {judged[area, 'equivalent']:>11} {judged[area, 'accepted']:>9} {judged[area, 'open']:>5} {share:>6.1%}"
        )
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
