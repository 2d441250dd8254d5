"""How often policies fail on guests that none was made for: relatives of ``grow-and-return``'s guest, drawn widely.

``python -m tests.support.wide_guests`` prints the figures that the README and :mod:`policies.headroom` tell, in half a
minute.
"""

from __future__ import annotations

import inspect
import sys
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel
from policies.headroom import Headroom
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.scores.failures import FAILING
from sim.scores.registry import compute_scores
from sim.streams import Streams
from sim.units import MIB
from workloads.grow_and_return import DEVICES, GrowAndReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Policy

GUESTS: Final = 100
POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    "headroom": Headroom,
    "ratio 301": lambda: AutoMovable(ratio=301),
    "ratio 100": lambda: AutoMovable(ratio=100),
    "all kernel memory": OnlineKernel,
}

_SEED: Final = 2026
_BOOT: Final = (512, 1024, 2048, 4096)
"""MiB of boot memory."""


class Outcome(NamedTuple):
    """How many of the guests failed, and the percentage that the others gave back of what was asked back, as a mean."""

    failed: int
    returned: float


def draw(rng: Random) -> tuple[int, dict[str, Any]]:
    """Return the boot memory in bytes and the parameters of a workload: paces up to 4 times, sizes up to twice."""
    default = {name: entry.default for name, entry in inspect.signature(GrowAndReturn).parameters.items()}
    drawn: dict[str, Any] = {"device": rng.choice(DEVICES)}
    for names, octaves in ((("pace", "user_rate", "kernel_rate"), 2.0), (("size", "user", "kernel"), 1.0)):
        for name in names:
            drawn[name] = int(default[name] * 2.0 ** rng.uniform(-octaves, octaves))
    drawn["size"] -= drawn["size"] % default["step"]
    return rng.choice(_BOOT) * MIB, drawn


def outcomes(guests: int = GUESTS) -> dict[str, Outcome]:
    """Return what became of that many guests under every policy."""
    rng = Random(_SEED)  # noqa: S311 (a sample, no secret)
    drawn = [draw(rng) for _ in range(guests)]
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(_run, drawn, chunksize=5))
    found = {}
    for number, policy in enumerate(POLICIES):
        kept = [returned for failed, returned in (row[number] for row in rows) if not failed]
        found[policy] = Outcome(guests - len(kept), sum(kept) / len(kept) if kept else 0.0)
    return found


def _run(drawn: tuple[int, dict[str, Any]]) -> list[tuple[bool, float]]:
    """Return of each policy whether the guest failed, and the percentage that came back."""
    boot_memory, parameters = drawn
    rows = []
    for make in POLICIES.values():
        machine = MachineSpec((NodeSpec(boot_memory),))
        run = simulate(machine, make(), GrowAndReturn(**parameters), Streams(1, 0), guest=GuestSpec(sample_every=60.0))
        scores = compute_scores(run)
        rows.append((any(scores[name] > 0 for name in FAILING), scores["returned_share"]))
    return rows


if __name__ == "__main__":
    for policy, outcome in outcomes().items():
        share = f"{outcome.returned:.0f} %"
        sys.stdout.write(f"{policy}: {outcome.failed} of {GUESTS} fail, of the others {share} come back\n")
