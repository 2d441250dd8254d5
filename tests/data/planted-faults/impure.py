"""Planted fault: the answers to one question are now one zone and now the other."""

from memhp_sim import Policy, ZoneType


class Planted(Policy):
    name = "impure"
    summary = "both zones in turn"

    def __init__(self):
        self.last = ZoneType.MOVABLE

    def zone_for(self, request, memory):
        self.last = ZoneType.NORMAL if self.last == ZoneType.MOVABLE else ZoneType.MOVABLE
        return self.last
