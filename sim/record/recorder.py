"""What a run records: one row for every change, kept as integers while the run lasts and handed out as arrays.

The record of a run is a table of events (see :data:`EVENT_COLUMNS`). Every series (MOVABLE over time, plugged size,
...) follows from it by summing deltas, so the hot path appends one row per change and nothing else. A row may stand
for a run of adjacent blocks that changed together. Rows of blocks that changed one after the other, in even steps of
time, are kept as what they have in common until the table is asked for.
"""

from __future__ import annotations

from array import array
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.guest.contract import OomKind
from sim.memory.errors import ENOMEM
from sim.record.device_group import WITHOUT_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from sim.record.device_group import DeviceGroup


class EventKind(IntEnum):
    """What an event row says happened."""

    PLUG = 1
    """Blocks were added and put online in ``zone`` in one go (auto-online)."""
    ADD = 2
    """Blocks were added and stay offline."""
    ONLINE = 3
    """Blocks that were there went online in ``zone``."""
    OFFLINE = 4
    """Blocks left ``zone`` and stay as offline blocks."""
    REMOVE = 5
    """Offline blocks were removed."""
    UNPLUG = 6
    """Blocks left ``zone`` and were removed in one go."""
    SUBPLUG = 7
    """virtio-mem plugged ``pages`` into block ``block`` that was there already (state and zone unchanged)."""
    SUBUNPLUG = 8
    """virtio-mem unplugged ``pages`` of block ``block``, which stays."""
    REQUEST = 9
    """The host asked: ``pages`` is the device's requested size from now on (absolute, not a change)."""
    REFUSED = 10
    """An attempt to take blocks offline was refused (``count`` blocks of ``zone``)."""
    FAILED = 11
    """A request of the host or an add failed; ``zone`` holds the errno."""
    OOM = 12
    """The guest ran out of memory; ``zone`` holds the kind, see :class:`sim.guest.OomKind`, ``pages`` MemAvailable.

    ``count`` is the loads among which chance chose the victim: 1 where one stood out, or where there was none.
    """
    DEVICE = 13
    """A device was attached (``count`` 1) or is gone (``count`` 0)."""
    DEATH = 14
    """The guest died: the out-of-memory killer, in the row before, found nobody. ``zone`` and ``pages`` as for OOM."""


NO_DEVICE: Final = -1
"""In the column ``device``: none, such as where boot memory changes."""
NO_BLOCK: Final = -1
"""In the column ``block``: the event is not about memory blocks."""
NO_ZONE: Final = -1
"""In the column ``zone``: the blocks are in no zone, or the event is not about memory blocks."""

EVENT_COLUMNS: Final = ("t_us", "kind", "device", "block", "count", "zone", "pages")
"""``t_us``: simulated microseconds. ``kind``: an :class:`EventKind`. ``device``: index into the run's device names, or
NO_DEVICE. ``block``: first block id, or NO_BLOCK. ``count``: blocks. ``zone``: zone number (see
:class:`sim.memory.zones.ZoneType`), or NO_ZONE. ``pages``: change of the device's plugged pages: to be
added for PLUG, ADD and SUBPLUG, to be subtracted for REMOVE, UNPLUG and SUBUNPLUG, 0 for ONLINE and OFFLINE, which
change nothing that is plugged."""

# Plain integers: a member of an enumeration takes longer to find and to pack.
_DEVICE: Final = int(EventKind.DEVICE)
_REQUEST: Final = int(EventKind.REQUEST)
_FAILED: Final = int(EventKind.FAILED)
_OOM: Final = int(EventKind.OOM)
_DEATH: Final = int(EventKind.DEATH)

ATTACHED: Final = 1
GONE: Final = 0
"""In the column ``count`` of a DEVICE event."""

_WIDTH: Final = len(EVENT_COLUMNS)
_TIME, _KIND, _, _BLOCK, _COUNT, _ZONE, _ = range(_WIDTH)
_COMPACT_AT: Final = 1 << 13


