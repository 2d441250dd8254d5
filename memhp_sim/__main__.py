"""The command ``memhp-sim``, also as ``python -m memhp_sim``."""

from __future__ import annotations

import sys

from memhp_sim import shadows


def main() -> None:
    """Run the command. Ends the process: with exit code 2 where other packages stand before the program's own."""
    if said := shadows():
        sys.exit(_told(said))
    from sim.cli.main import main as command

    command(prog_name="memhp-sim")


def _told(fault: str) -> int:
    print(fault, file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    main()
