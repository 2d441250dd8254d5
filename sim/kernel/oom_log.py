"""Keeps every run of the guest's out-of-memory killer: as a row of the record, and with all that is known of it.

Here all kills come together, so it is here that a guest's life ends when one of them finds nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.kernel.listener import CoreListener

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy

    from sim.guest.contract import OomEvent
    from sim.kernel.worker import Threads
    from sim.record.recorder import Recorder


class OomLog(CoreListener):
    """``kills`` are the runs of the killer so far, each with its microsecond. Kills by a demand are told to it too.

    ``threads`` end when the guest dies. ``tell`` is called with every run.
    """

    def __init__(
        self,
        env: simpy.Environment,
        recorder: Recorder,
        threads: Threads,
        tell: Callable[[OomEvent], None] | None = None,
    ) -> None:
        self._env = env
        self._recorder = recorder
        self._threads = threads
        self._tell = tell
        self.kills: list[tuple[int, OomEvent]] = []

    def out_of_memory(self, kills: tuple[OomEvent, ...]) -> None:
        """Keep and record them."""
        for kill in kills:
            self.kills.append((int(self._env.now), kill))
            if self._tell is not None:
                self._tell(kill)
            self._recorder.out_of_memory(self._env.now, kill.kind, kill.mem_available, kill.tie)
            if kill.guest_died:
                self._recorder.died(self._env.now, kill.kind, kill.mem_available)
                self._threads.end()
