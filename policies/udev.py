"""User space decides: a rule such as udev's writes a word to the ``state`` of every block that appears, a little later.

The kernel's own auto-onlining is off. Rules of this kind are shipped by distributions (``40-redhat.rules``,
``40-vm-hotadd.rules``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from policies.contig_zones import ContigZones, MovableNode
from policies.contract import InLinux, UserSpaceRule, UserSpaceRules
from sim.memory.zones import ONLINE_TYPE_BY_WORD, ZONE_LABELS, ZONE_MOVABLE, OnlineType
from sim.plugins.parameter_types import Seconds, Word
from sim.plugins.parameters import Checker, checked
from sim.units import seconds_to_us

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView

_WORDS: Final = tuple(word for word, each in ONLINE_TYPE_BY_WORD.items() if each is not OnlineType.OFFLINE)

USUAL_DELAY: Final = 0.01
"""Seconds from a block's appearance to the write of a program that listens. A guess: no figure is published."""


class Udev(ContigZones):
    """Blocks appear offline; user space writes ``state`` to each after ``delay``, but to none before ``after``.

    Plain ``online`` then asks contig-zones.
    """

    name = "udev"
    summary = "user space writes online or online_movable to every block that appears, after a delay"
    auto_online = OnlineType.OFFLINE

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        state: Annotated[str, Word(_WORDS), "word written to memoryN/state"] = "online",
        delay: Annotated[float, Seconds(zero=True), "time from a block's appearance to the write"] = USUAL_DELAY,
        after: Annotated[float, Seconds(zero=True), "time from boot until the rule's program begins"] = 0.0,
        movable_node: MovableNode = False,
    ) -> None:
        check.done()
        super().__init__(movable_node=movable_node)
        self._word = ONLINE_TYPE_BY_WORD[state]
        rule = UserSpaceRule(self._word, seconds_to_us(delay))
        self.user_space = UserSpaceRules((rule,), begins_us=seconds_to_us(after))

    def in_linux(self) -> InLinux | None:
        """A rule, and a kernel that puts nothing online itself."""
        return InLinux(self.auto_online, movable_node=self.movable_node, rules=self.user_space)

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Return the zone that the word written leads to."""
        word = self._word
        if word is OnlineType.ONLINE:
            return super().zone_for(request, memory)
        zone: int = ZONE_MOVABLE
        if word is OnlineType.ONLINE_KERNEL:
            zone = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        if request.why is not None:
            request.why(f"user space writes {word.word}: {ZONE_LABELS[zone]}")
        return zone

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide a run as :class:`ContigZones` does where the word is plain; block by block otherwise."""
        return super().zones_for_run(request, count, memory) if self._word is OnlineType.ONLINE else None
