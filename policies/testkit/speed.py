"""How long a policy thinks, held against ``auto-movable`` in the same process and at the same questions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from policies.auto_movable import AutoMovable
from policies.testkit.machines import MachineOver, RandomMachine, seeded
from sim.faults import let_pass

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Policy

SLOWEST: Final = 50
"""An answer may take so many times as long as one of ``auto-movable``: a DIMM of 1 TiB is 8192 questions."""

_QUESTIONS: Final = 300
_SECONDS: Final = 5.0
_TIMES: Final = 3
"""The shortest of so many counts, as others run beside."""


@dataclass(slots=True)
class Speed:
    """What ``questions`` took, in seconds: ``mine``, and ``theirs``, that is auto-movable's."""

    questions: int = 0
    mine: float = 0.0
    theirs: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that an answer takes."""
        return self.mine / self.questions if self.questions else 0.0

    @property
    def times(self) -> float:
        """How many times as long as auto-movable it takes."""
        return self.mine / self.theirs if self.theirs else 0.0


def measured(make: Callable[[], Policy], seed: int) -> Speed:
    """Ask a policy and auto-movable the same, a few hundred times. Ends early where the policy raises: others tell."""
    speed = Speed()
    for number in range(_QUESTIONS):
        try:
            _Timed(make(), seed, number, speed).play(40)
        except MachineOver:
            break
        except BaseException as error:  # noqa: BLE001  the walk that looks at answers says what is wrong with them
            let_pass(error)
    return speed


class _Timed(RandomMachine):
    """A machine on which two policies are asked, one of which decides."""

    def __init__(self, policy: Policy, seed: int, number: int, speed: Speed) -> None:
        super().__init__(seeded(seed, number))
        self._policy = policy
        self._other = AutoMovable()
        self._speed = speed
        self._until = time.perf_counter() + _SECONDS

    def _decide(self, block: int) -> int:
        view, speed = self._view, self._speed
        mine = _shortest(lambda: self._policy.zone_for(self._question(block), view))
        theirs = _shortest(lambda: self._other.zone_for(self._question(block), view))
        speed.questions += 1
        speed.mine += mine
        speed.theirs += theirs
        if speed.questions >= _QUESTIONS or time.perf_counter() > self._until:
            raise MachineOver
        return int(self._policy.zone_for(self._question(block), view))

    def _decide_run(self, first: int, count: int) -> None:
        for block in range(first, first + count):
            self._put(block, self._decide(block))

    def _tell_offline(self, node: int, zone: int, pages: int) -> None:
        self._policy.on_offline(node, zone, pages)

    def _tell_pressure(self, node: int, kernel_headroom: int) -> None:
        self._policy.on_pressure(node, kernel_headroom)


def _shortest(ask: Callable[[], int]) -> float:
    took = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        ask()
        took.append(time.perf_counter() - begun)
    return min(took)
