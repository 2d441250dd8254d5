"""A host that virtual machines come to and leave: who gets memory, who waits for it, and who goes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.units import MICROSECONDS
from workloads.host_packing.placement import Shape, place
from workloads.parts.controllers.watch import moment

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import simpy

    from workloads.contract import Host
    from workloads.host_packing.placement import Part


_LOOK_US: Final = 60 * MICROSECONDS


class Coming(NamedTuple):
    """A VM that is asked for at ``at_us`` and would stay for ``stay_us``, in parts on so many ``nodes``.

    Its memory is in bytes, and pinned where a device is passed through to it.
    """

    number: int
    at_us: int
    stay_us: int
    memory: int
    vcpus: int
    nodes: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class Costs:
    """What a VM takes of its host beside its memory, in bytes: for each VM, each vCPU, and each byte of its memory.

    ``kernel`` is what the host's kernel has for each of its threads; a VM has two more than vCPUs.
    """

    fixed: int
    vcpu: int
    kernel: int
    table_share: float

    def process(self, vcpus: int) -> int:
        """Return the process's own memory."""
        return self.fixed + vcpus * self.vcpu

    def threads(self, vcpus: int) -> int:
        """Return the kernel memory of the VM's threads: its vCPUs, one for its devices, and vhost's."""
        return (vcpus + 2) * self.kernel

    def tables(self, memory: int) -> int:
        """Return the page tables that kvm keeps of the VM's memory."""
        return int(memory * self.table_share)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where VMs may go: on ``nodes``, up to ``far_share`` of each on ``far_nodes``, of which ``reserve`` stays free."""

    nodes: Sequence[int]
    far_nodes: Sequence[int]
    far_share: float
    reserve: int
    choice: str


@dataclass(slots=True)
class Tally:
    """What became of the VMs of a run: how many came, ran, waited at first, went elsewhere, and were killed."""

    came: int = 0
    ran: int = 0
    waited: int = 0
    elsewhere: int = 0
    killed: int = 0


class _Running:
    """A VM on the host. Its parts live and die together."""

    def __init__(self, host: Host, name: str, coming: Coming, parts: Sequence[Part], costs: Costs) -> None:
        self._host = host
        kind = "pinned" if coming.pinned else "anonymous"
        pieces: list[tuple[str, str, int, int]] = []
        for part in parts:
            own = f"{name}-{part.node}"
            memory = part.near + sum(part.far.values())
            pieces += [
                (own, kind, part.near, part.node),
                *((f"{own}-{node}", kind, amount, node) for node, amount in part.far.items()),
                (f"{own}-kvm", "page-tables", costs.tables(memory), part.node),
                (f"{own}-process", "anonymous", costs.process(coming.vcpus) // len(parts), part.node),
                (f"{own}-threads", "kernel", costs.threads(coming.vcpus) // len(parts), part.node),
            ]
        self._pieces = [piece for piece in pieces if piece[2]]
        self.alive = True

    def start(self) -> None:
        """Take its memory."""
        for name, kind, amount, node in self._pieces:
            self._host.set_demand(name, kind, amount, node=node)

    def was_killed(self) -> bool:
        """Look whether it was killed since the last look. What is left of it goes too; what it wants stays."""
        if not self.alive or not any(self._host.killed(name) for name, *_ in self._pieces):
            return False
        self.alive = False
        for name, kind, amount, node in self._pieces:
            self._host.set_demand(name, kind, 0, wanted=amount, node=node)
        return True

    def leave(self) -> None:
        """Give all of it back."""
        for name, kind, _, node in self._pieces:
            self._host.set_demand(name, kind, 0, node=node)


class VmHost:
    """Takes VMs in the order in which they come, until ``end_us``.

    One that finds no room waits for at most ``patience_us`` and takes the first room that it fits in, those that have
    waited longest first; then it goes elsewhere for as long as it would have stayed. What waits and what went is
    demand that is not served. So is a VM that was killed, until it would have left. That there is room, or that one was
    killed, is seen when another comes or goes, and every minute.
    """

    def __init__(
        self,
        host: Host,
        coming: Iterator[Coming],
        ground: Ground,
        costs: Costs,
        tally: Tally,
        *,
        name: str,
        patience_us: int,
        end_us: int,
    ) -> None:
        self._host = host
        self._coming = coming
        self._ground = ground
        self._costs = costs
        self._tally = tally
        self._name = name
        self._patience_us = patience_us
        self._end_us = end_us
        self._next = next(coming, None)
        self._leaving: list[tuple[int, int, _Running]] = []
        self._waiting: list[Coming] = []
        self._away: list[tuple[int, int]] = []
        """Of VMs that went elsewhere: when they would have left, and their memory."""
        self._told: dict[str, int] = {}

    def run(self) -> Generator[simpy.Event, object, None]:
        """Take VMs until the end. A SimPy process."""
        while True:
            yield moment(self._host.env, self._next_moment())
            now = int(self._host.env.now)
            if now >= self._end_us or self._host.died:
                return
            self._step(now)

    def _next_moment(self) -> int:
        now = int(self._host.env.now)
        times = [self._end_us]
        if self._next is not None:
            times.append(self._next.at_us)
        if self._leaving:
            times.append(self._leaving[0][0])
        if self._away:
            times.append(self._away[0][0])
        if self._waiting or self._leaving:
            times.append((now // _LOOK_US + 1) * _LOOK_US)
        times += [coming.at_us + self._patience_us for coming in self._waiting]
        return max(min(times), now)

    def _step(self, now: int) -> None:
        """See who has left or was killed, then who gets room."""
        self._tally.killed += sum(running.was_killed() for _, _, running in self._leaving)
        while self._leaving and self._leaving[0][0] <= now:
            heappop(self._leaving)[2].leave()
        while self._away and self._away[0][0] <= now:
            heappop(self._away)
        self._waiting = [coming for coming in self._waiting if not self._take(coming, now)]
        while self._next is not None and self._next.at_us <= now:
            coming, self._next = self._next, next(self._coming, None)
            self._tally.came += 1
            if not self._take(coming, now):
                self._tally.waited += self._patience_us > 0
                self._waiting.append(coming)
        for coming in [coming for coming in self._waiting if coming.at_us + self._patience_us <= now]:
            self._waiting.remove(coming)
            self._tally.elsewhere += 1
            heappush(self._away, (now + coming.stay_us, coming.memory))
        self._tell("waiting", sum(coming.memory for coming in self._waiting))
        self._tell("elsewhere", sum(memory for _, memory in self._away))

    def _take(self, coming: Coming, now: int) -> bool:
        """Take a VM where there is room for it. False where there is none."""
        ground, costs = self._ground, self._costs
        parts = min(coming.nodes, len(ground.nodes))
        memory = coming.memory // parts
        beside = costs.process(coming.vcpus) + costs.threads(coming.vcpus)
        shape = Shape(parts, memory, costs.tables(memory) + beside // parts)
        report = self._host.report()
        if report is None:
            return False
        free, far = (
            {node: max(0, report.node(node)[1] - ground.reserve) for node in nodes}
            for nodes in (ground.nodes, ground.far_nodes)
        )
        found = place(shape, free, far, far_share=ground.far_share, choice=ground.choice)
        if found is None:
            return False
        running = _Running(self._host, f"{self._name}{coming.number}", coming, found, costs)
        self._tally.ran += 1
        running.start()
        heappush(self._leaving, (now + coming.stay_us, coming.number, running))
        return True

    def _tell(self, what: str, amount: int) -> None:
        """Tell what is wanted and not had."""
        if self._told.get(what, 0) != amount:
            self._told[what] = amount
            self._host.set_demand(f"{self._name}-{what}", "anonymous", 0, wanted=amount)
