"""A workload under other conditions than it was written for: the kernel needs more than its demand says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workloads.parts.together import PartHost
from workloads.parts.wrapping import Wrapping

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from workloads.contract import Host, Streams, Workload

_BYTES: Final = ("page-tables", "pinned", "kernel", "kernel-stacks", "slab")
_PIECES: Final = ("tmpfs-files", "disk-files", "processes", "workers", "pipes", "sockets")
KERNEL_GROWTH: Final = frozenset((*_BYTES, *_PIECES))
"""Kinds of load that are kernel memory, all or nearly all of them. What comes along with others follows those."""

_AT_BOOT: Final = "taken-at-boot"


class UnderConditions(Wrapping):
    """Runs ``inside`` on a guest whose loads take ``kernel`` times as much kernel memory.

    Of what is available once the guest is up, the kernel has taken the share ``boot`` before anything else happens, and
    keeps it.
    """

    def __init__(self, inside: Workload, *, kernel: float = 1.0, boot: float = 0.0) -> None:
        super().__init__(inside)
        self.ends_run = inside.ends_run  # type: ignore[misc]  # as the one inside
        self._kernel = kernel
        self._boot = boot

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, object]:
        """Have the workload run on a host that asks for more."""
        available = host.mem_available()
        if available is not None and self._boot:
            host.set_demand(_AT_BOOT, "kernel", int(available * self._boot))
        inside = self.inside.run(host if self._kernel == 1.0 else _NeedyHost(host, self._kernel), streams)
        return (yield from inside)


class _NeedyHost(PartHost):
    """Passes on what ``host`` is asked, demand for kernel memory multiplied by ``factor``."""

    def __init__(self, host: Host, factor: float) -> None:
        super().__init__(host, "")
        self._factor = factor

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        """Set what the load uses, and what it would use if it could."""
        if kind in KERNEL_GROWTH:
            amount = round(amount * self._factor)
            wanted = None if wanted is None else round(wanted * self._factor)
        return super().set_demand(name, kind, amount, wanted=wanted, node=node)
