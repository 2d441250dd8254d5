"""The best ratio of auto-movable, worked out by hand as docs/which-ratio.md does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from tests.support.pages import PAGE_SIZE

MEMMAP: Final = 1 / 64
"""Bytes of memmap for each byte that is plugged."""


@dataclass(frozen=True)
class Setting:
    """A guest that grows: bytes, and bytes per second."""

    device: str
    boot: int
    step: int
    size: int
    pace: float
    growth: float
    kernel: float

    @property
    def own_counts(self) -> bool:
        """Whether the device's own kernel memory counts for its ratio: it is a dynamic group."""
        return self.device != "dimm"

    @property
    def step_percent(self) -> float:
        """What is asked for at a time, in percent of boot memory."""
        return 100 * self.step / kernel_memory_at_boot(self.boot)


@cache
def kernel_memory_at_boot(boot: int) -> int:
    """Bytes of boot memory that the ratio is of."""
    return lay_out(MachineSpec(nodes=(NodeSpec(boot),))).memory.system.early_kernel * PAGE_SIZE


def race(setting: Setting, free: int) -> float:
    """What is plugged until the kernel would have used up ``free``, all being MOVABLE, in percent of boot memory."""
    until = free / (setting.growth + setting.pace * MEMMAP)
    return 100 * setting.pace * until / kernel_memory_at_boot(setting.boot)


def balance(setting: Setting, free: int) -> float:
    """What may be MOVABLE when the kernel has stopped growing, in percent of the kernel memory that counts."""
    plugged = min(setting.size, setting.pace * setting.kernel / setting.growth)
    needed = max(0.0, setting.kernel + plugged * MEMMAP - free)
    return 100 * (plugged - needed) / (kernel_memory_at_boot(setting.boot) + needed * setting.own_counts)


def best(setting: Setting, free: int) -> float:
    """The ratio, in percent, above which the kernel runs out of memory."""
    return min(race(setting, free), balance(setting, free))
