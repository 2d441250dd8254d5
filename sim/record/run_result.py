"""What one simulated cell leaves behind, before it is scored, stored or drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.memory.zones import NR_ZONES
from sim.pages import SMALLEST_PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from sim.record.device_group import DeviceGroup


SEVERAL_ZONES: Final = -1
"""Instead of a zone's number: zones share the block."""


class BootRun(NamedTuple):
    """Adjacent boot blocks that are alike: ``blocks`` from ``first``, in ``zone`` of ``node``.

    SEVERAL_ZONES stands for a block that zones share, NR_ZONES for one that is offline.
    """

    first: int
    blocks: int
    zone: int
    node: int


@dataclass(frozen=True, slots=True)
class BootMemory:
    """The machine's memory before hotplug.

    ``kernel_pages`` and ``movable_pages`` are present pages of the kernel zones and of ZONE_MOVABLE, each page counted
    once; ``cma_pages`` are those of the kernel zones that lie in CMA areas.
    """

    runs: tuple[BootRun, ...]
    kernel_pages: int
    movable_pages: int
    cma_pages: int = 0

    @property
    def offline_blocks(self) -> int:
        """Boot blocks that are offline when the run starts."""
        return sum(run.blocks for run in self.runs if run.zone == NR_ZONES)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a policy that looked ahead found before the run: see :meth:`policies.contract.Policy.foresee`.

    ``proved`` says that no zones are better; ``rehearsals`` how often the run was rehearsed; ``bound_byte_seconds`` is
    what no zones can pass of the score ``movable_byte_seconds``, None where no bound is known.
    """

    proved: bool
    rehearsals: int
    bound_byte_seconds: float | None


@dataclass(frozen=True, slots=True)
class KernelNeed:
    """What kernel zones hold in every run in which no kernel request fails, whatever zones memory goes to. Pages.

    ``boot_free`` was free in kernel zones once the guest had booted. Each memory block that is added takes ``memmap``
    of it; 0 where blocks may hold their own. ``demand`` has rows of (microsecond, pages): from then on programs ask for
    at least so much kernel memory that nobody can be killed for.
    """

    boot_free: int
    memmap: int
    demand: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RunResult:
    """A cell's raw outcome.

    ``events`` has shape (n, 7), columns :data:`sim.record.recorder.EVENT_COLUMNS`, in order of simulated time. All
    counts of pages, here and in ``guest``, are base pages of ``page_size`` bytes.
    ``duration_us`` is the simulated end. ``device_groups`` holds the memory group of each device; empty where that is
    not known. ``counters`` are totals kept by the core (``decisions``, ``failed_requests``, ...). ``guest`` holds the
    guest's sampled series by name, each an array as long as ``guest["t_us"]``; empty without a guest model.
    ``foreseen`` is what the policy found when it looked ahead, None where it did not. ``guest_drawn`` are the guest's
    parameters that were drawn at random, by name. ``kernel_need`` is known where a
    guest is modelled, and not kept in files.
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
    kernel_need: KernelNeed | None = None
    foreseen: Foreseen | None = None
    page_size: int = SMALLEST_PAGE
    guest_drawn: Mapping[str, float] = field(default_factory=dict)
