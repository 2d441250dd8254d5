"""A workload whose every request is written down and judged while it runs on a machine of the kit's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sim.devices.specs import DimmSpec, VirtioMemSpec, impossible
from sim.engine import simulate
from sim.faults import let_pass, text_of
from sim.kernel.guest_link import GuestSpec
from sim.machine.host_clock import NEVER_US
from sim.machine.spec import DEFAULT_SERIES, MachineSpec, NodeSpec
from sim.streams import Streams as SeededStreams
from sim.units import GIB, MIB, MICROSECONDS, format_size, parse_series
from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    import simpy

    from policies.contract import Policy
    from sim.devices.specs import DeviceSpec
    from sim.guest.report import GuestReport
    from workloads.contract import Host, Streams

RAISES: Final = "raises"
DURATION: Final = "duration"
TIME: Final = "time"
DEVICES: Final = "devices"
MACHINE: Final = "machine"

_BOOT_MEMORY: Final = 4 * GIB
_FURTHER: Final = 512 * MIB
"""Of the first node, where loads run if nobody says otherwise, and of each other one."""
_BESIDE_S: Final = 1800.0
"""Seconds that one without an end of its own runs, beside a load that grows and shrinks."""
_BESIDE: Final = (1024, 2048, 3072, 3616, 1024, 0)
"""MiB that this load uses, one after the other."""

_Answer = TypeVar("_Answer")

_NEGATIVE_DELAY: Final = "Negative delay"


@dataclass(slots=True)
class Seen:
    """What a run showed.

    ``asked`` are all requests: microsecond and words. ``faults`` has the first of each kind, ``looked`` what was looked
    at of the guest, ``streams`` those that were asked for and ``drawn`` from how many of them anything was drawn;
    ``over`` whether ``run`` came to its end, ``end_us`` when the run did.
    """

    asked: list[tuple[int, str]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    looked: list[str] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    drawn: int = 0
    over: bool = False
    end_us: int = 0

    def fault(self, kind: str, what: str) -> None:
        """Note what is wrong, unless something of that kind is noted already."""
        self.faults.setdefault(kind, what)

    def look(self, what: str) -> None:
        """Note that something was looked at which another guest shows otherwise."""
        if what not in self.looked:
            self.looked.append(what)


def watched(make: Callable[[], Workload], policy: Policy, seed: int) -> Seen:
    """Run a workload under ``policy`` on a machine with what it says that it needs; raises nothing of its making."""
    seen = Seen()
    streams = SeededStreams(seed, 0)
    try:
        workload = make().for_replication(0)
        if wrong := _wrong_duration(workload.duration()):
            seen.fault(DURATION, wrong)
            return seen
        result = simulate(_machine(workload), policy, _Watched(workload, seen), streams, guest=GuestSpec())
        seen.end_us = result.duration_us
    except BaseException as error:  # noqa: BLE001  whatever it does
        let_pass(error)
        text = text_of(error)
        where = f", after its request at {seen.asked[-1][0] / MICROSECONDS:g} s" if seen.asked else ""
        if _NEGATIVE_DELAY in text:
            delay = text.partition(_NEGATIVE_DELAY)[2].split()[0]
            what = f"it waits for {delay} microseconds{where}: a moment that has passed"
            seen.fault(TIME, what)
        else:
            seen.fault(RAISES, f"{text}{where}")
    seen.drawn = streams.drawn
    return seen


def _wrong_duration(seconds: object) -> str:
    """Return what is wrong with what ``duration`` says, empty where nothing is."""
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < NEVER_US / MICROSECONDS:
        return ""
    return f"duration() says {seconds!r}, which is no number of seconds that a run can last"


def _machine(workload: Workload) -> MachineSpec:
    """Return a machine that has the nodes and the kernel that a workload needs."""
    nodes = max((0, *workload.node_capacity())) + 1
    needed = workload.needs_kernel() or DEFAULT_SERIES
    kernel = max(needed, DEFAULT_SERIES, key=parse_series)
    return MachineSpec((NodeSpec(_BOOT_MEMORY), *[NodeSpec(_FURTHER)] * (nodes - 1)), kernel=kernel)


class _Watched(Workload):
    """Stands for a workload in a run, between it and the host."""

    name = "watched"
    summary = "another workload, watched"

    def __init__(self, workload: Workload, seen: Seen) -> None:
        self.name = workload.name  # type: ignore[misc]  # in messages it goes by its name
        self.ends_run = workload.ends_run  # type: ignore[misc]  # likewise
        self._workload = workload
        self._seen = seen

    def duration(self) -> float:
        return self._workload.duration() or _BESIDE_S

    def node_capacity(self) -> Any:  # noqa: ANN401  what it says
        return self._workload.node_capacity()

    def needs_kernel(self) -> str | None:
        return self._workload.needs_kernel()

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        workload, seen = self._workload, self._seen
        if not workload.duration():
            host.env.process(_beside(host))

        def stream(name: str) -> np.random.Generator:
            if name not in seen.streams:
                seen.streams.append(name)
            return streams(name)

        yield from workload.run(_WatchedHost(host, workload, seen), stream)
        seen.over = True


def _beside(host: Host) -> Generator[simpy.Event, object, None]:
    for size in _BESIDE:
        host.set_demand("of-the-test-kit", "anonymous", size * MIB)
        yield host.env.timeout(round(_BESIDE_S * MICROSECONDS) // len(_BESIDE))


class _WatchedHost:
    """Passes all on to ``host``, and writes down what is asked. Implements :class:`workloads.contract.Host`."""

    def __init__(self, host: Host, workload: Workload, seen: Seen) -> None:
        self._host = host
        self._seen = seen
        self._nodes = {0, *workload.node_capacity()}  # there is no machine without node 0
        self._dimms = workload.needs_dimms()
        self._specs: dict[str, DeviceSpec] = {}
        self._last = 0

    @property
    def env(self) -> simpy.Environment:
        return self._host.env

    # What is asked ----

    def plug(self, spec: DeviceSpec) -> bool:
        self._asked(f"plug {spec}")
        self._specs[spec.id] = spec
        for flaw in impossible(spec):
            self._seen.fault(DEVICES, f"{self._now} it plugs {spec.id!r}, which {flaw}")
        self._on_node(spec.node, f"plugs {spec.id!r} into")
        if isinstance(spec, DimmSpec) and not self._dimms:
            self._seen.fault(
                MACHINE, f"{self._now} it plugs the DIMM {spec.id!r}, but needs_dimms() does not say that it does"
            )
        return self._answered("plug", self._host.plug(spec))

    def unplug(self, device: str) -> bool:
        self._asked_of(device, "unplug")
        return self._answered("unplug", self._host.unplug(device))

    def keep(self, device: str) -> bool:
        self._asked_of(device, "keep")
        return self._answered("keep", self._host.keep(device))

    def set_dax_state(self, device: str, word: str) -> bool:
        self._asked_of(device, "set_dax_state", word)
        return self._answered("set_dax_state", self._host.set_dax_state(device, word))

    def online_memory(self, device: str, word: str) -> bool:
        self._asked_of(device, "online_memory", word)
        return self._answered("online_memory", self._host.online_memory(device, word))

    def unbind(self, device: str) -> bool:
        self._asked_of(device, "unbind")
        return self._answered("unbind", self._host.unbind(device))

    def bind(self, device: str) -> bool:
        self._asked_of(device, "bind")
        return self._answered("bind", self._host.bind(device))

    def resize(self, device: str, requested: int) -> bool:
        self._asked_of(device, "resize", f"to {requested} bytes")
        spec = self._specs.get(device)
        if spec is not None and not isinstance(spec, VirtioMemSpec):
            self._seen.fault(DEVICES, f"{self._now} it resizes {device!r}, which is no virtio-mem device")
        elif spec is not None and not 0 <= requested <= spec.max_size:
            size, most = _size(requested), format_size(spec.max_size)
            self._seen.fault(DEVICES, f"{self._now} it asks for {size} of {device!r}, which has {most} at most")
        elif spec is not None and requested % spec.block_size:
            size, block = _size(requested), format_size(spec.block_size)
            self._seen.fault(DEVICES, f"{self._now} it asks for {size} of {device!r}, which comes in blocks of {block}")
        return self._answered("resize", self._host.resize(device, requested))

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        self._asked(f"set_demand {name!r} {kind} {amount if wanted is None else wanted} on node {node}")
        self._on_node(node, f"runs {name!r} on")
        return self._answered("set_demand", self._host.set_demand(name, kind, amount, wanted=wanted, node=node))

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> bool:
        self._asked(f"drop_caches cache={cache} slab={slab}")
        return self._answered("drop_caches", self._host.drop_caches(cache=cache, slab=slab))

    # What is looked at ----

    def killed(self, name: str) -> bool:
        return self._looked("killed", self._host.killed(name))

    def mem_available(self) -> int | None:
        return self._looked("mem_available", self._host.mem_available())

    def report(self) -> GuestReport | None:
        return self._looked("report", self._host.report())

    def changed(self) -> simpy.Event:
        return self._looked("changed", self._host.changed())

    @property
    def died(self) -> bool:
        return self._looked("died", self._host.died)

    def present(self, device: str) -> bool:
        return self._looked("present", self._host.present(device))

    def busy(self, device: str) -> bool:
        return self._looked("busy", self._host.busy(device))

    @property
    def at_rest(self) -> bool:
        return self._looked("at_rest", self._host.at_rest)

    def plugged(self, device: str) -> int:
        return self._looked("plugged", self._host.plugged(device))

    def offline(self, device: str) -> int:
        return self._looked("offline", self._host.offline(device))

    def requested(self, device: str) -> int:
        return self._host.requested(device)  # what it asked for itself

    def _looked(self, what: str, answer: _Answer) -> _Answer:
        self._seen.look(f"host.{what}")
        return answer

    def _answered(self, verb: str, answer: bool) -> bool:  # noqa: FBT001  what the verb said
        if not answer:
            self._seen.look(f"what host.{verb} answers")
        return answer

    # What is written down ----

    @property
    def _now(self) -> str:
        return f"at {self._host.env.now / MICROSECONDS:g} s"

    def _asked_of(self, device: str, verb: str, value: object = "") -> None:
        self._asked(f"{verb} {device!r} {value}".rstrip())
        if device not in self._specs:
            self._seen.fault(DEVICES, f"{self._now} it asks {verb} of {device!r}, which it never plugged")

    def _asked(self, words: str) -> None:
        now = int(self._host.env.now)
        if now < self._last:
            self._seen.fault(TIME, f"it asks at {now} microseconds, after it had asked at {self._last}")
        self._last = now
        self._seen.asked.append((now, words))

    def _on_node(self, node: int, what: str) -> None:
        if node not in self._nodes:
            said = ", ".join(map(str, sorted(self._nodes)))
            self._seen.fault(MACHINE, f"{self._now} it {what} node {node}, but node_capacity() says {said}")


def _size(size: int) -> str:
    return format_size(size) if size >= 0 else f"{size} bytes"
