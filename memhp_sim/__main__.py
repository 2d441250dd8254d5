"""The command ``memhp-sim``, also as ``python -m memhp_sim``."""

from __future__ import annotations

import sys

from memhp_sim import shadows


def main() -> None:
    """Run the command. Ends the process: with exit code 2 where other packages stand before the program's own."""
    if fault := shadows():
        print(fault, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    from sim.cli.main import main as command

    command(prog_name="memhp-sim")


if __name__ == "__main__":
    main()
