"""Who uses the memory: a model of the guest's kernel and user pages by zone.

It must not know devices, policies.
"""

from __future__ import annotations

from sim.guest.boot import BootZone, PresentZone, default_boot
from sim.guest.contract import Demand, DemandKind, Guest, OfflineOutcome, OomEvent, OomKind, SubblockOutcome, ZoneUse
from sim.guest.model import GuestModel
from sim.guest.parameters import GuestParameters, parameters_for, parameters_for_kernel
from sim.guest.presets import PRESETS, Free, Preset, parameters_of

__all__ = [
    "PRESETS",
    "BootZone",
    "Demand",
    "DemandKind",
    "Free",
    "Guest",
    "GuestModel",
    "GuestParameters",
    "OfflineOutcome",
    "OomEvent",
    "OomKind",
    "PresentZone",
    "Preset",
    "SubblockOutcome",
    "ZoneUse",
    "default_boot",
    "parameters_for",
    "parameters_for_kernel",
    "parameters_of",
]
