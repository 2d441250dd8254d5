"""Random small runs, and every way to decide the zones in them, simulated one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.contract import Policy
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.policies.scripted import BLOCK, Script, Step

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView
    from sim.record.run_result import RunResult

BOOTS = (512 * MIB, GIB, 2 * GIB)
KERNEL_KINDS = ("kernel", "kernel", "kernel", "page-tables", "pinned")


class InOrder(Policy):
    """Puts the memory of each decision where ``kinds`` says (True: kernel), in order; MOVABLE once they are used up.

    Keeps its own books: a device with a static group, and a block of virtio-mem, are decided when the first of their
    blocks comes while none of them is there.
    """

    name = "in order"
    summary = "zones in order"

    def __init__(self, kinds: tuple[bool, ...]) -> None:
        self.kinds = kinds
        self.taken: list[bool] = []

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        group = request.group
        if group is not None and not group.is_dynamic and (group.kernel or group.movable):
            kernel = group.kernel > 0
        else:
            kernel = self.kinds[len(self.taken)] if len(self.taken) < len(self.kinds) else False
            self.taken.append(kernel)
        if kernel:
            return memory.default_kernel_zone(request.node, request.first_page, request.pages)
        return ZONE_MOVABLE


class Case:
    """One random run with a guest: its machine, traffic and load."""

    def __init__(self, rng: random.Random, decisions: int) -> None:
        self.boot = rng.choice(BOOTS)
        self.timing = rng.choice((Timing.instant(), Timing()))
        self.script = Script(steps(rng, decisions))

    def run(self, policy: Policy) -> RunResult:
        machine = MachineSpec((NodeSpec(self.boot),), slots=64)
        return simulate(
            machine, policy, self.script, Streams(1, 0), timing=self.timing, guest=GuestSpec(sample_every=10.0)
        )

    def every_way(self) -> Iterator[tuple[tuple[bool, ...], RunResult]]:
        """Yield all zones that there can be, as decisions in order, and the run with each."""
        prefixes: list[tuple[bool, ...]] = [()]
        while prefixes:
            prefix = prefixes.pop()
            policy = InOrder(prefix)
            result = self.run(policy)
            taken = tuple(policy.taken)
            prefixes += [(*taken[:place], True) for place in range(len(prefix), len(taken))]
            yield taken, result


def steps(rng: random.Random, decisions: int) -> list[Step]:
    """Return devices that come and perhaps go, about as many decisions as said, and programs that use memory."""
    found: list[Step] = []
    left = decisions
    number = 0
    while left > 0:
        number += 1
        start = rng.uniform(0, 60)
        if rng.random() < 0.5:
            found.append((start, "dimm", f"d{number}", rng.choice((1, 1, 2, 4, 8)) * BLOCK))
            left -= 1
            if rng.random() < 0.4:
                found.append((start + rng.uniform(1, 50), "unplug", f"d{number}", 0))
        else:
            blocks = rng.randint(1, min(left, 4))
            left -= blocks
            found.append((start, "virtio-mem", f"v{number}", GIB))
            at, plugged = start, 0
            while plugged < blocks:
                part = rng.randint(1, blocks - plugged)
                plugged += part
                at += rng.uniform(0.5, 10)
                partly = rng.choice((0, 0, 32 * MIB))
                found.append((at, "resize", f"v{number}", plugged * BLOCK - partly))
            if rng.random() < 0.4:
                found.append((at + rng.uniform(1, 40), "resize", f"v{number}", rng.randint(0, blocks) * BLOCK))
    scale = rng.choice((20, 60, 150))
    for load in range(rng.randint(1, 5)):
        kind = rng.choice(KERNEL_KINDS)
        at = rng.uniform(0, 90)
        found.append((at, kind, f"k{load}", rng.randint(1, 8) * scale * MIB))
        if rng.random() < 0.3:
            found.append((at + rng.uniform(1, 10), kind, f"k{load}", rng.randint(0, 4) * scale * MIB))
    for load in range(rng.randint(0, 3)):
        at = rng.uniform(0, 90)
        found.append(
            (at, rng.choice(("anonymous", "anonymous", "page-cache")), f"u{load}", rng.randint(1, 12) * 100 * MIB)
        )
    return [step for step in found if step[0] < 99]
