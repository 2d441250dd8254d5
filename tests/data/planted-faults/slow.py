"""Planted fault: every answer goes through numbers that nobody needs."""

from memhp_sim import Policy, ZoneType


class Planted(Policy):
    name = "slow"
    summary = "MOVABLE, after long thought"

    def zone_for(self, request, memory):
        return ZoneType.MOVABLE if sum(range(20_000)) else ZoneType.NORMAL
