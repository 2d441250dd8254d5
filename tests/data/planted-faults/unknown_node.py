"""Planted fault: memory goes to a node that the machine need not have."""

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "unknown-node"
    summary = "a device on node 1"

    def duration(self):
        return 60.0

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", 8 * GIB, node=1, requested=GIB))
        yield host.env.timeout(30_000_000)
