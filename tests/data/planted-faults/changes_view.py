"""Planted fault: the policy counts what it decides in the counters that it was only to look at."""

from memhp_sim import Policy, ZoneType


class Planted(Policy):
    name = "changes-view"
    summary = "MOVABLE, counted at once"

    def zone_for(self, request, memory):
        vars(memory.system)["movable"] += request.pages
        return ZoneType.MOVABLE
