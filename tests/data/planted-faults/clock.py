"""Planted fault: what is decided hangs on the time of day, which hardly ever changes while one looks."""

from time import time

from memhp_sim import Policy, ZoneType


class Planted(Policy):
    name = "clock"
    summary = "MOVABLE since 2001, NORMAL before"

    def zone_for(self, request, memory):
        return ZoneType.MOVABLE if time() > 1e9 else ZoneType.NORMAL
