"""Planted fault: where there is enough, nothing is returned."""

from memhp_sim import GIB, Policy


class Planted(Policy):
    name = "no-zone"
    summary = "a kernel zone up to 2 GiB"

    def zone_for(self, request, memory):
        if memory.kernel_present(request.node) * memory.page_size < 2 * GIB:
            return memory.default_kernel_zone(request.node, request.first_page, request.pages)
        return None
