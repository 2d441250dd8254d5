"""What somebody says of a machine beside its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wishes:
    """What goes before all files, None where nothing is said.

    ``boot_memory`` and ``page_size`` in bytes; ``kernel`` a series or release; ``zone`` the zone's number of added
    blocks of which no file tells the zone; ``policy`` a policy's name for the experiment.
    """

    boot_memory: int | None = None
    kernel: str | None = None
    architecture: str | None = None
    page_size: int | None = None
    zone: int | None = None
    policy: str | None = None
