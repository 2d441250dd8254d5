"""NeonVM's autoscaler: a guest that is kept in whole compute units, and never far from full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from sim.plugins.parameter_types import Number, Seconds, Size, Whole
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, seconds_to_us
from workloads.neonvm.agent import Agent, Doors, Waits
from workloads.neonvm.goal import WINDOWS, FileCache, Metrics, Targets
from workloads.neonvm.monitor import Limits, Monitor
from workloads.parts.controller import Beat, Controller, SizedDevice, sized
from workloads.parts.host_memory import HostMemory, HostTotal, HostUse, check_host
from workloads.parts.parameters import Block, Device, Node, OwnEnd, Region, Start, check_multiples
from workloads.parts.watch import Due

if TYPE_CHECKING:
    from workloads.contract import GuestReport, Host
    from workloads.parts.watch import Watcher

_SHARE = Number(0.01, 1.0)


class NeonVM(Controller):
    """Keeps a guest at the fewest compute units with which no share of its memory in use is above its target.

    A unit is memory and a part of a CPU. CPUs are not simulated here: memory alone decides. Every ``period`` the agent
    reads usage (MemTotal less MemAvailable, and ``kernel`` more), and wants usage / ``usage_target``. With
    ``file_cache`` it reads every ``cache_period`` how much page cache was in use (see
    :class:`workloads.neonvm.goal.FileCache` for what that is here), and also wants (usage and the smaller of page cache
    and what of it is in use) / ``total_target``, and what is in use / ``cache_target``. The most of these counts.

    More is asked for at once: of the scheduler's plugin, which permits what the host has left, then of NeonVM. What was
    not permitted is asked for again after ``denied_growth``. Less is asked of the vm-monitor in the guest, a unit at a
    time, which denies where anonymous memory would come too near to its threshold; asked again after ``denied_shrink``.
    While anonymous memory is above the threshold the monitor itself asks for a unit more, which is heeded for
    ``wish_valid``. A request that the host refuses is made again after ``failed``. What the guest does not reach stays
    asked for, and the agent does not see it: the driver goes on trying.

    Sources: neondatabase/autoscaling at a4bce09 (2025-09-23): autoscaler-agent/config_map.yaml (targets, windows,
    periods and waits), pkg/agent/core (state.go, goalcu.go, wss.go, metrics.go), neonvm-runner/cmd/main.go (the block
    size of 8 MiB). neondatabase/neon, libs/vm_monitor/src/runner.rs at 90c0113 (``reserved``, ``system``, ``margin``,
    a wish at most once a second) and cgroup.rs at c3302ad (five samples, 100 ms apart). How long an answer takes is
    published nowhere; 0.1 s is the step of their tests (state_test.go). ``start`` is half a period, so that looks do
    not fall on the very moment at which a trace's sample begins: on average a poller comes half a period late.
    """

    name: ClassVar[str] = "neonvm"
    summary: ClassVar[str] = "NeonVM's autoscaler: whole compute units of 1 GiB by the guest's memory usage"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        unit: Annotated[int, Size(), "memory of a compute unit"] = GIB,
        minimum: Annotated[int, Whole(1, unit="units"), "fewest units: what the guest boots with"] = 1,
        maximum: Annotated[int, Whole(2, 1 << 20, unit="units"), "most units"] = 8,
        usage_target: Annotated[float, _SHARE, "share of memory that usage shall be at most"] = 0.75,
        total_target: Annotated[float, _SHARE, "file cache: share that usage and the cache in use shall be at most"] = 0.9,
        cache_target: Annotated[float, _SHARE, "file cache: share that the cache in use shall be at most"] = 0.75,
        kernel: Annotated[int, Size(zero=True), "what counts as usage beside MemTotal less MemAvailable"] = 100 * MIB,
        file_cache: Annotated[bool, "whether it looks at the file cache"] = False,
        largest_window: Annotated[bool, "file cache: all that was in use within the last hour counts"] = False,
        window: Annotated[int, Whole(2, WINDOWS, unit="minutes"), "file cache: rises are compared over so long"] = 5,
        wait: Annotated[int, Whole(1, WINDOWS, unit="minutes"), "file cache: what was in use so long ago counts"] = 5,
        steepest: Annotated[float, Number(1.0, 1e6), "file cache: a rise so many times as steep as before ends it"] = 3.0,
        ahead: Annotated[float, Number(0.0, 60.0), "file cache: minutes for which rises are taken to go on"] = 0.5,
        period: Annotated[float, Seconds(), "time between readings of usage"] = 5.0,
        cache_period: Annotated[float, Seconds(), "time between readings of the file cache"] = 15.0,
        answer: Annotated[float, Seconds(zero=True), "time from a request of the agent's to its answer"] = 0.1,
        denied_growth: Annotated[float, Seconds(), "what was not permitted is asked for again after this"] = 2.0,
        denied_shrink: Annotated[float, Seconds(), "what the guest denied is asked for again after this"] = 5.0,
        failed: Annotated[float, Seconds(), "what the host refused is asked for again after this"] = 5.0,
        wish_valid: Annotated[float, Seconds(), "how long the guest's wish for more is heeded"] = 10.0,
        reserved: Annotated[float, Number(0.0, 0.99), "anonymous memory leaves this share free, or the guest wishes"] = 0.15,
        system: Annotated[int, Size(zero=True), "what of a size the guest does not count as its memory"] = 100 * MIB,
        margin: Annotated[int, Size(zero=True), "a shrink leaves so much between anonymous memory and that"] = 100 * MIB,
        sample: Annotated[float, Seconds(), "time between the guest's own samples; all times are multiples"] = 0.1,
        samples: Annotated[int, Whole(1, 1000, unit="samples"), "so many of its samples are averaged"] = 5,
        wish_every: Annotated[float, Seconds(), "the guest wishes for more no sooner than this after the last time"] = 1.0,
        host_memory: HostTotal = 0,
        host_use: HostUse = None,
        device_block: Block = 8 * MIB,
        region: Region = 0,
        node: Node = 0,
        start: Start = 2.5,
        duration: OwnEnd = 0.0,
        device: Device = "vmem0",
    ) -> None:
        if check.good("device_block"):
            check_multiples(check, device_block, unit=unit, region=region)
        if check.good("minimum", "maximum") and maximum <= minimum:
            check.fault("maximum", f"must be more than the minimum, {minimum}, but is {maximum}")
        if check.good("window", "wait"):
            if wait < window:
                check.fault("wait", f"must be at least the window, {window}, but is {wait}")
            elif wait + window - 1 > WINDOWS:
                check.fault("wait", f"must leave room for the window in {WINDOWS} minutes, but is {wait}")
        if check.good("wish_valid", "wish_every") and wish_valid < wish_every:
            check.fault("wish_valid", f"must be at least wish_every, {wish_every:g}, but is {wish_valid:g}")
        beyond = (maximum - minimum) * unit if check.good("minimum", "maximum", "unit") else 0
        if check.good("region") and 0 < region < beyond:
            check.fault("region", f"must hold what is beyond the minimum, {format_size(beyond)}")
        check_host(check, host_memory, host_use)
        check.done()
