"""A host with memory on several nodes that programs use where they run, and files of requests for virtual machines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sim.guest.report import GuestReport
from tests.workloads.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import simpy

HEADER: Final = "sequence,order,vcpus,ram_gib,numa_nodes,strategy\n"


class PackedHost(FakeHost):
    """A host with ``free`` bytes on each node, which programs use where they run."""

    def __init__(self, env: simpy.Environment, free: Sequence[int]) -> None:
        super().__init__(env)
        self.size = list(free)
        self.loads: dict[str, tuple[str, int, int]] = {}
        """By load: kind, bytes, node."""
        self.missing: Counter[str] = Counter()
        """By load: what it wants and has not."""
        self.least_free = min(free)

    def used(self, node: int) -> int:
        return sum(amount for _, amount, on in self.loads.values() if on == node)

    def report(self) -> GuestReport:
        nodes = tuple((size, size - self.used(node)) for node, size in enumerate(self.size))
        total, free = map(sum, zip(*nodes, strict=True))
        return GuestReport(total, free, free, 0, nodes=nodes)

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        alive = super().set_demand(name, kind, amount, wanted=wanted, node=node)
        if amount and alive:
            self.loads[name] = kind, amount, node
        else:
            self.loads.pop(name, None)
        self.missing[name] = max(0, (amount if wanted is None else wanted) - self.loads.get(name, ("", 0, 0))[1])
        self.least_free = min(self.least_free, self.size[node] - self.used(node))
        self.tell_of_change()
        return alive

    def kill(self, name: str) -> None:
        self.dead.add(name)
        del self.loads[name]
        self.tell_of_change()


def written(folder: Path, *lines: str, header: str = "t,gib,stay\n") -> str:
    file = folder / "requests.csv"
    file.write_text(header + "\n".join(lines) + "\n", "utf-8")
    return str(file)


def columns_of(**names: str) -> dict[str, Any]:
    return {key: {"column": name} for key, name in names.items()}
