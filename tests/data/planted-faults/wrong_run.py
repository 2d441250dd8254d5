"""Planted fault: of a run of blocks only the first is looked at."""

from memhp_sim import GIB, Policy, ZoneType


class Planted(Policy):
    name = "wrong-run"
    summary = "2 GiB of kernel zones, then MOVABLE"

    def zone_for(self, request, memory):
        enough = memory.kernel_present(request.node) * memory.page_size >= 2 * GIB
        if enough:
            return ZoneType.MOVABLE
        return memory.default_kernel_zone(request.node, request.first_page, request.pages)

    def zones_for_run(self, request, count, memory):
        if request.first_page < memory.low_end(request.node):
            return None
        return [(count, self.zone_for(request, memory))]
