"""What a kernel's command line and sysfs say: the word for new blocks, and who decides a plain ``online``.

``memhp_default_state=`` (or ``auto_online_blocks``) and the parameters of the module ``memory_hotplug``. What they come
to is decided by :mod:`policies.contig_zones` and :mod:`policies.auto_movable`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from policies.auto_movable import DEFAULT_RATIO, RATIOS, WHETHER_BY_NODE, AutoMovable, NumaAware, Ratio
from policies.contig_zones import ContigZones
from policies.contract import InLinux, Policy
from sim.memory.zones import ONLINE_TYPE_BY_WORD, OnlineType
from sim.plugins.parameter_types import Word
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView

DefaultState = Annotated[
    str,
    Word(tuple(ONLINE_TYPE_BY_WORD)),
    "what new blocks get (memhp_default_state, auto_online_blocks); offline is upstream's default",
]
OnlinePolicy = Annotated[
    str, Word((ContigZones.name, AutoMovable.name)), "who decides a plain online (memory_hotplug.online_policy)"
]

SearchedRatio = Annotated[Ratio, RATIOS.where(online_policy=AutoMovable.name)]
SearchedNumaAware = Annotated[NumaAware, WHETHER_BY_NODE.where(online_policy=AutoMovable.name)]


class Kernel(Policy):
    """The kernel as it was told: ``default_state`` for new blocks, ``online_policy`` for a plain ``online``."""

    name = "kernel"
    summary = "what a kernel's command line says: memhp_default_state and memory_hotplug.*; as is, blocks stay offline"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        default_state: DefaultState = "offline",
        online_policy: OnlinePolicy = ContigZones.name,
        auto_movable_ratio: SearchedRatio = DEFAULT_RATIO,
        auto_movable_numa_aware: SearchedNumaAware = True,
    ) -> None:
        check.done()
        self.auto_online = ONLINE_TYPE_BY_WORD[default_state]
        self.online_policy: Policy = (
            AutoMovable(ratio=auto_movable_ratio, numa_aware=auto_movable_numa_aware)
            if online_policy == AutoMovable.name
            else ContigZones()
        )

    @property
    def configured_ratio(self) -> int | None:
        """The ratio in percent, or None where it does not count: new blocks are told their zone, or contig-zones."""
        asked = self.auto_online in (OnlineType.ONLINE, OnlineType.OFFLINE)
        return self.online_policy.configured_ratio if asked else None

    def in_linux(self) -> InLinux | None:
        """What it was made of, and what user space does beside."""
        plain = self.online_policy.in_linux()
        return plain and replace(plain, default_state=self.auto_online, rules=self.user_space)

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide as the online policy does."""
        return self.online_policy.zone_for(request, memory)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide a run as the online policy does."""
        return self.online_policy.zones_for_run(request, count, memory)
