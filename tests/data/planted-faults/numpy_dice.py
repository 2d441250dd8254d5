"""Planted fault: sizes are drawn from NumPy's shared generator, which is given the same seed each time."""

import numpy as np

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "numpy-dice"
    summary = "a device of any size"

    def duration(self):
        return 60.0

    def run(self, host, streams):
        np.random.seed(4)
        host.plug(VirtioMemSpec("vmem0", 8 * GIB))
        for _ in range(6):
            host.resize("vmem0", int(np.random.randint(8)) * GIB)
            yield host.env.timeout(10_000_000)
