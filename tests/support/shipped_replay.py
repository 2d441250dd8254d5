"""Recordings played again with a policy as it is shipped: its kernel and its program act, not what was recorded.

A recording says where a real kernel put each block that the kernel itself, or a word from user space, put online. Two
ways make use of that:

* ``OWN``: kernel and program are those that are shipped. The recorded kernel was told the same, and each word that user
  space wrote to a new block is the one that the program writes: it is the program that writes it. The first step that
  is anything else ends it.
* ``AMONG``: the kernel is the recorded one, whatever it was told. Where new blocks get the word in the recording that
  the program writes, by the kernel's onlining or by hand, the program writes it, and the kernel leaves them alone.
  While somebody keeps blocks offline, nothing is left to the program: what they and new blocks come to may stop a
  virtio-mem driver at half of its threshold, which no recorded one saw.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from sim.devices.specs import DAX_STATE_SINCE
from sim.kernel.listener import Listeners
from sim.kernel.user_space import UserSpace as Program
from sim.kernel.worker import settle
from sim.memory.blocks import BLOCK_OFFLINE
from sim.memory.zones import MMOP_OFFLINE, ONLINE_TYPE_BY_WORD, OnlineType
from sim.replay.kernel_replay import Replay
from sim.replay.trace_format import PolicyEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.contract import UserSpaceRules
    from policies.kernel import Kernel
    from sim.kernel.hotplug_core import HotplugCore
    from sim.replay.report import ReplayReport
    from sim.replay.trace_format import Step, Trace

_ADDS: Final = {
    "plug_dimm": "dimm",
    "plug_dimms": "dimm",
    "add_virtio_mem": "virtio-mem",
    "resize_virtio_mem": "virtio-mem",
    "add_dax": "dax",
    "add_hmem": "dax",
}
"""Operations that may bring new blocks, and the kind of device that they are of."""


class Way(Enum):
    """How a recording is used, see above."""

    OWN = auto()
    AMONG = auto()


class EndsHereError(Exception):
    """What was recorded from here on is not what the policy does."""


@dataclass(slots=True)
class Tried:
    """What a policy was tried on: recordings, steps, blocks compared, and words that its program wrote."""

    recordings: set[str] = field(default_factory=set)
    steps: int = 0
    blocks: int = 0
    words: int = 0
    mismatches: list[tuple[str, object]] = field(default_factory=list)


def play(shipped: Kernel, trace: Trace, way: Way, tried: Tried) -> None:
    """Play ``trace`` with what is ``shipped`` as far as the two agree, if they do at all."""
    if way is Way.AMONG and shipped.user_space is None:
        return
    if way is Way.OWN and not _told_the_same(shipped, trace.policy):
        return
    run = ShippedReplay(trace, shipped, way)
    report = run.as_far_as_it_agrees()
    tried.mismatches += [(trace.name, mismatch) for mismatch in report.mismatches]
    if not report.steps or (way is Way.AMONG and not run.words):
        return
    tried.recordings.add(trace.name)
    tried.steps += report.steps
    tried.blocks += report.blocks_compared
    tried.words += run.words


def _told_the_same(shipped: Kernel, told: PolicyEntry) -> bool:
    """Whether the recorded kernel was told what this one is, as far as it matters."""
    if shipped.auto_online is not ONLINE_TYPE_BY_WORD[told.auto_online_blocks]:
        return False
    if shipped.auto_online in (OnlineType.ONLINE_KERNEL, OnlineType.ONLINE_MOVABLE):
        return True
    if shipped.online_policy.name != told.online_policy:
        return False
    numbers = (told.auto_movable_ratio, told.auto_movable_numa_aware)
    ours = (getattr(shipped.online_policy, key, None) for key in ("ratio", "numa_aware"))
    return told.online_policy == "contig-zones" or tuple(ours) == numbers


class ShippedReplay(Replay):
    """One recording with ``shipped``. ``words`` are how many its program wrote."""

    def __init__(self, trace: Trace, shipped: Kernel, way: Way) -> None:
        self._shipped = shipped
        self._way = way
        self._by_hand: set[int] = set()
        self.words = 0
        super().__init__(trace)
        self._program = None if shipped.user_space is None else self._acting(shipped.user_space)

    def _acting(self, program: UserSpaceRules) -> Program:
        """Return the program, on a virtual machine of x86-64 as all that are recorded, where nothing takes time."""
        rules = tuple(replace(rule, delay_us=0) for rule in program.rules)
        at_once = replace(program, rules=rules, begins_us=0)
        return Program(
            self.env, self.core.threads, self.context.timing, at_once, bare_metal=False, architecture="x86-64"
        )

    def _make_policy(self) -> Kernel:
        return self._shipped if self._way is Way.OWN else super()._make_policy()

    def as_far_as_it_agrees(self) -> ReplayReport:
        """Play, and return the report of all steps that agree."""
        try:
            return self.run()
        except EndsHereError:
            return self.report

    def _do(self, step: Step) -> None:
        kind = _ADDS.get(step.op)
        word = OnlineType(self.core.auto_online)
        if (
            self._way is Way.OWN
            or kind is None
            or word is OnlineType.OFFLINE
            or self._word_for(kind) is not word
            or self._kept_offline()
        ):
            super()._do(step)
        elif kind == "dax" and self.core.series >= DAX_STATE_SINCE:
            super()._do(step)  # what stands in the device's own ``state`` depends on who puts it online
        else:
            with self._left_to_the_program():
                super()._do(step)
                settle(self.env)

    def _kept_offline(self) -> bool:
        table = self.memory.blocks
        return any(table.exists(block) and table.where[block] == BLOCK_OFFLINE for block in self._by_hand)

    def _word_for(self, kind: str) -> OnlineType | None:
        assert self._program is not None
        rules = self._program._rules  # noqa: SLF001 - those that hold on this machine
        return next((rule.online_type for rule in rules if kind in (rule.devices or (kind,))), None)

    @contextmanager
    def _left_to_the_program(self) -> Iterator[None]:
        """Have the kernel put nothing online, and the program hear of what appears."""
        core, listener, told = self.core, self.core.listener, self.core.auto_online
        assert self._program is not None
        counted = Counted(self._program)
        core.auto_online, core.listener = MMOP_OFFLINE, Listeners(listener, counted)
        yield
        core.auto_online, core.listener = told, listener
        self.words += counted.blocks

    def _set_policy(self, step: Step) -> None:
        if self._way is Way.AMONG:
            super()._set_policy(step)
            return
        before = self._policy.model_dump()
        after = before | {key: value for key in before if (value := step.recorded(key)) is not None}
        if PolicyEntry.model_validate(after) != self._policy:
            raise EndsHereError

    def _set_block_state(self, step: Step) -> None:
        assert step.block is not None
        assert step.state is not None
        word = ONLINE_TYPE_BY_WORD[step.state]
        blocks = range(step.block, step.block + (step.count or 1))
        table = self.memory.blocks
        new = [b for b in blocks if table.exists(b) and table.where[b] == BLOCK_OFFLINE and b not in self._by_hand]
        if word is OnlineType.OFFLINE or not new:
            self._by_hand.update(blocks)  # somebody at work who is no program that waits for new blocks
            super()._set_block_state(step)
            return
        kinds = {self.core.kind_of.get(table.group[block], "none") for block in blocks}
        agrees = self._program is not None and all(self._word_for(kind) is word for kind in kinds)
        if len(new) < len(blocks) or not agrees:
            if self._way is Way.OWN:
                raise EndsHereError
            super()._set_block_state(step)
            return
        assert self._program is not None
        for block in reversed(blocks) if step.reverse else blocks:
            self._program.left_offline(self.core, block, 1)
            settle(self.env)
        self.words += len(blocks)


class Counted(Listeners):
    """Tells the program of what is left offline, and counts the blocks."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.blocks = 0

    def left_offline(self, core: HotplugCore, first: int, count: int) -> None:
        self.blocks += count
        super().left_offline(core, first, count)
