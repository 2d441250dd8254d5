"""Workloads around another one, which say of it what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Iterable


class Wrapping(Workload):
    """A workload around another, ``inside``, whose name, duration and needs it has. It says itself how it is run."""

    def __init__(self, inside: Workload) -> None:
        self.name = inside.name  # type: ignore[misc]  # what goes wrong is said of it
        self.inside = inside

    def duration(self) -> float:
        """Seconds of simulated time, as the workload has it."""
        return self.inside.duration()

    def node_capacity(self) -> Iterable[int]:
        """The nodes of the workload."""
        return self.inside.node_capacity()

    def needs_dimms(self) -> bool:
        """Whether the workload does."""
        return self.inside.needs_dimms()

    def needs_kernel(self) -> str | None:
        """The kernel series that the workload needs."""
        return self.inside.needs_kernel()

    def recording(self) -> str | None:
        """What the workload plays."""
        return self.inside.recording()
