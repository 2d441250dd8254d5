"""Several workloads on one guest, side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from sim.plugins.parameters import ParameterError
from sim.streams import ScopedStreams
from sim.units import parse_series
from workloads.contract import Host, Streams, Workload

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import simpy

    from sim.devices.specs import DeviceSpec
    from workloads.contract import GuestReport


class Together(Workload):
    """Runs ``parts`` at the same time as processes of their own; ends when the last of them has ended.

    Each part has a name: the one given in ``names``, or its workload's own, with ``-2``, ``-3``, ... behind it from the
    second part of a kind on. The part's name and a slash stand before the names of its streams, its devices and its
    loads, so parts share no randomness and cannot get hold of each other's devices; another part shifts no draw of
    those that are there.

    Raises ParameterError, a ValueError, where there are no parts or names do not fit.
    """

    name: ClassVar[str] = "together"
    summary: ClassVar[str] = "several workloads at once on one guest"

    def __init__(self, *, parts: Sequence[Workload], names: Sequence[str] = ()) -> None:
        if not parts:
            raise ParameterError(["parts: must be a list of at least one workload"])
        if names and len(names) != len(parts):
            raise ParameterError([f"names: must be one for each part, {len(parts)}, but there are {len(names)}"])
        if len(set(names)) != len(names) or any(not name or "/" in name for name in names):
            raise ParameterError(["names: must all be different, not empty, and without a slash"])
        self._parts = dict(zip(names or _own_names(parts), parts, strict=True))
        if len(self._parts) != len(parts):
            raise ParameterError(
                [f"names: must be given, since the parts call themselves {', '.join(_own_names(parts))}"]
            )

    @property
    def parts(self) -> dict[str, Workload]:
        """The parts by name, in order."""
        return dict(self._parts)

    def duration(self) -> float:
        """Seconds of simulated time until the longest part has ended; parts without an end of their own run as long."""
        return max(part.duration() for part in self._parts.values())

    def node_capacity(self) -> Iterable[int]:
        """The nodes that any part plugs memory into or runs programs on."""
        return sorted({node for part in self._parts.values() for node in part.node_capacity()})

    def needs_dimms(self) -> bool:
        """Where any part does."""
        return any(part.needs_dimms() for part in self._parts.values())

    def needs_kernel(self) -> str | None:
        """The latest kernel series that any part needs."""
        needed = [series for part in self._parts.values() if (series := part.needs_kernel()) is not None]
        return max(needed, key=parse_series, default=None)

    def for_replication(self, number: int) -> Workload:
        """The parts as they are in replication ``number``."""
        parts = [part.for_replication(number) for part in self._parts.values()]
        return Together(parts=parts, names=tuple(self._parts))

    def most_replications(self) -> int | None:
        """As many as every part has."""
        counts = [count for part in self._parts.values() if (count := part.most_replications()) is not None]
        return min(counts, default=None)

    def recording(self) -> str | None:
        """What the parts that play a recording play; two that play the same name it once."""
        names = dict.fromkeys(name for part in self._parts.values() if (name := part.recording()) is not None)
        return ", ".join(names) or None

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Start every part, in order, and wait for all of them."""
        env = host.env
        yield env.all_of(
            [
                env.process(part.run(PartHost(host, f"{name}/"), ScopedStreams(streams, name)))
                for name, part in self._parts.items()
            ]
        )


def _own_names(parts: Sequence[Workload]) -> list[str]:
    count: Counter[str] = Counter()
    names = []
    for part in parts:
        count[part.name] += 1
        names.append(part.name if count[part.name] == 1 else f"{part.name}-{count[part.name]}")
    return names


class PartHost:
    """The host as one part of a composition sees it: every device and load id stands behind the part's ``prefix``."""

    def __init__(self, host: Host, prefix: str) -> None:
        self._host = host
        self._prefix = prefix
        # Descriptions are made once by most workloads and passed again and again.
        self._specs: dict[DeviceSpec, DeviceSpec] = {}

    @property
    def env(self) -> simpy.Environment:
        """The simulation's clock."""
        return self._host.env

    def plug(self, spec: DeviceSpec) -> bool:
        """Plug a device, or attach a virtio-mem device."""
        renamed = self._specs.get(spec)
        if renamed is None:
            renamed = self._specs[spec] = replace(spec, id=self._prefix + spec.id)
        return self._host.plug(renamed)

    def unplug(self, device: str) -> bool:
        """Ask for the removal of a DIMM or dax device."""
        return self._host.unplug(self._prefix + device)

    def keep(self, device: str) -> bool:
        """Want a DIMM or dax device again that was asked back in vain."""
        return self._host.keep(self._prefix + device)

    def set_dax_state(self, device: str, word: str) -> bool:
        """Have user space write a word to the ``state`` of a dax device."""
        return self._host.set_dax_state(self._prefix + device, word)

    def online_memory(self, device: str, word: str) -> bool:
        """Have user space put the offline blocks of a dax device online."""
        return self._host.online_memory(self._prefix + device, word)

    def unbind(self, device: str) -> bool:
        """Have user space unbind a dax device from kmem."""
        return self._host.unbind(self._prefix + device)

    def bind(self, device: str) -> bool:
        """Have user space bind a dax device to kmem again."""
        return self._host.bind(self._prefix + device)

    def resize(self, device: str, requested: int) -> bool:
        """Set a virtio-mem device's requested size in bytes."""
        return self._host.resize(self._prefix + device, requested)

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        """Set what the load ``name`` of the guest uses, and what it would use if it could."""
        return self._host.set_demand(self._prefix + name, kind, amount, wanted=wanted, node=node)

    def killed(self, name: str) -> bool:
        """Whether the process of the load was killed."""
        return self._host.killed(self._prefix + name)

    def present(self, device: str) -> bool:
        """Whether the device is attached."""
        return self._host.present(self._prefix + device)

    def busy(self, device: str) -> bool:
        """Whether the guest is still working on the last request to this device."""
        return self._host.busy(self._prefix + device)

    @property
    def at_rest(self) -> bool:
        """Whether nobody in the guest, which all parts share, is at work on memory."""
        return self._host.at_rest

    def plugged(self, device: str) -> int:
        """Bytes of this device that the guest has now."""
        return self._host.plugged(self._prefix + device)

    def offline(self, device: str) -> int:
        """Bytes of this DIMM or dax device that the guest has and that are offline."""
        return self._host.offline(self._prefix + device)

    def requested(self, device: str) -> int:
        """Bytes of this device that were asked for last."""
        return self._host.requested(self._prefix + device)

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> bool:
        """Have the guest, which all parts share, drop its caches."""
        return self._host.drop_caches(cache=cache, slab=slab)

    def report(self) -> GuestReport | None:
        """What an agent in the guest, which all parts share, reports."""
        return self._host.report()

    def changed(self) -> simpy.Event:
        """The next change of the guest, which all parts share."""
        return self._host.changed()

    @property
    def died(self) -> bool:
        """Whether the guest, which all parts share, has died."""
        return self._host.died

    def mem_available(self) -> int | None:
        """MemAvailable in bytes of the guest, which all parts share."""
        return self._host.mem_available()
