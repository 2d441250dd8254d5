"""A machine that is a host: virtual machines come and go, and each needs memory on a node, or on two."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.plugins.parameter_types import FilePath, Name, Number, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import KIB, MIB, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.host_packing.host import Coming, Costs, Ground, Tally, VmHost
from workloads.host_packing.lives import GAPS, LIVES, gaps, lifetimes
from workloads.host_packing.placement import CHOICES
from workloads.host_packing.requests import HUAWEI, RequestColumns, read_requests
from workloads.parts.draws import uniforms
from workloads.parts.parameters import NODES, SIZES, Duration

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    import simpy


_MOST_VMS: Final = 1_000_000


class HostPacking(Workload):
    """Virtual machines come as a trace of requests says, take their memory, and leave.

    A VM needs all of its memory at once: on one of ``nodes``, or in equal parts on as many of them as it is asked for.
    Where a node has not enough left, up to ``far_share`` of it may lie on ``far_nodes``, which have no CPUs, as CXL
    cards: Pond puts there what a VM is not expected to touch, and half of what is rented is not (Li et al., ASPLOS
    2023). ``reserve`` of each node stays free, as OpenStack's ``reserved_host_memory_mb``. A VM that finds no room
    waits for up to ``patience``, then goes elsewhere; what is wanted and not had is demand that is not served.

    Beside its memory a VM takes what KubeVirt reckons with (pkg/virt-controller/services, GetMemoryOverhead): its
    process 30 MiB, its devices' thread 8 MiB and each vCPU 8 MiB; and 1/512 of its memory for the tables by which kvm
    maps it, 8 bytes for each page of 4 KiB (arch/x86/kvm/mmu; a host with huge pages under all of its VMs has next to
    none: 0). Threads have a stack of 16 KiB (arch/x86/include/asm/page_64_types.h, THREAD_SIZE), and with their task, a
    vCPU's state and its pages for the processor some 64 KiB of kernel memory (an estimate from the sizes of these).
    What a device is passed through to has all of its memory pinned (VFIO): it lies where the kernel's does, outside of
    MOVABLE, and does not move.

    This is the demand alone. Who plugs DIMMs or cards when the host runs short, and asks them back, stands beside it:
    ``dimm-controller`` or ``cxl-cards`` with the signal ``free``.

    Times that the trace does not say, and who has a device, are drawn; the same for every policy. Without ``sequence``
    replication k plays the k-th sequence of the file. It needs a guest that is modelled. Raises ParameterError with all
    faults of parameters or file at once.
    """

    name: ClassVar[str] = "host-packing"
    summary: ClassVar[str] = "virtual machines that come to a host and leave it, from a trace of requests"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        path: Annotated[str, FilePath(), "the CSV file of requests, in the order of arrival"],
        columns: RequestColumns = HUAWEI,
        sequence: Annotated[str | None, Name(), "the sequence that is played"] = None,
        vms: Annotated[int, Whole(0, _MOST_VMS), "most that come; 0 stands for all of the file"] = 0,
        gaps: Annotated[str, Word(GAPS), "how times between arrivals are spread"] = "exponential",
        gap: Annotated[float, Seconds(), "mean time between arrivals"] = 60.0,
        lifetimes: Annotated[str, Word(LIVES), "how lifetimes are spread"] = "azure-2017",
        lifetime: Annotated[float, Seconds(), "mean lifetime; azure-2017 has its own"] = 3600.0,
        patience: Annotated[float, Seconds(zero=True), "how long a VM waits for room before it goes elsewhere"] = 300.0,
        nodes: Annotated[Sequence[int], NODES, "NUMA nodes that VMs run on"] = (0,),
        choice: Annotated[str, Word(CHOICES), "which of the nodes with room is taken"] = "most-free",
        far_nodes: Annotated[Sequence[int] | None, NODES, "nodes without CPUs that may hold a part of a VM"] = None,
        far_share: Annotated[float, Number(0.0, 1.0), "most of a VM's memory that may lie there"] = 0.5,
        reserve: Annotated[int, Size(zero=True), "what VMs leave free of each node"] = 512 * MIB,
        free: Annotated[
            Sequence[int] | None, SIZES, "what is free of each of the nodes at first: VMs that stay have the rest"
        ] = None,
        pinned_share: Annotated[float, Number(0.0, 1.0), "share of VMs that a device is passed through to"] = 0.0,
        vm_process: Annotated[int, Size(zero=True), "memory of a VM's process beside the VM's"] = 38 * MIB,
        vcpu_process: Annotated[int, Size(zero=True), "the same, more for each vCPU"] = 8 * MIB,
        thread_kernel: Annotated[int, Size(zero=True), "kernel memory of each vCPU, and of two threads more"] = 64
        * KIB,
        table_share: Annotated[float, Number(0.0, 1.0), "kvm's page tables, as a share of a VM's memory"] = 1 / 512,
        duration: Duration = 86400.0,
        vm: Annotated[str, Name(), "VM n is called this and n; begins the names of the streams"] = "vm",
    ) -> None:
        if check.good("nodes", "far_nodes") and set(nodes) & set(far_nodes or ()):
            check.fault("far_nodes", "must be other nodes than those that VMs run on")
        if check.good("nodes") and len(set(nodes)) < len(nodes):
            check.fault("nodes", "must all be different")
        if check.good("nodes", "free") and free is not None and len(free) != len(nodes):
            check.fault("free", f"must be one size for each of the {len(nodes)} nodes, but there are {len(free)}")
        check.done()
        sequences = read_requests(path, columns)
        if sequence is not None and sequence not in sequences:
            few = ", ".join(list(sequences)[:5])
            check.fault("sequence", f"there is no {sequence!r} in the file; there is {few or 'none'}")
            check.done()
        self._sequences = sequences if sequence is None else {sequence: sequences[sequence]}
        self._number = 0
        self._vms = vms or None
        self._gaps = gaps, seconds_to_us(gap)
        self._lifetimes = lifetimes, seconds_to_us(lifetime)
        self._patience_us = seconds_to_us(patience)
        self._ground = Ground(tuple(nodes), tuple(far_nodes or ()), far_share, reserve, choice)
        self._free = dict(zip(nodes, free or (), strict=False))
        self._pinned_share = pinned_share
        self._costs = Costs(vm_process, vcpu_process, thread_kernel, table_share)
        self._duration_us = seconds_to_us(duration)
        self._vm = vm
        self.tally = Tally()
        """What became of the VMs of the last run."""

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Nothing is plugged."""
        del pace
        return parameters

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that VMs run on, and those that hold their memory."""
        return sorted({*self._ground.nodes, *self._ground.far_nodes})

    def for_replication(self, number: int) -> HostPacking:
        """The one that plays the sequence of this number."""
        played = copy(self)
        played._number = number % len(self._sequences)  # noqa: SLF001  of the same class
        return played

    def most_replications(self) -> int | None:
        """As many as there are sequences; any number of one, as its times are drawn."""
        return len(self._sequences) if len(self._sequences) > 1 else None

    def recording(self) -> str | None:
        """The sequence that is played; None where the file tells none apart."""
        return list(self._sequences)[self._number] or None

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Take VMs until the duration is over."""
        self.tally = Tally()
        report = host.report()
        if report is None:
            return
        for node, free in self._free.items():
            host.set_demand(f"{self._vm}-resident-{node}", "anonymous", max(0, report.node(node)[1] - free), node=node)
        desk = VmHost(
            host,
            self.coming(streams),
            self._ground,
            self._costs,
            self.tally,
            name=self._vm,
            patience_us=self._patience_us,
            end_us=self._duration_us,
        )
        yield from desk.run()

    def coming(self, streams: Streams) -> Iterator[Coming]:
        """Yield who comes and when; drawn from ``streams`` alone."""
        waits = gaps(streams(f"{self._vm}/gaps"), *self._gaps)
        stays = lifetimes(streams(f"{self._vm}/lifetimes"), *self._lifetimes)
        pinned = uniforms(streams(f"{self._vm}/pinned"))
        requests = list(self._sequences.values())[self._number]
        at = 0
        for number, request in enumerate(islice(requests, self._vms)):
            wait, stay, draw = next(waits), next(stays), next(pinned)
            at = at + wait if request.arrival_us is None else request.arrival_us
            yield Coming(
                number,
                at,
                stay if request.stay_us is None else request.stay_us,
                request.memory,
                request.vcpus,
                request.nodes,
                draw < self._pinned_share,
            )
