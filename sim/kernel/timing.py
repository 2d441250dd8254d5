"""How long things take in the guest: one place, each default with its source, or what it was guessed from.

All in microseconds. How long a rule of user space waits is the policy's matter (:mod:`policies.user_space`).

Zone decisions do not depend on these; the order of events of several devices does, and so does every score that
counts byte-seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

_128_MIB = 128 * MIB


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of hotplug work.

    Raises ValueError where one is negative.
    """

    virtio_mem_plug: int = 26_500
    """Plug, add and online 128 MiB by virtio-mem. 47 GiB were there when the next request came, 10.06 s after the
    first: neondatabase/autoscaling PR 705, the incident ``neon-vmem-48g``."""
    virtio_mem_unplug: int = 18_000
    """Offline, remove and unplug a free 128 MiB by virtio-mem. 47 GiB in 6.8 s: same source, ``neon-vmem-48g``."""
    dimm_add: int = 9_000
    """Add and online 128 MiB of a DIMM or dax device.

    No published figure: half of what virtio-mem needs less its talk with the device.
    """
    online: int = 5_000
    """User space puts a 128 MiB block online by hand. No published figure: about what taking it offline takes."""
    offline: int = 4_000
    """Take a free 128 MiB block offline. 3 to 5 ms a block: intel/nemu issue 71; 2 to 12 ms: T. Chen, linux-mm,
    2013-06-19."""
    refused: int = 0
    """What an attempt that is refused takes beyond ``offline``.

    In intel/nemu issue 71 the refusal came 3 ms after the block before it.
    """
    migrate: int = 100_000
    """Move 128 MiB of used pages elsewhere, on top of ``offline``: about 1.25 GiB/s, a single copying thread."""
    retry_first: int = 50_000_000
    """virtio-mem: wait before the first retry (``VIRTIO_MEM_RETRY_TIMER_MIN_MS``)."""
    retry_most: int = 300_000_000
    """virtio-mem: the wait doubles up to this (``VIRTIO_MEM_RETRY_TIMER_MAX_MS``)."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) < 0:
                raise ValueError(f"{entry.name} must not be negative, but is {getattr(self, entry.name)} microseconds")

    @classmethod
    def instant(cls) -> Timing:
        """Return a timing in which work takes no time and only the retry timer runs: for replaying recorded steps."""
        return cls(virtio_mem_plug=0, virtio_mem_unplug=0, dimm_add=0, online=0, offline=0, refused=0, migrate=0)


@dataclass(frozen=True, slots=True)
class Profile:
    """Times of a kind of host: those that are known of it; all others are the defaults."""

    summary: str
    source: str
    times: Mapping[str, int] = field(default_factory=dict)

    def timing(self) -> Timing:
        """Return all times."""
        return Timing(**self.times)


PROFILES: Final = {
    "neon": Profile(
        "QEMU with KVM in a cloud, as an autoscaler saw it; the default",
        "neondatabase/autoscaling PR 705 and incident neon-vmem-48g: an upper bound, requests included",
    ),
    "neonvm-pr705": Profile(
        "the host of the log neonvm-pr705, as its kernel log has it",
        "neondatabase/autoscaling PR 705, second of three cycles of 47 GiB: first block online 10.525 ms after the"
        " request, 376 blocks gone 6.790 s after theirs, both measured. That all had come when the next request did,"
        " after 10.06 s, is an upper bound: 26.8 ms a block",
        {"virtio_mem_plug": 10_525, "virtio_mem_unplug": 18_059},
    ),
    "sail-2026": Profile(
        "the host of the log sail-2026, as meminfo in its guest has it",
        "AlexCSalinas/cto at 7057171, stepped run, second of two growths: MemTotal rises by 31 blocks between two"
        " samples 0.2 s apart, an upper bound of 6.45 ms a block. Of memory that goes no more is known than that it had"
        " gone after 16 s, so that the default stands",
        {"virtio_mem_plug": 6_450},
    ),
    "qemu-bare": Profile(
        "QEMU 8.2 with KVM on bare metal",
        "luhsra/hyperalloc-bench, commit a385a2d, 18 GiB between 2 and 20 GiB: plug 1.36 ms per 128 MiB; unplug 3.29 of"
        " memory never touched, 4.02 of memory that was, which is taken",
        {"virtio_mem_plug": 1_360, "virtio_mem_unplug": 4_020},
    ),
    "qemu-vfio": Profile(
        "the same with a network card passed through, so that the host pins all plugged memory",
        "luhsra/hyperalloc-bench, commit a385a2d: plug 29.3 ms per 128 MiB; unplug 5.82 of memory never touched, 6.12"
        " of memory that was, which is taken",
        {"virtio_mem_plug": 29_300, "virtio_mem_unplug": 6_120},
    ),
}
"""Profiles of ``[timing]`` by name. What DIMMs, blocks and moving pages take is published for none of these hosts."""


def scale(us: int, size: int) -> int:
    """Return what ``us`` for 128 MiB is for ``size`` bytes, rounded down."""
    return us * size // _128_MIB
