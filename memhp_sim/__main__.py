"""The command ``memhp-sim``, also as ``python -m memhp_sim``."""

from __future__ import annotations

import gc
import sys

from memhp_sim import shadows

MOST_NEW_OBJECTS = 20_000
"""Objects that are added before the garbage collector looks through them."""


def main() -> None:
    """Run the command. Ends the process: with exit code 2 where other packages stand before the program's own."""
    if fault := shadows():
        print(fault, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    # Nearly all that is imported stays until the end. To look through it after each 700 objects, as Python does, takes
    # a tenth of the start.
    gc.set_threshold(MOST_NEW_OBJECTS)
    from sim.cli.main import main as command

    command(prog_name="memhp-sim")


if __name__ == "__main__":
    main()
