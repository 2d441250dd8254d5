"""What one simulated cell leaves behind, before it is scored, stored or drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from sim.record.device_group import DeviceGroup


SEVERAL_ZONES: Final = -1
"""Instead of a zone's number: zones share the block."""


class BootRun(NamedTuple):
    """Adjacent boot blocks that are alike: ``blocks`` from ``first``, in ``zone`` (or SEVERAL_ZONES) of ``node``."""

    first: int
    blocks: int
    zone: int
    node: int


@dataclass(frozen=True, slots=True)
class BootMemory:
    """The machine's memory before hotplug.

    ``early_kernel_pages`` is KE of the auto-movable statistics at boot (present early pages of kernel zones minus CMA),
    ``movable_pages`` MV at boot.
    """

    runs: tuple[BootRun, ...]
    kernel_pages: int
    movable_pages: int
    early_kernel_pages: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """A cell's raw outcome.

    ``events`` has shape (n, 7), columns :data:`sim.record.recorder.EVENT_COLUMNS`, in order of simulated time.
    ``duration_us`` is the simulated end. ``device_groups`` holds the memory group of each device; empty where that is
    not known. ``counters`` are totals kept by the core (``decisions``, ``failed_requests``, ...). ``guest`` holds the
    guest's sampled series by name, each an array as long as ``guest["t_us"]``; empty without a guest model.
    """

    events: npt.NDArray[np.int64]
    device_names: tuple[str, ...]
    device_nodes: tuple[int, ...]
    block_pages: int
    duration_us: int
    boot: BootMemory
    configured_ratio: int | None
    counters: Mapping[str, int]
    guest: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    device_groups: tuple[DeviceGroup, ...] = ()
