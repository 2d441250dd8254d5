"""One machine of the simulator and one plain machine, side by side, to which the same is done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from sim.memory.errors import HotplugError
from tests.plain import linux
from tests.plain.machine import LinuxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.devices.dimm import Dimm
    from tests.fast_machine import FastMachine
    from tests.invariants import Subject
    from tests.plain import dimm
    from tests.plain.machine import Machine
    from tests.random_machines import MachinePlan


class Tally:
    """Decisions compared since the program started."""

    compared: ClassVar[int] = 0


class SideBySide(RuleBasedStateMachine):
    """Both machines, and what to do to them."""

    plan: MachinePlan
    plain: Machine
    fast: FastMachine
    subject: Subject
    pinned: set[int]
    dimms: list[tuple[dimm.Dimm, Dimm]]
    asked: int

    def both(self, plain: Callable[[], object], fast: Callable[[], object]) -> object:
        """Do the same on both; they succeed alike or fail with the same error, and then nothing has changed."""
        before = self.fingerprint()
        try:
            expected, error = plain(), ""
        except LinuxError as refused:
            expected, error = None, refused.name
        try:
            found, problem = fast(), ""
        except HotplugError as refused:
            found, problem = None, refused.name
        assert (found, problem) == (expected, error)
        if error:
            assert self.fingerprint() == before, "INV-13"
        return expected

    def fingerprint(self) -> object:
        memory = self.fast.memory
        return (
            bytes(memory.blocks.where).rstrip(b"\0"),
            [(g.id, g.node, g.kernel, g.movable, g.blocks) for g in memory.groups],
            [
                (z.node, z.type, z.start, z.end, z.present, z.present_early, z.managed)
                for node in memory.nodes.values()
                for z in node.zones
                if z is not None and z.end
            ],
        )

    # What to pick

    def run_of(self, pick: int, length: int, *, online: bool | None) -> list[int]:
        """Adjacent existing blocks in the given state, starting at any of them."""
        mine = sorted(n for n, b in self.plain.blocks.items() if online is None or b.online is online)
        if not mine:
            return []
        at = pick % len(mine)
        run = [mine[at]]
        while len(run) < length and at + 1 < len(mine) and mine[at + 1] == run[-1] + 1:
            at += 1
            run.append(mine[at])
        return run

    def free_place(self, pick: int, count: int, align: int) -> int:
        """A place where ``count`` blocks are free; any place where there is none."""
        places = [n for n in self.plan.device_blocks if n % align == 0] or [0]
        free = [n for n in places if not any(b in self.plain.blocks for b in range(n, n + count))]
        return (free or places)[pick % len(free or places)]

    def group(self, pick: int, *, dynamic: bool | None = None) -> int | None:
        ids = sorted(g.number for g in self.plain.groups.values() if dynamic in (None, g.dynamic))
        return ids[pick % len(ids)] if ids else None

    # What is done in several rules

    def add(self, first: int, count: int, node: int, group: int | None) -> None:
        pages = self.plan.block_pages
        self.both(
            lambda: linux.add(self.plain, first * pages, count * pages, node=node, group=group),
            lambda: self.fast.core.add_memory(
                -1, first * pages, count * pages, node=node, group_id=-1 if group is None else group
            ),
        )

    def write_state(self, number: int, word: str) -> None:
        self.fast.guest.refusing = set()
        self.both(lambda: linux.write_state(self.plain, number, word), lambda: self.fast.write_state(number, word))

    def online_with_no_word_at(self, number: int) -> None:
        self.both(partial(linux.write_online, self.plain, number, value=True), partial(self.put_back, number))

    def put_back(self, number: int) -> None:
        self.fast.core.put_back(-1, number)
