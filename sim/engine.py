"""Runs one cell: wires a machine, a policy, a workload and a guest together in one SimPy environment."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import simpy
from simpy.events import URGENT

from policies.contract import Policy
from sim.faults import MemhpSimError, let_pass, text_of
from sim.kernel.context import DriverContext
from sim.kernel.diary import Diary
from sim.kernel.event_loop import run_until
from sim.kernel.guest_link import GuestLink
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import CoreListener, Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.policy_answers import PolicyError, check_attributes
from sim.kernel.settings import KernelSettings
from sim.kernel.timing import Timing
from sim.kernel.user_space import UserSpace
from sim.kernel.worker import Threads
from sim.machine.boot_layout import lay_out
from sim.machine.host import MachineHost
from sim.machine.host_clock import NEVER_US
from sim.record.recorder import BriefRecorder, Recorder
from sim.record.run_result import RunResult
from sim.streams import Streams as SeededStreams
from sim.units import parse_series, seconds_to_us, us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.kernel.diary import Note
    from sim.kernel.guest_link import GuestSpec
    from sim.machine.spec import MachineSpec
    from workloads.contract import Streams, Workload

    Log = Callable[[int, Note], None]


class WorkloadError(MemhpSimError):
    """A workload raised, or needs what the machine does not have. Ends the run that it belongs to."""


def simulate(  # noqa: PLR0913  the parts that a run is made of
    machine: MachineSpec,
    policy: Policy,
    workload: Workload,
    streams: Streams,
    *,
    timing: Timing | None = None,
    guest: GuestSpec | None = None,
    log: Log | None = None,
    rivals: Sequence[Callable[[], Policy]] = (),
    brief: bool = False,
) -> RunResult:
    """Run ``workload`` against ``machine`` under ``policy`` and return what happened.

    ``guest`` is who uses the memory; without one, all memory can always be taken back and nothing ever runs short.
    ``log`` is called with (microsecond, note) for every zone decision, for whatever is refused or fails, and for kills.
    Raises PolicyError where the policy fails and WorkloadError where the workload does; nothing else is expected to
    be raised. A policy that overrides ``foresee`` has the run rehearsed first, as often as it likes; ``rivals`` make
    the other policies of the experiment, should it ask for them. A ``brief`` run ends with the first failure, see
    :data:`sim.scores.failures.FAILING`, and its guest is not sampled.
    """
    check_attributes(policy)
    end = _checked_duration(machine, workload)
    env = simpy.Environment()
    asked = policy
    if type(policy).foresee is not Policy.foresee:
        policy = _let_foresee(policy, _Foresight(env, machine, workload, streams, timing, guest, rivals))
    until = _End(env, end)
    recorder = BriefRecorder(until.now) if brief else Recorder()
    layout = lay_out(machine)
    timing = Timing() if timing is None else timing
    threads = Threads()
    diary = None if log is None else Diary(lambda note: log(int(env.now), note))
    ooms = OomLog(env, recorder, threads, None if diary is None else diary.killed)
    listeners: list[CoreListener] = [ooms]
    if diary is not None:
        listeners.append(diary)
    if policy.user_space is not None:
        listeners.append(
            UserSpace(
                env,
                threads,
                timing,
                policy.user_space,
                bare_metal=machine.bare_metal,
                architecture=machine.built_for.name,
            )
        )
    link = None
    if guest is not None:
        guest = guest.drawn(streams)
        present = layout.present_zones()
        link = GuestLink(env, layout.memory, present, layout.options, guest, policy, ooms, sampled=not brief)
        listeners.append(link)
        if not brief:
            link.start_sampling(end)
    core = HotplugCore(
        env,
        layout.memory,
        policy,
        recorder,
        settings=KernelSettings(machine.kernel_series, machine.movable_node, machine.memmap_on_memory),
        guest=None if link is None else link.hotplug_side,
        meminfo=None if link is None else link.model.meminfo,
        listener=Listeners(*listeners),
        threads=threads,
    )
    if link is not None:
        link.connect(core)
    context = DriverContext(env, core, recorder, timing)
    host = MachineHost(context, machine, guest=link)
    host.boot()
    _play(env, host, workload, streams, until)
    end = min(end, int(env.now))
    if link is not None:
        link.sample()
    return RunResult(
        events=recorder.table(),
        device_names=tuple(recorder.device_names),
        device_nodes=tuple(recorder.device_nodes),
        device_groups=tuple(recorder.device_groups),
        page_size=layout.memory.geometry.size,
        block_pages=layout.memory.block_pages,
        duration_us=end,
        boot=layout.boot,
        configured_ratio=asked.configured_ratio,
        counters={
            "decisions": core.zone_choice.decisions,
            "refused_offlines": core.refusals,
            "failed_requests": host.failed_requests,
            "failed_operations": context.failures,
            **({"streams_drawn": streams.drawn} if isinstance(streams, SeededStreams) else {}),
        },
        guest={} if link is None else link.series(),
        kernel_need=None
        if link is None
        else link.kernel_need(memmap=0 if machine.memmap_on_memory else layout.memory.memmap_pages),
        foreseen=asked.foreseen,
        guest_drawn={} if link is None else link.drawn_parameters(),
    )


class _End:
    """The end of a run, at ``end_us`` or sooner: ``event`` happens before all else that happens at its time.

    ``over`` is set once nothing goes on any more, however that came.
    """

    def __init__(self, env: simpy.Environment, end_us: int) -> None:
        self._env = env
        self.event = simpy.Event(env)
        self.event._ok, self.event._value = True, None  # noqa: SLF001 - as Environment.run() makes its own
        env.schedule(self.event, URGENT, end_us)
        self.over = False

    def now(self) -> None:
        """End the run before anything else happens. Once it has ended nothing follows, so that it may come twice."""
        self._env.schedule(self.event, URGENT)


class _Foresight:
    """Rehearses a run before it takes place. Implements :class:`policies.contract.Foresight`."""

    def __init__(
        self,
        env: simpy.Environment,
        machine: MachineSpec,
        workload: Workload,
        streams: Streams,
        timing: Timing | None,
        guest: GuestSpec | None,
        rivals: Sequence[Callable[[], Policy]],
    ) -> None:
        self._env = env
        self._machine = machine
        # Untouched copies: what a rehearsal draws, or a workload notes, must not be missing from the run.
        self._workload = deepcopy(workload)
        self._streams = deepcopy(streams)
        self._timing = timing
        self._guest = guest
        self._rivals = rivals

    def now(self) -> int:
        """Return the microsecond of the run."""
        return int(self._env.now)

    def rehearse(self, policy: Policy, *, brief: bool = False) -> RunResult:
        """Return what ``policy`` would make of the run."""
        workload, streams = deepcopy(self._workload), deepcopy(self._streams)
        timing, guest = self._timing, self._guest
        return simulate(self._machine, policy, workload, streams, timing=timing, guest=guest, brief=brief)

    def rivals(self) -> Sequence[Callable[[], Policy]]:
        """Return what makes the other policies."""
        return self._rivals


def _let_foresee(policy: Policy, foresight: _Foresight) -> Policy:
    """Return who decides in the run. Raises PolicyError where ``policy`` or its answer is wrong."""
    try:
        decides = policy.foresee(foresight) or policy
    except (PolicyError, WorkloadError):
        raise
    except BaseException as error:
        let_pass(error)
        what = f"raised {type(error).__name__} in foresee: {text_of(error)}"
        raise PolicyError(f"policy {policy.name!r} {what}") from error
    if not isinstance(decides, Policy):
        raise PolicyError(f"policy {policy.name!r} answered {decides!r} in foresee, which is no policy")
    check_attributes(decides)
    return decides


def _checked_duration(machine: MachineSpec, workload: Workload) -> int:
    """Return the microseconds that the run lasts. Raises WorkloadError where the workload does not suit the machine."""
    try:
        nodes = sorted(workload.node_capacity())
        kernel = workload.needs_kernel()
        too_old = kernel is not None and machine.kernel_series < parse_series(kernel)
        seconds = workload.duration()
        end = seconds_to_us(seconds)
    except BaseException as error:
        let_pass(error)
        raise WorkloadError(f"workload {workload.name!r} raised {type(error).__name__}: {text_of(error)}") from error
    lacking = [node for node in nodes if not 0 <= node < len(machine.nodes)]
    if lacking:
        raise WorkloadError(
            f"workload {workload.name!r} uses node {lacking[0]}, but the machine has nodes 0 to"
            f" {len(machine.nodes) - 1}"
        )
    if too_old:
        raise WorkloadError(
            f"workload {workload.name!r} asks for what Linux has from {kernel} on,"
            f" but the machine runs {machine.kernel}"
        )
    if end <= 0:
        raise WorkloadError(
            f"workload {workload.name!r} lasts {seconds} seconds; a run has to last some time: give it a duration, or"
            " run it together with a workload that has one"
        )
    if end >= NEVER_US:
        most = us_to_seconds(NEVER_US)
        raise WorkloadError(f"workload {workload.name!r} lasts {seconds} seconds; that must be less than {most:g}")
    return end


def _play(env: simpy.Environment, host: MachineHost, workload: Workload, streams: Streams, until: _End) -> None:
    """Let time pass to the end of the run. Raises WorkloadError where the workload waits for what never happens."""
    asks = host.env.process(_guarded(workload, host, streams, until))
    try:
        run_until(env, until.event)
    except RuntimeError as error:
        # What SimPy says of a process that yields something that is no event; it is not raised inside that process.
        if "Invalid yield value" not in str(error):
            raise
        what = str(error).strip().splitlines()[-1].strip()
        raise WorkloadError(f"workload {workload.name!r} yielded what is no SimPy event: {what}") from error
    finally:
        until.over = True
    if asks.is_alive and asks.target.env not in (env, host.env):
        what = "waits for an event of another SimPy environment, which never happens; host.env makes events that do"
        raise WorkloadError(f"workload {workload.name!r} {what}")


def _guarded(workload: Workload, host: MachineHost, streams: Streams, until: _End):  # type: ignore[no-untyped-def] # noqa: ANN202
    """Run the workload's process, and end the run with it where it asks for that.

    What the workload raises becomes a WorkloadError, what a policy raises passes through.
    """
    try:
        yield from workload.run(host, streams)
        if workload.ends_run:
            until.now()
    except (PolicyError, WorkloadError):
        raise
    except BaseException as error:
        let_pass(error)
        if until.over and isinstance(error, GeneratorExit):  # Python's own, when it closes what nobody will go on with
            raise
        raise WorkloadError(f"workload {workload.name!r} raised {type(error).__name__}: {text_of(error)}") from error
