"""Planted fault: DMA32 is asked for where Linux has none, above 4 GiB."""

from memhp_sim import Policy, ZoneType


class Planted(Policy):
    name = "wrong-zone"
    summary = "DMA32 for everybody"

    def zone_for(self, request, memory):
        return ZoneType.DMA32
