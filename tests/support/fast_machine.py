"""The simulator's own memory model, core and policies, behind the few verbs that the plain implementation has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch2, AutoMovablePatch8
from policies.contig_zones import ContigZones
from sim.guest.contract import OfflineOutcome, SubblockOutcome
from sim.kernel.context import DriverContext
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.settings import KernelSettings
from sim.kernel.timing import Timing
from sim.memory.zones import ZONE_LABELS, OnlineType
from sim.record.recorder import Recorder

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.memory.hotplug import Memory
    from tests.plain.machine import Knobs

AUTO_MOVABLE: dict[str, type[AutoMovable]] = {"A": AutoMovablePatch2, "B": AutoMovablePatch8, "C": AutoMovable}

WORDS = {word.word: word for word in OnlineType}


class RefusingGuest:
    """A guest that costs nothing and whose blocks in ``refusing`` never go offline."""

    at_once = None

    def __init__(self) -> None:
        self.refusing: set[int] = set()

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        return True

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Nothing is held."""

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Nothing is held."""

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        return block not in self.refusing

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        run = range(first_block, first_block + nr_blocks)
        return OfflineOutcome(refused=tuple(block for block in run if block in self.refusing))

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give the highest ``most`` sub-blocks, or nothing where the block refuses."""
        if block in self.refusing:
            return SubblockOutcome(0)
        given = 0
        for bit in reversed(range(plugged_mask.bit_length())):
            if most > given.bit_count() and plugged_mask >> bit & 1:
                given |= 1 << bit
        return SubblockOutcome(given)

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Nothing is held."""


def policy_for(knobs: Knobs) -> Policy:
    """The policy as the knobs set it; ``movable_node`` is a word of the machine's, not of the policy's."""
    if knobs.policy == "contig-zones":
        return ContigZones()
    return AUTO_MOVABLE[knobs.stage](ratio=knobs.ratio, numa_aware=knobs.numa_aware)


class FastMachine:
    """One machine of the simulator; ``device`` -1 stands for "no device" in its records."""

    def __init__(
        self, memory: Memory, knobs: Knobs, *, series: tuple[int, int] = (6, 1), memmap_on_memory: bool | str = False
    ) -> None:
        self.memory = memory
        self.guest = RefusingGuest()
        env, recorder = simpy.Environment(), Recorder()
        self.core = HotplugCore(
            env,
            memory,
            policy_for(knobs),
            recorder,
            settings=KernelSettings(series, knobs.movable_node, memmap_on_memory),
            guest=self.guest,
        )
        self.context = DriverContext(env, self.core, recorder, Timing.instant())
        self.turn(knobs)

    def turn(self, knobs: Knobs) -> None:
        """Set every knob."""
        self.core.zone_choice.set_policy(policy_for(knobs))
        self.core.auto_online = int(WORDS[knobs.auto_online])

    def valid_zones(self, block: int) -> list[str]:
        return [ZONE_LABELS[zone] for zone in self.core.zone_choice.valid_zones(block)]

    def write_state(self, block: int, word: str) -> None:
        self.core.write_state(block, WORDS[word])
