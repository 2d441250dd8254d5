"""What all drivers of one guest share: the clock, the core with its lock, durations and the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.kernel.timing import Timing
from sim.memory.errors import ENOMEM, HotplugError

if TYPE_CHECKING:
    import simpy

    from sim.kernel.hotplug_core import HotplugCore
    from sim.record.recorder import Recorder


class DriverContext:
    """Handed to every device at its creation. ``failures`` counts adds and removals of drivers that failed."""

    __slots__ = ("block_bytes", "core", "env", "failures", "page_bytes", "recorder", "timing")

    def __init__(
        self, env: simpy.Environment, core: HotplugCore, recorder: Recorder, timing: Timing | None = None
    ) -> None:
        self.env = env
        self.core = core
        self.recorder = recorder
        self.timing = Timing() if timing is None else timing
        self.page_bytes = core.memory.geometry.size
        self.block_bytes = core.memory.block_pages * self.page_bytes
        self.failures = 0

    def check_aligned(self, start: int, length: int) -> None:
        """Raise EINVAL where a range of bytes is not whole memory blocks."""
        if start % self.block_bytes or length % self.block_bytes:
            raise HotplugError.unaligned(start, length, self.block_bytes)

    def note_failure(self, device: int, error: HotplugError) -> None:
        """Record that something a driver tried has failed for good.

        An add that fails for want of memory leaves the kernel next to none, and whoever asks next starves. Raises
        GuestDied where that kills the guest.
        """
        self.failures += 1
        self.recorder.failed(self.env.now, device, error.errno)
        self.core.listener.failed(self.recorder.device_names[device], error)
        if error.errno == ENOMEM:
            self.core.listener.starved()
            self.core.threads.go_on()
