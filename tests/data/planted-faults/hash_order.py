"""Planted fault: the first of a set of words decides, and their order is another in each process."""

from memhp_sim import Policy, ZoneType


class Planted(Policy):
    name = "hash-order"
    summary = "whichever zone comes first"

    def zone_for(self, request, memory):
        return ZoneType.MOVABLE if hash("movable") % 2 else ZoneType.NORMAL
