"""Planted fault: sizes are drawn from Python's own generator, which no seed of the run begins."""

import random

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "forgets-seed"
    summary = "a device of any size"

    def duration(self):
        return 60.0

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", 8 * GIB))
        for _ in range(6):
            host.resize("vmem0", random.randrange(8) * GIB)
            yield host.env.timeout(10_000_000)
