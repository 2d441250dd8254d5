"""A machine's memory at some moment of a run, as a picture: blocks, zones, devices, MemTotal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sim.faults import InputError, MemhpSimError
from sim.kernel.guest_link import GuestSpec
from sim.kernel.listener import NOBODY
from sim.kernel.zone_choice import ZoneChoice
from sim.machine.boot_layout import lay_out
from sim.memory.view import MemoryView
from sim.memory.zones import ZONE_LABELS
from sim.record.arrays import counted_up
from sim.record.blockmap import BlockState, zone_map
from sim.record.events import Events
from sim.record.online_pages import online_pages_change
from sim.record.recorder import NO_DEVICE, EventKind
from sim.record.series import run_series
from sim.snapshot.picture import BlockView, DeviceView, Picture, Ratio, ZoneView
from sim.snapshot.run_memory import memory_at
from sim.snapshot.zone_totals import SEVERAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.contract import Policy
    from sim.machine.spec import MachineSpec
    from sim.memory.hotplug import Memory
    from sim.record.run_result import RunResult

