"""Planted fault: the plan is not in order, and the second moment lies before the first."""

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "back-in-time"
    summary = "a plan of three moments"

    def duration(self):
        return 100.0

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", 8 * GIB))
        for second, size in ((30, 2), (10, 4), (50, 0)):
            yield host.env.timeout(second * 1_000_000 - host.env.now)
            host.resize("vmem0", size * GIB)
