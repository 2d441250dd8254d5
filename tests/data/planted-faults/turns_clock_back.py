"""Planted fault: the workload sets the clock itself."""

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "turns-clock-back"
    summary = "two requests, the second before the first"

    def duration(self):
        return 100.0

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", 8 * GIB))
        yield host.env.timeout(30_000_000)
        host.resize("vmem0", 2 * GIB)
        host.env._env._now = 10_000_000
        host.resize("vmem0", 4 * GIB)
