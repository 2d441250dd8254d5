"""A guest linked to a hotplug core, without devices and workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from policies.fixed import OnlineMovable
from sim.kernel.guest_link import GuestLink, GuestSpec
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.worker import Threads
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import Recorder
from sim.units import GIB

if TYPE_CHECKING:
    from policies.contract import Policy


def linked(
    *boot_memory: int, spec: GuestSpec | None = None, policy: Policy | None = None, **machine: int | str
) -> tuple[GuestLink, HotplugCore]:
    """Return a guest of the given boot memory by node, and its core."""
    env = simpy.Environment()
    described = MachineSpec(nodes=tuple(map(NodeSpec, boot_memory or (GIB,))), **machine)  # type: ignore[arg-type]
    layout = lay_out(described)
    policy, recorder, threads = policy or OnlineMovable(), Recorder(), Threads()
    ooms = OomLog(env, recorder, threads)
    present = layout.present_zones()
    link = GuestLink(env, layout.memory, present, layout.options, spec or GuestSpec(), policy, ooms)
    core = HotplugCore(
        env,
        layout.memory,
        policy,
        recorder,
        guest=link.hotplug_side,
        meminfo=link.model.meminfo,
        listener=Listeners(ooms, link),
        threads=threads,
    )
    link.connect(core)
    return link, core
