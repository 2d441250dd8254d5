"""What somebody says of a machine beside its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.memory.zones import ZONE_LABELS
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator


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

    def said(self) -> Iterator[tuple[str, str]]:
        """Yield the option of the command that says each wish, and what it says."""
        for option, text in (
            ("--boot-memory", None if self.boot_memory is None else f"boot memory {format_size(self.boot_memory)}"),
            ("--kernel", None if self.kernel is None else f"kernel {self.kernel}"),
            ("--architecture", None if self.architecture is None else f"architecture {self.architecture}"),
            ("--page-size", None if self.page_size is None else f"pages of {format_size(self.page_size)}"),
            ("--zone", None if self.zone is None else f"added memory without a zone is in {ZONE_LABELS[self.zone]}"),
            ("--policy", None if self.policy is None else f"policy {self.policy}"),
        ):
            if text is not None:
                yield option, text
