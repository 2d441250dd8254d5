"""Who uses the memory: a model of the guest's kernel and user pages by zone.

It must not know devices, policies.
"""

from __future__ import annotations

from sim.guest.boot import BootZone, PresentZone, default_boot
from sim.guest.contract import Demand, DemandKind, Guest, OfflineOutcome, OomEvent, OomKind, SubblockOutcome, ZoneUse
from sim.guest.model import GuestModel
from sim.guest.parameters import GuestParameters, parameters_for, parameters_for_kernel

__all__ = [
    "BootZone",
    "Demand",
    "DemandKind",
    "Guest",
    "GuestModel",
    "GuestParameters",
    "OfflineOutcome",
    "OomEvent",
    "OomKind",
    "PresentZone",
    "SubblockOutcome",
    "ZoneUse",
    "default_boot",
    "parameters_for",
    "parameters_for_kernel",
]
