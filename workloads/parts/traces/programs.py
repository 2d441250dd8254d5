"""Programs in the guest that follow samples: with kernel memory of their own, killed, and started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workloads.contract import Host


_HEALTHY_US: Final = 600 * MICROSECONDS


class Restarts(NamedTuple):
    """How long a killed program is away, as Kubernetes has it (the kubelet's back-off of crashed containers).

    ``first_us`` (0: for ever), then twice as long each time, at most ``most_us``; from the beginning again once it has
    lived for ten minutes.
    """

    first_us: int
    most_us: int

    def delay_us(self, last_us: int, lived_us: int) -> int:
        """Return how long one is away that was away for ``last_us`` before, and has lived for ``lived_us`` since."""
        again = last_us and lived_us < _HEALTHY_US
        return min(2 * last_us, self.most_us) if again else self.first_us


@dataclass(slots=True)
class _Program:
    name: str
    node: int
    loads: Sequence[tuple[str, str]] = ()
    """The names of its loads, each with its kind."""
    used: int = 0
    dead: bool = False
    started_us: int = 0
    delay_us: int = 0
    """How long it was away last time."""
    back_us: int | None = None
    """When it is started again, where it is dead and ever will be."""


class Programs:
    """Programs alike, one on each of ``nodes`` (which may repeat), which share what is wanted.

    Each has user memory, a load of ``kind``, and loads of kernel memory, which live and die with it: what is told for
    all programs at their full size, and ``follows``, by kind, from the bytes of user memory of all. Memory is taken at
    ``rate`` bytes per second, 0 for at once, and given back at once. A program that was killed comes back with nothing
    as ``restarts`` say. ``kills`` counts.

    What they wish for is what they would use if none had ever been killed: it does not hang on the guest.
    """

    def __init__(
        self,
        host: Host,
        kind: str,
        nodes: Sequence[int],
        *,
        rate: int,
        restarts: Restarts,
        follows: Callable[[int], Mapping[str, int]],
    ) -> None:
        self._host = host
        self._kind = kind
        self._share = len(nodes)
        self._rate = rate
        self._restarts = restarts
        self._follows = follows
        self._programs = [_Program(f"program{number}", node) for number, node in enumerate(nodes)]
        self._target = self._wished = 0
        self._told: Mapping[str, int] = {}
        self._name_loads([kind, *follows(0)])
        self.kills = 0

    @property
    def growing(self) -> bool:
        """Whether some take memory now, or would if they lived."""
        return self._wished < self._target or any(
            not program.dead and program.used < self._target for program in self._programs
        )

    @property
    def alive(self) -> bool:
        """Whether there is somebody to be killed."""
        return any(not program.dead and program.used for program in self._programs)

    @property
    def back_us(self) -> int | None:
        """When the next of them is started again; None where none will be."""
        return min((program.back_us for program in self._programs if program.back_us is not None), default=None)

    def want(self, user: int, told: Mapping[str, int]) -> None:
        """Want ``user`` bytes in all from now on, and with them the kernel memory that is ``told`` by kind of load."""
        self._target = user // self._share
        self._told = told
        if not told.keys() <= self._kinds.keys():
            self._name_loads([*self._kinds, *told])
        self._wished = self._within(self._wished)
        for program in self._programs:
            program.used = self._within(program.used)
            self._use(program)
        self.look()

    def take(self, elapsed_us: int) -> None:
        """Take what is taken in so much time."""
        more = max(1, self._rate * elapsed_us // MICROSECONDS)
        self._wished = min(self._target, self._wished + more)
        for program in self._programs:
            program.used = min(self._target, program.used + more)
            self._use(program)
        self.look()

    def look(self) -> bool:
        """See who was killed, and start who is to come back by now. Whether there was anybody."""
        seen = False
        for program in self._programs:
            if program.back_us is not None and program.back_us <= self._host.env.now:
                program.dead, program.back_us, program.started_us = False, None, int(self._host.env.now)
                program.used = self._within(0)
                self._use(program)
                seen = True
            elif not program.dead and self._was_killed(program):
                self._use(program)
                seen = True
        return seen

    def _within(self, used: int) -> int:
        """Return what a program that uses ``used`` uses once it wants what it wants now."""
        return min(used, self._target) if self._rate else self._target

    def _was_killed(self, program: _Program) -> bool:
        killed = self._host.killed
        for load, _ in program.loads:  # noqa: SIM110 - any() takes twice as long
            if killed(load):
                return True
        return False

    def _name_loads(self, kinds: Sequence[str]) -> None:
        """Have every program have loads of these kinds."""
        self._kinds = dict.fromkeys(kinds)
        for program in self._programs:
            name = program.name
            program.loads = [(name if kind == self._kind else f"{name}-{kind}", kind) for kind in self._kinds]

    def _amounts(self, used: int) -> dict[str, int]:
        """Return, by kind, what a program uses with so much user memory."""
        follows = self._follows(used * self._share)
        amounts = {kind: amount // self._share for kind, amount in follows.items()}
        for kind, told in self._told.items():
            whole = told // self._share
            amounts[kind] = whole * used // self._target if self._target else whole
        return {**amounts, self._kind: used}

    def _use(self, program: _Program) -> None:
        wished = self._amounts(self._wished)
        if not program.dead:
            used = wished if program.used == self._wished else self._amounts(program.used)
            for load, kind in program.loads:
                if not self._host.set_demand(load, kind, used[kind], wanted=wished[kind], node=program.node):
                    self._die(program)
                    break
        if program.dead:
            for load, kind in program.loads:
                self._host.set_demand(load, kind, 0, wanted=wished[kind], node=program.node)

    def _die(self, program: _Program) -> None:
        program.dead, program.used = True, 0
        if not self._host.died:
            now = int(self._host.env.now)
            self.kills += 1
            program.delay_us = self._restarts.delay_us(program.delay_us, now - program.started_us)
            program.back_us = now + program.delay_us if program.delay_us else None