class Recorder:
    """Collects event rows. ``append`` is the hot path: one call per change with the seven integers of a row as a tuple.

    Rows wait in a plain list, because extending a list costs a third of extending an ``array``; :meth:`compact` moves
    them into eight bytes an integer and is called where time does not matter (at every request of the host). A row of
    negative kind stands for a series of rows, see :meth:`in_turn`.
    """

    __slots__ = ("_compact", "_more", "_pending", "_turns", "append", "device_groups", "device_names", "device_nodes")

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._compact = array("q")
        self._turns: list[tuple[Sequence[int], bytes]] = []
        """Blocks and zones of each series of rows."""
        self._more = 0
        """Rows beyond the first of each series."""
        # SimPy's clock is typed as a float; here it holds integers, because every delay is one.
        self.append: Callable[[Iterable[float]], None] = self._pending.extend  # type: ignore[assignment]
        self.device_names: list[str] = []
        self.device_nodes: list[int] = []
        self.device_groups: list[DeviceGroup] = []

    def __len__(self) -> int:
        return (len(self._compact) + len(self._pending)) // _WIDTH + self._more

    def add_device(self, name: str, node: int, group: DeviceGroup = WITHOUT_GROUP) -> int:
        """Return the index under which events of device ``name`` on ``node``, with ``group``, are to be recorded."""
        self.device_names.append(name)
        self.device_nodes.append(node)
        self.device_groups.append(group)
        return len(self.device_names) - 1

    def in_turn(
        self, t_us: float, step_us: int, kind: int, device: int, blocks: Sequence[int], zones: bytes, pages: int
    ) -> None:
        """Record that single ``blocks`` changed one after the other, ``pages`` with each: one row for every block.

        ``zones`` has a byte for each. The first changed ``step_us`` after ``t_us``, the next ``step_us`` later.
        """
        if len(self._pending) >= _COMPACT_AT:
            self.compact()
        self.append((t_us, -kind, device, step_us, len(blocks), 0, pages))
        self._turns.append((blocks, zones))
        self._more += len(blocks) - 1

    # Events that are about no memory block: each says in the columns of blocks what it has to say ---------------------

    def attached(self, t_us: float, device: int) -> None:
        """Record that a device was attached."""
        self.append((t_us, _DEVICE, device, NO_BLOCK, ATTACHED, NO_ZONE, 0))

    def gone(self, t_us: float, device: int) -> None:
        """Record that a device was taken away."""
        self.append((t_us, _DEVICE, device, NO_BLOCK, GONE, NO_ZONE, 0))

    def requested(self, t_us: float, device: int, pages: int) -> None:
        """Record that the host asks ``pages`` of a device from now on; rows that wait may be packed now."""
        if len(self._pending) >= _COMPACT_AT:
            self.compact()
        self.append((t_us, _REQUEST, device, NO_BLOCK, 0, NO_ZONE, pages))

    def failed(self, t_us: float, device: int, errno: int) -> None:
        """Record that a request of the host, or what a driver tried, has failed; ``device`` may be NO_DEVICE."""
        self.append((t_us, _FAILED, device, NO_BLOCK, 0, errno, 0))

    def out_of_memory(self, t_us: float, kind: OomKind, mem_available: int, tie: int) -> None:
        """Record that the out-of-memory killer ran while MemAvailable was that many pages, and how many were equal."""
        # 0, not NO_BLOCK: that is what files hold.
        self.append((t_us, _OOM, NO_DEVICE, 0, 1 + tie, int(kind), mem_available))

    def died(self, t_us: float, cause: OomKind, mem_available: int) -> None:
        """Record that the guest died, because the killer found nobody when MemAvailable was that many pages."""
        self.append((t_us, _DEATH, NO_DEVICE, NO_BLOCK, 0, int(cause), mem_available))

    def compact(self, *, force: bool = False) -> None:
        """Pack the rows that wait, if there are many of them (or ``force``)."""
        if force or len(self._pending) >= _COMPACT_AT:
            self._compact.extend(array("q", self._pending))
            self._pending.clear()

    def table(self) -> npt.NDArray[np.int64]:
        """Return all rows so far, shape (events, 7), in the order of :data:`EVENT_COLUMNS`. A copy."""
        self.compact(force=True)
        rows = np.array(self._compact, dtype=np.int64).reshape(-1, _WIDTH)
        return self._spelled_out(rows) if self._turns else rows

    def _spelled_out(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return ``rows`` with every series of rows in full."""
        in_turn = rows[:, _KIND] < 0
        counts = np.where(in_turn, rows[:, _COUNT], 1)
        table = np.repeat(rows, counts, axis=0)
        marks, counts = rows[in_turn], counts[in_turn]
        full = np.flatnonzero(table[:, _KIND] < 0)
        number = np.arange(1, len(full) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        table[full, _TIME] += number * np.repeat(marks[:, _BLOCK], counts)
        table[full, _KIND] *= -1
        table[full, _BLOCK] = np.concatenate([_as_array(blocks) for blocks, _ in self._turns])
        table[full, _COUNT] = 1
        table[full, _ZONE] = np.frombuffer(b"".join(zones for _, zones in self._turns), dtype=np.uint8)
        return table


def _as_array(blocks: Sequence[int]) -> npt.NDArray[np.int64]:
    if isinstance(blocks, range):
        return np.arange(blocks.start, blocks.stop, blocks.step)
    return np.array(blocks, dtype=np.int64)


class BriefRecorder(Recorder):
    """A recorder that calls ``failing`` at everything for which a run fails.

    That is the guest's death, a kernel request that found no memory and an add for which there was none: see
    :data:`sim.scores.failures.FAILING`.
    """

    __slots__ = ("_failing",)

    def __init__(self, failing: Callable[[], object]) -> None:
        super().__init__()
        self._failing = failing

    def failed(self, t_us: float, device: int, errno: int) -> None:
        """Record it, and tell of an add that failed for want of memory."""
        super().failed(t_us, device, errno)
        if errno == ENOMEM and device != NO_DEVICE:
            self._failing()

    def out_of_memory(self, t_us: float, kind: OomKind, mem_available: int, tie: int) -> None:
        """Record it, and tell of it where the kernel was the one who found none."""
        super().out_of_memory(t_us, kind, mem_available, tie)
        if kind == OomKind.KERNEL:
            self._failing()

    def died(self, t_us: float, cause: OomKind, mem_available: int) -> None:
        """Record it and tell of it."""
        super().died(t_us, cause, mem_available)
        self._failing()
