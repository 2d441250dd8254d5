"""What a core does and why, note by note, for who wants it explained: decisions, refusals, failures, kills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from sim.kernel.listener import CoreListener

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Explanation
    from sim.guest.contract import OomEvent
    from sim.memory.errors import HotplugError


@dataclass(frozen=True, slots=True)
class Decided:
    """``block`` goes online with ``word`` (an OnlineType number), and ``why`` where it goes.

    ``put_back``: it was online before, and was taken offline for a removal that failed.
    """

    block: int
    word: int
    why: Explanation
    put_back: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """``block`` did not go offline and stays in the zone of that number."""

    block: int
    zone: int


@dataclass(frozen=True, slots=True)
class Missed:
    """``count`` new blocks from ``first`` of which user space did not hear, so that they stay offline."""

    first: int
    count: int


MISSED: Final = "user space does not hear of them, its buffer is full: they stay offline"
"""What is said of blocks that were missed."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What the driver of ``device`` tried, an add or a removal, or what the host was asked has failed: ``error``."""

    device: str
    error: HotplugError


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The out-of-memory killer has run."""

    kill: OomEvent


Note: TypeAlias = Decided | Refused | Missed | Failed | OutOfMemory


class Diary(CoreListener):
    """Has every decision explained, and calls ``tell`` with a note for it, and for whatever is refused or fails.

    Kills come from :class:`sim.kernel.oom_log.OomLog`, where all of them meet: it is given :meth:`killed`.
    """

    wants_reasons = True

    def __init__(self, tell: Callable[[Note], None]) -> None:
        self._tell = tell
        self._returning: set[int] = set()

    def decided(self, online_type: int, block: int, reason: Explanation) -> None:
        """Note where a block goes."""
        self._tell(Decided(block, online_type, reason, block in self._returning))
        self._returning.discard(block)

    def put_back(self, block: int) -> None:
        """Take the next decision about the block for what it is."""
        self._returning.add(block)

    def refused(self, block: int, zone_type: int) -> None:
        """Note who stays."""
        self._tell(Refused(block, zone_type))

    def missed(self, first: int, count: int) -> None:
        """Note what user space has missed."""
        self._tell(Missed(first, count))

    def failed(self, device: str, error: HotplugError) -> None:
        """Note it."""
        self._tell(Failed(device, error))

    def killed(self, kill: OomEvent) -> None:
        """Note a run of the out-of-memory killer."""
        self._tell(OutOfMemory(kill))
