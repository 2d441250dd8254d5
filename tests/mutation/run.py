"""Puts mistakes into the code, one at a time, and sees whether the tests notice: mutmut over the areas of the model.

``python -m tests.mutation.run`` tries what has not been tried yet, so a run that was stopped goes on where it was;
``--share 10`` tries a tenth of them, drawn by name and so the same every time. ``tests.mutation.report`` says what was
noticed.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys

from tests.mutation import typed
from tests.mutation.results import AREAS, Mutant, mutants


def chosen(mutant: Mutant, share: float) -> bool:
    """Whether ``mutant`` is among ``share`` percent of all: by its name, so that a sample does not change."""
    number = int(hashlib.sha256(mutant.name.encode()).hexdigest()[:8], 16)
    return number % 10_000 < share * 100


def main() -> int:
    """Try mutants; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("areas", nargs="*", help=f"what to try, all by default: {', '.join(AREAS)}")
    parser.add_argument("--share", type=float, default=100.0, help="percent of the mutants to try")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    options = parser.parse_args()
    unknown = [area for area in options.areas if area not in AREAS]
    if unknown:
        parser.error(f"no area {unknown[0]!r}; there are {', '.join(AREAS)}")
    areas = options.areas or list(AREAS)
    # Writes all mutants down and finds the tests of each function; tries next to none.
    code = _mutmut(["sim.memory.zones.*__mutmut_1"])
    if code:
        return code
    typed.check()
    left = [
        mutant.name
        for mutant in mutants()
        if mutant.area in areas
        and chosen(mutant, options.share)
        and (not mutant.tried or (options.again and mutant.unnoticed))
    ]
    print(f"{len(left)} mutants to try")  # noqa: T201
    return _mutmut(left) if left else 0


def _mutmut(names: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "mutmut", "run", *names], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
