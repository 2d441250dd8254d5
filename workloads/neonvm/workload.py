"""NeonVM's autoscaler: a guest that is kept in whole compute units, and never far from full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sim.plugins.parameter_types import Number, Seconds, Size, Whole
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, seconds_to_us
from workloads.neonvm.agent import Agent, Doors, Waits
from workloads.neonvm.goal import WINDOWS, FileCache, Metrics, Targets
from workloads.neonvm.monitor import Limits, Monitor
from workloads.parts.controllers.controller import Beat, Controller, SizedDevice, sized
from workloads.parts.controllers.host_memory import HostMemory, HostTotal, HostUse, check_host
from workloads.parts.controllers.watch import Due
from workloads.parts.parameters import (
    Block,
    Device,
    Node,
    OwnEnd,
    Region,
    Start,
    check_multiples,
    check_region,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workloads.contract import GuestReport, Host
    from workloads.parts.controllers.watch import Watcher

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
        total_target: Annotated[
            float, _SHARE, "file cache: share that usage and the cache in use shall be at most"
        ] = 0.9,
        cache_target: Annotated[float, _SHARE, "file cache: share that the cache in use shall be at most"] = 0.75,
        kernel: Annotated[int, Size(zero=True), "what counts as usage beside MemTotal less MemAvailable"] = 100 * MIB,
        file_cache: Annotated[bool, "whether it looks at the file cache"] = False,
        largest_window: Annotated[bool, "file cache: all that was in use within the last hour counts"] = False,
        window: Annotated[int, Whole(2, WINDOWS, unit="minutes"), "file cache: rises are compared over so long"] = 5,
        wait: Annotated[int, Whole(1, WINDOWS, unit="minutes"), "file cache: what was in use so long ago counts"] = 5,
        steepest: Annotated[
            float, Number(1.0, 1e6), "file cache: a rise so many times as steep as before ends it"
        ] = 3.0,
        ahead: Annotated[float, Number(0.0, 60.0), "file cache: minutes for which rises are taken to go on"] = 0.5,
        period: Annotated[float, Seconds(), "time between readings of usage"] = 5.0,
        cache_period: Annotated[float, Seconds(), "time between readings of the file cache"] = 15.0,
        answer: Annotated[float, Seconds(zero=True), "time from a request of the agent's to its answer"] = 0.1,
        denied_growth: Annotated[float, Seconds(), "what was not permitted is asked for again after this"] = 2.0,
        denied_shrink: Annotated[float, Seconds(), "what the guest denied is asked for again after this"] = 5.0,
        failed: Annotated[float, Seconds(), "what the host refused is asked for again after this"] = 5.0,
        wish_valid: Annotated[float, Seconds(), "how long the guest's wish for more is heeded"] = 10.0,
        reserved: Annotated[
            float, Number(0.0, 0.99), "anonymous memory leaves this share free, or the guest wishes"
        ] = 0.15,
        system: Annotated[int, Size(zero=True), "what of a size the guest does not count as its memory"] = 100 * MIB,
        margin: Annotated[int, Size(zero=True), "a shrink leaves so much between anonymous memory and that"] = 100
        * MIB,
        sample: Annotated[float, Seconds(), "time between the guest's own samples; all times are multiples"] = 0.1,
        samples: Annotated[int, Whole(1, 1000, unit="samples"), "so many of its samples are averaged"] = 5,
        wish_every: Annotated[
            float, Seconds(), "the guest wishes for more no sooner than this after the last time"
        ] = 1.0,
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
        if check.good("unit", "minimum", "maximum"):
            check.take("maximum", maximum * unit, Size(), unit)
            check_region(check, region, maximum * unit, base=minimum * unit)
        check_host(check, host_memory, host_use)
        check.done()
        beat_us = seconds_to_us(sample)

        def on_beat(seconds: float) -> int:
            return -(-seconds_to_us(seconds) // beat_us) * beat_us

        self._plan = Plan(
            least=minimum,
            most=maximum,
            kernel=kernel,
            period_us=on_beat(period),
            cache_period_us=on_beat(cache_period) if file_cache else 0,
            targets=Targets(
                unit=unit,
                usage_share=usage_target,
                total_share=total_target,
                cache_share=cache_target,
                window=window,
                wait=wait,
                largest_window=largest_window,
                steepest=steepest,
                ahead=ahead,
            ),
            waits=Waits(
                answer_us=on_beat(answer),
                denied_growth_us=on_beat(denied_growth),
                denied_shrink_us=on_beat(denied_shrink),
                failed_us=on_beat(failed),
                wish_us=on_beat(wish_valid),
            ),
            limits=Limits(
                sample_us=beat_us,
                samples=samples,
                reserved_share=reserved,
                system=system,
                margin=margin,
                ask_every_us=on_beat(wish_every),
            ),
        )
        self._host_memory = HostMemory(host_memory, host_use)
        spec = sized(device, (maximum - minimum) * unit, region=region, node=node, block=device_block)
        super().__init__(Beat.of(start, sample, duration), nodes=[node], devices=[spec])

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Agent and monitor look and ask again faster."""
        return shortened(parameters, pace, "period", "cache_period", "denied_growth", "denied_shrink", "failed")

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at the guest's usage, from the host and from inside."""
        (spec,) = self._devices
        plan = self._plan
        device = SizedDevice(host, spec.id, base=plan.least * plan.targets.unit)
        return _Watcher(host, device, plan, self._host_memory, self._beat.first_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The parameters: sizes in units, ``kernel`` in bytes; a ``cache_period_us`` of 0 stands for no file cache."""

    least: int
    most: int
    kernel: int
    period_us: int
    cache_period_us: int
    targets: Targets
    waits: Waits
    limits: Limits


class _Watcher:
    """The agent's and the monitor's looks, all of which fall on the monitor's samples."""

    def __init__(self, host: Host, device: SizedDevice, plan: Plan, memory: HostMemory, first_us: int) -> None:
        self._host = host
        self._device = device
        self._plan = plan
        self._memory = memory
        self._first_us = first_us
        report = host.report()
        self._monitor = Monitor(plan.limits, 0 if report is None else report.total)
        self._metrics: Metrics | None = None
        self._cache = FileCache(plan.cache_period_us)
        doors = Doors(self._permitted, self._resize, self._allows, self._tell)
        self._agent = Agent(plan.least, plan.most, plan.waits, doors)

    def look(self, now_us: int) -> Due | None:
        report = self._host.report()
        if report is None:
            return None
        monitor, agent = self._monitor, self._agent
        if monitor.catch_up(now_us) and monitor.asked_us is not None:
            agent.wish(monitor.asked_us)
        if monitor.sample(now_us, report.anonymous):
            agent.wish(now_us)
        self._read(report, now_us)
        agent.act(now_us)
        then = min(self._moments(report, now_us), default=None)
        return None if then is None else Due(then)

    def _read(self, report: GuestReport, now_us: int) -> None:
        """Read the metrics whose turn it is."""
        plan, since_us = self._plan, now_us - self._first_us
        turns = [since_us % plan.period_us == 0, plan.cache_period_us and since_us % plan.cache_period_us == 0]
        if turns[0]:
            self._metrics = Metrics.of(report, plan.kernel)
        if turns[1]:
            self._cache.read(now_us, report.cached)
        if any(turns) and self._metrics is not None:
            working_sets = self._cache.working_sets(now_us) if plan.cache_period_us else None
            self._agent.goal = plan.targets.units(self._metrics, working_sets)

    def _moments(self, report: GuestReport, now_us: int) -> Iterator[int]:
        """Yield when there will be something to find or to do though the guest stays as it is."""
        plan, monitor, agent = self._plan, self._monitor, self._agent
        if (then := agent.next_us(now_us, wishes=monitor.short)) is not None:
            yield then
        if self._metrics != Metrics.of(report, plan.kernel):
            yield self._turn(now_us, plan.period_us)
        if plan.cache_period_us and not (self._cache.settled and self._cache.last == report.cached):
            yield self._turn(now_us, plan.cache_period_us)
        if monitor.wavers:
            yield now_us + plan.limits.sample_us
        if monitor.short and agent.wished_for != agent.approved:
            yield monitor.asks_next_us

    def _turn(self, now_us: int, period_us: int) -> int:
        """Return the next turn after ``now_us`` of what is read every ``period_us``."""
        return now_us + period_us - (now_us - self._first_us) % period_us

    def _permitted(self, now_us: int) -> int:
        room = self._memory.available(now_us, 0) // self._plan.targets.unit
        return self._plan.least + room if self._memory.total else self._plan.most

    def _resize(self, units: int) -> bool:
        return self._device.ask(units * self._plan.targets.unit)

    def _allows(self, units: int) -> bool:
        return self._monitor.allows(units * self._plan.targets.unit)

    def _tell(self, units: int) -> None:
        self._monitor.told(units * self._plan.targets.unit)
